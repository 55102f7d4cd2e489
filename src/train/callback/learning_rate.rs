//! Changes the learning rate between epochs. Nothing is compiled anew: the rate is a state of the program.

use super::{Callback, CallbackState, Control, Mode, Monitor};
use crate::train::{EpochRecord, TrainError};

/// The learning rate as a function of the epoch, from 1, and the rate so far; each, if the optimizer's groups have several. (An optimizer's own schedule changes it step by step.) A checkpoint
/// holds the rates, but not what the function may remember.
pub struct LearningRateSchedule<F> {
    rate: F,
}

impl<F: FnMut(usize, f64) -> f64> LearningRateSchedule<F> {
    /// `rate(epoch, rate so far)`.
    pub fn new(rate: F) -> Self {
        Self { rate }
    }
}

impl<F: FnMut(usize, f64) -> f64> Callback for LearningRateSchedule<F> {
    fn epoch_begin(&mut self, epoch: usize, control: &mut Control<'_>) -> Result<(), TrainError> {
        let trainer = control.trainer();
        for (name, so_far) in trainer.learning_rates()? {
            trainer.set_learning_rate_of(&name, (self.rate)(epoch, so_far))?;
        }
        Ok(())
    }

    fn epoch_end(&mut self, _: &EpochRecord, _: &mut Control<'_>) -> Result<(), TrainError> {
        Ok(())
    }
}

/// Multiplies the learning rate with a factor when a value hasn't improved for some epochs; each, if the optimizer's groups have several.
#[derive(Clone, Debug)]
pub struct ReduceLrOnPlateau {
    monitor: Monitor,
    factor: f64,
    patience: usize,
    min_lr: f64,
}

impl ReduceLrOnPlateau {
    /// Watches a value: `val_loss`, `val_accuracy`. A factor of 0.1, a patience of 10 epochs.
    pub fn new(monitor: impl Into<String>) -> Self {
        Self { monitor: Monitor::new(monitor), factor: 0.1, patience: 10, min_lr: 0.0 }
    }

    /// What the rate is multiplied with.
    pub fn factor(self, factor: f64) -> Self {
        Self { factor, ..self }
    }

    /// How many epochs without improvement it takes; at least 1.
    pub fn patience(self, epochs: usize) -> Self {
        Self { patience: epochs.max(1), ..self }
    }

    /// The rate never falls below this.
    pub fn min_lr(self, min_lr: f64) -> Self {
        Self { min_lr, ..self }
    }

    /// Changes up to this size are no improvement.
    pub fn min_delta(self, min_delta: f64) -> Self {
        Self { monitor: self.monitor.min_delta(min_delta), ..self }
    }

    /// Which way is better, if not the metric's own.
    pub fn mode(self, mode: Mode) -> Self {
        Self { monitor: self.monitor.mode(mode), ..self }
    }
}

impl Callback for ReduceLrOnPlateau {
    fn begin(&mut self, control: &mut Control<'_>) -> Result<(), TrainError> {
        for (name, value) in [("factor", self.factor), ("min_lr", self.min_lr)] {
            if !(value >= 0.0 && value.is_finite()) {
                let rule = format!("ReduceLrOnPlateau: {name} must be finite and at least 0, not {value}");
                return Err(TrainError::Setting(rule));
            }
        }
        self.monitor.check(control.measured())
    }

    fn epoch_end(&mut self, record: &EpochRecord, control: &mut Control<'_>) -> Result<(), TrainError> {
        if !self.monitor.update(record)? && self.monitor.epochs_without_improvement() >= self.patience {
            self.monitor.restart();
            let trainer = control.trainer();
            for (name, rate) in trainer.learning_rates()? {
                // A rate that is below the floor already stays.
                trainer.set_learning_rate_of(&name, (rate * self.factor).max(self.min_lr.min(rate)))?;
            }
        }
        Ok(())
    }

    fn state(&self) -> CallbackState {
        self.monitor.state()
    }

    fn load_state(&mut self, state: &CallbackState) -> Result<(), TrainError> {
        self.monitor.load_state(state);
        Ok(())
    }
}
