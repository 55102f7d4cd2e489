//! Files of records of one size: the elements of each sample, column after column.

use super::origin::{OpenFn, SampleOrigin};
use super::{SampleMut, Stream};
use crate::data::{DataError, Schema};
use ir::{DType, Data, Scalar};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Bytes that are read at a time, where records are smaller.
const BUFFER: usize = 1 << 18;

impl Stream {
    /// Samples of binary files without header: for each sample the elements of each column of the schema, in order, row-major and little-endian; a truth
    /// value is one byte. CIFAR-10's binary files, for instance, are records of a label `u8[]` and an image `u8[3,32,32]`.
    ///
    /// # Errors
    /// If a file can't be looked at, or isn't as long as a number of whole records.
    pub fn records<P: Into<PathBuf>>(schema: Schema, paths: impl IntoIterator<Item = P>) -> Result<Self, DataError> {
        let paths: Vec<PathBuf> = paths.into_iter().map(Into::into).collect();
        let size = schema.sample_bytes() as u64;
        if size == 0 {
            return Err(DataError::Dataset("records without columns".into()));
        }
        let mut samples = 0;
        for path in &paths {
            let bytes = std::fs::metadata(path).map_err(|e| DataError::io(path, e))?.len();
            if !bytes.is_multiple_of(size) {
                return Err(cut(path, bytes - bytes % size, bytes % size, size));
            }
            samples += (bytes / size) as usize;
        }
        let count = paths.len();
        let open: OpenFn = Box::new(move |shard| {
            let path = paths[shard].clone();
            let file = File::open(&path).map_err(|e| DataError::io(&path, e))?;
            let mut reader =
                RecordReader { path, file: BufReader::with_capacity(BUFFER, file), offset: 0, bytes: vec![] };
            Ok(Box::new(move |sample| reader.read(sample, size)))
        });
        Ok(Self::of(schema, SampleOrigin::Shards { count, samples: Some(samples), open }))
    }
}

/// Where in which file reading stands.
struct RecordReader {
    path: PathBuf,
    file: BufReader<File>,
    offset: u64,
    /// Room for the bytes of a column whose elements are wider.
    bytes: Vec<u8>,
}

impl RecordReader {
    /// Reads a record of that many bytes; false at the file's end.
    fn read(&mut self, sample: &mut SampleMut<'_>, record: u64) -> Result<bool, DataError> {
        let start = self.offset;
        let (columns, row) = sample.parts();
        for (name, column) in columns {
            let elements = column.sample().shape.numel();
            let range = row * elements..(row + 1) * elements;
            let dtype = column.value().ty().dtype;
            let got = match column.data_mut() {
                Data::U8(to) => fill(&mut self.file, &mut to[range.clone()]),
                _ => {
                    self.bytes.resize(elements * dtype.size_bytes(), 0);
                    fill(&mut self.file, &mut self.bytes)
                }
            };
            let got = got.map_err(|e| DataError::io(&self.path, e))? as u64;
            self.offset += got;
            if got < (elements * dtype.size_bytes()) as u64 {
                let found = self.offset - start;
                return if found == 0 { Ok(false) } else { Err(cut(&self.path, start, found, record)) };
            }
            if let Some(at) = decode(&self.bytes, column.data_mut(), range.start) {
                let (path, offset) = (self.path.clone(), self.offset - got + at as u64);
                let what = format!("`{name}` is a truth value, which the byte {} is not", self.bytes[at]);
                return Err(DataError::Malformed { path, offset, gunzipped: false, what });
            }
        }
        Ok(true)
    }
}

/// A record that isn't whole.
fn cut(path: &Path, offset: u64, found: u64, size: u64) -> DataError {
    let what = format!("the file ends within a record: {found} bytes of {size}");
    DataError::Malformed { path: path.into(), offset, gunzipped: false, what }
}

/// Reads as many bytes as there are, up to all that are asked for; their number.
fn fill(file: &mut impl Read, to: &mut [u8]) -> std::io::Result<usize> {
    let mut at = 0;
    while at < to.len() {
        match file.read(&mut to[at..]) {
            Ok(0) => break,
            Ok(n) => at += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(at)
}

/// Little-endian elements from bytes, to the places from `start` on. Gives the place of a byte that is no truth value.
fn decode(bytes: &[u8], to: &mut Data, start: usize) -> Option<usize> {
    macro_rules! each {
        ($to:expr, $ty:ty) => {{
            let elements = bytes.as_chunks().0.iter().map(|b| <$ty>::from_le_bytes(*b));
            $to[start..].iter_mut().zip(elements).for_each(|(to, element)| *to = element);
        }};
    }
    match to {
        // Those have been read in place.
        Data::U8(_) => {}
        Data::F32(to) => each!(to, f32),
        Data::F64(to) => each!(to, f64),
        Data::I64(to) => each!(to, i64),
        Data::I32(to) => each!(to, i32),
        Data::I16(to) => each!(to, i16),
        Data::I8(to) => each!(to, i8),
        Data::U64(to) => each!(to, u64),
        Data::U32(to) => each!(to, u32),
        Data::U16(to) => each!(to, u16),
        Data::Bool(to) => {
            to[start..].iter_mut().zip(bytes).for_each(|(to, byte)| *to = *byte == 1);
            return bytes.iter().position(|byte| *byte > 1);
        }
        halves @ (Data::Bf16(_) | Data::F16(_)) => {
            let dtype: DType = halves.dtype();
            for (i, b) in bytes.as_chunks().0.iter().enumerate() {
                halves.set(start + i, Scalar::from_bits(u16::from_le_bytes(*b).into(), dtype));
            }
        }
    }
    None
}
