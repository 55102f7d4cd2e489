//! The ranges of activations.

use super::rewrite::{Site, with_graph};
use super::{Calibration, Quantization, setting};
use crate::compile::{RunError, States};
use crate::data::{Epoch, Source};
use crate::dsl::Step;
use crate::train::feed::{feed, run};
use crate::train::weights::SampleWeights;
use crate::train::{TrainError, Trainer};
use ir::op::argsort::ArgSort;
use ir::op::movement::Slice;
use ir::op::reduce::ReduceKind;
use ir::op::take::TakeAlongAxis;
use ir::{BuildError, Builder, Graph, NodeId, Op, Shape};
use std::sync::Arc;

/// What bytes stand for: `scale * (byte - zero)`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct ActivationRange {
    pub(super) scale: f32,
    pub(super) zero: u8,
}

impl ActivationRange {
    /// Bytes for all numbers between these and 0, which has a byte of its own: zeros of padding and of rectifiers are exact.
    fn of(least: f32, greatest: f32) -> Self {
        let (least, greatest) = (least.min(0.0), greatest.max(0.0));
        let scale = (f64::from(greatest) - f64::from(least)) / 255.0;
        // So that neither it nor its reciprocal is out of range.
        let scale = if scale > 1e-30 { scale } else { 1.0 };
        let zero = (-f64::from(least) / scale).round_ties_even() as u8;
        Self { scale: scale as f32, zero }
    }

    /// The least and the greatest number.
    pub(super) fn bounds(&self) -> (f32, f32) {
        let number = |byte: f32| self.scale * (byte - f32::from(self.zero));
        (number(0.0), number(255.0))
    }
}

/// The least and the greatest of what a contraction gets, on the batches so far.
#[derive(Clone, Copy)]
struct Extremes {
    least: f32,
    greatest: f32,
}

/// The range of each contraction's left factor.
pub(super) fn ranges(
    trainer: &Trainer,
    (step, sites, states): (&Step, &[Site], States),
    data: &dyn Source,
    options: Quantization,
) -> Result<Vec<ActivationRange>, TrainError> {
    check(options.calibration)?;
    let watched = with_graph(step, watched(&step.graph, sites, options.calibration)?);
    let mut program = watched.compile_without_states(trainer.programs.options())?;
    program.share(Arc::new(states))?;
    let mut extremes: Vec<Option<Extremes>> = vec![None; sites.len()];
    let size = trainer.pass().batch;
    let mut batches = data.open(Epoch::in_order(size))?;
    let mut seen = 0;
    while seen < options.batches
        && let Some(batch) = batches.next_batch()?
    {
        let (count, samples) = (batch.len(), batch.into());
        feed(&mut program, &samples, 0..count, &SampleWeights::default())?;
        run(&mut program, &samples, 0)?;
        for (number, (site, range)) in sites.iter().zip(&mut extremes).enumerate() {
            let extreme = |name: &str| program.scalar(&port(name, number)).map(|x| x as f32).map_err(RunError::from);
            let (least, greatest) = (extreme("least")?, extreme("greatest")?);
            if !least.is_finite() || !greatest.is_finite() {
                let place = site.loc.as_ref().map_or(String::new(), |loc| format!("{loc}: "));
                let what =
                    format!("{place}`{}` gets values from {least} to {greatest}: there is no range", site.kernel);
                return Err(setting(&what));
            }
            *range = Some(joined(*range, Extremes { least, greatest }, options.calibration, seen));
        }
        seen += 1;
    }
    let known: Option<Vec<Extremes>> = extremes.into_iter().collect();
    let known = known.ok_or_else(|| setting("calibration needs at least one sample"))?;
    Ok(known.into_iter().map(|Extremes { least, greatest }| ActivationRange::of(least, greatest)).collect())
}

/// Refuses settings that give no range.
fn check(calibration: Calibration) -> Result<(), TrainError> {
    match calibration {
        Calibration::MovingAverage(rate) if !(rate > 0.0 && rate <= 1.0) => {
            Err(setting(&format!("a moving average of ranges needs a rate above 0 and at most 1, not {rate}")))
        }
        Calibration::Percentile(share) if !(share > 0.5 && share <= 1.0) => {
            Err(setting(&format!("a percentile of activations must be above 1/2 and at most 1, not {share}")))
        }
        _ => Ok(()),
    }
}

/// The extremes of a batch joined with those of `seen` batches before.
fn joined(before: Option<Extremes>, now: Extremes, calibration: Calibration, seen: usize) -> Extremes {
    let Some(before) = before else { return now };
    let mean = |rate: f32| {
        let mean = |before: f32, now: f32| before * (1.0 - rate) + now * rate;
        Extremes { least: mean(before.least, now.least), greatest: mean(before.greatest, now.greatest) }
    };
    match calibration {
        Calibration::MinMax => {
            Extremes { least: before.least.min(now.least), greatest: before.greatest.max(now.greatest) }
        }
        Calibration::MovingAverage(rate) => mean(rate),
        Calibration::Percentile(_) => mean(1.0 / (seen + 1) as f32),
    }
}

fn port(name: &str, site: usize) -> String {
    format!("{name}/{site}")
}

/// The graph with the extremes of what contractions get as its outputs, instead of its own.
fn watched(graph: &Graph, sites: &[Site], calibration: Calibration) -> Result<Graph, TrainError> {
    let mut graph = graph.clone();
    graph.clear_results();
    for (number, site) in sites.iter().enumerate() {
        let mut build = Builder::new(&mut graph, site.loc.clone());
        let ends = ends(&mut build, site.x, calibration).map_err(|e| setting(&e.to_string()))?;
        for (name, end) in ["least", "greatest"].into_iter().zip(ends) {
            graph.set_output(port(name, number), end);
        }
    }
    graph.sweep();
    Ok(graph)
}

/// The ends of the range of a tensor's elements.
fn ends(build: &mut Builder<'_>, x: NodeId, calibration: Calibration) -> Result<[NodeId; 2], BuildError> {
    let shape = build.ty(x).shape.clone();
    let Calibration::Percentile(share) = calibration else {
        let axes: Vec<usize> = (0..shape.rank()).collect();
        return Ok([build.reduce(ReduceKind::Min, x, &axes)?, build.reduce(ReduceKind::Max, x, &axes)?]);
    };
    let last = shape.numel() - 1;
    let from_end = ((1.0 - f64::from(share)) * last as f64).round() as usize;
    let row = build.reshape(x, Shape::new([shape.numel()]).expect("as many elements as a shape has are a shape"))?;
    let order = build.add(Op::ArgSort(ArgSort { axis: 0, descending: false }), &[row])?;
    let mut at = |place: usize| {
        let slice = Slice { start: vec![place], limit: vec![place + 1], stride: vec![1] };
        let position = build.add(Op::Slice(slice), &[order])?;
        let element = build.add(Op::TakeAlongAxis(TakeAlongAxis { axis: 0 }), &[row, position])?;
        build.reshape(element, Shape::scalar())
    };
    Ok([at(from_end)?, at(last - from_end)?])
}
