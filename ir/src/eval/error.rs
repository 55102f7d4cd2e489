//! What goes wrong while an op or a graph is evaluated.

use crate::{Loc, NodeId, TensorType};
use std::fmt;

/// What goes wrong while an op is evaluated.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum EvalError {
    /// An index is not below the extent it addresses.
    #[error("index {index} is out of range: valid are 0 to {}", .bound - 1)]
    Index {
        /// The index.
        index: i64,
        /// The extent.
        bound: usize,
    },
    /// There is no memory for the result.
    #[error("there is no memory for the result: {bytes} bytes")]
    Memory {
        /// What it would take.
        bytes: usize,
    },
    /// The op has no evaluation of its own.
    #[error("`{op}` can't be evaluated: {why}")]
    NotEvaluable {
        /// The op's name.
        op: &'static str,
        /// What to do first.
        why: &'static str,
    },
}

/// The two kinds of ports that a run is given values for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FeedKind {
    /// A value for this run.
    Input,
    /// A value that outlives runs.
    State,
}

impl fmt::Display for FeedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::State => "state",
        })
    }
}

/// A node in an error: printed as source location and op.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeSite {
    /// The node.
    pub node: NodeId,
    /// The op, with its attributes, as text.
    pub op: String,
    /// Where in the user's source.
    pub loc: Option<Loc>,
}

impl fmt::Display for NodeSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(loc) = &self.loc {
            write!(f, "{loc}: ")?;
        }
        f.write_str(&self.op)
    }
}

/// Why a graph can't be evaluated on the given values.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum RunError {
    /// The graph has a port that no value was given for.
    #[error("{port} {name:?} ({ty}) has no value")]
    Missing {
        /// Its kind.
        port: FeedKind,
        /// Its name.
        name: String,
        /// Its type.
        ty: TensorType,
    },
    /// A value was given for a port that the graph doesn't have.
    #[error("the graph has no {port} {name:?}; it has {}", list(.known))]
    Unknown {
        /// The kind of port.
        port: FeedKind,
        /// The name given.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A value has another type than its port.
    #[error("{port} {name:?} is {want}, the value given is {got}")]
    WrongType {
        /// The kind of port.
        port: FeedKind,
        /// Its name.
        name: String,
        /// Its type.
        want: TensorType,
        /// The value's type.
        got: TensorType,
    },
    /// An op can't be evaluated on its operands.
    #[error("{at}: {error}")]
    Op {
        /// Where.
        at: Box<NodeSite>,
        /// What is wrong.
        error: EvalError,
    },
    /// An op's evaluation gave another type than its rule inferred: a defect of the op.
    #[error("{at}: evaluates to {got}, its rule infers {want}")]
    Defect {
        /// Where.
        at: Box<NodeSite>,
        /// The type inferred.
        want: TensorType,
        /// The type of the value.
        got: TensorType,
    },
    /// The graph has no order of evaluation: it breaks an invariant that [`mod@crate::verify`] names.
    #[error("%{} depends on itself or on what is not a node", .node.index())]
    Unordered {
        /// A node that can't be placed.
        node: NodeId,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".into();
    }
    names.iter().map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", ")
}
