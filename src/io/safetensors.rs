//! Tensors in safetensors files: an 8-byte length, a JSON header with type, shape and place of each tensor, the elements.

use super::{IoError, TensorFile, write_atomically_by};
use ir::{DType, Scalar, Shape, TensorType, Value};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use std::collections::BTreeMap;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

/// Both names of each element type.
pub(super) const DTYPES: [(DType, Dtype); 13] = [
    (DType::F32, Dtype::F32),
    (DType::F64, Dtype::F64),
    (DType::Bf16, Dtype::BF16),
    (DType::F16, Dtype::F16),
    (DType::I64, Dtype::I64),
    (DType::I32, Dtype::I32),
    (DType::I16, Dtype::I16),
    (DType::I8, Dtype::I8),
    (DType::U64, Dtype::U64),
    (DType::U32, Dtype::U32),
    (DType::U16, Dtype::U16),
    (DType::U8, Dtype::U8),
    (DType::Bool, Dtype::BOOL),
];

/// The name under which texts stand in the header.
pub(super) const METADATA: &str = "gradc";

/// The tensor of 4 bytes that holds the checksum of the file, in which these bytes count as zeros. Readers that know nothing of it see a tensor more.
pub(super) const SEAL: &str = "@checksum";

/// How names of tensors begin that are no states of a model: the checksum, and what a checkpoint holds of its run.
pub(crate) const RESERVED: char = '@';

/// Bytes of a header that are read and written at most: a limit of the memory that a hostile file can take.
pub const MAX_HEADER: usize = 8 << 20;

/// The element type by the format's name.
fn stored_type(value: &Value) -> Dtype {
    let dtype = value.ty().dtype;
    DTYPES.iter().find(|(ours, _)| *ours == dtype).map_or(Dtype::U8, |(_, theirs)| *theirs)
}

/// Saves tensors by name, atomically: see [`write_atomically`](super::write_atomically). The same tensors give the same bytes.
///
/// # Errors
/// If the file can't be written, or its header would have more than [`MAX_HEADER`] bytes.
pub fn save_tensors(path: impl AsRef<Path>, tensors: &BTreeMap<String, Value>) -> Result<(), IoError> {
    save_with_metadata(path, tensors, &BTreeMap::new(), false)
}

/// The same with texts by name beside the tensors: what goes with a model's weights, [`load_metadata`] gives them again. They stand in the header's `__metadata__` under
/// the one name `gradc`, as JSON, in the order of their names. If `sealed`, a checksum of the whole file stands in it, too, as a tensor more, which [`TensorFile::check_seal`] compares.
/// Tensors are written one after the other: of the file there is never more than one in memory.
///
/// # Errors
/// As [`save_tensors`].
pub fn save_with_metadata(
    path: impl AsRef<Path>,
    tensors: &BTreeMap<String, Value>,
    metadata: &BTreeMap<String, String>,
    sealed: bool,
) -> Result<(), IoError> {
    let path = path.as_ref();
    let unsealed = Value::splat(Scalar::U8(0), Shape::new([4]).unwrap_or_default());
    let named = tensors.iter().map(|(name, value)| (name.as_str(), value));
    let mut all: Vec<(&str, &Value)> = named.chain(sealed.then_some((SEAL, &unsealed))).collect();
    // As the format has it: wide elements first, so that all lie at multiples of their size.
    all.sort_by(|(a, x), (b, y)| stored_type(y).cmp(&stored_type(x)).then(a.cmp(b)));
    let wrong = |what| IoError::Malformed { path: path.into(), offset: 8, what };
    let (header, ends) = header(&all, metadata).map_err(wrong)?;
    write_atomically_by(path, |file| {
        let mut sum = crc32fast::Hasher::new();
        let mut to = BufWriter::new(&mut *file);
        sum.update(&header);
        to.write_all(&header)?;
        for (_, value) in &all {
            let bytes = value.data().to_bytes();
            sum.update(&bytes);
            to.write_all(&bytes)?;
        }
        to.flush()?;
        drop(to);
        let Some(seal) = all.iter().position(|(name, _)| sealed && *name == SEAL) else { return Ok(()) };
        file.seek(SeekFrom::Start((header.len() + ends[seal] - 4) as u64))?;
        file.write_all(&sum.finalize().to_le_bytes())
    })
}

/// What a file begins with, and for each tensor where it ends among the elements.
fn header(all: &[(&str, &Value)], metadata: &BTreeMap<String, String>) -> Result<(Vec<u8>, Vec<usize>), String> {
    let (mut infos, mut ends, mut end) = (Vec::new(), Vec::new(), 0);
    for (name, value) in all {
        let (shape, from) = (value.ty().shape.dims().to_vec(), end);
        end += value.ty().size_bytes();
        infos.push((name.to_string(), TensorInfo { dtype: stored_type(value), shape, data_offsets: (from, end) }));
        ends.push(end);
    }
    let texts =
        (!metadata.is_empty()).then(|| [(METADATA.to_string(), serde_json::json!(metadata).to_string())].into());
    let header = Metadata::new(texts, infos).map_err(|e| e.to_string())?;
    let mut text = serde_json::to_vec(&header).map_err(|e| e.to_string())?;
    text.resize(text.len().next_multiple_of(8), b' ');
    match text.len() > MAX_HEADER {
        true => Err(format!("a header of {} bytes, more than the {MAX_HEADER} that are read again", text.len())),
        false => Ok(([&(text.len() as u64).to_le_bytes()[..], &text].concat(), ends)),
    }
}

/// Writes the checksum of a file's bytes into its place, whatever stands there.
#[cfg(test)]
pub(crate) fn seal(path: &Path, bytes: &mut [u8]) -> Result<(), IoError> {
    let (start, header) = super::tensor_file::read_header(path, bytes)?;
    if let Some((from, to)) = header.info(SEAL).map(|info| info.data_offsets).filter(|(from, to)| to - from == 4) {
        let sum = super::tensor_file::checksum(bytes, start + from..start + to);
        bytes[start + from..start + to].copy_from_slice(&sum.to_le_bytes());
    }
    Ok(())
}

/// The texts that stand beside a file's tensors; none if it was written without.
///
/// # Errors
/// If the file can't be read or is damaged.
pub fn load_metadata(path: impl AsRef<Path>) -> Result<BTreeMap<String, String>, IoError> {
    TensorFile::open(path)?.metadata()
}

/// Loads all tensors of a file; [`TensorFile`] gives single ones.
///
/// # Errors
/// If the file can't be read, is damaged (with the offset), or holds a tensor of a type or a shape that there is none of here.
pub fn load_tensors(path: impl AsRef<Path>) -> Result<BTreeMap<String, Value>, IoError> {
    let file = TensorFile::open(path)?;
    file.tensors(file.names())
}

/// The tensors for `wanted` states, each of the state's type. With `exact`, the file may hold no others.
///
/// # Errors
/// Names that are missing, not expected, or of another type.
pub fn select(
    path: impl AsRef<Path>,
    mut tensors: BTreeMap<String, Value>,
    wanted: &BTreeMap<String, TensorType>,
    exact: bool,
) -> Result<BTreeMap<String, Value>, IoError> {
    let path = path.as_ref();
    let names: Vec<String> = wanted.keys().filter(|name| !tensors.contains_key(*name)).cloned().collect();
    if !names.is_empty() {
        let found = tensors.keys().cloned().collect();
        return Err(IoError::Missing { path: path.into(), names, found });
    }
    let names: Vec<String> = tensors.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
    if exact && !names.is_empty() {
        return Err(IoError::Unexpected { path: path.into(), names });
    }
    tensors.retain(|name, _| wanted.contains_key(name));
    for (name, expected) in wanted {
        let found = tensors[name].ty();
        if found != expected {
            let (found, expected) = (found.clone(), expected.clone());
            return Err(IoError::Type { path: path.into(), name: name.clone(), found, expected });
        }
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> BTreeMap<String, Value> {
        let all = DType::ALL.into_iter().enumerate();
        let value = |dtype, n: usize| {
            let ty = TensorType::new(dtype, Shape::new([n, 2]).unwrap());
            Value::from_fn(ty, |i| Scalar::from_f64(i as f64 - 1.5, dtype))
        };
        let mut map: BTreeMap<String, Value> = all.map(|(i, d)| (format!("state/{d}"), value(d, i + 1))).collect();
        map.insert("scalar".into(), Value::splat(Scalar::I64(-7), Shape::scalar()));
        map
    }

    fn saved() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights.safetensors");
        save_tensors(&path, &tensors()).unwrap();
        (dir, path)
    }

    #[test]
    fn what_is_saved_is_loaded_bit_by_bit() {
        let (_dir, path) = saved();
        assert_eq!(load_tensors(&path).unwrap(), tensors());
        let first = std::fs::read(&path).unwrap();
        save_tensors(&path, &tensors()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first);
    }

    #[test]
    fn every_cut_and_every_longer_file_is_an_error_with_an_offset() {
        let (_dir, path) = saved();
        let whole = std::fs::read(&path).unwrap();
        for len in 0..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            let error = load_tensors(&path).unwrap_err();
            assert!(matches!(error, IoError::Malformed { .. }), "cut to {len}: {error}");
        }
        std::fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
        assert!(matches!(load_tensors(&path), Err(IoError::Malformed { .. })));
    }

    #[test]
    fn damaged_headers_never_panic() {
        let (_dir, path) = saved();
        let whole = std::fs::read(&path).unwrap();
        let header = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
        for at in 0..header {
            for byte in [0x22, 0x39] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                std::fs::write(&path, &damaged).unwrap();
                drop(load_tensors(&path));
            }
        }
        let lie = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
        std::fs::write(&path, lie).unwrap();
        assert!(matches!(load_tensors(&path), Err(IoError::Malformed { offset: 0, .. })));
    }

    /// Wherever a bit of a sealed file is turned, it is noticed; without a seal there is nothing to compare.
    #[test]
    fn every_turned_bit_of_a_sealed_file_is_noticed() {
        let (_dir, path) = saved();
        assert!(!TensorFile::open(&path).unwrap().check_seal().unwrap());
        save_with_metadata(&path, &tensors(), &[("note".to_string(), "text".to_string())].into(), true).unwrap();
        assert!(TensorFile::open(&path).unwrap().check_seal().unwrap());
        assert_eq!((load_tensors(&path).unwrap(), load_metadata(&path).unwrap()["note"].as_str()), (tensors(), "text"));
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..8 * whole.len() {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let checked = TensorFile::from_bytes("f", damaged).and_then(|file| file.check_seal());
            assert!(!matches!(checked, Ok(true)), "bit {bit}");
        }
    }

    /// Extents and places whose sums go beyond all numbers, and a header that would take too much memory.
    #[test]
    fn headers_that_promise_too_much_are_refused() {
        let file = |header: String| {
            let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
            TensorFile::from_bytes("f", bytes).map(drop).unwrap_err()
        };
        let (most, mut from, mut entries) = (u64::MAX / 8, 0, vec![]);
        for i in 0..8 {
            entries
                .push(format!(r#""t{i}":{{"dtype":"U8","shape":[{most}],"data_offsets":[{from},{}]}}"#, from + most));
            from += most;
        }
        assert!(matches!(file(format!("{{{}}}", entries.join(","))), IoError::Malformed { .. }));
        let error = file(r#"{"t":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4]}}"#.into());
        assert!(matches!(error, IoError::Malformed { .. }), "{error}");
        let error = file(format!("{{{}}}", " ".repeat(MAX_HEADER))).to_string();
        assert!(error.contains("more than the 8388608 that are read"), "{error}");
    }

    #[test]
    fn names_and_types_are_checked() {
        let ty = |dims: &[usize]| TensorType::new(DType::F32, Shape::new(dims).unwrap());
        let wanted = |name: &str, dims: &[usize]| BTreeMap::from([(name.to_string(), ty(dims))]);
        let file = || BTreeMap::from([("w".to_string(), Value::splat(Scalar::F32(1.0), Shape::new([2]).unwrap()))]);
        assert!(select("f", file(), &wanted("w", &[2]), true).is_ok());
        let error = select("f", file(), &wanted("w", &[3]), true).unwrap_err().to_string();
        assert_eq!(error, "f: tensor `w` is f32[2], but the model's state is f32[3]");
        let error = select("f", file(), &wanted("b", &[2]), true).unwrap_err().to_string();
        assert_eq!(error, "f: there is no tensor b; the file has w");
        let error = select("f", file(), &BTreeMap::new(), true).unwrap_err().to_string();
        assert_eq!(error, "f: the model has no state w");
        assert!(select("f", file(), &BTreeMap::new(), false).unwrap().is_empty());
    }
}
