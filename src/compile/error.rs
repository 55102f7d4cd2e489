//! What can go wrong between a declared step and its results.

use super::NumericsFault;
use crate::dsl::ModelErrors;
use ir::{Loc, TensorType};
use kernel::TargetError;
use passes::PassError;
use runtime::{LoadError, PortError, StepError};

/// Why a step could not be compiled.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The model breaks rules; each is named with its place.
    #[error(transparent)]
    Model(#[from] ModelErrors),
    /// A pass failed.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// The program could not be compiled to code or be given memory.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A state could not be filled.
    #[error(transparent)]
    State(#[from] RunError),
    /// Tensors are larger than memory.
    #[error("{}{what}", .loc.as_ref().map_or_else(String::new, |loc| format!("{loc}: ")))]
    Memory {
        /// What, and how many bytes it takes.
        what: String,
        /// How many bytes there would have to be.
        bytes: u128,
        /// Where in the user's source the largest tensor comes from.
        loc: Option<Loc>,
    },
    /// This machine is none that code is generated for.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// An environment variable holds something else than what it can.
    #[error("the environment variable {variable}: {why}")]
    Environment {
        /// Its name.
        variable: &'static str,
        /// What it can be.
        why: String,
    },
    /// The pipeline ended with a graph.
    #[error("the passes ended before the graph was lowered to loops: there is nothing to run")]
    NotLowered,
}

/// Why a program could not be run.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// There is no such port, or it holds another type.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A check failed while the step ran, an index out of range for instance; with the user's line where it is known. Outputs and
    /// states are undefined after it.
    #[error(transparent)]
    Step(#[from] StepError),
    /// An element of an input is no index of what it is used for: a token beyond the vocabulary, a label that is no class. Outputs and states are undefined
    /// after it.
    #[error("{error}: input `{input}` holds {value} at {place:?}")]
    Index {
        /// The input.
        input: String,
        /// The element's coordinates; the first one counts the samples of the batch.
        place: Vec<usize>,
        /// The element.
        value: i64,
        /// The check that failed.
        error: StepError,
    },
    /// The step computed NaN or an infinite number, and was compiled to look for them ([`CompileOptions::check_numerics`](super::CompileOptions::check_numerics)). The states are those from before
    /// the step, outputs are undefined.
    #[error("{0}")]
    NotFinite(Box<NumericsFault>),
    /// The same, and no op could be found that makes it.
    #[error("the step has computed NaN or an infinite number, and it couldn't be found where: {why}")]
    NotFiniteSomewhere {
        /// Why not.
        why: String,
    },
    /// The code of a shared library refused to run, and touched nothing.
    #[cfg(feature = "built")]
    #[error(transparent)]
    Refused(runtime::LibraryStepError),
    /// An input was not given.
    #[error("input `{name}`, {ty}, is missing")]
    Missing {
        /// The input.
        name: String,
        /// Its type.
        ty: TensorType,
    },
    /// A value has another type than its port.
    #[error("`{name}` is {expected}, not {found}")]
    Type {
        /// The port.
        name: String,
        /// The port's type.
        expected: TensorType,
        /// The value's.
        found: TensorType,
    },
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for CompileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
