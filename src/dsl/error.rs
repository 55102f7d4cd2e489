//! Diagnostics of a model: every rule it breaks, each with the user's file and line.

use ir::{BuildError, RuleError};
use std::fmt;

/// One broken rule: where, in which layer, which op on what, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// The layer being applied, if the op stands in one.
    pub layer: Option<String>,
    /// The op, its operands, the rule, the place in the user's source.
    pub error: BuildError,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(loc) = &self.error.loc {
            write!(f, "{loc}: ")?;
        }
        if let Some(layer) = &self.layer {
            write!(f, "in layer {layer}: ")?;
        }
        let BuildError { op, operands, rule, .. } = &self.error;
        f.write_str(op)?;
        if !operands.is_empty() {
            let types: Vec<String> = operands.iter().map(ToString::to_string).collect();
            write!(f, " of {}", types.join(" and "))?;
        }
        write!(f, ": {rule}")
    }
}

/// All rules that a model breaks, in the order in which they were met. Prints one a line:
/// `src/main.rs:12:9: matmul of f32[32,784] and f32[512,10]: contracted extents must be equal, 784 and 512`.
#[derive(Clone, PartialEq, Eq)]
pub struct ModelErrors {
    /// At least one.
    pub diagnostics: Vec<Diagnostic>,
}

impl std::error::Error for ModelErrors {}

/// The message: what a program shows that returns the error from `main`.
impl fmt::Debug for ModelErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ModelErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.diagnostics.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

/// Why a step of building failed, before it has a place and operands.
pub(crate) enum Failure {
    /// A rule of the DSL: the op's name as the user knows it, and the rule.
    Rule(String, RuleError),
    /// A rule of the graph.
    Build(BuildError),
}

impl Failure {
    /// A broken rule of the DSL.
    pub(crate) fn rule(op: impl Into<String>, rule: impl Into<RuleError>) -> Self {
        Self::Rule(op.into(), rule.into())
    }
}

impl From<BuildError> for Failure {
    fn from(e: BuildError) -> Self {
        Self::Build(e)
    }
}
