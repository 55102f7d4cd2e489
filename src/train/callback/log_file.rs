//! The file of a callback that writes a line for each epoch.

use super::CallbackState;
use crate::train::TrainError;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// A file that is replaced when a run begins, and what has been written to it, which a checkpoint keeps.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: Option<File>,
    text: String,
}

impl LogFile {
    /// The file of that path, which is made when a run begins.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, text: String::new() }
    }

    /// Makes the file: at once, so that a wrong path shows before an epoch has been spent. Nothing is written by other ranks than 0.
    pub(super) fn begin(&mut self, rank: usize) -> Result<(), TrainError> {
        self.text.clear();
        if rank != 0 {
            return Ok(());
        }
        let created = File::create(&self.path);
        self.file = Some(created.map_err(|source| self.failed(source))?);
        Ok(())
    }

    /// Writes on.
    pub(super) fn append(&mut self, text: &str) -> Result<(), TrainError> {
        let written = self.file.as_mut().map_or(Ok(()), |file| file.write_all(text.as_bytes()));
        self.text.push_str(text);
        written.map_err(|source| self.failed(source))
    }

    /// The error of what couldn't be written.
    pub(super) fn failed(&self, source: std::io::Error) -> TrainError {
        TrainError::Log { path: self.path.clone(), source }
    }

    /// What has been written, for a checkpoint.
    pub(super) fn state(&self) -> CallbackState {
        let mut state = CallbackState::default();
        state.set_text("lines", &self.text);
        state
    }

    /// Writes what a checkpoint has once more.
    pub(super) fn load_state(&mut self, state: &CallbackState) -> Result<(), TrainError> {
        self.append(state.text("lines").unwrap_or_default())
    }
}
