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
    /// `None` if it hasn't been said and the name doesn't tell.
    mode: Option<Mode>,
    min_delta: f64,
    best: Option<(f64, usize)>,
    since: usize,
}

impl Monitor {
    /// Of a value's name, `val_loss` for instance. Losses and errors are better when smaller, accuracies and other scores when larger, by the
    /// names that are usual for them (`mse`, `f1`, `auc`); for any other name [`Self::mode`] has to say it.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { mode: usual_mode(&name), name, min_delta: 0.0, best: None, since: 0 }
    }

    /// With that direction.
    pub fn mode(self, mode: Mode) -> Self {
        Self { mode: Some(mode), ..self }
    }

    /// Checks before the first epoch that what is watched will be measured, and that it is known which way is better.
    ///
    /// # Errors
    /// If one of the two doesn't hold.
    pub fn check(&self, measured: &[String]) -> Result<(), TrainError> {
        if !measured.contains(&self.name) {
            return Err(TrainError::Monitor { name: self.name.clone(), known: measured.to_vec() });
        }
        self.direction().map(drop)
    }

    fn direction(&self) -> Result<Mode, TrainError> {
        self.mode.ok_or_else(|| TrainError::Mode { name: self.name.clone() })
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
    /// If the value isn't measured, or it isn't known which way is better.
    pub fn update(&mut self, record: &EpochRecord) -> Result<bool, TrainError> {
        let Some(value) = record.get(&self.name) else {
            let known = record.values.iter().map(|(name, _)| name.clone()).collect();
            return Err(TrainError::Monitor { name: self.name.clone(), known });
        };
        // A NaN is never better.
        let better = match (self.best, self.direction()?) {
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

/// Last parts of names that are better when smaller.
const SMALLER: [&str; 10] =
    ["loss", "error", "mse", "mae", "rmse", "mape", "msle", "perplexity", "crossentropy", "divergence"];
/// Last parts of names that are better when larger.
const LARGER: [&str; 12] =
    ["accuracy", "acc", "auc", "f1", "score", "precision", "recall", "iou", "dice", "r2", "correlation", "bleu"];

/// Which way is better, by the last part of a name: that of `val_accuracy` is `accuracy`.
fn usual_mode(name: &str) -> Option<Mode> {
    let name = name.to_lowercase();
    let last = name.rsplit(['_', '/', ' ']).next().unwrap_or_default();
    let modes = [(SMALLER.as_slice(), Mode::Min), (LARGER.as_slice(), Mode::Max)];
    modes.into_iter().find(|(names, _)| names.contains(&last)).map(|(_, mode)| mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_better_when_larger_and_unknown_names_have_to_be_told() {
        for (name, mode) in [
            ("f1", Mode::Max),
            ("val_f1_score", Mode::Max),
            ("val_auc", Mode::Max),
            ("loss", Mode::Min),
            ("val_mae", Mode::Min),
            ("top_5_accuracy", Mode::Max),
            ("RMSE", Mode::Min),
        ] {
            assert_eq!(Monitor::new(name).direction().unwrap(), mode, "{name}");
        }
        let measured = ["loss".to_string(), "hits".to_string()];
        let error = Monitor::new("hits").check(&measured).unwrap_err().to_string();
        assert!(error.contains("`hits`") && error.contains("mode"), "{error}");
        Monitor::new("hits").mode(Mode::Max).check(&measured).unwrap();
        assert!(matches!(Monitor::new("val_loss").check(&measured), Err(TrainError::Monitor { .. })));
    }

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
