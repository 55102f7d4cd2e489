//! What happens between epochs and steps: stopping early, saving the best, changing the learning rate, logging.

mod checkpoint;
mod csv_logger;
mod early_stopping;
mod json_logger;
mod layer_statistics;
mod learning_rate;
mod log_file;
mod monitor;
mod state;
#[cfg(feature = "tensorboard")]
mod tensorboard;
#[cfg(test)]
mod tests;

pub use crate::nn::metric::Mode;
pub use checkpoint::ModelCheckpoint;
pub use csv_logger::CsvLogger;
pub use early_stopping::EarlyStopping;
pub use json_logger::JsonLogger;
pub use layer_statistics::{LayerStatistics, StatisticsRecord};
pub use learning_rate::{LearningRateSchedule, ReduceLrOnPlateau};
pub use monitor::Monitor;
pub use state::CallbackState;
#[cfg(feature = "tensorboard")]
pub use tensorboard::TensorBoard;

use super::{EpochRecord, Measured, StepLogs, TrainError, Trainer};

/// Something to do between epochs, or between steps. A `&mut` of a callback is one too, for a look at it after training.
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

    /// Before a step of training.
    ///
    /// # Errors
    /// What ends the training.
    fn batch_begin(&mut self, at: StepPlace, control: &mut Control<'_>) -> Result<(), TrainError> {
        let _ = (at, control);
        Ok(())
    }

    /// After a step of training: [`Control::logs`] has its loss, and what the epoch has measured so far.
    ///
    /// ```
    /// use gradc::data::array;
    /// use gradc::prelude::*;
    /// use gradc::train::callback::StepPlace;
    /// use gradc::train::{Callback, Control, EpochRecord};
    /// /// Ends the training as soon as it is good enough.
    /// struct Until(f64);
    /// impl Callback for Until {
    ///     fn batch_end(&mut self, at: StepPlace, control: &mut Control<'_>) -> Result<(), TrainError> {
    ///         if control.logs().loss() < self.0 {
    ///             control.stop(format!("good enough at step {} of epoch {}", at.step, at.epoch));
    ///         }
    ///         Ok(())
    ///     }
    ///     fn epoch_end(&mut self, _: &EpochRecord, _: &mut Control<'_>) -> Result<(), TrainError> {
    ///         Ok(())
    ///     }
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let data = Dataset::new(array([2, 1], vec![0.0f32, 1.0])?, array([2, 1], vec![1.0f32, 3.0])?)?;
    /// let mut trainer = Sequential::new([1]).dense(1).compile(Sgd::new(0.3), MeanSquaredError, [])?;
    /// let history = trainer.fit(&data, Fit::epochs(500).callback(Until(1e-3)).silent())?;
    /// assert!(history.stopped.unwrap().starts_with("good enough at step 1 of epoch"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What ends the training.
    fn batch_end(&mut self, at: StepPlace, control: &mut Control<'_>) -> Result<(), TrainError> {
        let _ = (at, control);
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

    /// What it has to remember when a run goes on from a checkpoint (see [`Fit::checkpoints`](super::Fit::checkpoints)); nothing, unless it says so. The learning rate, weights and whatever else are states
    /// of the trainer are in the checkpoint anyway. Called after [`Self::batch_end`] or [`Self::epoch_end`] of all callbacks.
    ///
    /// ```
    /// use gradc::train::callback::CallbackState;
    /// use gradc::train::{Callback, Control, EpochRecord, TrainError};
    /// /// Counts epochs whose loss was below 1.
    /// #[derive(Default)]
    /// struct GoodEpochs(u32);
    /// impl Callback for GoodEpochs {
    ///     fn epoch_end(&mut self, record: &EpochRecord, _: &mut Control<'_>) -> Result<(), TrainError> {
    ///         self.0 += u32::from(record.get("loss").is_some_and(|loss| loss < 1.0));
    ///         Ok(())
    ///     }
    ///     fn state(&self) -> CallbackState {
    ///         let mut state = CallbackState::default();
    ///         state.set_number("good", self.0.into());
    ///         state
    ///     }
    ///     fn load_state(&mut self, state: &CallbackState) -> Result<(), TrainError> {
    ///         self.0 = state.number("good").unwrap_or(0.0) as u32;
    ///         Ok(())
    ///     }
    /// }
    /// let mut resumed = GoodEpochs::default();
    /// resumed.load_state(&GoodEpochs(7).state())?;
    /// assert_eq!(resumed.0, 7);
    /// # Ok::<(), TrainError>(())
    /// ```
    fn state(&self) -> CallbackState {
        CallbackState::default()
    }

    /// Remembers what [`Self::state`] gave. Called after [`Self::begin`], and before anything else; [`Self::epoch_begin`] isn't called again for an epoch that had begun.
    ///
    /// # Errors
    /// What ends the training.
    fn load_state(&mut self, state: &CallbackState) -> Result<(), TrainError> {
        let _ = state;
        Ok(())
    }

    /// By which a checkpoint knows the callback again; the type's name.
    fn name(&self) -> String {
        let name = std::any::type_name::<Self>();
        let name = name.split('<').next().unwrap_or(name);
        name.rsplit("::").next().unwrap_or(name).into()
    }
}

impl<C: Callback + ?Sized> Callback for &mut C {
    fn begin(&mut self, control: &mut Control<'_>) -> Result<(), TrainError> {
        (**self).begin(control)
    }

    fn epoch_begin(&mut self, epoch: usize, control: &mut Control<'_>) -> Result<(), TrainError> {
        (**self).epoch_begin(epoch, control)
    }

    fn batch_begin(&mut self, at: StepPlace, control: &mut Control<'_>) -> Result<(), TrainError> {
        (**self).batch_begin(at, control)
    }

    fn batch_end(&mut self, at: StepPlace, control: &mut Control<'_>) -> Result<(), TrainError> {
        (**self).batch_end(at, control)
    }

    fn epoch_end(&mut self, record: &EpochRecord, control: &mut Control<'_>) -> Result<(), TrainError> {
        (**self).epoch_end(record, control)
    }

    fn end(&mut self, control: &mut Control<'_>) -> Result<(), TrainError> {
        (**self).end(control)
    }

    fn state(&self) -> CallbackState {
        (**self).state()
    }

    fn load_state(&mut self, state: &CallbackState) -> Result<(), TrainError> {
        (**self).load_state(state)
    }

    fn name(&self) -> String {
        (**self).name()
    }
}

/// Which step of a training it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StepPlace {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The step within the epoch, from 1.
    pub step: usize,
}

/// What a callback can do.
pub struct Control<'a> {
    pub(super) trainer: &'a mut Trainer,
    pub(super) stopped: &'a mut Option<String>,
    pub(super) measured: &'a [Measured],
    pub(super) rank: usize,
}

impl Control<'_> {
    /// What each epoch measures: `loss`, the metrics, the same with `val_` if there are validation data, `lr`.
    pub fn measured(&self) -> &[Measured] {
        self.measured
    }

    /// Which of several processes this is, from 0 (see [`Fit::parallel`](super::Fit::parallel)). Callbacks are called in all of them, with the same numbers; one that writes a file does so at rank 0
    /// alone.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The loss of the last step, and what the steps of this epoch have measured so far.
    pub fn logs(&self) -> StepLogs<'_> {
        self.trainer.logs()
    }

    /// The trainer, with its weights and its learning rates: to read or set them, to save weights or a checkpoint.
    pub fn trainer(&mut self) -> &mut Trainer {
        self.trainer
    }

    /// Ends the training after this epoch, for a reason that is shown; asked for before or after a step, after that step: the epoch is evaluated and told of then, as far as it has come.
    pub fn stop(&mut self, reason: impl Into<String>) {
        *self.stopped = Some(reason.into());
    }
}
