//! Saves the weights of the best epoch.

use super::{Callback, Control, Mode, Monitor};
use crate::io::check_destination;
use crate::train::{EpochRecord, TrainError};
use std::path::PathBuf;

/// Saves the weights as a safetensors file whenever a value is the best so far. The file is there whole or not at all.
#[derive(Clone, Debug)]
pub struct ModelCheckpoint {
    path: PathBuf,
    monitor: Monitor,
    whole: bool,
}

impl ModelCheckpoint {
    /// Saves to `path` when `monitor` (`val_loss`, `val_accuracy`) is the best so far.
    pub fn new(path: impl Into<PathBuf>, monitor: impl Into<String>) -> Self {
        Self { path: path.into(), monitor: Monitor::new(monitor), whole: false }
    }

    /// Which way is better, if not the metric's own.
    pub fn mode(self, mode: Mode) -> Self {
        Self { monitor: self.monitor.mode(mode), ..self }
    }

    /// Saves the optimizer's moments and the number of steps too, to go on from there.
    pub fn with_optimizer(self) -> Self {
        Self { whole: true, ..self }
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
        Ok(check_destination(&self.path)?)
    }

    fn epoch_end(&mut self, record: &EpochRecord, control: &mut Control<'_>) -> Result<(), TrainError> {
        match (self.monitor.update(record)?, self.whole) {
            (false, _) => Ok(()),
            (true, false) => control.trainer().save_weights(&self.path),
            (true, true) => control.trainer().save_checkpoint(&self.path),
        }
    }
}
