//! What training measured, epoch by epoch.

use std::path::PathBuf;

/// One epoch.
#[derive(Clone, PartialEq, Debug)]
pub struct EpochRecord {
    /// The epoch, from 1.
    pub epoch: usize,
    /// `loss` and each metric, means over the epoch's training samples; the same as `val_...` of the validation data; `lr`, the learning
    /// rate of the epoch's last step.
    pub values: Vec<(String, f64)>,
    /// How long it took, validation included, in seconds.
    pub seconds: f64,
    /// Training samples per second, validation not included.
    pub samples_per_second: f64,
}

impl EpochRecord {
    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }
}

/// All epochs of a call of `fit`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct History {
    /// The epochs, in order.
    pub epochs: Vec<EpochRecord>,
    /// Why it ended before the last epoch that was asked for.
    pub stopped: Option<String>,
    /// The checkpoint that the run went on from, if it did: epochs before it are those of the process that wrote it.
    pub resumed: Option<PathBuf>,
}

impl History {
    /// The values of that name, epoch by epoch; epochs without one are left out.
    pub fn get(&self, name: &str) -> Vec<f64> {
        self.epochs.iter().filter_map(|epoch| epoch.get(name)).collect()
    }

    /// The last epoch's value of that name.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.epochs.last().and_then(|epoch| epoch.get(name))
    }
}
