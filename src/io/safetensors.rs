//! Tensors in safetensors files: an 8-byte length, a JSON header with type, shape and place of each tensor, the elements.

use super::{IoError, write_atomically};
use ir::{DType, Data, Shape, TensorType, Value};
use safetensors::{Dtype, SafeTensorError, SafeTensors, View};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

/// Both names of each element type.
const DTYPES: [(DType, Dtype); 9] = [
    (DType::F32, Dtype::F32),
    (DType::F64, Dtype::F64),
    (DType::Bf16, Dtype::BF16),
    (DType::F16, Dtype::F16),
    (DType::I64, Dtype::I64),
    (DType::I32, Dtype::I32),
    (DType::I8, Dtype::I8),
    (DType::U8, Dtype::U8),
    (DType::Bool, Dtype::BOOL),
];

/// A tensor to be written.
struct WrittenTensor<'a>(&'a Value);

impl View for WrittenTensor<'_> {
    fn dtype(&self) -> Dtype {
        let dtype = self.0.ty().dtype;
        DTYPES.iter().find(|(ours, _)| *ours == dtype).map_or(Dtype::U8, |(_, theirs)| *theirs)
    }

    fn shape(&self) -> &[usize] {
        self.0.ty().shape.dims()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.0.data().to_bytes())
    }

    fn data_len(&self) -> usize {
        self.0.ty().size_bytes()
    }
}

/// Saves tensors by name, atomically: see [`write_atomically`]. The same tensors give the same bytes.
///
/// # Errors
/// If the file can't be written.
pub fn save_tensors(path: impl AsRef<Path>, tensors: &BTreeMap<String, Value>) -> Result<(), IoError> {
    save_with_metadata(path, tensors, &BTreeMap::new())
}

/// The same with texts by name beside the tensors: what goes with a model's weights, [`load_metadata`] gives them again. They stand in the header's `__metadata__` under
/// the one name `gradc`, as JSON, in the order of their names.
///
/// # Errors
/// If the file can't be written.
pub fn save_with_metadata(
    path: impl AsRef<Path>,
    tensors: &BTreeMap<String, Value>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), IoError> {
    let path = path.as_ref();
    let views = tensors.iter().map(|(name, value)| (name, WrittenTensor(value)));
    let texts =
        (!metadata.is_empty()).then(|| [(METADATA.to_string(), serde_json::json!(metadata).to_string())].into());
    let bytes = safetensors::serialize(views, texts).map_err(|e| malformed(path, &[], &e))?;
    write_atomically(path, &bytes)
}

/// The texts that stand beside a file's tensors; none if it was written without.
///
/// # Errors
/// If the file can't be read or is damaged.
pub fn load_metadata(path: impl AsRef<Path>) -> Result<BTreeMap<String, String>, IoError> {
    let path = path.as_ref();
    let bytes = read_file(path)?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| malformed(path, &bytes, &e))?;
    let Some(text) = header.metadata().as_ref().and_then(|texts| texts.get(METADATA)) else {
        return Ok(BTreeMap::new());
    };
    let wrong =
        |e| IoError::Malformed { path: path.into(), offset: 8, what: format!("`{METADATA}` in the metadata: {e}") };
    serde_json::from_str(text).map_err(wrong)
}

/// The name under which texts stand in the header.
const METADATA: &str = "gradc";

fn read_file(path: &Path) -> Result<Vec<u8>, IoError> {
    std::fs::read(path).map_err(|source| IoError::File { path: path.into(), what: "it could not be read", source })
}

/// Loads all tensors of a file.
///
/// # Errors
/// If the file can't be read, is damaged (with the offset), or holds a tensor of a type or a shape that there is none of here.
pub fn load_tensors(path: impl AsRef<Path>) -> Result<BTreeMap<String, Value>, IoError> {
    let path = path.as_ref();
    let bytes = read_file(path)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| malformed(path, &bytes, &e))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let fail = |what: String| IoError::Tensor { path: path.into(), name: name.into(), what };
        let dtype = DTYPES.iter().find(|(_, theirs)| *theirs == view.dtype()).map(|(ours, _)| *ours);
        let dtype = dtype.ok_or_else(|| fail(format!("elements of {} are not supported", view.dtype())))?;
        let shape = Shape::new(view.shape()).map_err(|e| fail(e.to_string()))?;
        if dtype == DType::Bool
            && let Some(at) = view.data().iter().position(|byte| *byte > 1)
        {
            return Err(fail(format!("element {at} is the byte {}, no truth value", view.data()[at])));
        }
        let data = Data::from_bytes(dtype, view.data());
        let value = Value::new(TensorType::new(dtype, shape), data).map_err(|e| fail(e.to_string()))?;
        tensors.insert(name.to_string(), value);
    }
    Ok(tensors)
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

/// The library's errors, with the place in the file.
fn malformed(path: &Path, bytes: &[u8], error: &SafeTensorError) -> IoError {
    use SafeTensorError as E;
    let length = bytes.first_chunk().map(|b| u64::from_le_bytes(*b));
    let offset = match error {
        E::HeaderTooSmall => bytes.len() as u64,
        E::HeaderTooLarge | E::InvalidHeaderLength => 0,
        // In one line of JSON, column n is byte n - 1 of the header.
        E::InvalidHeaderDeserialization(e) => 8 + e.column().saturating_sub(1) as u64,
        E::InvalidHeader(e) => 8 + e.valid_up_to() as u64,
        E::MetadataIncompleteBuffer => bytes.len() as u64,
        _ => 8,
    };
    let what = match (error, length) {
        (E::HeaderTooSmall, _) => format!("a safetensors file has at least 8 bytes, this one {}", bytes.len()),
        (E::InvalidHeaderLength | E::HeaderTooLarge, Some(n)) => {
            format!("the header is to have {n} bytes, the file has {}", bytes.len())
        }
        (E::MetadataIncompleteBuffer, _) => "the file ends before, or goes on after, the last tensor".into(),
        _ => error.to_string(),
    };
    IoError::Malformed { path: path.into(), offset, what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::Scalar;

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
