//! Watching a value: whether it has got better.

use crate::train::{EpochRecord, TrainError};

/// Which way is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Down: a loss, an error.
    Min,
    /// Up: an accuracy.
    Max,
}

/// The best value so far of something that is measured each epoch.
#[derive(Clone, PartialEq, Debug)]
pub struct Monitor {
    name: String,
    mode: Mode,
    min_delta: f64,
    best: Option<(f64, usize)>,
    since: usize,
}

impl Monitor {
    /// Of a value's name, `val_loss` for instance. Accuracies are better when larger, everything else when smaller.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let mode = if name.ends_with("accuracy") { Mode::Max } else { Mode::Min };
        Self { name, mode, min_delta: 0.0, best: None, since: 0 }
    }

    /// With another direction.
    pub fn mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Changes up to this size are no improvement.
    pub fn min_delta(self, min_delta: f64) -> Self {
        Self { min_delta, ..self }
    }

    /// The value's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The best value and its epoch.
    pub fn best(&self) -> Option<(f64, usize)> {
        self.best
    }

    /// How many epochs have brought no improvement since the last that did, or since [`Self::restart`].
    pub fn epochs_without_improvement(&self) -> usize {
        self.since
    }

    /// Starts counting epochs without improvement anew.
    pub fn restart(&mut self) {
        self.since = 0;
    }

    /// Takes an epoch's value in. True if it is the best so far.
    ///
    /// # Errors
    /// If the value isn't measured.
    pub fn update(&mut self, record: &EpochRecord) -> Result<bool, TrainError> {
        let Some(value) = record.get(&self.name) else {
            let known = record.values.iter().map(|(name, _)| name.clone()).collect();
            return Err(TrainError::Monitor { name: self.name.clone(), known });
        };
        // A NaN is never better.
        let better = match (self.best, self.mode) {
            (None, _) => !value.is_nan(),
            (Some((best, _)), Mode::Min) => value < best - self.min_delta,
            (Some((best, _)), Mode::Max) => value > best + self.min_delta,
        };
        if better {
            self.best = Some((value, record.epoch));
            self.since = 0;
        } else {
            self.since += 1;
        }
        Ok(better)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(monitor: &mut Monitor, values: &[f64]) -> Vec<bool> {
        let record = |(i, v): (usize, &f64)| EpochRecord {
            epoch: i + 1,
            values: vec![(monitor.name().to_string(), *v)],
            seconds: 0.0,
            samples_per_second: 0.0,
        };
        let records: Vec<EpochRecord> = values.iter().enumerate().map(record).collect();
        records.iter().map(|r| monitor.update(r).unwrap()).collect()
    }

    #[test]
    fn better_is_down_for_losses_and_up_for_accuracies() {
        let mut loss = Monitor::new("val_loss");
        assert_eq!(feed(&mut loss, &[1.0, 0.5, 0.6, f64::NAN, 0.4]), [true, true, false, false, true]);
        assert_eq!(loss.best(), Some((0.4, 5)));
        let mut accuracy = Monitor::new("val_accuracy").min_delta(0.05);
        assert_eq!(feed(&mut accuracy, &[0.5, 0.52, 0.6, 0.1]), [true, false, true, false]);
        assert_eq!(accuracy.epochs_without_improvement(), 1);
    }

    #[test]
    fn what_is_not_measured_is_named() {
        let record =
            EpochRecord { epoch: 1, values: vec![("loss".into(), 1.0)], seconds: 0.0, samples_per_second: 0.0 };
        let error = Monitor::new("val_loss").update(&record).unwrap_err().to_string();
        assert_eq!(error, "a callback watches `val_loss`, which isn't measured; there are loss");
    }
}
