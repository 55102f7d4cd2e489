//! What can be wrong with texts.

use crate::io::IoError;
use std::path::PathBuf;

/// Why texts could not be read, tokenized, encoded or decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] IoError),
    /// A file is not UTF-8.
    #[error("{}: at byte {offset}: not UTF-8", path.display())]
    Utf8 {
        /// The file.
        path: PathBuf,
        /// The first byte that is wrong, from 0.
        offset: u64,
    },
    /// A line of a file is not what it should be.
    #[error("{}:{line}: {what}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The rule that is broken.
        what: String,
    },
    /// A file as a whole is not what it should be.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The rule that is broken.
        what: String,
    },
    /// A text has no token.
    #[error("text {row} has no token by the rule `{rule}`: {text:?} (leave it out, or encode with `empty_as_unknown`)")]
    Empty {
        /// Which text, from 0.
        row: usize,
        /// The rule of tokens.
        rule: &'static str,
        /// How the text begins.
        text: String,
    },
    /// A text has more tokens than fit and must not be cut.
    #[error("text {row} has {length} tokens, more than the {limit} of a row, and is not to be cut")]
    Long {
        /// Which text, from 0.
        row: usize,
        /// How many tokens it has.
        length: usize,
        /// How many fit.
        limit: usize,
    },
    /// An id that stands for no token.
    #[error("id {id} at position {position}: the vocabulary has {size} ids")]
    Id {
        /// The id.
        id: i64,
        /// Where it stands, from 0.
        position: usize,
        /// How many ids there are.
        size: usize,
    },
    /// A setting that makes no sense: a length of 0, no texts, no classes.
    #[error("{0}")]
    Setting(String),
    /// A corpus is not there and could not be fetched; says how to get it by hand.
    #[error("{0}")]
    Fetch(String),
}
