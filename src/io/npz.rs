//! NumPy's archive of arrays (`numpy.savez`): a zip file with an array's file for each, stored or deflated.

use super::npy::{ArrayHeader, MAGIC, MAX_START, elements_of, header_of};
use super::{IoError, MAX_HEADER, write_atomically_by};
use flate2::read::DeflateDecoder;
use ir::Value;
use rawzip::path::EntryPath;
use rawzip::{CompressionMethod, ZipArchive, ZipArchiveWriter, ZipSliceArchive};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufWriter, Read, Write};
use std::ops::Range;
use std::path::Path;

/// How an archive begins: with an entry, or, if it has none, with its end.
pub(super) const MAGICS: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

/// The name of the array in a file of one, as `numpy.savez` calls one without a name.
pub(super) const ONLY: &str = "arr_0";

/// What arrays of a deflated archive may take together: that many bytes, and that many times the file's size. Weights that somebody trained don't shrink to so little; files that are made to
/// fill a machine's memory do.
const FREE: u64 = 16 << 20;
const RATIO: u64 = 16;

/// An array of a file.
#[derive(Debug)]
pub(super) struct StoredArray {
    pub(super) header: ArrayHeader,
    /// Where its file lies, as it is stored.
    place: Range<usize>,
    deflated: bool,
    /// Of its file when it is inflated; nothing for one that is no part of an archive.
    sum: Option<u32>,
}

/// The array of a file of one.
pub(super) fn single(path: &Path, bytes: &[u8]) -> Result<StoredArray, IoError> {
    let wrong = |(at, what): (usize, String)| IoError::Malformed { path: path.into(), offset: at as u64, what };
    let header = ArrayHeader::read(bytes).map_err(wrong)?;
    let array = StoredArray { header, place: 0..bytes.len(), deflated: false, sum: None };
    array.check_size(bytes.len()).map_err(|what| wrong((bytes.len(), what)))?;
    Ok(array)
}

/// The arrays of an archive by their names. Nothing but their headers is inflated.
pub(super) fn read_archive(path: &Path, bytes: &[u8]) -> Result<BTreeMap<String, StoredArray>, IoError> {
    let fail = |offset: usize, what: String| IoError::Malformed { path: path.into(), offset: offset as u64, what };
    let archive = ZipArchive::from_slice(bytes).map_err(|e| fail(bytes.len(), e.to_string()))?;
    let mut index = ArchiveIndex::default();
    let mut entries = archive.entries();
    loop {
        let at = archive.directory_offset() as usize;
        let Some(entry) = entries.next_entry().map_err(|e| fail(at, e.to_string()))? else { break };
        index.add(&archive, &entry).map_err(|(at, what)| fail(at, what))?;
    }
    index.check(bytes.len()).map_err(|what| fail(archive.directory_offset() as usize, what))?;
    Ok(index.arrays)
}

/// What has been read of an archive so far.
#[derive(Default)]
struct ArchiveIndex {
    arrays: BTreeMap<String, StoredArray>,
    places: Vec<Range<usize>>,
    inflated: u64,
    names: usize,
}

impl ArchiveIndex {
    /// Takes an entry in. An error is its place and what is wrong there.
    fn add(
        &mut self,
        archive: &ZipSliceArchive<&[u8]>,
        entry: &rawzip::ZipFileHeaderRecord<'_>,
    ) -> Result<(), (usize, String)> {
        let at = entry.local_header_offset() as usize;
        let fail = |what: String| (at, what);
        let name = std::str::from_utf8(entry.file_path().as_bytes()).map_err(|e| fail(format!("a name: {e}")))?;
        let array = name.strip_suffix(".npy").ok_or_else(|| fail(format!("`{name}` is no array of NumPy")))?;
        check_name(array).map_err(fail)?;
        // Names and headers are all that an archive takes before somebody asks for an array.
        self.names += name.len() + 128;
        if self.names > MAX_HEADER {
            return Err(fail("more arrays than are read".into()));
        }
        if entry.flags().is_encrypted() {
            return Err(fail(format!("`{name}` is encrypted")));
        }
        let deflated = match entry.compression_method() {
            CompressionMethod::STORE => false,
            CompressionMethod::DEFLATE => true,
            _ => return Err(fail(format!("`{name}` is compressed by a method that NumPy doesn't use"))),
        };
        let found = archive.get_entry(entry.wayfinder()).map_err(|e| fail(e.to_string()))?;
        let (from, to) = found.compressed_data_range();
        let place = from as usize..to as usize;
        let of_array = |what: String| (place.start, format!("`{array}`: {what}"));
        let header = header(found.data(), deflated).map_err(of_array)?;
        let stored = StoredArray { header, place: place.clone(), deflated, sum: Some(entry.crc32()) };
        let size = entry.uncompressed_size_hint();
        let fits = usize::try_from(size).map_err(|e| e.to_string()).and_then(|size| stored.check_size(size));
        fits.map_err(of_array)?;
        if deflated {
            self.inflated = self.inflated.saturating_add(size);
        } else if size != place.len() as u64 {
            return Err(of_array(format!("it has {} bytes, but {size} are said to be stored", place.len())));
        }
        if self.arrays.insert(array.to_string(), stored).is_some() {
            return Err(fail(format!("`{name}` stands in the archive twice")));
        }
        self.places.push(place);
        Ok(())
    }

    /// Refuses archives whose entries share bytes, or that would inflate to much more than they are.
    fn check(&mut self, file: usize) -> Result<(), String> {
        self.places.sort_by_key(|place| place.start);
        if self.places.windows(2).any(|pair| pair[0].end > pair[1].start) {
            return Err("arrays that share bytes of the archive".into());
        }
        let most = FREE.saturating_add(RATIO.saturating_mul(file as u64));
        if self.inflated > most {
            return Err(format!(
                "arrays of {} bytes in {file} compressed ones: more than {most} are not inflated; save them by `numpy.savez`, without compression",
                self.inflated
            ));
        }
        Ok(())
    }
}

/// The header of an array, of which the file is deflated or not.
fn header(data: &[u8], deflated: bool) -> Result<ArrayHeader, String> {
    let mut start = Vec::new();
    let start = if deflated {
        let limit = MAX_START as u64;
        DeflateDecoder::new(data).take(limit).read_to_end(&mut start).map_err(|e| e.to_string())?;
        &start
    } else {
        data
    };
    ArrayHeader::read(start).map_err(|(at, what)| format!("at byte {at} of its file: {what}"))
}

/// Names that are no path within a folder: nothing is written by them, but who unpacks the archive by another program would.
fn check_name(name: &str) -> Result<(), String> {
    let odd =
        name.starts_with('/') || name.contains('\\') || name.split('/').any(|part| part.is_empty() || part == "..");
    if odd { Err(format!("`{name}` is no name of an array: it leaves the archive's folder")) } else { Ok(()) }
}

impl StoredArray {
    /// Compares the size that the header asks for with that of the file that there is.
    fn check_size(&self, file: usize) -> Result<(), String> {
        // An element type that there is none of here has no size: who asks for the tensor is told.
        let Ok(size) = self.header.size() else { return Ok(()) };
        match size.and_then(|size| size.checked_add(self.header.start)) {
            Some(expected) if expected == file => Ok(()),
            Some(expected) => Err(format!("the header says that there are {expected} bytes, there are {file}")),
            None => Err("the header says that there are more bytes than memory can hold".into()),
        }
    }

    /// The array, out of the bytes of the whole file.
    pub(super) fn value(&self, file: &[u8]) -> Result<Value, String> {
        let size = self.header.size()?.unwrap_or(usize::MAX);
        let expected = size.saturating_add(self.header.start);
        let stored = &file[self.place.clone()];
        let bytes = if self.deflated {
            // A byte more than there should be, to notice that there is one.
            let mut inflated = Vec::with_capacity(expected.saturating_add(1));
            let read = DeflateDecoder::new(stored).take(expected as u64 + 1).read_to_end(&mut inflated);
            read.map_err(|e| format!("it can't be inflated: {e}"))?;
            Cow::Owned(inflated)
        } else {
            Cow::Borrowed(stored)
        };
        if bytes.len() != expected {
            return Err(format!("{expected} bytes were to be inflated, there are others"));
        }
        if self.sum.is_some_and(|sum| sum != crc32fast::hash(&bytes)) {
            return Err("the checksum is not that of the contents: the file is damaged".into());
        }
        self.header.value(&bytes[self.header.start..])
    }
}

/// Saves tensors by name as an archive of NumPy's arrays, atomically: `numpy.load` reads it. Nothing is compressed. `bf16`, which NumPy doesn't have, is written as `f32`, of the same values.
/// [`TensorFile`](super::TensorFile) and [`load_tensors`](super::load_tensors) read it.
///
/// ```
/// use gradc::data::array;
/// use gradc::io::{load_tensors, save_npz};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("a.npz");
/// let tensors = [("scale".to_string(), array([2], vec![1.0f32, 0.5])?)].into();
/// save_npz(&path, &tensors)?;
/// assert_eq!(load_tensors(&path)?, tensors);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the file can't be written, or a name leaves the archive's folder.
pub fn save_npz(path: impl AsRef<Path>, tensors: &BTreeMap<String, Value>) -> Result<(), IoError> {
    let path = path.as_ref();
    for name in tensors.keys() {
        let fail = |what| IoError::Tensor { path: path.into(), name: name.clone(), what };
        check_name(name).map_err(fail)?;
    }
    write_atomically_by(path, |file| {
        let mut archive = ZipArchiveWriter::new(BufWriter::new(&mut *file));
        for (name, value) in tensors {
            let path = EntryPath::verbatim(format!("{name}.npy").into_bytes());
            let (mut entry, config) = archive.new_file(path).start().map_err(std::io::Error::other)?;
            let mut writer = config.wrap(&mut entry);
            write_array(&mut writer, value)?;
            let (_, descriptor) = writer.finish().map_err(std::io::Error::other)?;
            entry.finish(descriptor).map_err(std::io::Error::other)?;
        }
        archive.finish().map_err(std::io::Error::other)?.flush()
    })
}

/// Saves a tensor as NumPy's file of one array, atomically; see [`save_npz`].
///
/// # Errors
/// If the file can't be written.
pub fn save_npy(path: impl AsRef<Path>, value: &Value) -> Result<(), IoError> {
    write_atomically_by(path, |file| write_array(file, value))
}

fn write_array(to: &mut impl Write, value: &Value) -> std::io::Result<()> {
    let (header, dtype) = header_of(value.ty());
    to.write_all(&header)?;
    to.write_all(&elements_of(value, dtype))
}

/// Whether a file is one array, or an archive.
pub(super) fn is_array(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}
