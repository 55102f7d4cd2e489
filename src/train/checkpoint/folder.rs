//! The folder of a run's checkpoints: one run at a time, a file for each, the oldest removed.

use super::CheckpointError;
use crate::io::{IoError, TensorFile, check_destination, remove_leftovers, save_with_metadata};
use ir::Value;
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// How far a run has come: the epochs that are done, and the steps of the one under way. The order is that of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::train) struct RunPlace {
    pub(in crate::train) epochs: usize,
    pub(in crate::train) step: usize,
}

impl RunPlace {
    fn file_name(self) -> String {
        format!("epoch-{:05}-step-{:08}.safetensors", self.epochs, self.step)
    }

    /// Of a checkpoint's file; nothing for other files.
    fn of(name: &str) -> Option<Self> {
        let (epochs, step) = name.strip_prefix("epoch-")?.strip_suffix(".safetensors")?.split_once("-step-")?;
        let place = Self { epochs: epochs.parse().ok()?, step: step.parse().ok()? };
        (place.file_name() == name).then_some(place)
    }
}

/// The newest whole checkpoint, and those beyond it, newest first, that are damaged.
pub(super) struct Newest {
    pub(super) file: Option<TensorFile>,
    pub(super) damaged: Vec<IoError>,
}

/// A folder that this run alone writes to, as long as the value lives.
pub(super) struct CheckpointFolder {
    dir: PathBuf,
    keep: usize,
    /// The newest whole checkpoint.
    last: Option<PathBuf>,
    /// Damaged files, which the next checkpoint takes the place of.
    passed: Vec<PathBuf>,
    /// Locked; the system gives it free when the process ends, however it does.
    _lock: File,
}

impl CheckpointFolder {
    /// Makes the folder if there is none, and locks it. What a run that was killed has left half written is removed.
    pub(super) fn open(dir: &Path, keep: usize) -> Result<Self, CheckpointError> {
        let fail = |what| move |source| CheckpointError::Folder { dir: dir.into(), what, source };
        std::fs::create_dir_all(dir).map_err(fail("the folder for checkpoints could not be made"))?;
        let lock = File::create(dir.join(".lock")).map_err(fail("the folder for checkpoints can't be written to"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CheckpointError::Busy { dir: dir.into() }),
            // A file system without locks: the user sees to it that there is one run.
            Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(e)) => return Err(fail("the folder for checkpoints could not be locked")(e)),
        }
        remove_leftovers(dir).map_err(fail("a half written checkpoint could not be removed"))?;
        let write = |source| CheckpointError::Write { last: None, source };
        check_destination(dir.join(RunPlace { epochs: 0, step: 0 }.file_name())).map_err(write)?;
        Ok(Self { dir: dir.into(), keep, last: None, passed: Vec::new(), _lock: lock })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// All checkpoints, oldest first.
    pub(super) fn list(&self) -> Result<Vec<PathBuf>, CheckpointError> {
        let fail =
            |source| CheckpointError::Folder { dir: self.dir.clone(), what: "the folder could not be read", source };
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            if let Some(place) = path.file_name().and_then(|name| RunPlace::of(name.to_str()?)) {
                all.push((place, path));
            }
        }
        all.sort();
        Ok(all.into_iter().map(|(_, path)| path).collect())
    }

    /// Looks for the newest checkpoint whose checksum is right.
    pub(super) fn newest(&mut self) -> Result<Newest, CheckpointError> {
        let mut damaged = Vec::new();
        for path in self.list()?.into_iter().rev() {
            match whole(&path) {
                Ok(file) => {
                    self.last = Some(path);
                    return Ok(Newest { file: Some(file), damaged });
                }
                Err(error @ IoError::Malformed { .. }) => {
                    damaged.push(error);
                    self.passed.push(path);
                }
                Err(source) => return Err(CheckpointError::Read { source }),
            }
        }
        Ok(Newest { file: None, damaged })
    }

    /// Writes a checkpoint, and removes those that are too old and those that were found damaged.
    pub(super) fn save(
        &mut self,
        place: RunPlace,
        tensors: &BTreeMap<String, Value>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<(), CheckpointError> {
        let path = self.dir.join(place.file_name());
        let written = save_with_metadata(&path, tensors, metadata, true);
        written.map_err(|source| CheckpointError::Write { last: self.last.clone(), source })?;
        let passed = std::mem::take(&mut self.passed);
        passed.iter().filter(|old| **old != path).try_for_each(|old| self.remove(old))?;
        self.last = Some(path);
        let all = self.list()?;
        all.iter().take(all.len().saturating_sub(self.keep)).try_for_each(|old| self.remove(old))
    }

    fn remove(&self, path: &Path) -> Result<(), CheckpointError> {
        let what = "an old checkpoint could not be removed";
        let fail = |source| CheckpointError::Folder { dir: self.dir.clone(), what, source };
        match std::fs::remove_file(path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(fail(source)),
            _ => Ok(()),
        }
    }
}

/// A file with a checksum that is right.
fn whole(path: &Path) -> Result<TensorFile, IoError> {
    let file = TensorFile::open(path)?;
    match file.check_seal()? {
        true => Ok(file),
        false => {
            let what = "there is no checksum in the file".to_string();
            Err(IoError::Malformed { path: path.into(), offset: 8, what })
        }
    }
}
