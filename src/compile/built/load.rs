//! The one place where a shared library's code gets into the process: from a file that nobody but its user and the administrator can have written.

use super::{BuiltEntry, BuiltError};
use crate::compile::trust;
use runtime::StepLibrary;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes of a file whose owner has been checked.
pub(super) struct TrustedBytes(Vec<u8>);

impl TrustedBytes {
    /// Reads a file, if it may be trusted.
    pub(super) fn read(path: &Path) -> Result<Self, BuiltError> {
        let mut file = File::open(path).map_err(BuiltError::Read)?;
        trust::check_file(&file).map_err(|why| BuiltError::Untrusted(format!("the file {why}")))?;
        let place = path.canonicalize().map_err(BuiltError::Read)?;
        trust::check_directory(place.parent().unwrap_or(&place)).map_err(BuiltError::Untrusted)?;
        let mut bytes = vec![];
        file.read_to_end(&mut bytes).map_err(BuiltError::Read)?;
        Ok(Self(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Loads the library, of which these are entries. It is loaded from a copy, which is removed at once: systems know libraries by name and place, and would find the old code again where a file was
    /// replaced; and what was checked is what is loaded.
    #[expect(
        unsafe_code,
        reason = "nothing proves what a file's code does: that nobody else could write it is all there is to go by"
    )]
    pub(super) fn load(&self, entries: &[&BuiltEntry]) -> Result<Arc<StepLibrary>, BuiltError> {
        static COPIES: AtomicU64 = AtomicU64::new(0);
        let failed = |error| BuiltError::Copy { folder: std::env::temp_dir(), error };
        let mut folder = tempfile::Builder::new();
        folder.prefix("gradc-");
        // For this user alone.
        #[cfg(unix)]
        folder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let folder = folder.tempdir().map_err(failed)?;
        trust::check_directory(folder.path()).map_err(BuiltError::Untrusted)?;
        let copy = folder.path().join(format!("{}.so", COPIES.fetch_add(1, Ordering::Relaxed)));
        fs::write(&copy, &self.0).map_err(failed)?;
        let entries = entries.iter().map(|entry| entry.to_load()).collect();
        // SAFETY: the bytes are of a file that only this user and the administrator can have written, in a folder of that kind (`trust`), and so is the copy. Their manifests, which
        // have been read from them and are compared again in memory, say that gradc has compiled the entries.
        unsafe { StepLibrary::open(&copy, entries) }
            .map_err(|error| BuiltError::Open { folder: std::env::temp_dir(), error })
    }
}
