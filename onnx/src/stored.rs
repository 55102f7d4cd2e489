//! Tensors as a model stores them: in its own fields, as bytes, or in a file beside it.

use crate::error::{Refusal, dtype};
use crate::item::KnownTensor;
use crate::proto::{SparseTensorProto, TensorProto};
use gradc::dsl::DType;
use ir::{Data, Scalar};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// The most bytes that one tensor of a file may have.
const MAX_BYTES: usize = 1 << 34;
/// Where elements lie: in a file of their own.
const EXTERNAL: i32 = 1;

/// The extents, and how many elements they make.
pub(crate) fn extents(dims: &[i64]) -> Result<(Vec<usize>, usize), Refusal> {
    let dims = dims.iter().map(|&d| usize::try_from(d).map_err(|_| Refusal::broken(format!("an extent is {d}"))));
    let dims = dims.collect::<Result<Vec<_>, _>>()?;
    let numel = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    match numel.filter(|&n| n <= isize::MAX as usize / 8) {
        Some(numel) => Ok((dims, numel)),
        None => Err(Refusal::broken(format!("a tensor of extents {dims:?} has more elements than memory can hold"))),
    }
}

/// Reads a stored tensor; elements outside of the model are looked for in the folder.
pub(crate) fn read(tensor: &TensorProto, folder: Option<&Path>) -> Result<KnownTensor, Refusal> {
    let dtype = dtype(tensor.data_type)?;
    let (dims, numel) = extents(&tensor.dims)?;
    let data = if tensor.data_location == EXTERNAL {
        from_bytes(dtype, numel, &external(tensor, numel, dtype, folder)?)?
    } else if !tensor.raw_data.is_empty() {
        from_bytes(dtype, numel, &tensor.raw_data)?
    } else {
        fields(tensor, dtype, numel)?
    };
    KnownTensor::new(&dims, data)
}

/// Elements that are written as bytes.
fn from_bytes(dtype: DType, numel: usize, bytes: &[u8]) -> Result<Data, Refusal> {
    let want = numel.checked_mul(dtype.size_bytes());
    if want != Some(bytes.len()) {
        return Err(Refusal::broken(format!("{numel} elements of {dtype} are in {} bytes", bytes.len())));
    }
    Ok(match dtype {
        // Any byte but 0 is a truth value.
        DType::Bool => Data::Bool(bytes.iter().map(|&b| b != 0).collect()),
        dtype => Data::from_bytes(dtype, bytes),
    })
}

/// Elements that stand in the message's typed fields.
fn fields(tensor: &TensorProto, dtype: DType, numel: usize) -> Result<Data, Refusal> {
    let ints = || tensor.int32_data.iter();
    let data = match dtype {
        DType::F32 => Data::F32(tensor.float_data.clone()),
        DType::F64 => Data::F64(tensor.double_data.clone()),
        DType::I64 => Data::I64(tensor.int64_data.clone()),
        DType::I32 => Data::I32(tensor.int32_data.clone()),
        DType::Bool => Data::Bool(ints().map(|&v| v != 0).collect()),
        DType::I16 => Data::I16(ints().map(|&v| v as i16).collect()),
        DType::I8 => Data::I8(ints().map(|&v| v as i8).collect()),
        DType::U64 => Data::U64(tensor.uint64_data.clone()),
        DType::U32 => Data::U32(tensor.uint64_data.iter().map(|&v| v as u32).collect()),
        DType::U16 => Data::U16(ints().map(|&v| v as u16).collect()),
        DType::U8 => Data::U8(ints().map(|&v| v as u8).collect()),
        DType::F16 | DType::Bf16 => {
            let bytes: Vec<u8> = ints().flat_map(|&v| (v as u16).to_le_bytes()).collect();
            Data::from_bytes(dtype, &bytes)
        }
    };
    if data.len() != numel {
        return Err(Refusal::broken(format!("it has {} elements, by its extents {numel}", data.len())));
    }
    Ok(data)
}

/// The bytes of a tensor that lie in a file in the model's folder.
fn external(tensor: &TensorProto, numel: usize, dtype: DType, folder: Option<&Path>) -> Result<Vec<u8>, Refusal> {
    let entry = |key: &str| tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
    let number = |key: &str| match entry(key) {
        None => Ok(None),
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| Refusal::broken(format!("`{key}` is {text:?}"))),
    };
    let location = entry("location").ok_or_else(|| Refusal::broken("external data without a location"))?;
    let folder =
        folder.ok_or_else(|| Refusal::case("external data of a model that is no file: read it by its path"))?;
    let path = inside(folder, location)?;
    let failed = |e: std::io::Error| Refusal::Rule(format!("external data {location:?}: {e}"));
    let mut file = File::open(&path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let offset = number("offset")?.unwrap_or(0);
    let wanted = numel.checked_mul(dtype.size_bytes()).filter(|&n| n <= MAX_BYTES);
    let wanted = wanted.ok_or_else(|| Refusal::Limit(format!("it has {numel} elements")))? as u64;
    let length = number("length")?.unwrap_or(wanted);
    if length != wanted || offset.checked_add(length).is_none_or(|end| end > size) {
        let rule = format!(
            "{wanted} bytes are wanted of external data {location:?} ({size} bytes), and it says {length} from {offset} on"
        );
        return Err(Refusal::broken(rule));
    }
    let mut bytes = vec![0; length as usize];
    file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}

/// The file of that name in the folder. Names and links that lead out of it are refused: a model is data from strangers.
fn inside(folder: &Path, location: &str) -> Result<PathBuf, Refusal> {
    let relative = Path::new(location);
    let outside = || Refusal::broken(format!("external data {location:?} is outside of the model's folder"));
    if !relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
        return Err(outside());
    }
    let failed = |e: std::io::Error| Refusal::Rule(format!("external data {location:?}: {e}"));
    let folder = folder.canonicalize().map_err(failed)?;
    let path = folder.join(relative).canonicalize().map_err(failed)?;
    if !path.starts_with(&folder) {
        return Err(outside());
    }
    match path.is_file() {
        true => Ok(path),
        false => Err(Refusal::broken(format!("external data {location:?} is no file"))),
    }
}

/// Reads a tensor that is stored by its elements other than 0.
pub(crate) fn read_sparse(sparse: &SparseTensorProto, folder: Option<&Path>) -> Result<KnownTensor, Refusal> {
    /// The most bytes that are written out.
    const MOST: usize = 1 << 26;
    let (dims, numel) = extents(&sparse.dims)?;
    let missing = || Refusal::broken("a sparse tensor without values or indices");
    let values = read(sparse.values.as_ref().ok_or_else(missing)?, folder)?;
    let indices = read(sparse.indices.as_ref().ok_or_else(missing)?, folder)?;
    if numel.saturating_mul(values.dtype().size_bytes()) > MOST {
        return Err(Refusal::Limit(format!("a sparse tensor has {numel} elements")));
    }
    let mut data = Data::splat(Scalar::zero(values.dtype()), numel);
    let (places, width) = (indices.to_ints(), if indices.dims().len() == 2 { dims.len() } else { 1 });
    if places.len() != values.len().saturating_mul(width) {
        return Err(Refusal::broken("a sparse tensor has other numbers of values and indices"));
    }
    for (value, place) in values.scalars().into_iter().zip(places.chunks(width.max(1))) {
        let at = if width == 1 {
            usize::try_from(place[0]).ok()
        } else {
            place.iter().zip(&dims).try_fold(0usize, |at, (&i, &d)| {
                let i = usize::try_from(i).ok().filter(|&i| i < d)?;
                Some(at * d + i)
            })
        };
        let at =
            at.filter(|&at| at < numel).ok_or_else(|| Refusal::broken("an index of a sparse tensor is outside"))?;
        data.set(at, value);
    }
    KnownTensor::new(&dims, data)
}
