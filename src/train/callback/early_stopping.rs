//! Stops when nothing improves any more.

use super::{Callback, CallbackState, Control, Mode, Monitor};
use crate::train::{EpochRecord, TrainError};
use ir::Value;
use std::collections::BTreeMap;

/// Ends training once a value hasn't improved for `patience` epochs, and puts the weights of the best epoch back if asked to.
#[derive(Clone, Debug)]
pub struct EarlyStopping {
    monitor: Monitor,
    patience: usize,
    restore: bool,
    best: Option<BTreeMap<String, Value>>,
}

impl EarlyStopping {
    /// Watches a value: `val_loss`, `val_accuracy`. With a patience of 1.
    pub fn new(monitor: impl Into<String>) -> Self {
        Self { monitor: Monitor::new(monitor), patience: 1, restore: false, best: None }
    }

    /// How many epochs without improvement end the training; at least 1.
    pub fn patience(self, epochs: usize) -> Self {
        Self { patience: epochs.max(1), ..self }
    }

    /// Changes up to this size are no improvement.
    pub fn min_delta(self, min_delta: f64) -> Self {
        Self { monitor: self.monitor.min_delta(min_delta), ..self }
    }

    /// Which way is better, if not the metric's own.
    pub fn mode(self, mode: Mode) -> Self {
        Self { monitor: self.monitor.mode(mode), ..self }
    }

    /// At the end, the weights become those of the best epoch, whether it stopped early or not.
    pub fn restore_best(self) -> Self {
        Self { restore: true, ..self }
    }

    /// The best value and its epoch.
    pub fn best(&self) -> Option<(f64, usize)> {
        self.monitor.best()
    }
}

impl Callback for EarlyStopping {
    fn begin(&mut self, control: &mut Control<'_>) -> Result<(), TrainError> {
        self.monitor.check(control.measured())
    }

    fn epoch_end(&mut self, record: &EpochRecord, control: &mut Control<'_>) -> Result<(), TrainError> {
        if self.monitor.update(record)? {
            if self.restore {
                self.best = Some(control.trainer().weights()?);
            }
        } else if self.monitor.epochs_without_improvement() >= self.patience {
            let (name, epochs) = (self.monitor.name(), self.patience);
            control.stop(format!("Early stopping: {name} has not improved for {epochs} epochs"));
        }
        Ok(())
    }

    fn end(&mut self, control: &mut Control<'_>) -> Result<(), TrainError> {
        match self.best.take() {
            Some(weights) => control.trainer().set_weights(weights),
            None => Ok(()),
        }
    }

    fn state(&self) -> CallbackState {
        let mut state = self.monitor.state();
        for (name, weight) in self.best.iter().flatten() {
            state.set_tensor(name, weight.clone());
        }
        state
    }

    fn load_state(&mut self, state: &CallbackState) -> Result<(), TrainError> {
        self.monitor.load_state(state);
        self.best = (!state.tensors().is_empty()).then(|| state.tensors().clone());
        Ok(())
    }
}
