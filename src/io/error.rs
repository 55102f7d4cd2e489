//! What can go wrong with files of weights.

use ir::TensorType;
use std::path::PathBuf;

/// Why weights could not be saved or loaded.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum IoError {
    /// A file could not be written or read.
    #[error("{}: {what}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is none of tensors (safetensors, `.npz`, `.npy`), or a damaged one.
    #[error("{}: at byte {offset}: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where, in bytes from the start.
        offset: u64,
        /// The rule that is broken.
        what: String,
    },
    /// A tensor that can't be one here: an element type or a shape that gradc doesn't have.
    #[error("{}: tensor `{name}`: {what}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The rule that is broken.
        what: String,
    },
    /// The file lacks states of the model.
    #[error("{}: there is no tensor {}; the file has {}", path.display(), names.join(", "), found.join(", "))]
    Missing {
        /// The file.
        path: PathBuf,
        /// The states.
        names: Vec<String>,
        /// What the file has.
        found: Vec<String>,
    },
    /// The file has tensors that are no states of the model.
    #[error("{}: the model has no state {}", path.display(), names.join(", "))]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// The tensors.
        names: Vec<String>,
    },
    /// A rule of names that can't be followed.
    #[error("{}: {what}", path.display())]
    Rule {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A tensor has another type than the model's state.
    #[error("{}: tensor `{name}` is {found}, but the model's state is {expected}", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        found: TensorType,
        /// The state's.
        expected: TensorType,
    },
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for IoError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
