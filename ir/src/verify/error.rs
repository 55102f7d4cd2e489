//! What the verifier found.

use crate::text::{TextLine, lines};
use crate::{Graph, NodeId};
use std::fmt;

/// One broken invariant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyError {
    /// Its number, as in the documentation of [`mod@crate::verify`].
    pub invariant: u32,
    /// What happened, with names and types.
    pub message: String,
    pub(super) subject: TextLine,
}

impl VerifyError {
    /// The node at fault; `None` if it is an output, an update or the graph as a whole.
    pub fn node(&self) -> Option<NodeId> {
        match self.subject {
            TextLine::Node(id) => Some(id),
            _ => None,
        }
    }
}

/// All broken invariants of a graph. Prints the graph's text with each error under the offending line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyErrors {
    errors: Vec<VerifyError>,
    text: String,
}

impl VerifyErrors {
    pub(super) fn new(graph: &Graph, errors: Vec<VerifyError>) -> Self {
        let mut text = String::new();
        for (subject, line) in lines(graph) {
            text.push_str(&line);
            if let TextLine::Node(id) = subject
                && let Some(loc) = graph.loc(id)
            {
                text.push_str(&format!(" // {loc}"));
            }
            text.push('\n');
            for error in errors.iter().filter(|e| e.subject == subject) {
                text.push_str(&format!("  // ^ error: {} [invariant {}]\n", error.message, error.invariant));
            }
        }
        Self { errors, text }
    }

    /// The errors, in the order of lines.
    pub fn errors(&self) -> &[VerifyError] {
        &self.errors
    }
}

impl std::error::Error for VerifyErrors {}

impl fmt::Display for VerifyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.errors.len();
        writeln!(f, "{count} {} broken", if count == 1 { "invariant is" } else { "invariants are" })?;
        f.write_str(&self.text)
    }
}
