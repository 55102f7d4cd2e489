//! Checkpoints of runs: everything that a run is, in a file, so that it goes on after it was killed as if nothing had happened.

mod error;
mod folder;
mod measured;
mod number;
mod record;
#[cfg(test)]
mod tests;

pub use error::CheckpointError;
pub(super) use folder::RunPlace;
pub(super) use record::{FoundRun, PassPlace, RunSettings, RunSnapshot, STEP_SETTINGS};

use super::progress::Reporter;
use super::{TrainError, Trainer};
use crate::io::IoError;
use folder::{CheckpointFolder, Newest};
use std::path::{Path, PathBuf};

/// Where a run's checkpoints go, how often one is written, how many are kept. A path alone is a folder with one after each epoch, of which the last 3 are kept.
///
/// A checkpoint is a safetensors file with weights, the optimizer's moments, the number of steps and with it the place in a schedule, learning rates, the keys of random numbers, the
/// epoch, the step within it and with both the place in the shuffled data, what the epoch has measured so far, the history, what callbacks remember, and the states of the best
/// epoch. It is written beside its place, flushed to the disk and then renamed, with a checksum: whenever the process or the machine stops, whole ones are there. [`Trainer::load_weights`] and
/// [`Trainer::load_checkpoint`] read it, too.
///
/// ```
/// use gradc::train::{Checkpoints, Fit};
/// let fit = Fit::epochs(20).resume(Checkpoints::new("run").every_steps(100).keep(2));
/// ```
pub struct Checkpoints<'a> {
    dir: PathBuf,
    every_steps: Option<u64>,
    keep: usize,
    told: Box<dyn FnMut(&IoError) + 'a>,
}

impl<'a> Checkpoints<'a> {
    /// In that folder, which is made if there is none. It is the run's alone while it runs.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), every_steps: None, keep: 3, told: Box::new(|_| {}) }
    }

    /// Also after so many steps, counted through all epochs. To go on within an epoch, its batches up to there are read again and passed over.
    pub fn every_steps(self, steps: u64) -> Self {
        Self { every_steps: Some(steps), ..self }
    }

    /// Keeps so many of the newest; at least 1.
    pub fn keep(self, checkpoints: usize) -> Self {
        Self { keep: checkpoints, ..self }
    }

    /// Tells of each damaged checkpoint that is passed over, newest first, besides the line that is printed.
    pub fn on_damaged(self, told: impl FnMut(&IoError) + 'a) -> Self {
        Self { told: Box::new(told), ..self }
    }
}

macro_rules! from_paths {
    ($($path:ty),*) => { $(
        impl From<$path> for Checkpoints<'_> {
            fn from(dir: $path) -> Self {
                Self::new(dir)
            }
        }
    )* };
}

from_paths!(&str, String, &Path, &PathBuf, PathBuf);

/// Writes a run's checkpoints.
pub(super) struct Keeper {
    folder: CheckpointFolder,
    every_steps: Option<u64>,
    settings: RunSettings,
}

impl Keeper {
    /// Takes the folder, and looks for the checkpoint to go on from if `resume`; without, there must be none.
    pub(super) fn open(
        checkpoints: Checkpoints<'_>,
        resume: bool,
        (trainer, settings): (&Trainer, RunSettings),
        reporter: &Reporter,
    ) -> Result<(Self, Option<FoundRun>), TrainError> {
        let Checkpoints { dir, every_steps, keep, mut told } = checkpoints;
        let wrong = |what: &str| Err(TrainError::Setting(format!("checkpoints: {what}")));
        match (keep, every_steps) {
            (0, _) => return wrong("at least 1 is kept"),
            (_, Some(0)) => return wrong("there must be at least 1 step from one to the next"),
            _ => {}
        }
        let mut folder = CheckpointFolder::open(&dir, keep)?;
        let found = match resume {
            true => newest(&mut folder, reporter, &mut *told)?,
            false if folder.list()?.is_empty() => None,
            false => return Err(CheckpointError::Taken { dir }.into()),
        };
        let found = found.map(|file| FoundRun::read(file, trainer, &settings)).transpose()?;
        if let Some(found) = &found {
            reporter.note(&format!("Resuming from {}", found.file().path().display()));
        }
        Ok((Self { folder, every_steps, settings }, found))
    }

    /// Whether a checkpoint is to be written after so many steps.
    pub(super) fn is_due(&self, steps: u64) -> bool {
        self.every_steps.is_some_and(|every| steps.is_multiple_of(every))
    }

    /// Writes one.
    pub(super) fn save(&mut self, trainer: &mut Trainer, view: &RunSnapshot<'_>) -> Result<(), TrainError> {
        let place =
            RunPlace { epochs: view.history.epochs.len(), step: view.pass.as_ref().map_or(0, |pass| pass.step) };
        let tensors = record::encode(trainer, &self.settings, view)?;
        Ok(self.folder.save(place, &tensors, trainer.all_metadata())?)
    }
}

/// The newest whole checkpoint; those that are damaged are told of.
fn newest(
    folder: &mut CheckpointFolder,
    reporter: &Reporter,
    told: &mut dyn FnMut(&IoError),
) -> Result<Option<crate::io::TensorFile>, CheckpointError> {
    let Newest { file, damaged } = folder.newest()?;
    for error in &damaged {
        reporter.note(&format!("Passed over a damaged checkpoint: {error}"));
        told(error);
    }
    match (file, damaged.len(), damaged.into_iter().next()) {
        (None, count, Some(source)) => Err(CheckpointError::Damaged { dir: folder.dir().into(), count, source }),
        (file, _, _) => Ok(file),
    }
}
