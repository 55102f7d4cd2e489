//! What can be wrong with texts.

use crate::data::DataError;
use crate::io::IoError;

/// Why texts could not be read, tokenized, encoded or decoded.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// A file could not be read, is not UTF-8, or is not what it should be, as a whole or in a line.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] IoError),
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
    /// A tokenizer could not read a text.
    #[error("text {row}: {what}")]
    Tokenizer {
        /// Which text, from 0.
        row: usize,
        /// What it said.
        what: String,
    },
    /// A setting that makes no sense: a length of 0, no texts, no classes.
    #[error("{0}")]
    Setting(String),
    /// A corpus is not there and could not be fetched; says how to get it by hand.
    #[error("{0}")]
    Fetch(String),
}

impl TextError {
    pub(super) fn empty(row: usize, rule: &'static str, text: &str) -> Self {
        Self::Empty { row, rule, text: text.chars().take(40).collect() }
    }
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for TextError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
