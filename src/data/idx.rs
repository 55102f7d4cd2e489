//! IDX files, the format of MNIST: plain or gzip.
//!
//! A magic number (0, 0, element type, number of axes), the extents as big-endian 32-bit integers, then the elements, big-endian,
//! row-major, and nothing after them.

use super::DataError;
use flate2::read::MultiGzDecoder;
use ir::{DType, Data, MAX_RANK, Shape, TensorType, Value};
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

/// A file whose header announces more bytes of elements than this is refused: 4 GiB.
pub const MAX_BYTES: u64 = 4 << 30;

/// Reads an IDX file; gzip is recognised by its first bytes, whatever the name. Elements become those of the same type.
///
/// # Errors
/// If the file can't be read, or breaks a rule of the format: the error names the file, the offset and the rule. Nothing is allocated
/// on a header's word alone, so that a hostile file of a few bytes takes no memory.
pub fn read_idx(path: impl AsRef<Path>) -> Result<Value, DataError> {
    let path = path.as_ref();
    let io = |e| DataError::io(path, e);
    let mut file = File::open(path).map_err(io)?;
    let mut magic = Vec::new();
    file.by_ref().take(2).read_to_end(&mut magic).map_err(io)?;
    file.rewind().map_err(io)?;
    let gunzipped = magic == [0x1f, 0x8b];
    let file = BufReader::new(file);
    let source: Box<dyn Read> = if gunzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    FileReader { path, source, offset: 0, gunzipped }.read()
}

/// Where in which file reading stands.
struct FileReader<'a> {
    path: &'a Path,
    source: Box<dyn Read>,
    offset: u64,
    gunzipped: bool,
}

/// How elements are stored.
struct IdxElements {
    name: &'static str,
    bytes: usize,
    dtype: DType,
}

fn elements(code: u8) -> Option<IdxElements> {
    let (name, bytes, dtype) = match code {
        0x08 => ("u8", 1, DType::U8),
        0x09 => ("i8", 1, DType::I8),
        0x0b => ("i16", 2, DType::I16),
        0x0c => ("i32", 4, DType::I32),
        0x0d => ("f32", 4, DType::F32),
        0x0e => ("f64", 8, DType::F64),
        _ => return None,
    };
    Some(IdxElements { name, bytes, dtype })
}

impl FileReader<'_> {
    fn malformed(&self, offset: u64, what: impl Into<String>) -> DataError {
        DataError::Malformed { path: self.path.into(), offset, gunzipped: self.gunzipped, what: what.into() }
    }

    /// The next `len` bytes, or as many as there are.
    fn up_to(&mut self, len: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let result = self.source.by_ref().take(len).read_to_end(&mut bytes);
        let start = self.offset;
        self.offset += bytes.len() as u64;
        match result {
            Ok(_) => Ok(bytes),
            // What the decoder says of a broken stream; of plain files the system's errors come here.
            Err(e) if self.gunzipped => Err(self.malformed(self.offset, format!("the gzip stream is broken: {e}"))),
            Err(e) => Err(DataError::Io {
                path: self.path.into(),
                source: std::io::Error::new(e.kind(), format!("after byte {start}: {e}")),
            }),
        }
    }

    fn exactly(&mut self, len: u64, what: &str) -> Result<Vec<u8>, DataError> {
        let bytes = self.up_to(len)?;
        if (bytes.len() as u64) < len {
            let found = bytes.len();
            return Err(self.malformed(self.offset, format!("the file ends within the {what}: {found} bytes of {len}")));
        }
        Ok(bytes)
    }

    fn read(mut self) -> Result<Value, DataError> {
        let magic = self.exactly(4, "magic number")?;
        if magic[..2] != [0, 0] {
            let what = format!("an IDX file starts with two zero bytes, not {:#04x} {:#04x}", magic[0], magic[1]);
            return Err(self.malformed(0, what));
        }
        let Some(elements) = elements(magic[2]) else {
            return Err(self.malformed(2, format!("{:#04x} is no element type of IDX", magic[2])));
        };
        let shape = self.shape(usize::from(magic[3]))?;
        let count = shape.numel() as u64;
        let bytes = count.checked_mul(elements.bytes as u64).filter(|b| *b <= MAX_BYTES);
        let Some(bytes) = bytes else {
            let what =
                format!("the header announces {count} elements of {}: the limit is {MAX_BYTES} bytes", elements.name);
            return Err(self.malformed(4, what));
        };
        let content = self.exactly(bytes, "elements")?;
        let end = self.offset;
        if !self.up_to(1)?.is_empty() {
            return Err(self.malformed(end, "there are bytes after the last element"));
        }
        let data = decode(magic[2], &content);
        let ty = TensorType::new(elements.dtype, shape);
        Value::new(ty, data).map_err(|e| self.malformed(end, e.to_string()))
    }

    fn shape(&mut self, rank: usize) -> Result<Shape, DataError> {
        if rank == 0 || rank > MAX_RANK {
            return Err(self.malformed(3, format!("{rank} axes: at least 1 and at most {MAX_RANK} are possible")));
        }
        let header = self.exactly(4 * rank as u64, "extents")?;
        let dims: Vec<usize> =
            header.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect();
        if let Some(axis) = dims.iter().position(|d| *d == 0) {
            return Err(self.malformed(4 + 4 * axis as u64, format!("extent {axis} is 0: the file holds nothing")));
        }
        Shape::new(&dims).map_err(|e| self.malformed(4, e.to_string()))
    }
}

/// Elements from big-endian bytes.
fn decode(code: u8, bytes: &[u8]) -> Data {
    fn all<const N: usize, T>(bytes: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
        let (elements, _) = bytes.as_chunks::<N>();
        elements.iter().map(|b| from(*b)).collect()
    }
    match code {
        0x09 => Data::I8(all(bytes, i8::from_be_bytes)),
        0x0b => Data::I16(all(bytes, i16::from_be_bytes)),
        0x0c => Data::I32(all(bytes, i32::from_be_bytes)),
        0x0d => Data::F32(all(bytes, f32::from_be_bytes)),
        0x0e => Data::F64(all(bytes, f64::from_be_bytes)),
        _ => Data::U8(bytes.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(bytes: &[u8]) -> Result<Value, DataError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        read_idx(file.path())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn offset_and_rule(bytes: &[u8]) -> (u64, String) {
        match read(bytes) {
            Err(DataError::Malformed { offset, what, .. }) => (offset, what),
            other => panic!("{other:?}"),
        }
    }

    const BYTES: &[u8] = &[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6];

    #[test]
    fn reads_all_element_types_plain_and_gzip() {
        for bytes in [BYTES.to_vec(), gzip(BYTES)] {
            let value = read(&bytes).unwrap();
            assert_eq!(value.ty().to_string(), "u8[2,3]");
            assert_eq!(value.to_f64_vec(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        }
        let cases: [(u8, &[u8], &str, f64); 5] = [
            (9, &[0xff], "i8[1]", -1.0),
            (0xb, &[0xff, 0xfe], "i16[1]", -2.0),
            (0xc, &[0, 1, 0, 0], "i32[1]", 65536.0),
            (0xd, &[0xbf, 0x80, 0, 0], "f32[1]", -1.0),
            (0xe, &[0x40, 0, 0, 0, 0, 0, 0, 0], "f64[1]", 2.0),
        ];
        for (code, element, ty, want) in cases {
            let value = read(&[&[0, 0, code, 1, 0, 0, 0, 1], element].concat()).unwrap();
            assert_eq!((value.ty().to_string().as_str(), value.to_f64_vec()[0]), (ty, want));
        }
    }

    #[test]
    fn names_the_offset_of_what_is_wrong() {
        let mut wrong_magic = BYTES.to_vec();
        wrong_magic[0] = b'P';
        assert_eq!(offset_and_rule(&wrong_magic).0, 0);
        let mut wrong_type = BYTES.to_vec();
        wrong_type[2] = 7;
        assert_eq!(offset_and_rule(&wrong_type).0, 2);
        let mut no_axes = BYTES.to_vec();
        no_axes[3] = 0;
        assert_eq!(offset_and_rule(&no_axes).0, 3);
        let mut zero = BYTES.to_vec();
        zero[11] = 0;
        assert_eq!(offset_and_rule(&zero).0, 8);
        assert_eq!(offset_and_rule(&[BYTES, &[0]].concat()), (18, "there are bytes after the last element".into()));
        for len in [0, 3, 4, 9, 12, 17] {
            assert_eq!(offset_and_rule(&BYTES[..len]).0, len as u64, "cut to {len} bytes");
        }
    }

    #[test]
    fn refuses_broken_gzip() {
        let whole = gzip(BYTES);
        for len in [3, 10, whole.len() - 9, whole.len() - 1] {
            assert!(read(&whole[..len]).is_err(), "cut to {len} bytes");
        }
        let mut wrong_sum = whole.clone();
        let at = wrong_sum.len() - 6;
        wrong_sum[at] ^= 1;
        assert!(read(&wrong_sum).is_err());
        assert!(read(&[&whole[..], b"rest"].concat()).is_err());
    }

    #[test]
    fn a_huge_header_takes_no_memory() {
        let huge = [0, 0, 8, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(offset_and_rule(&huge).0, 4);
        // Just below the limit: the elements are missing, which shows before they would be stored.
        let large = [0, 0, 8, 2, 0, 1, 0, 0, 0, 0, 0xff, 0xff];
        assert_eq!(offset_and_rule(&large).0, 12);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read_idx("no/such/file-idx1-ubyte.gz").unwrap_err();
        assert!(error.to_string().starts_with("no/such/file-idx1-ubyte.gz: "), "{error}");
    }
}
