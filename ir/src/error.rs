//! Locations in the user's source and the errors of building a graph.

use crate::TensorType;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A place in the user's source: what `#[track_caller]` saw, or what a text file said.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Loc {
    /// The file, as the compiler named it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

impl Loc {
    /// The caller's place, if the functions between are `#[track_caller]`.
    #[track_caller]
    pub fn caller() -> Self {
        let at = std::panic::Location::caller();
        Self { file: at.file().into(), line: at.line(), column: at.column() }
    }
}

impl fmt::Display for Loc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A source location as [`Loc`] prints it; the file's name may have colons in it.
impl FromStr for Loc {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let mut parts = text.rsplitn(3, ':');
        let mut number = || parts.next()?.parse().ok();
        let place = number().zip(number());
        match (place, parts.next()) {
            (Some((column, line)), Some(file)) => Ok(Self { file: file.into(), line, column }),
            _ => Err(RuleError(format!("{text:?} is no source location: it is `file:line:column`"))),
        }
    }
}

/// The rule that an op's operands or attributes break: one sentence, with the numbers in it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct RuleError(pub String);

impl From<crate::ShapeError> for RuleError {
    fn from(e: crate::ShapeError) -> Self {
        Self(e.to_string())
    }
}

impl From<String> for RuleError {
    fn from(e: String) -> Self {
        Self(e)
    }
}

impl From<&str> for RuleError {
    fn from(e: &str) -> Self {
        Self(e.into())
    }
}

/// An op that can't be added to a graph: which op, on what, why, and where the user asked for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuildError {
    /// The op, with its attributes, as text.
    pub op: String,
    /// The operands' types.
    pub operands: Vec<TensorType>,
    /// The rule that is broken.
    pub rule: RuleError,
    /// Where in the user's source.
    pub loc: Option<Loc>,
}

impl std::error::Error for BuildError {}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(loc) = &self.loc {
            write!(f, "{loc}: ")?;
        }
        f.write_str(&self.op)?;
        if !self.operands.is_empty() {
            let types: Vec<String> = self.operands.iter().map(ToString::to_string).collect();
            write!(f, " of {}", types.join(" and "))?;
        }
        write!(f, ": {}", self.rule)
    }
}
