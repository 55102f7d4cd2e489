//! Event files: records with checksums, as TensorFlow's `TFRecord` has them.

use super::proto::{EventData, EventProto, GraphDef, HistogramProto, NodeDef, SummaryData, SummaryProto, SummaryValue};
use ir::{Graph, Op, Value};
use prost::Message;
use std::fs::File;
use std::io::{Result, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// An event file that is being written.
pub(super) struct EventWriter {
    file: File,
}

/// The version of the format, as readers know it.
const VERSION: &str = "brain.Event:2";

impl EventWriter {
    /// A new file in a folder, which is made if it isn't there. Its name has the time, so that readers find those of several runs in their order.
    pub(super) fn create(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name =
            format!("events.out.tfevents.{:010}.{:09}.{}", since.as_secs(), since.subsec_nanos(), std::process::id());
        let mut writer = Self { file: File::create(dir.join(name))? };
        writer.write(0, EventData::FileVersion(VERSION.into()))?;
        Ok(writer)
    }

    /// Scalars of one step, by their tags. A reader has them as `f32`.
    pub(super) fn scalars<'t>(&mut self, step: u64, scalars: impl Iterator<Item = (&'t str, f64)>) -> Result<()> {
        let value = |(tag, number): (&str, f64)| SummaryValue {
            tag: tag.into(),
            value: Some(SummaryData::Scalar(number as f32)),
        };
        self.write(step, EventData::Summary(SummaryProto { value: scalars.map(value).collect() }))
    }

    /// How the elements of a tensor are distributed.
    pub(super) fn histogram(&mut self, step: u64, tag: &str, tensor: &Value) -> Result<()> {
        let value = SummaryValue { tag: tag.into(), value: Some(SummaryData::Histogram(histogram(tensor))) };
        self.write(step, EventData::Summary(SummaryProto { value: vec![value] }))
    }

    /// A graph, whose nodes stand in their layers.
    pub(super) fn graph(&mut self, graph: &Graph) -> Result<()> {
        self.write(0, EventData::GraphDef(graph_def(graph).encode_to_vec()))
    }

    fn write(&mut self, step: u64, what: EventData) -> Result<()> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let event = EventProto { wall_time: since.as_secs_f64(), step: step as i64, what: Some(what) };
        self.file.write_all(&record(&event.encode_to_vec()))
    }
}

/// A record: the length, its checksum, the bytes, their checksum. In one piece, so that a reader never finds a part of one for long.
fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length).to_le_bytes(), bytes, &checksum(bytes).to_le_bytes()].concat()
}

/// CRC-32C, masked: of a stretch that has such a sum in it, it would be no good otherwise.
fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Buckets of a histogram.
const BUCKETS: usize = 30;

/// How the finite elements of a tensor are distributed, in buckets of one width.
fn histogram(tensor: &Value) -> HistogramProto {
    let elements: Vec<f64> = tensor.to_f64_vec().into_iter().filter(|x| x.is_finite()).collect();
    let extremum = |better: fn(f64, f64) -> f64| elements.iter().copied().reduce(better).unwrap_or(0.0);
    let (min, max) = (extremum(f64::min), extremum(f64::max));
    let width = (max - min) / BUCKETS as f64;
    let mut bucket = vec![0.0; BUCKETS];
    for x in &elements {
        let at = if width > 0.0 { ((x - min) / width) as usize } else { 0 };
        bucket[at.min(BUCKETS - 1)] += 1.0;
    }
    HistogramProto {
        min,
        max,
        num: elements.len() as f64,
        sum: elements.iter().sum(),
        sum_squares: elements.iter().map(|x| x * x).sum(),
        bucket_limit: (1..=BUCKETS).map(|i| if i == BUCKETS { max } else { min + width * i as f64 }).collect(),
        bucket,
    }
}

/// The nodes of a graph under paths: a port's name, else the layer, the op and a number.
fn graph_def(graph: &Graph) -> GraphDef {
    let name = |id| match graph.op(id) {
        Op::Input(input) => input.name.clone(),
        Op::State(state) => state.name.clone(),
        op => {
            let layer = graph.loc(id).and_then(|loc| loc.layer.as_deref());
            let prefix = layer.map_or_else(String::new, |layer| format!("{layer}/"));
            format!("{prefix}{}_{}", op.name(), id.index())
        }
    };
    let node = |id| NodeDef {
        name: name(id),
        op: graph.op(id).name().into(),
        input: graph.operands(id).iter().map(|&operand| name(operand)).collect(),
    };
    GraphDef { node: graph.topological().into_iter().map(node).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::array;

    /// The checksum of RFC 3720 for 32 zeros, masked as the format says.
    #[test]
    fn records_are_framed_by_masked_checksums() {
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        let framed = record(b"abc");
        assert_eq!((framed.len(), &framed[..8], &framed[12..15]), (19, &3u64.to_le_bytes()[..], &b"abc"[..]));
        assert_eq!(framed[8..12], checksum(&3u64.to_le_bytes()).to_le_bytes());
        assert_eq!(checksum(b""), 0xa282_ead8);
    }

    #[test]
    fn histograms_count_finite_elements_in_ascending_buckets() {
        let found = histogram(&array([5], vec![0.0f32, 3.0, 1.5, f32::NAN, 3.0]).unwrap());
        assert_eq!((found.min, found.max, found.num, found.sum, found.sum_squares), (0.0, 3.0, 4.0, 7.5, 20.25));
        assert_eq!((found.bucket[0], found.bucket[15], found.bucket[29]), (1.0, 1.0, 2.0));
        assert!(found.bucket_limit.is_sorted() && found.bucket_limit[29] == 3.0);
        let alike = histogram(&array([3], vec![2.0f32; 3]).unwrap());
        assert_eq!((alike.bucket[0], alike.bucket_limit[29]), (3.0, 2.0));
    }
}
