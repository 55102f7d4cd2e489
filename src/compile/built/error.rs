//! What can be wrong with a shared library of steps.

use runtime::LoadError;
use std::io;
use std::path::PathBuf;

/// Why a shared library isn't loaded. Nothing of its code has run, unless the error is [`Self::Open`] or [`Self::Load`].
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum BuiltError {
    /// The file can't be read.
    #[error("the file can't be read: {0}")]
    Read(io::Error),
    /// Others than this user and the administrator may have written it, and its code would do whatever they want.
    #[error(
        "its code would run in this process, and isn't trusted: {0}. The file, its folder and those above must belong to this user or the administrator (`chown`), and nobody else may write to them (`chmod go-w`)"
    )]
    Untrusted(String),
    /// It is no shared library, or ends early.
    #[error("it is no shared library that could be loaded: {0}")]
    Malformed(String),
    /// It has no entry.
    #[error("it has no entry, which has a symbol `NAME_manifest`: `gradc build --shared` makes such libraries")]
    NoEntry,
    /// A manifest breaks a rule.
    #[error("the manifest of its entry `{entry}`: {what}")]
    Manifest {
        /// The symbol, without its ending.
        entry: String,
        /// The rule.
        what: String,
    },
    /// Its code is for another machine.
    #[error("its entry `{entry}` is for {built_for}, and this machine is {host}")]
    Foreign {
        /// The entry.
        entry: String,
        /// The triple and the instruction sets.
        built_for: String,
        /// What this machine is.
        host: String,
    },
    /// Its entries aren't one model that predicts.
    #[error("{0}")]
    Entries(String),
    /// The copy that is loaded can't be written.
    #[error("a copy to load can't be written to {} (TMPDIR names another folder): {error}", folder.display())]
    Copy {
        /// Where to.
        folder: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The system doesn't load it, or it isn't what its manifests say.
    #[error("a copy in {} isn't loaded (TMPDIR names another folder, if code can't be run there): {error}", folder.display())]
    Open {
        /// Where the copy was.
        folder: PathBuf,
        /// What the system said.
        error: LoadError,
    },
    /// Its code refuses, or there is no memory for its states.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for BuiltError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
