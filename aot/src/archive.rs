//! A static library of one object.

use crate::AotError;
use ar_archive_writer::{ArchiveKind, DEFAULT_OBJECT_READER, NewArchiveMember, write_archive_to_stream};
use std::io::Cursor;

/// The library's bytes, with a table of symbols, so that linkers take it as it is; without times and owners, so that the same object gives the same bytes.
pub(crate) fn library(name: &str, object: &[u8], coff: bool) -> Result<Vec<u8>, AotError> {
    let (kind, extension) = if coff { (ArchiveKind::Coff, "obj") } else { (ArchiveKind::Gnu, "o") };
    let member = NewArchiveMember::new(object, &DEFAULT_OBJECT_READER, format!("{name}.{extension}"));
    let mut bytes = Cursor::new(vec![]);
    write_archive_to_stream(&mut bytes, &[member], kind, false, None)
        .map_err(|e| AotError::Object { name: name.into(), message: e.to_string() })?;
    Ok(bytes.into_inner())
}
