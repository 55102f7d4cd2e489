//! What can go wrong in training.

use super::{CheckpointError, History};
use crate::compile::{CompileError, NumericsFault, RunError};
use crate::data::DataError;
use crate::dsl::ModelErrors;
use crate::io::IoError;
use crate::parallel::ParallelError;
use runtime::{PortError, StepError};

/// Why training, evaluation or prediction failed.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The model breaks rules; each is named with its place.
    #[error(transparent)]
    Model(#[from] ModelErrors),
    /// A program could not be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The data don't fit the model.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A step failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// An element of a sample is no index of what it is used for: a token beyond the vocabulary, a label that is no class.
    #[error("{error}: sample {sample} of `{name}` holds {value}{}", position(place))]
    Index {
        /// The column.
        name: String,
        /// The sample, from 0, in the stored order.
        sample: usize,
        /// The element's coordinates within the sample.
        place: Vec<usize>,
        /// The element.
        value: i64,
        /// The check that failed.
        error: StepError,
    },
    /// Weights could not be saved or loaded.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A run's checkpoint could not be written, or the run can't go on from one.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The loss is no number any more. The trainer has all states (weights, moments, the number of steps, rates) of the epoch with the lowest loss, that of validation if there is
    /// one, or those from before; without a copy of them ([`Fit::keep_best`](super::Fit::keep_best)) those after the step. Callbacks have been told that training is over: one that keeps the best weights by another measure has put its own back.
    #[error(
        "{} in epoch {epoch} at step {step}: the training has diverged (a lower learning rate or gradient clipping may help); the weights are those {}", diverged(*loss, fault), kept(*best, fault)
    )]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
        /// The step within the epoch, from 1.
        step: usize,
        /// The loss.
        loss: f64,
        /// The epochs before.
        history: Box<History>,
        /// The epoch whose states the trainer has, from 1; 0 if they are those from before the call of `fit`. None where no copy was kept: they are those after the step.
        best: Option<usize>,
        /// Which op made the first NaN or infinite number, if the step was compiled to look for them
        /// ([`CompileOptions::check_numerics`](crate::compile::CompileOptions::check_numerics)). The loss is NaN then, since the step hasn't come to its end.
        fault: Option<Box<NumericsFault>>,
    },
    /// Processes don't train together: see [`Fit::parallel`](super::Fit::parallel).
    #[error(transparent)]
    Parallel(#[from] ParallelError),
    /// There is no state of that name.
    #[error("the model has no state `{name}`; {}", told(near))]
    State {
        /// The name.
        name: String,
        /// Names of states that are like it, the nearest first.
        near: Vec<String>,
    },
    /// A callback watches something that isn't measured.
    #[error("a callback watches `{name}`, which isn't measured; there are {}", known.join(", "))]
    Monitor {
        /// What it watches.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A callback watches something of which it isn't known which way is better.
    #[error(
        "a callback watches `{name}`: say by `.mode(Mode::Max)` or `.mode(Mode::Min)` whether it is better when larger or smaller"
    )]
    Mode {
        /// What it watches.
        name: String,
    },
    /// A shared library of steps isn't loaded.
    #[cfg(feature = "built")]
    #[error("{}: {error}", path.display())]
    Built {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        error: Box<crate::compile::BuiltError>,
    },
    /// A setting that no training can have.
    #[error("{0}")]
    Setting(String),
    /// A log could not be written.
    #[error("{}: {source}", path.display())]
    Log {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Whose weights there are after a training has diverged.
fn kept(best: Option<usize>, fault: &Option<Box<NumericsFault>>) -> String {
    match best {
        None if fault.is_some() => "before that step".into(),
        None => "after that step".into(),
        Some(0) => "from before".into(),
        Some(epoch) => format!("of epoch {epoch}, the best"),
    }
}

/// What it is that has shown that a training has diverged.
fn diverged(loss: f64, fault: &Option<Box<NumericsFault>>) -> String {
    fault.as_ref().map_or_else(|| format!("the loss is {loss}"), ToString::to_string)
}

/// Names that somebody may have meant.
fn told(near: &[String]) -> String {
    let quoted: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
    match &quoted[..] {
        [] => "none is called alike".into(),
        [one] => format!("near it is {one}"),
        several => format!("near it are {}", several.join(", ")),
    }
}

/// Where an element stands in a sample that has several.
fn position(place: &[usize]) -> String {
    match place {
        [] => String::new(),
        [at] => format!(" at position {at}"),
        _ => format!(" at position {place:?}"),
    }
}

impl From<PortError> for TrainError {
    fn from(e: PortError) -> Self {
        Self::Run(e.into())
    }
}

impl From<StepError> for TrainError {
    fn from(e: StepError) -> Self {
        Self::Run(e.into())
    }
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for TrainError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
