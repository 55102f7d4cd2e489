//! What can go wrong with the checkpoints of a run.

use crate::io::IoError;
use std::path::PathBuf;

/// Why a run's checkpoint could not be written, or the run can't go on from one.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A checkpoint could not be written: a full disk, a folder that may not be written to. Those before it are as they were.
    #[error(
        "no checkpoint could be written, {}: {source}: make room, or let the folder be written to, and fit again with `resume`",
        stands(last)
    )]
    Write {
        /// The newest whole checkpoint, from which a run can go on.
        last: Option<PathBuf>,
        /// What failed.
        source: IoError,
    },
    /// The folder can't be used.
    #[error("{}: {what}: {source}", dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another run uses the folder at this moment.
    #[error("{}: another run writes its checkpoints there: wait for its end, or give this one another folder", dir.display())]
    Busy {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder has checkpoints, and the run was not to go on from them.
    #[error(
        "{}: there are checkpoints of a run already: `Fit::resume` goes on from the newest, a new run needs another folder", dir.display()
    )]
    Taken {
        /// The folder.
        dir: PathBuf,
    },
    /// There are checkpoints, and none of them is whole.
    #[error("{}: none of {count} checkpoints is whole: remove them to begin anew; the newest is damaged: {source}", dir.display())]
    Damaged {
        /// The folder.
        dir: PathBuf,
        /// How many there are.
        count: usize,
        /// What is wrong with the newest.
        source: IoError,
    },
    /// A checkpoint could not be read, though it may be whole.
    #[error("the newest checkpoint can't be read: {source}")]
    Read {
        /// What failed.
        source: IoError,
    },
    /// The checkpoint was made with another setting.
    #[error("{}: {what} is {found} in the checkpoint and {expected} in this run: set it as it was, or begin anew in another folder", path.display())]
    Setting {
        /// The checkpoint.
        path: PathBuf,
        /// Which setting.
        what: String,
        /// What the checkpoint has.
        found: String,
        /// What the run has.
        expected: String,
    },
    /// The checkpoint has other states: it is of another model.
    #[error(
        "the checkpoint is of another model: {source}: compile the model that it was made with, or begin anew in another folder"
    )]
    Model {
        /// Which states differ.
        source: IoError,
    },
    /// The checkpoint is whole, but what it says of the run makes no sense.
    #[error("{}: {what}: this is no checkpoint of a run as gradc writes it", path.display())]
    Record {
        /// The checkpoint.
        path: PathBuf,
        /// The rule that is broken.
        what: String,
    },
    /// The data don't give the batches again that the run has seen before the checkpoint.
    #[error(
        "{}: batch {batch} of epoch {epoch} isn't the one that the run saw: data must give the same samples again in each run, or `every_steps` be left out", path.display()
    )]
    Data {
        /// The checkpoint.
        path: PathBuf,
        /// The epoch, from 1.
        epoch: usize,
        /// The batch, from 1.
        batch: usize,
    },
    /// The run has come farther than it is to go.
    #[error("{}: it is of epoch {epoch}, but the run is to have {epochs} epochs", path.display())]
    Farther {
        /// The checkpoint.
        path: PathBuf,
        /// Its epoch, from 1.
        epoch: usize,
        /// How many epochs were asked for.
        epochs: usize,
    },
}

/// What there is to go on from.
fn stands(last: &Option<PathBuf>) -> String {
    match last {
        Some(path) => format!("{} stands", path.display()),
        None => "and there is none before it".into(),
    }
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for CheckpointError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
