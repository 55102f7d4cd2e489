//! Saves the weights of the best epoch.

use super::{Callback, CallbackState, Control, Mode, Monitor};
use crate::io::check_destination;
use crate::train::{EpochRecord, TrainError};
use std::path::PathBuf;

/// Saves the weights as a safetensors file whenever a value is the best so far: what one deploys. The file is there whole or not at all. What a run needs to go on after it was
/// interrupted is more than weights: [`Fit::checkpoints`](crate::train::Fit::checkpoints) keeps it.
#[derive(Clone, Debug)]
pub struct ModelCheckpoint {
    path: PathBuf,
    monitor: Monitor,
}

impl ModelCheckpoint {
    /// Saves to `path` when `monitor` (`val_loss`, `val_accuracy`) is the best so far.
    pub fn new(path: impl Into<PathBuf>, monitor: impl Into<String>) -> Self {
        Self { path: path.into(), monitor: Monitor::new(monitor) }
    }

    /// Which way is better, if not the metric's own.
    pub fn mode(self, mode: Mode) -> Self {
        Self { monitor: self.monitor.mode(mode), ..self }
    }

    /// The best value and its epoch.
    pub fn best(&self) -> Option<(f64, usize)> {
        self.monitor.best()
    }
}

impl Callback for ModelCheckpoint {
    fn begin(&mut self, control: &mut Control<'_>) -> Result<(), TrainError> {
        // Now, so that a wrong name or path shows before an epoch has been spent.
        self.monitor.check(control.measured())?;
        match control.rank() {
            0 => Ok(check_destination(&self.path)?),
            _ => Ok(()),
        }
    }

    fn epoch_end(&mut self, record: &EpochRecord, control: &mut Control<'_>) -> Result<(), TrainError> {
        match self.monitor.update(record)? {
            true if control.rank() == 0 => control.trainer().save_weights(&self.path),
            _ => Ok(()),
        }
    }

    fn state(&self) -> CallbackState {
        self.monitor.state()
    }

    fn load_state(&mut self, state: &CallbackState) -> Result<(), TrainError> {
        self.monitor.load_state(state);
        Ok(())
    }
}
