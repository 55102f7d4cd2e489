//! One step at a time, for loops of one's own. `fit` and `evaluate` are made of it.

use super::evaluation::Totals;
use super::feed::{feed, run};
use super::programs::{Programs, Purpose};
use super::rates::follow;
use super::statistics::Statistics;
use super::weights::SampleWeights;
use super::{Evaluation, TrainError, Trainer};
use crate::compile::{CompiledProgram, StepOutputs};
use crate::data::Samples;
use crate::dsl::STEP;
use crate::model::{Batch, Model, SAMPLE_WEIGHT};

/// What a trainer's steps have measured since [`Trainer::reset_metrics`].
pub(super) struct Measurements {
    pub(super) totals: Totals,
    pub(super) statistics: Statistics,
    /// The loss of the last step.
    pub(super) loss: f64,
}

impl Measurements {
    pub(super) fn new(programs: &Programs, statistics: &[String]) -> Self {
        Self { totals: Totals::new(&programs.subject), statistics: Statistics::new(statistics), loss: f64::NAN }
    }

    pub(super) fn reset(&mut self) {
        self.totals.reset();
        self.statistics.reset();
        self.loss = f64::NAN;
    }
}

/// What steps measured: the last one's loss, and the means and metrics of all since [`Trainer::reset_metrics`]. Borrowed, and computed when asked for.
#[derive(Clone, Copy)]
pub struct StepLogs<'a>(&'a Measurements);

impl std::fmt::Debug for StepLogs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StepLogs(loss {}, {} samples)", self.0.loss, self.samples())
    }
}

impl<'a> StepLogs<'a> {
    /// The loss of the last step's batch; NaN before the first.
    pub fn loss(&self) -> f64 {
        self.0.loss
    }

    /// Of all steps since the reset: `loss` is the mean over samples, others are the losses of outputs, metrics, and means over steps of what the optimizer says of gradients. `None`
    /// for a name that nothing has, and before the first step. Accuracies and means of one's own are read without an allocation; a metric that keeps rows, as an AUC, is
    /// computed of all of them.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.totals.value(name).or_else(|| self.0.statistics.mean(name))
    }

    /// The samples since the reset.
    pub fn samples(&self) -> usize {
        self.0.totals.samples()
    }

    /// Loss and metrics since the reset, as [`Trainer::evaluate`] gives them.
    ///
    /// # Errors
    /// If there was no step.
    pub fn evaluation(&self) -> Result<Evaluation, TrainError> {
        self.0.totals.finish()
    }
}

impl Trainer {
    /// One step of training on these samples: as [`Trainer::fit`] takes it, with the learning rate that a schedule has for it. Means and metrics go on until
    /// [`Trainer::reset_metrics`]. The samples are a [`Dataset`](crate::data::Dataset), a [`BatchView`](crate::data::BatchView) of a source, or arrays by name; a column
    /// `sample_weight` counts. A number of samples that there hasn't been before is compiled once; states are never copied.
    ///
    /// ```
    /// use gradc::data::{Dataset, array};
    /// use gradc::prelude::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let x = array([4, 2], vec![0.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
    /// let xor = Dataset::new(x, array([4], vec![0i32, 1, 1, 0])?)?;
    /// let model = Sequential::new([2]).dense(8).tanh().dense(2);
    /// let mut trainer = model.compile(Adam::new(0.05), SparseCategoricalCrossEntropy, [Accuracy])?;
    /// for epoch in 0..100 {
    ///     trainer.reset_metrics();
    ///     for batch in xor.shuffled(epoch).batches(2) {
    ///         let logs = trainer.train_step(&batch)?;
    ///         assert!(logs.loss().is_finite());
    ///     }
    /// }
    /// assert_eq!(trainer.logs().get("accuracy"), Some(1.0));
    /// let (x, y) = ([0.0f32, 1.0], [1i32]);
    /// let logs = trainer.train_step(&[("x", (&x).into()), ("y", (&y).into())])?;
    /// assert!(logs.loss() < 0.2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Data that don't fit the model, a step that can't be compiled, a label that is no class. A loss that is no number is none: [`StepLogs::loss`] has it.
    pub fn train_step<'b>(&mut self, samples: impl Into<Samples<'b>>) -> Result<StepLogs<'_>, TrainError> {
        let samples = samples.into();
        let weights = self.own_weights(&samples);
        self.take_step(&samples, &weights)?;
        Ok(StepLogs(&self.training))
    }

    /// Measures these samples without training. Means and metrics are apart from those of [`Trainer::train_step`], and go on until [`Trainer::reset_metrics`].
    ///
    /// # Errors
    /// As [`Trainer::train_step`].
    pub fn test_step<'b>(&mut self, samples: impl Into<Samples<'b>>) -> Result<StepLogs<'_>, TrainError> {
        let samples = samples.into();
        let weights = self.own_weights(&samples);
        let Self { programs, inputs, testing, .. } = self;
        let count = samples.len(inputs)?;
        let program = step_of(programs, Purpose::Evaluation, (&samples, count), &weights, inputs)?;
        testing.loss = program.scalar("loss")?;
        testing.totals.add(count, weights.sum(&samples, inputs)?, program)?;
        Ok(StepLogs(&self.testing))
    }

    /// The model's outputs for these samples, in place, by the weights of the moment: for loops that predict and train in turns. Targets aren't looked at.
    ///
    /// # Errors
    /// As [`Trainer::train_step`].
    pub fn predict_step<'b>(&mut self, samples: impl Into<Samples<'b>>) -> Result<StepOutputs<'_>, TrainError> {
        let Self { programs, inputs, .. } = self;
        let (samples, none) = (samples.into(), SampleWeights::default());
        let count = samples.len(inputs)?;
        Ok(StepOutputs::of(step_of(programs, Purpose::Inference, (&samples, count), &none, inputs)?))
    }

    /// What the steps of training have measured since the last reset; in a call of `fit`, those of the epoch so far.
    pub fn logs(&self) -> StepLogs<'_> {
        StepLogs(&self.training)
    }

    /// Means and metrics of [`Trainer::train_step`] and [`Trainer::test_step`] begin anew. `fit` does so at each epoch.
    pub fn reset_metrics(&mut self) {
        self.training.reset();
        self.testing.reset();
    }

    /// A step of training; its loss.
    pub(super) fn take_step(&mut self, samples: &Samples<'_>, weights: &SampleWeights) -> Result<f64, TrainError> {
        let Self { programs, inputs, rates, training, .. } = self;
        let size = Batch { size: samples.len(inputs)?, weighted: weights.any() };
        let weight = weights.sum(samples, inputs)?;
        let program = programs.activate((Purpose::Training, size))?;
        if rates.iter().any(|rate| !rate.schedule.is_constant()) {
            let taken = program.state_number(STEP)? as u64;
            follow(program, rates, taken)?;
        }
        feed(program, samples, 0..size.size, weights)?;
        run(program, samples, 0)?;
        training.loss = program.scalar("loss")?;
        training.totals.add(size.size, weight, program)?;
        training.statistics.add(program)?;
        Ok(training.loss)
    }

    /// What samples count in a step of one's own.
    pub(super) fn own_weights(&self, samples: &Samples<'_>) -> SampleWeights {
        let column = samples.has(SAMPLE_WEIGHT) && self.has_no_weights_of_its_own();
        SampleWeights { column, ..SampleWeights::default() }
    }
}

/// The places of the program that so many samples are predicted by, where batches have `batch` samples: a power of two or `batch`. Where there are more places than
/// samples, the last one fills the rest.
pub(super) fn room_for(samples: usize, batch: usize) -> usize {
    if samples < batch { samples.next_power_of_two().min(batch) } else { samples }
}

/// Runs a step that isn't training on samples and as many places; its program, with the outputs.
pub(super) fn step_of<'p>(
    programs: &'p mut Programs,
    purpose: Purpose,
    (samples, room): (&Samples<'_>, usize),
    weights: &SampleWeights,
    inputs: &[(String, usize)],
) -> Result<&'p CompiledProgram, TrainError> {
    let program = programs.activate((purpose, Batch { size: room, weighted: weights.any() }))?;
    feed(program, samples, 0..samples.len(inputs)?, weights)?;
    run(program, samples, 0)?;
    Ok(program)
}

/// The names of a model's inputs and the elements of a sample of each.
pub(super) fn sizes_of_inputs(model: &dyn Model) -> Vec<(String, usize)> {
    let size = |dims: &[usize]| dims.iter().product();
    model.inputs().into_iter().map(|(name, ty)| (name, size(&ty.dims))).collect()
}
