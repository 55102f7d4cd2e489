//! Loops of one's own, in several processes.

use super::agree::{check_alike, share_states};
use super::step::{OwnPart, PartWeight};
use crate::data::{Samples, Source};
use crate::parallel::Communicator;
use crate::train::evaluation::Totals;
use crate::train::programs::Purpose;
use crate::train::run::model_settings;
use crate::train::step::step_of;
use crate::train::weights::SampleWeights;
use crate::train::{Evaluation, StepLogs, TrainError, Trainer};

/// A trainer that takes steps together with those of other processes: what [`Trainer::parallel`] gives.
pub struct Replica<'t> {
    trainer: &'t mut Trainer,
    communicator: &'t dyn Communicator,
}

impl Trainer {
    /// This trainer as one of several, each in a process of its own: for loops of one's own, as PyTorch's `DistributedDataParallel` wraps a model. All states become those of rank 0.
    /// [`Fit::parallel`](crate::train::Fit::parallel) does it for [`Trainer::fit`].
    ///
    /// ```
    /// use gradc::data::array;
    /// use gradc::parallel::{Communicator, ThreadGroup};
    /// use gradc::prelude::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let data = Dataset::new(array([4, 1], vec![0.0f32, 1.0, 2.0, 3.0])?, array([4, 1], vec![1.0f32, 3.0, 5.0, 7.0])?)?;
    /// let weights = ThreadGroup::run(2, |member| {
    ///     let mut trainer = Sequential::new([1]).dense(1).compile(Sgd::new(0.1), MeanSquaredError, [])?;
    ///     let mut replica = trainer.parallel(&member)?;
    ///     let own = data.part(2 * member.rank()..2 * member.rank() + 2)?;
    ///     for _ in 0..10 {
    ///         replica.train_step(&own)?;
    ///     }
    ///     trainer.weights()
    /// });
    /// let weights: Vec<_> = weights.into_iter().collect::<Result<_, TrainError>>()?;
    /// assert_eq!(weights[0], weights[1]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ParallelError::Different`](crate::parallel::ParallelError::Different) in all processes, if model, loss or optimizer differ, or the instructions for which code is generated.
    pub fn parallel<'t>(&'t mut self, communicator: &'t dyn Communicator) -> Result<Replica<'t>, TrainError> {
        if communicator.size() > 1 {
            check_alike(&model_settings(self)?, communicator)?;
            share_states(self, communicator)?;
        }
        Ok(Replica { trainer: self, communicator })
    }

    /// The loss and the metrics on a data set, of which each process computes a part.
    pub(in crate::train) fn evaluate_part(
        &mut self,
        data: &dyn Source,
        communicator: &dyn Communicator,
    ) -> Result<Evaluation, TrainError> {
        let mut totals = Totals::new(&self.programs.subject);
        let (pass, mut weights) = (self.pass(), self.sample_weights(data));
        let own_batch = pass.batch.div_ceil(communicator.size().max(1));
        let mut batches = data.open(pass)?;
        while let Some(batch) = batches.next_batch()? {
            let part = OwnPart::of(batch.len(), communicator);
            let samples = part.view(&batch);
            let count = samples.len(&self.inputs)?;
            let room = self.room_to_evaluate(count, own_batch);
            weights.filled = room > count;
            let mut measured = Totals::new(&self.programs.subject);
            let program = step_of(&mut self.programs, Purpose::Evaluation, (&samples, room), &weights, &self.inputs)?;
            let weight = weights.sum(&samples, &self.inputs)?;
            measured.add(count, weight, program)?;
            if !part.counts() {
                measured.count_nothing();
            }
            totals.merge(&measured);
        }
        totals.sum_over_processes(true, communicator)?;
        totals.finish()
    }
}

impl Replica<'_> {
    /// A step of training: each process gives samples of its own, and as many as it likes, and all update by the gradient of the mean over all of them. Loss and metrics are those of
    /// all samples.
    ///
    /// # Errors
    /// As [`Trainer::train_step`]. The other processes fail then, or are ended; see [`Communicator::abort`].
    pub fn train_step<'b>(&mut self, samples: impl Into<Samples<'b>>) -> Result<StepLogs<'_>, TrainError> {
        let samples = samples.into();
        let weights = self.trainer.own_weights(&samples);
        if self.communicator.size() == 1 {
            self.trainer.take_step(&samples, &weights)?;
        } else {
            let taken = self.step(&samples, &weights);
            or_abort(taken, self.communicator)?;
        }
        Ok(self.trainer.logs())
    }

    fn step(&mut self, samples: &Samples<'_>, weights: &SampleWeights) -> Result<f64, TrainError> {
        let count = samples.len(&self.trainer.inputs)?;
        let weight = weights.sum(samples, &self.trainer.inputs)?;
        let mut all = [count as f64, weight];
        self.communicator.all_reduce_f64(&mut all)?;
        let part = PartWeight { samples: count, weight, all_samples: all[0] as usize, all_weight: all[1] };
        self.trainer.take_part(samples, weights, part, self.communicator)
    }

    /// The loss and the metrics on a data set, which all processes have: each computes its part of every batch. The same in all.
    ///
    /// # Errors
    /// As [`Trainer::evaluate`], and as [`Self::train_step`].
    pub fn evaluate(&mut self, data: &dyn Source) -> Result<Evaluation, TrainError> {
        if self.communicator.size() == 1 {
            return self.trainer.evaluate(data);
        }
        or_abort(self.trainer.evaluate_part(data, self.communicator), self.communicator)
    }

    /// The trainer, of which all that isn't a method here concerns this process alone.
    pub fn trainer(&mut self) -> &mut Trainer {
        self.trainer
    }
}

/// A result that isn't an error of this process alone, for which the others would wait.
pub(in crate::train) fn or_abort<T>(
    result: Result<T, TrainError>,
    communicator: &dyn Communicator,
) -> Result<T, TrainError> {
    if let Err(error) = &result
        && !super::is_common(error)
    {
        communicator.abort(&error.to_string());
    }
    result
}
