//! What can go wrong in a benchmark.

use gradc::compile::{CompileError, RunError};
use gradc::dsl::ModelErrors;
use gradc::io::IoError;
use gradc::train::TrainError;
use ir::ValueError;
use runtime::{LoadError, PortError, StepError};

/// Why a benchmark has no result.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// No workload has that name.
    #[error("there is no workload `{name}`{}; the workloads are {}", did_you_mean(.name, .known), .known.join(", "))]
    UnknownWorkload {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<&'static str>,
    },
    /// A setting that no run can have.
    #[error("{0}")]
    Setting(String),
    /// A file of results has a line that is none.
    #[error("line {line} of the results: {what}")]
    Results {
        /// The line, from 1.
        line: usize,
        /// What it should be.
        what: String,
    },
    /// A program is given that isn't the step's.
    #[error("the program's launches aren't those that the step `{step}` has with these options")]
    OtherProgram {
        /// The graph's name.
        step: String,
    },
    /// The model breaks a rule.
    #[error(transparent)]
    Model(#[from] ModelErrors),
    /// The step doesn't compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// A state or an input can't be set.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A port is not what the workload says.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A batch has not the elements that its input takes.
    #[error(transparent)]
    Batch(#[from] ValueError),
    /// A step failed.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The machine's limits can't be measured.
    #[error("the machine's limits can't be measured: {0}")]
    MachineLimits(#[from] LoadError),
    /// The model can't be quantized.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A profile can't be written.
    #[error(transparent)]
    File(#[from] IoError),
    /// The loss is not finite, so that what was timed is no training.
    #[error("the loss at step {step} is {loss}")]
    Diverged {
        /// The step, from 1.
        step: usize,
        /// The loss.
        loss: f32,
    },
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for BenchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// ` (did you mean `cnn`?)`, if a name that there is is like this one.
pub(crate) fn did_you_mean(name: &str, known: &[&str]) -> String {
    let near = passes::pipeline::nearest(name, known.iter().copied());
    near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"))
}
