//! The errors of building a graph.

use crate::{Loc, TensorType};
use std::fmt;

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
