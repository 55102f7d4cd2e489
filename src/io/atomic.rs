//! Files that are there whole or not at all.

use super::IoError;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

/// Writes a file so that a crash at any moment leaves the old one or the new one, whole: a temporary file beside it, flushed to the disk,
/// then renamed.
///
/// # Errors
/// What the system said, and at which of the steps.
pub fn write_atomically(path: impl AsRef<Path>, contents: &[u8]) -> Result<(), IoError> {
    write_atomically_by(path, |file| file.write_all(contents))
}

/// The same of contents that are written piece by piece, so that nobody has to hold them all.
pub(crate) fn write_atomically_by(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut NamedTempFile) -> std::io::Result<()>,
) -> Result<(), IoError> {
    let path = path.as_ref();
    let fail = |what: &'static str| move |source| IoError::File { path: path.into(), what, source };
    let dir = folder(path);
    let mut file = temporary(path)?;
    write(&mut file).map_err(fail("the contents could not be written"))?;
    file.as_file().sync_all().map_err(fail("the contents could not be flushed to the disk"))?;
    file.persist(path).map_err(|e| fail("the new file could not be put in its place")(e.error))?;
    // The rename itself: on systems whose directories can't be flushed, the file is whole all the same.
    if let Ok(dir) = File::open(dir) {
        drop(dir.sync_all());
    }
    Ok(())
}

/// Finds out before a long computation whether a file can be written where its result is to go. Nothing is left there.
///
/// # Errors
/// As [`write_atomically`] would have, as far as it can be told: the folder is missing or may not be written to, the path is a folder's.
pub fn check_destination(path: impl AsRef<Path>) -> Result<(), IoError> {
    let path = path.as_ref();
    if path.is_dir() {
        let source = std::io::ErrorKind::IsADirectory.into();
        return Err(IoError::File { path: path.into(), what: "no file can be written there", source });
    }
    temporary(path).map(drop)
}

/// How the names of temporary files begin.
const TEMPORARY: &str = ".gradc-";

/// Removes the temporary files that killed processes have left in a folder. Nobody else may be writing files there.
pub(crate) fn remove_leftovers(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The folder that a path's file lies in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A temporary file beside where `path` is to be.
fn temporary(path: &Path) -> Result<NamedTempFile, IoError> {
    if !folder(path).exists() {
        // Said of the folder: else the error would name the temporary file, which nobody has heard of.
        let (what, source) = ("its folder isn't there", std::io::ErrorKind::NotFound.into());
        return Err(IoError::File { path: path.into(), what, source });
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    #[cfg(unix)]
    {
        // As any new file, as far as the user's mask allows; a temporary file would be readable by its owner alone.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let what = "a temporary file beside it could not be created";
    builder.tempfile_in(folder(path)).map_err(|source| IoError::File { path: path.into(), what, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_is_named_as_that() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none").join("file");
        for done in [write_atomically(&path, b"new"), check_destination(&path)] {
            let said = done.unwrap_err().to_string();
            assert!(said.contains("its folder isn't there") && !said.contains(TEMPORARY), "{said}");
        }
    }

    #[test]
    fn replaces_a_file_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_leaves_the_old_contents_and_nothing_beside_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        std::fs::create_dir_all(path.join("inside")).unwrap();
        let error = write_atomically(&path, b"new").unwrap_err().to_string();
        assert!(error.contains("could not be put in its place"), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write_atomically(dir.path().join("no/such/dir"), b"").is_err());
        assert!(check_destination(dir.path().join("no/such/dir")).is_err());
        assert!(check_destination(&path).is_err(), "a folder is no file");
        check_destination(dir.path().join("file")).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
