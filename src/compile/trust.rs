//! Which files and directories may hold code that is run.
//!
//! Code from a file does whatever it says: a checksum tells damage, not malice. So a file is trusted as the program itself is: if nobody
//! but this user and the administrator can have written it. That is checked on the opened file, so that it can't be exchanged
//! between the check and the reading: it is a plain file, belongs to the user that this process acts for, or to the administrator, and nobody else may write to it. The
//! directory must be like that too, and nobody else may be able to put another directory in its place: those above it can't be written by others either, or are sticky, like `/tmp`.
//!
//! Where the system has no such owners, no file is trusted.

use std::fs::File;
use std::path::Path;

/// Says why a directory isn't trusted, if it isn't.
pub(crate) fn check_directory(directory: &Path) -> Result<(), String> {
    let path = directory.canonicalize().map_err(|e| format!("{}: {e}", directory.display()))?;
    let mut above = false;
    for part in path.ancestors() {
        let data = part.metadata().map_err(|e| format!("{}: {e}", part.display()))?;
        check(&data, above).map_err(|why| format!("{} {why}", part.display()))?;
        above = true;
    }
    Ok(())
}

/// Says why an opened file isn't trusted, if it isn't.
pub(crate) fn check_file(file: &File) -> Result<(), String> {
    let data = file.metadata().map_err(|e| e.to_string())?;
    if !data.is_file() {
        return Err("is no plain file".into());
    }
    check(&data, false)
}

/// A directory above may be writable by all if it is sticky.
#[cfg(unix)]
fn check(data: &std::fs::Metadata, above: bool) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    const ADMINISTRATOR: u32 = 0;
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    let (user, mode) = (rustix::process::geteuid().as_raw(), data.mode());
    if data.uid() != user && data.uid() != ADMINISTRATOR {
        return Err(format!("belongs to user {}, not to {user}", data.uid()));
    }
    if mode & WRITABLE_BY_OTHERS != 0 && !(above && mode & STICKY != 0) {
        return Err(format!("can be written by others (mode {:o})", mode & 0o7777));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check(_: &std::fs::Metadata, _: bool) -> Result<(), String> {
    Err("has no owner that could be checked on this system".into())
}
