//! Reading tensors: a file's header is looked at as a whole, the elements of a tensor when somebody asks for it.

use super::npz::{MAGICS, ONLY, StoredArray, is_array, read_archive, single};
use super::safetensors::{DTYPES, METADATA, SEAL};
use super::{IoError, MAX_HEADER};
use ir::{DType, Data, Shape, TensorType, Value, try_map_of};
use runtime::MappedFile;
use safetensors::tensor::{Metadata, TensorInfo};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// An opened file of tensors: safetensors, an archive of NumPy's arrays (`.npz`, stored or deflated), or one array (`.npy`, whose name is `arr_0`); which of them it is, the contents say. It
/// is mapped, so that opening a large one takes no memory and no time: [`Self::tensor`] copies the elements of one tensor.
///
/// Either order of bytes, and of axes, comes as it should.
///
/// A file is read with distrust: whatever is in it, there is an error that says where, and memory is taken for what is there, not for what is promised. An archive that would inflate to
/// far more than it is (16 MiB and 16 times its size) is refused.
///
/// ```
/// use gradc::data::array;
/// use gradc::io::{TensorFile, save_tensors};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("weights.safetensors");
/// save_tensors(&path, &[("scale".to_string(), array([2], vec![1.0f32, 0.5])?)].into())?;
/// let file = TensorFile::open(&path)?;
/// assert_eq!(file.names().collect::<Vec<_>>(), ["scale"]);
/// assert_eq!(file.tensor("scale")?.to_f64_vec(), [1.0, 0.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    bytes: FileBytes,
    layout: FileLayout,
    /// The tensors' names, in their order.
    names: Vec<String>,
}

/// Where the tensors are.
#[derive(Debug)]
enum FileLayout {
    /// safetensors: the header, and where the elements begin.
    Safetensors { start: usize, header: Metadata },
    /// NumPy's arrays.
    Arrays(BTreeMap<String, StoredArray>),
}

/// The contents, on the disk or in memory.
#[derive(Debug)]
enum FileBytes {
    Mapped(MappedFile),
    Read(Vec<u8>),
}

impl FileBytes {
    fn all(&self) -> &[u8] {
        match self {
            Self::Mapped(bytes) => bytes,
            Self::Read(bytes) => bytes,
        }
    }
}

impl TensorFile {
    /// Opens a file and reads its header. While it is open, nobody may write to it; replacing it by renaming, as [`write_atomically`](super::write_atomically) does, is harmless.
    ///
    /// # Errors
    /// If it can't be opened, or its header is damaged or has more than [`MAX_HEADER`] bytes.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, IoError> {
        let path = path.as_ref();
        let fail = |source| IoError::File { path: path.into(), what: "it could not be read", source };
        Self::new(path, FileBytes::Mapped(MappedFile::open(path).map_err(fail)?))
    }

    /// The same of contents in memory; messages name them by `path`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_bytes(path: impl AsRef<Path>, bytes: Vec<u8>) -> Result<Self, IoError> {
        Self::new(path.as_ref(), FileBytes::Read(bytes))
    }

    fn new(path: &Path, bytes: FileBytes) -> Result<Self, IoError> {
        let all = bytes.all();
        let layout = if is_array(all) {
            FileLayout::Arrays([(ONLY.to_string(), single(path, all)?)].into())
        } else if MAGICS.iter().any(|magic| all.starts_with(magic)) {
            FileLayout::Arrays(read_archive(path, all)?)
        } else {
            let (start, header) = read_header(path, all)?;
            FileLayout::Safetensors { start, header }
        };
        let mut names = match &layout {
            FileLayout::Safetensors { header, .. } => header.offset_keys(),
            FileLayout::Arrays(arrays) => arrays.keys().cloned().collect(),
        };
        names.retain(|name| name != SEAL);
        names.sort();
        Ok(Self { path: path.into(), bytes, layout, names })
    }

    /// Which file it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all tensors, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The type of a tensor, without looking at its elements.
    ///
    /// # Errors
    /// A name that no tensor has; an element type or a shape that there is none of here.
    pub fn ty(&self, name: &str) -> Result<TensorType, IoError> {
        let fail = |what: String| self.wrong(name, what);
        match &self.layout {
            FileLayout::Safetensors { header, .. } => {
                let info = header.info(name).ok_or_else(|| self.missing(name))?;
                let dtype = DTYPES.iter().find(|(_, theirs)| *theirs == info.dtype).map(|(ours, _)| *ours);
                let dtype = dtype.ok_or_else(|| fail(format!("elements of {} are not supported", info.dtype)))?;
                Ok(TensorType::new(dtype, Shape::new(&info.shape).map_err(|e| fail(e.to_string()))?))
            }
            FileLayout::Arrays(arrays) => arrays.get(name).ok_or_else(|| self.missing(name))?.header.ty().map_err(fail),
        }
    }

    /// These tensors, copied out of the file.
    ///
    /// # Errors
    /// As [`Self::tensor`].
    pub(crate) fn tensors<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<BTreeMap<String, Value>, IoError> {
        try_map_of(names.into_iter().map(|name| Ok((name.to_string(), self.tensor(name)?))))
    }

    /// A tensor, copied out of the file.
    ///
    /// # Errors
    /// As [`Self::ty`]; truth values that are none; an array that can't be inflated, or whose checksum is another.
    pub fn tensor(&self, name: &str) -> Result<Value, IoError> {
        let fail = |what: String| self.wrong(name, what);
        let (ty, all) = (self.ty(name)?, self.bytes.all());
        match &self.layout {
            FileLayout::Safetensors { start, header } => {
                let info = header.info(name).ok_or_else(|| self.missing(name))?;
                let bytes = &all[place(*start, info)];
                check_truth_values(ty.dtype, bytes).map_err(fail)?;
                Value::new(ty.clone(), Data::from_bytes(ty.dtype, bytes)).map_err(|e| fail(e.to_string()))
            }
            FileLayout::Arrays(arrays) => arrays.get(name).ok_or_else(|| self.missing(name))?.value(all).map_err(fail),
        }
    }

    /// The texts that stand beside the tensors; none if the file was written without.
    ///
    /// # Errors
    /// If they are damaged.
    pub fn metadata(&self) -> Result<BTreeMap<String, String>, IoError> {
        let FileLayout::Safetensors { header, .. } = &self.layout else { return Ok(BTreeMap::new()) };
        let Some(text) = header.metadata().as_ref().and_then(|texts| texts.get(METADATA)) else {
            return Ok(BTreeMap::new());
        };
        serde_json::from_str(text).map_err(|e| self.malformed(8, format!("`{METADATA}` in the metadata: {e}")))
    }

    /// Compares the checksum that the file holds of itself with its contents, if it was written with one. Whether it has one.
    ///
    /// # Errors
    /// If they differ: the file is damaged.
    pub fn check_seal(&self) -> Result<bool, IoError> {
        let FileLayout::Safetensors { start, header } = &self.layout else { return Ok(false) };
        let Some(info) = header.info(SEAL) else { return Ok(false) };
        let (bytes, place) = (self.bytes.all(), place(*start, info));
        let stored = bytes[place.clone()].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if place.len() != 4 || stored != checksum(bytes, place.clone()) {
            let what = "the checksum is not that of the contents: the file is damaged";
            return Err(self.malformed(place.start as u64, what.into()));
        }
        Ok(true)
    }

    fn missing(&self, name: &str) -> IoError {
        let found = self.names.iter().take(TOLD).cloned().collect();
        IoError::Missing { path: self.path.clone(), names: vec![name.into()], found }
    }

    fn wrong(&self, name: &str, what: String) -> IoError {
        IoError::Tensor { path: self.path.clone(), name: name.into(), what }
    }

    fn malformed(&self, offset: u64, what: String) -> IoError {
        IoError::Malformed { path: self.path.clone(), offset, what }
    }
}

/// Where a tensor's elements lie in a safetensors file. The header has been checked: they lie within it.
fn place(start: usize, info: &TensorInfo) -> Range<usize> {
    let (from, to) = info.data_offsets;
    start + from..start + to
}

/// Refuses bytes that are no truth values, if they should be.
pub(super) fn check_truth_values(dtype: DType, bytes: &[u8]) -> Result<(), String> {
    match bytes.iter().position(|byte| dtype == DType::Bool && *byte > 1) {
        Some(at) => Err(format!("element {at} is the byte {}, no truth value", bytes[at])),
        None => Ok(()),
    }
}

/// At most so many names are told to who asked for one that there isn't.
const TOLD: usize = 50;

/// The checksum of contents in which the checksum itself stands at a place that counts as zeros: CRC-32 as in ISO 3309.
pub(super) fn checksum(bytes: &[u8], place: Range<usize>) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&bytes[..place.start]);
    sum.update(&vec![0; place.len().min(4)]);
    sum.update(&bytes[place.end..]);
    sum.finalize()
}

/// Where the elements begin, and what the header says of them. Lengths are compared with what there is before anything is read by them.
pub(super) fn read_header(path: &Path, bytes: &[u8]) -> Result<(usize, Metadata), IoError> {
    let wrong = |offset: usize, what: String| IoError::Malformed { path: path.into(), offset: offset as u64, what };
    let Some(length) = bytes.first_chunk().map(|length| u64::from_le_bytes(*length)) else {
        let what = format!("a safetensors file has at least 8 bytes, this one {}", bytes.len());
        return Err(wrong(bytes.len(), what));
    };
    let header = usize::try_from(length).ok().and_then(|length| bytes[8..].get(..length));
    let Some(header) = header else {
        return Err(wrong(0, format!("the header is to have {length} bytes, the file has {}", bytes.len())));
    };
    if header.len() > MAX_HEADER {
        let what = format!("a header of {length} bytes, more than the {MAX_HEADER} that are read");
        return Err(wrong(0, what));
    }
    // In one line of JSON, column n is byte n - 1 of the header.
    let parsed: Result<Metadata, _> = serde_json::from_slice(header);
    let metadata = parsed.map_err(|e| wrong(8 + e.column().saturating_sub(1), e.to_string()))?;
    if metadata.data_len() != bytes.len() - 8 - header.len() {
        return Err(wrong(bytes.len(), "the file ends before, or goes on after, the last tensor".into()));
    }
    Ok((8 + header.len(), metadata))
}
