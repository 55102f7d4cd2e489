//! Compiled steps in the files of a directory: one file each, named by its key.
//!
//! Any number of processes may read and write at once. A file is written aside, flushed to the disk and renamed, so that whoever reads
//! finds a whole one or none; two that write the same key write the same contents. A file that is damaged, of another version or not
//! to be trusted is left alone until a new one takes its place.

use super::{Entry, Key, file};
use crate::compile::trust;
use runtime::Loaded;
use std::fs::{self, DirEntry, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How the names of files end.
const EXTENSION: &str = "gradc";
/// How the names of files that are being written start.
const UNFINISHED: &str = ".writing-";
/// Bytes that the files of a directory take at most; the ones not used for longest go first.
pub const MOST_BYTES: u64 = 512 << 20;
/// Nobody writes one file for that long.
const ABANDONED: Duration = Duration::from_secs(3600);
/// A file's time of last use is kept to this precision.
const USED_LATELY: Duration = Duration::from_secs(600);

fn path_of(directory: &Path, key: Key) -> PathBuf {
    directory.join(format!("{key}.{EXTENSION}"))
}

/// What a directory has under a key. The error says why a file that is there isn't used.
pub(super) fn read(directory: &Path, key: Key) -> Result<Option<Entry>, String> {
    let path = path_of(directory, key);
    let refused = |why: String| format!("{} isn't used: it {why}", path.display());
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(refused(format!("can't be opened: {e}"))),
    };
    trust::check_directory(directory)?;
    trust::check_file(&file).map_err(refused)?;
    let data = file.metadata().map_err(|e| refused(e.to_string()))?;
    if data.len() > MOST_BYTES {
        return Err(refused("is too large".into()));
    }
    let mut bytes = Vec::with_capacity(data.len() as usize + 1);
    file.read_to_end(&mut bytes).map_err(|e| refused(format!("can't be read: {e}")))?;
    let entry = file::decode(&bytes, key).and_then(load).map_err(refused)?;
    let now = SystemTime::now();
    if data.modified().is_ok_and(|then| now.duration_since(then).is_ok_and(|age| age > USED_LATELY)) {
        // Whether it is the one to go next is no reason to fail.
        drop(file.set_modified(now));
    }
    Ok(Some(entry))
}

/// Loads the code of a file whose owner has been checked.
#[expect(
    unsafe_code,
    reason = "nothing proves what a file's code does: that nobody else could write it is all there is to go by"
)]
pub(super) fn load(decoded: file::Decoded) -> Result<Entry, String> {
    let file::Decoded { object, memory, places } = decoded;
    // SAFETY: the file, its directory and those above are this user's, and nobody else may write them (`trust`); its checksum says that it is as gradc wrote it, from a
    // program that had been verified; its key names the version of gradc and the target.
    let loaded = unsafe { Loaded::from_object(object) }.map_err(|e| e.to_string())?;
    Ok(Entry { loaded: Arc::new(loaded), memory, places })
}

/// Writes what is kept under a key, and removes old files where there is too much. The error says why there is no new file.
pub(super) fn write(directory: &Path, key: Key, name: &str, entry: &Entry) -> Result<(), String> {
    let failed = |e: io::Error| format!("{} can't be written: {e}", path_of(directory, key).display());
    make(directory).map_err(failed)?;
    trust::check_directory(directory)?;
    let bytes = file::encode(key, name, entry)?;
    // Readable and writable by this user alone.
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(directory).map_err(failed)?;
    file.write_all(&bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path_of(directory, key)).map_err(|e| failed(e.error))?;
    shrink(directory, MOST_BYTES).map_err(failed)
}

/// Makes the directory, and those above it, for this user alone.
fn make(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// A file of a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CachedFile {
    /// Where it is.
    pub path: PathBuf,
    /// The name of the graph that it was compiled from; `None` if it can't be read as a file of this version.
    pub name: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// When it was written, or used last.
    pub used: SystemTime,
}

/// The files of a directory, the one used last first. A directory that doesn't exist has none.
///
/// # Errors
/// If the directory can't be read.
pub fn list(directory: &Path) -> io::Result<Vec<CachedFile>> {
    let mut files = Vec::new();
    for entry in entries(directory)? {
        if entry.path().extension().is_some_and(|e| e == EXTENSION)
            && let Some((bytes, used)) = size_and_age(&entry)
        {
            let mut start = Vec::new();
            if let Ok(file) = File::open(entry.path()) {
                file.take(4096).read_to_end(&mut start)?;
            }
            files.push(CachedFile { path: entry.path(), name: file::name(&start), bytes, used });
        }
    }
    files.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.path.cmp(&b.path)));
    Ok(files)
}

/// Removes all files that the cache has written to a directory, and no others. Says how many.
///
/// # Errors
/// If the directory can't be read or a file can't be removed.
pub fn clear(directory: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in entries(directory)? {
        let name = entry.file_name();
        let ours = entry.path().extension().is_some_and(|e| e == EXTENSION)
            || name.to_str().is_some_and(|name| name.starts_with(UNFINISHED));
        if ours {
            remove(&entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes the files that have not been used for longest until the rest is small enough, and what writers left behind.
fn shrink(directory: &Path, most_bytes: u64) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in entries(directory)? {
        let Some((bytes, used)) = size_and_age(&entry) else { continue };
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED)) {
            if SystemTime::now().duration_since(used).is_ok_and(|age| age > ABANDONED) {
                remove(&entry.path())?;
            }
        } else if entry.path().extension().is_some_and(|e| e == EXTENSION) {
            files.push((used, entry.path(), bytes));
        }
    }
    let mut total: u64 = files.iter().map(|(_, _, bytes)| bytes).sum();
    files.sort();
    for (_, path, bytes) in files {
        if total <= most_bytes {
            break;
        }
        remove(&path)?;
        total -= bytes;
    }
    Ok(())
}

/// Another process may have removed it already.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn entries(directory: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.collect(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(vec![]),
        Err(e) => Err(e),
    }
}

/// `None` for what has gone in the meantime, and for what is no file.
fn size_and_age(entry: &DirEntry) -> Option<(u64, SystemTime)> {
    let data = entry.metadata().ok().filter(fs::Metadata::is_file)?;
    Some((data.len(), data.modified().ok()?))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_files_go_first_and_foreign_ones_stay() {
        let directory = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let file = |name: &str, age: u64| {
            let path = directory.path().join(name);
            fs::write(&path, [0; 100]).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(now - Duration::from_secs(age)).unwrap();
        };
        file("a.gradc", 3000);
        file("b.gradc", 1000);
        file("c.gradc", 2000);
        file("notes.txt", 9000);
        file(".writing-left-behind", 9000);
        file(".writing-by-somebody", 10);
        shrink(directory.path(), 250).unwrap();
        let names = || {
            let mut names: Vec<_> = entries(directory.path()).unwrap().iter().map(DirEntry::file_name).collect();
            names.sort();
            names
        };
        assert_eq!(names(), [".writing-by-somebody", "b.gradc", "c.gradc", "notes.txt"]);
        let listed: Vec<_> = list(directory.path()).unwrap().into_iter().map(|f| (f.name, f.bytes)).collect();
        assert_eq!(listed, [(None, 100), (None, 100)]);
        assert_eq!(clear(directory.path()).unwrap(), 3);
        assert_eq!(names(), ["notes.txt"]);
    }

    #[test]
    fn a_use_makes_a_file_young() {
        let directory = tempfile::tempdir().unwrap();
        let (entry, key) = (crate::compile::cache::tests::entry(), Key([1; 32]));
        write(directory.path(), key, "used", &entry).unwrap();
        let path = path_of(directory.path(), key);
        let old = SystemTime::now() - 2 * USED_LATELY;
        File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        assert!(read(directory.path(), key).unwrap().is_some());
        assert!(fs::metadata(&path).unwrap().modified().unwrap() > old + USED_LATELY);
    }
}
