//! The verifier: what holds for every graph, and what holds for graphs that have come further.
//!
//! At every stage:
//! 1. Every operand is a node of the graph.
//! 2. No node depends on itself.
//! 3. A node has as many operands as its op takes, and its type is what the op's rule infers from them.
//! 4. Inputs have distinct names that aren't empty; so have states.
//! 5. Outputs have distinct names that aren't empty, and are nodes of the graph; so it is with updates.
//! 6. An update names a state of the graph and has its type.
//! 11. The body of a scan is a valid graph of the same stage.
//!
//! From [`Stage::Differentiated`] on:
//!
//! 7. There is no gradient to be derived and no barrier to gradients.
//!
//! From [`Stage::Fused`] on:
//!
//! 8. Clusters don't depend on each other in a circle.
//! 9. Each reduction, window, contraction or scan that a result needs is in a cluster.
//!
//! From [`Stage::Scheduled`] on:
//!
//! 10. A cluster depends on clusters with smaller numbers only.
//!
//! Invariants 8 to 10 are looked at only if 1 and 2 hold, without which there is no order.

mod check;
mod error;
#[cfg(test)]
mod tests;

pub use error::{VerifyError, VerifyErrors};

use crate::Graph;

/// How far a graph has come; each stage has the invariants of those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Stage {
    /// As declared by a front end.
    #[default]
    Declared,
    /// Gradients are nodes like others.
    Differentiated,
    /// Nodes are in clusters.
    Fused,
    /// Clusters are numbered in their order of execution.
    Scheduled,
}

/// What is verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spec {
    /// The stage that the graph claims to have reached.
    pub stage: Stage,
}

impl Spec {
    /// A graph as declared.
    pub const DECLARED: Self = Self { stage: Stage::Declared };
    /// A graph after differentiation.
    pub const DIFFERENTIATED: Self = Self { stage: Stage::Differentiated };
    /// A graph in clusters.
    pub const FUSED: Self = Self { stage: Stage::Fused };
    /// A graph whose clusters are in order.
    pub const SCHEDULED: Self = Self { stage: Stage::Scheduled };
}

/// Checks a graph.
///
/// # Errors
/// Every invariant that is broken, at every place.
pub fn verify(graph: &Graph, spec: Spec) -> Result<(), VerifyErrors> {
    let errors = check::Checker::new(graph).check(spec);
    if errors.is_empty() { Ok(()) } else { Err(VerifyErrors::new(graph, errors)) }
}
