//! Writes what each epoch measured as lines of JSON.

use super::log_file::LogFile;
use super::{Callback, CallbackState, Control};
use crate::train::{EpochRecord, TrainError};
use std::path::PathBuf;

/// A line of JSON per epoch, as soon as it has ended: an object with `epoch`, the values by name, `seconds`, `samples_per_second`. A number that isn't finite is `null`, since JSON has none.
/// An existing file is replaced; a run that goes on from a checkpoint writes the lines again that the checkpoint has.
#[derive(Debug)]
pub struct JsonLogger {
    file: LogFile,
}

impl JsonLogger {
    /// To that file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { file: LogFile::new(path.into()) }
    }
}

impl Callback for JsonLogger {
    fn begin(&mut self, control: &mut Control<'_>) -> Result<(), TrainError> {
        self.file.begin(control.rank())
    }

    fn epoch_end(&mut self, record: &EpochRecord, _: &mut Control<'_>) -> Result<(), TrainError> {
        self.file.append(&record.to_json())
    }

    fn state(&self) -> CallbackState {
        self.file.state()
    }

    fn load_state(&mut self, state: &CallbackState) -> Result<(), TrainError> {
        self.file.load_state(state)
    }
}
