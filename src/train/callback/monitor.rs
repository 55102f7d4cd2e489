//! Watching a value: whether it has got better.

use super::{CallbackState, Mode};
use crate::train::{EpochRecord, Measured, TrainError};

/// The names under which a monitor remembers.
const BEST: &str = "monitor/best";
const EPOCH: &str = "monitor/epoch";
const SINCE: &str = "monitor/since";

/// The best value so far of something that is measured each epoch.
#[derive(Clone, PartialEq, Debug)]
pub struct Monitor {
    name: String,
    /// Which way is better, as the user says.
    told: Option<Mode>,
    /// Which way is better, as what is watched says.
    own: Option<Mode>,
    min_delta: f64,
    best: Option<(f64, usize)>,
    since: usize,
}

impl Monitor {
    /// Of a value's name, `val_loss` for instance. Which way is better is the metric's own ([`crate::nn::metric::StatefulMetric::mode`]), down for losses; of a value without one, `lr` for
    /// instance, [`Self::mode`] has to say it.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), told: None, own: None, min_delta: 0.0, best: None, since: 0 }
    }

    /// With that direction, whatever the metric's own is.
    pub fn mode(self, mode: Mode) -> Self {
        Self { told: Some(mode), ..self }
    }

    /// Checks before the first epoch that what is watched will be measured, and learns which way is better.
    ///
    /// # Errors
    /// If nothing of that name is measured, or it isn't known which way is better.
    pub fn check(&mut self, measured: &[Measured]) -> Result<(), TrainError> {
        let Some(watched) = measured.iter().find(|measured| measured.name == self.name) else {
            let known = measured.iter().map(|measured| measured.name.clone()).collect();
            return Err(TrainError::Monitor { name: self.name.clone(), known });
        };
        self.own = watched.mode;
        self.direction().map(drop)
    }

    fn direction(&self) -> Result<Mode, TrainError> {
        self.told.or(self.own).ok_or_else(|| TrainError::Mode { name: self.name.clone() })
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

    /// What it remembers, for [`super::Callback::state`]: the best value, its epoch, the epochs without improvement.
    pub fn state(&self) -> CallbackState {
        let mut state = CallbackState::default();
        state.set_number(SINCE, self.since as f64);
        if let Some((best, epoch)) = self.best {
            state.set_number(BEST, best);
            state.set_number(EPOCH, epoch as f64);
        }
        state
    }

    /// Remembers what [`Self::state`] gave.
    pub fn load_state(&mut self, state: &CallbackState) {
        self.since = state.number(SINCE).unwrap_or(0.0) as usize;
        self.best = state.number(BEST).map(|best| (best, state.number(EPOCH).unwrap_or(0.0) as usize));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(name: &str, mode: Option<Mode>) -> Measured {
        Measured { name: name.into(), mode, in_percent: false }
    }

    /// A monitor of something that is measured with that direction of its own.
    fn of(name: &str, mode: Mode) -> Monitor {
        let mut monitor = Monitor::new(name);
        monitor.check(&[measured(name, Some(mode))]).unwrap();
        monitor
    }

    #[test]
    fn the_direction_is_the_metrics_own_unless_told() {
        assert_eq!(of("loss_of_sight", Mode::Max).direction().unwrap(), Mode::Max);
        assert_eq!(of("f1", Mode::Min).mode(Mode::Max).direction().unwrap(), Mode::Max);
        let all = [measured("loss", Some(Mode::Min)), measured("lr", None)];
        let error = Monitor::new("lr").check(&all).unwrap_err().to_string();
        assert!(error.contains("`lr`") && error.contains("mode"), "{error}");
        Monitor::new("lr").mode(Mode::Max).check(&all).unwrap();
        let error = Monitor::new("val_loss").check(&all).unwrap_err().to_string();
        assert_eq!(error, "a callback watches `val_loss`, which isn't measured; there are loss, lr");
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
        let mut loss = of("val_loss", Mode::Min);
        assert_eq!(feed(&mut loss, &[1.0, 0.5, 0.6, f64::NAN, 0.4]), [true, true, false, false, true]);
        assert_eq!(loss.best(), Some((0.4, 5)));
        let mut accuracy = of("val_accuracy", Mode::Max).min_delta(0.05);
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
