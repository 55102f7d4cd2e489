//! What happens between epochs: stopping early, saving the best, changing the learning rate, logging.

mod checkpoint;
mod csv_logger;
mod early_stopping;
mod learning_rate;
mod monitor;
#[cfg(test)]
mod tests;

pub use crate::nn::metric::Mode;
pub use checkpoint::ModelCheckpoint;
pub use csv_logger::CsvLogger;
pub use early_stopping::EarlyStopping;
pub use learning_rate::{LearningRateSchedule, ReduceLrOnPlateau};
pub use monitor::Monitor;

use super::{EpochRecord, Measured, TrainError, Trainer};

/// Something to do between epochs. A `&mut` of a callback is one too, for a look at it after training.
pub trait Callback {
    /// Before the first epoch.
    ///
    /// # Errors
    /// What ends the training.
    fn begin(&mut self, control: &mut Control<'_>) -> Result<(), TrainError> {
        let _ = control;
        Ok(())
    }

    /// Before an epoch, counted from 1.
    ///
    /// # Errors
    /// What ends the training.
    fn epoch_begin(&mut self, epoch: usize, control: &mut Control<'_>) -> Result<(), TrainError> {
        let _ = (epoch, control);
        Ok(())
    }

    /// After an epoch, validation included.
    ///
    /// # Errors
    /// What ends the training.
    fn epoch_end(&mut self, record: &EpochRecord, control: &mut Control<'_>) -> Result<(), TrainError>;

    /// After the last epoch, also when an epoch failed: `fit` returns that failure then.
    ///
    /// # Errors
    /// What `fit` is to return.
    fn end(&mut self, control: &mut Control<'_>) -> Result<(), TrainError> {
        let _ = control;
        Ok(())
    }
}

impl<C: Callback + ?Sized> Callback for &mut C {
    fn begin(&mut self, control: &mut Control<'_>) -> Result<(), TrainError> {
        (**self).begin(control)
    }

    fn epoch_begin(&mut self, epoch: usize, control: &mut Control<'_>) -> Result<(), TrainError> {
        (**self).epoch_begin(epoch, control)
    }

    fn epoch_end(&mut self, record: &EpochRecord, control: &mut Control<'_>) -> Result<(), TrainError> {
        (**self).epoch_end(record, control)
    }

    fn end(&mut self, control: &mut Control<'_>) -> Result<(), TrainError> {
        (**self).end(control)
    }
}

/// What a callback can do.
pub struct Control<'a> {
    pub(super) trainer: &'a mut Trainer,
    pub(super) stopped: &'a mut Option<String>,
    pub(super) measured: &'a [Measured],
}

impl Control<'_> {
    /// What each epoch measures: `loss`, the metrics, the same with `val_` if there are validation data, `lr`.
    pub fn measured(&self) -> &[Measured] {
        self.measured
    }

    /// The trainer, with its weights and its learning rate.
    pub fn trainer(&mut self) -> &mut Trainer {
        self.trainer
    }

    /// Ends the training after this epoch, for a reason that is shown.
    pub fn stop(&mut self, reason: impl Into<String>) {
        *self.stopped = Some(reason.into());
    }
}
