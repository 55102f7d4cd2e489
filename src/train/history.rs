//! What training measured, epoch by epoch.

use super::TrainError;
use crate::io::write_atomically;
use serde_json::Value;
use std::path::{Path, PathBuf};

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
    /// A line of JSON: an object with `epoch`, the values by name, `seconds`, `samples_per_second`. A number that isn't finite is `null`.
    pub(super) fn to_json(&self) -> String {
        let rest = [("seconds", self.seconds), ("samples_per_second", self.samples_per_second)];
        let values = self.values.iter().map(|(name, value)| (name.as_str(), *value)).chain(rest);
        // In this order: a map of JSON would have the names in another one.
        let field = |(name, value): (&str, f64)| format!(",{}:{}", Value::from(name), Value::from(value));
        format!("{{\"epoch\":{}{}}}\n", self.epoch, values.map(field).collect::<String>())
    }

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

    /// Writes a line of CSV for each epoch, after one with the names: `epoch`, what the first epoch measured, `seconds`, `samples_per_second`. (A
    /// [`CsvLogger`](super::callback::CsvLogger) writes the same while the training runs.)
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn save_csv(&self, path: impl AsRef<Path>) -> Result<(), TrainError> {
        let path = path.as_ref();
        let failed = |source: std::io::Error| TrainError::Log { path: path.into(), source };
        let mut lines = csv::Writer::from_writer(Vec::new());
        let names: Vec<&str> = self
            .epochs
            .first()
            .map_or_else(Vec::new, |first| first.values.iter().map(|(name, _)| name.as_str()).collect());
        let header = ["epoch"].into_iter().chain(names.iter().copied()).chain(["seconds", "samples_per_second"]);
        lines.write_record(header).map_err(|e| failed(e.into()))?;
        for record in &self.epochs {
            let value = |name: &&str| record.get(name).map_or_else(String::new, |value| value.to_string());
            let rest = [record.seconds.to_string(), record.samples_per_second.to_string()];
            let line = [record.epoch.to_string()].into_iter().chain(names.iter().map(value)).chain(rest);
            lines.write_record(line).map_err(|e| failed(e.into()))?;
        }
        let text = lines.into_inner().map_err(|e| failed(std::io::Error::other(e.to_string())))?;
        Ok(write_atomically(path, &text)?)
    }

    /// Writes a line of JSON for each epoch, as a [`JsonLogger`](super::callback::JsonLogger) does while the training runs.
    ///
    /// ```
    /// use gradc::data::array;
    /// use gradc::prelude::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let data = Dataset::new(array([2, 1], vec![0.0f32, 1.0])?, array([2, 1], vec![1.0f32, 3.0])?)?;
    /// let mut trainer = Sequential::new([1]).dense(1).compile(Sgd::new(0.1), MeanSquaredError, [])?;
    /// let history = trainer.fit(&data, Fit::epochs(2).silent())?;
    /// let path = tempfile::tempdir()?.keep().join("history.jsonl");
    /// history.save_jsonl(&path)?;
    /// assert!(std::fs::read_to_string(&path)?.starts_with("{\"epoch\":1,"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn save_jsonl(&self, path: impl AsRef<Path>) -> Result<(), TrainError> {
        let text: String = self.epochs.iter().map(EpochRecord::to_json).collect();
        Ok(write_atomically(path, text.as_bytes())?)
    }

    /// The last epoch's value of that name.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.epochs.last().and_then(|epoch| epoch.get(name))
    }
}
