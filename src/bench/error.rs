//! What can go wrong in a benchmark.

use crate::dsl::ModelErrors;
use passes::PassError;
use runtime::{LoadError, PortError, StepError};

/// Why a benchmark has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// No workload has that name.
    #[error("there is no workload `{name}`; the workloads are {}", known.join(", "))]
    UnknownWorkload {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<&'static str>,
    },
    /// A setting that no run can have.
    #[error("{0}")]
    Setting(String),
    /// The model breaks a rule.
    #[error(transparent)]
    Model(#[from] ModelErrors),
    /// A pass failed.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// The program can't be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A port is not what the workload says.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A step failed.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The passes ended before they made loops.
    #[error("the passes ended with a graph: there is no program to run")]
    NotLowered,
    /// The loss is not finite, so that what was timed is no training.
    #[error("the loss at step {step} is {loss}")]
    Diverged {
        /// The step, from 1.
        step: usize,
        /// The loss.
        loss: f32,
    },
}
