//! What can go wrong in a build script.

use std::path::PathBuf;

/// Why a step wasn't compiled.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// A variable that cargo sets for build scripts isn't there.
    #[error("`{name}` isn't set: call this from a build script (`build.rs`), or give `Config::{instead}`")]
    NoVariable {
        /// The variable.
        name: &'static str,
        /// The option that stands for it.
        instead: &'static str,
    },
    /// A triple that isn't known.
    #[error("the target `{triple}` can't be read: {message}")]
    Triple {
        /// The triple.
        triple: String,
        /// What is wrong with it.
        message: String,
    },
    /// There is no such instruction set, or the target doesn't have it.
    #[error(transparent)]
    Target(#[from] kernel::TargetError),
    /// A file that can't be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file whose text is no graph.
    #[error("{}: {error}", path.display())]
    Graph {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        error: ir::text::ParseError,
    },
    /// A file without a name that an entry could have.
    #[error("{} has no name to call the step by: use `Config::name`", path.display())]
    NoName {
        /// The file.
        path: PathBuf,
    },
    /// Weights that can't be read, or a file that can't be written.
    #[error(transparent)]
    File(#[from] gradc::io::IoError),
    /// This machine can't be told what it is.
    #[error(transparent)]
    Host(#[from] gradc::compile::CompileError),
    /// The step can't be compiled.
    #[error(transparent)]
    Compile(#[from] aot::AotError),
    /// The manifest that the wrapper is made from can't be read.
    #[error("the manifest of `{name}` isn't what this version writes: {error}")]
    Manifest {
        /// The step.
        name: String,
        /// What is wrong.
        error: serde_json::Error,
    },
}

/// The message: what cargo shows of a build script that returns the error from `main`.
impl std::fmt::Debug for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
