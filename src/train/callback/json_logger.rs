//! Writes what each epoch measured as lines of JSON.

use super::{Callback, CallbackState, Control};
use crate::train::{EpochRecord, TrainError};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// A line of JSON per epoch, as soon as it has ended: an object with `epoch`, the values by name, `seconds`, `samples_per_second`. A number that isn't finite is `null`, since JSON has none.
/// An existing file is replaced; a run that goes on from a checkpoint writes the lines again that the checkpoint has.
#[derive(Debug)]
pub struct JsonLogger {
    path: PathBuf,
    file: Option<File>,
    /// What has been written.
    text: String,
}

impl JsonLogger {
    /// To that file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), file: None, text: String::new() }
    }

    fn append(&mut self, text: &str) -> Result<(), TrainError> {
        let written = self.file.as_mut().map_or(Ok(()), |file| file.write_all(text.as_bytes()));
        self.text.push_str(text);
        written.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: std::io::Error) -> TrainError {
        TrainError::Log { path: self.path.clone(), source }
    }
}

impl Callback for JsonLogger {
    fn begin(&mut self, _: &mut Control<'_>) -> Result<(), TrainError> {
        // Now, so that a wrong path shows before an epoch has been spent.
        let created = File::create(&self.path);
        self.file = Some(created.map_err(|source| self.failed(source))?);
        self.text.clear();
        Ok(())
    }

    fn epoch_end(&mut self, record: &EpochRecord, _: &mut Control<'_>) -> Result<(), TrainError> {
        self.append(&record.to_json())
    }

    fn state(&self) -> CallbackState {
        let mut state = CallbackState::default();
        state.set_text("lines", &self.text);
        state
    }

    fn load_state(&mut self, state: &CallbackState) -> Result<(), TrainError> {
        self.append(state.text("lines").unwrap_or_default())
    }
}
