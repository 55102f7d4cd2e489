//! Writes what each epoch measured to a CSV file.

use super::log_file::LogFile;
use super::{Callback, CallbackState, Control};
use crate::train::{EpochRecord, TrainError};
use std::path::PathBuf;

/// A line per epoch: `epoch`, the values by name, `seconds`, `samples_per_second`. An existing file is replaced; a run that goes on from a checkpoint writes the lines again that the
/// checkpoint has.
#[derive(Debug)]
pub struct CsvLogger {
    file: LogFile,
}

impl CsvLogger {
    /// To that file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { file: LogFile::new(path.into()) }
    }

    fn write(&mut self, fields: &[String]) -> Result<(), TrainError> {
        let mut line = csv::Writer::from_writer(Vec::new());
        let text = line
            .write_record(fields)
            .map_err(std::io::Error::from)
            .and_then(|()| line.into_inner().map_err(|e| std::io::Error::other(e.to_string())));
        let text = text.map_err(|source| self.file.failed(source))?;
        self.file.append(&String::from_utf8_lossy(&text))
    }
}

impl Callback for CsvLogger {
    fn begin(&mut self, control: &mut Control<'_>) -> Result<(), TrainError> {
        self.file.begin(control.rank())
    }

    fn epoch_end(&mut self, record: &EpochRecord, _: &mut Control<'_>) -> Result<(), TrainError> {
        let named = record.values.iter().map(|(name, value)| (name.clone(), value.to_string()));
        let first = [("epoch".to_string(), record.epoch.to_string())];
        let last = [("seconds", record.seconds), ("samples_per_second", record.samples_per_second)];
        let last = last.into_iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let (names, values): (Vec<String>, Vec<String>) = first.into_iter().chain(named).chain(last).unzip();
        if record.epoch == 1 {
            self.write(&names)?;
        }
        self.write(&values)
    }

    fn state(&self) -> CallbackState {
        self.file.state()
    }

    fn load_state(&mut self, state: &CallbackState) -> Result<(), TrainError> {
        self.file.load_state(state)
    }
}
