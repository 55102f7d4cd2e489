//! What can be wrong with data.

use ir::{DType, TensorType};
use std::path::{Path, PathBuf};

/// Why data could not be read, put together or given to a program.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A binary file is not what its format says.
    #[error("{}: at byte {offset}{}: {what}", path.display(), if *gunzipped { " of the gunzipped contents" } else { "" })]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where, in bytes from the start.
        offset: u64,
        /// Whether the offset counts gunzipped bytes.
        gunzipped: bool,
        /// The rule that is broken.
        what: String,
    },
    /// A line of a text file is not what it should be.
    #[error("{}:{line}: {what}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The rule that is broken.
        what: String,
    },
    /// A file as a whole doesn't fit: too large, without a column that was asked for, with other extents than its neighbour.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The rule that is broken.
        what: String,
    },
    /// Arrays that don't make a data set together, or a part of one that would be empty.
    #[error("{0}")]
    Dataset(String),
    /// A program wants an input that the data set doesn't have.
    #[error("the model's input `{name}` has no data; the data set has {}", known.join(", "))]
    Missing {
        /// The input.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A sample has another shape than the program's input.
    #[error("samples of `{name}` are {found}, but the model takes {expected} (without the batch)")]
    Sample {
        /// The input.
        name: String,
        /// The sample's type.
        found: TensorType,
        /// The input's type for one sample.
        expected: TensorType,
    },
    /// A sample of a stream could not be read or changed.
    #[error("sample {sample} of the stream: {source}")]
    At {
        /// The sample, from 0, in the order of the pass.
        sample: usize,
        /// Why.
        source: Box<DataError>,
    },
    /// A function of the user's panicked while it read or changed samples.
    #[error("a panic in a function of the stream: {message}")]
    Panic {
        /// What it said.
        message: String,
    },
    /// An element has no exact meaning in the input's type.
    #[error("sample {row} of `{name}` holds {value} of {from}, which is no value of {to}")]
    Element {
        /// The input.
        name: String,
        /// The sample, from 0, in the stored order.
        row: usize,
        /// The element, as text.
        value: String,
        /// The stored type.
        from: DType,
        /// The input's type.
        to: DType,
    },
}

impl DataError {
    pub(super) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    pub(super) fn file(path: &Path, what: impl Into<String>) -> Self {
        Self::File { path: path.into(), what: what.into() }
    }
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for DataError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
