//! A model with a loss, metrics and an optimizer.

use super::evaluation::Totals;
use super::fit::Fit;
use super::parallel::Exchange;
use super::programs::{Programs, Purpose, TrainingSetup};
use super::rows::{concatenate, first_rows};
use super::step::{Measurements, room_for, sizes_of_inputs, step_of};
use super::weights::SampleWeights;
use super::{Evaluation, History, TrainError};
use crate::compile::{CompileOptions, CompileReport, CompiledProgram};
use crate::data::{Epoch, Source};
use crate::dsl::{ModelErrors, STEP, StateRole};
use crate::model::{Model, SAMPLE_WEIGHT};
use crate::nn::{Metric, Objective};
use crate::optim::{LearningRate, Optimizer, learning_rates};
use ir::{DType, Loc, Value, map_of, try_map_of};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Samples in a batch, where nothing else is said.
pub(super) const DEFAULT_BATCH: usize = 32;

/// Models that can be trained: all of them.
pub trait Compile: Model + Clone + 'static {
    /// Puts the model together with what it is trained by. The graph of the training step is declared at once, so that errors of the model
    /// show here; code is generated when the size of a batch is known.
    ///
    /// ```
    /// use gradc::prelude::*;
    /// let model = Sequential::new([28, 28, 1]).flatten().dense(10);
    /// let trainer = model.compile(Adam::default(), SparseCategoricalCrossEntropy, [Accuracy])?;
    /// # Ok::<(), ModelErrors>(())
    /// ```
    ///
    /// # Errors
    /// All rules that the model breaks.
    #[track_caller]
    fn compile(
        &self,
        optimizer: impl Optimizer + 'static,
        loss: impl Objective + 'static,
        metrics: impl IntoIterator<Item = Metric>,
    ) -> Result<Trainer, ModelErrors> {
        let subject = TrainingSetup {
            model: Arc::new(self.clone()),
            objective: Box::new(loss),
            metrics: metrics.into_iter().collect(),
            optimizer: Box::new(optimizer),
            at: Loc::caller(),
        };
        Trainer::new(subject)
    }
}

impl<M: Model + Clone + 'static> Compile for M {}

/// Trains, evaluates and predicts. Owns the weights, and the compiled programs: one for each purpose and batch size, made when first
/// needed.
pub struct Trainer {
    pub(super) programs: Programs,
    /// Outputs of a training step that its optimizer adds.
    pub(super) statistics: Vec<String>,
    /// Those of the optimizer, in its order.
    pub(super) rates: Vec<LearningRate>,
    /// The names of the model's inputs, and the elements of a sample of each.
    pub(super) inputs: Vec<(String, usize)>,
    /// What steps of training, and those of evaluation in loops of one's own, have measured so far.
    pub(super) training: Measurements,
    pub(super) testing: Measurements,
    /// Samples in a batch of the last training.
    pub(super) batch: usize,
    /// Samples in a batch of evaluation and prediction, where somebody chose.
    evaluation_batch: Option<usize>,
    /// What it exchanges with other processes.
    pub(super) exchange: Exchange,
    /// What is kept with the weights.
    pub(super) metadata: BTreeMap<String, String>,
}

impl std::fmt::Debug for Trainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let TrainingSetup { model, objective, optimizer, metrics, .. } = &self.programs.subject;
        let losses: Vec<&str> = objective.losses().iter().map(|loss| loss.loss.name()).collect();
        write!(f, "Trainer({}, {}, {}, {metrics:?})", model.name(), losses.join(" + "), optimizer.name())
    }
}

impl Trainer {
    fn new(subject: TrainingSetup) -> Result<Self, ModelErrors> {
        let (rates, statistics) = (learning_rates(&*subject.optimizer), subject.optimizer.statistics());
        let programs = Programs::new(subject, CompileOptions::default())?;
        Ok(Self {
            inputs: sizes_of_inputs(&*programs.subject.model),
            training: Measurements::new(&programs, &statistics),
            testing: Measurements::new(&programs, &[]),
            programs,
            statistics,
            rates,
            batch: DEFAULT_BATCH,
            evaluation_batch: None,
            exchange: Exchange::default(),
            metadata: BTreeMap::new(),
        })
    }

    /// With other options of compiling. Weights stay as they are.
    ///
    /// # Errors
    /// None that a trainer without a failed step has.
    pub fn with_options(mut self, options: CompileOptions) -> Result<Self, TrainError> {
        self.programs.set_options(options)?;
        Ok(self)
    }

    /// With initial weights, and random numbers of dropout, from another seed. Everything learnt so far is forgotten.
    ///
    /// # Errors
    /// None that a trainer without a failed step has.
    pub fn with_seed(mut self, seed: u64) -> Result<Self, TrainError> {
        let options = self.programs.options().clone().seed(seed);
        self.programs.set_options(options)?;
        self.programs.reset()?;
        Ok(self)
    }

    /// Evaluates and predicts in batches of that many samples, also while fitting. Without this call they are those of the last training, and 32 before any:
    /// who wants a process that only predicts to compute the very bits of the one that trained says so here, since sums of another batch may be cut otherwise.
    ///
    /// # Errors
    /// If it is 0.
    pub fn with_batch(mut self, samples: usize) -> Result<Self, TrainError> {
        if samples == 0 {
            return Err(TrainError::Setting("a batch needs at least 1 sample".into()));
        }
        self.evaluation_batch = Some(samples);
        Ok(self)
    }

    /// A pass of evaluation or prediction.
    pub(super) fn pass(&self) -> Epoch {
        Epoch::in_order(self.evaluation_batch.unwrap_or(self.batch))
    }

    /// Trains. Shows its progress unless the options say otherwise. A training whose loss becomes infinite or NaN gives its history in [`TrainError::Diverged`], and leaves this
    /// trainer with the states of the best epoch, of which it keeps a copy for that ([`Fit::keep_best`]). A column [`SAMPLE_WEIGHT`] of the data gives each sample a weight in loss and metrics,
    /// which are then means over the sum of weights.
    ///
    /// # Errors
    /// Data that don't fit the model, a step that can't be compiled, a label that is no class, a loss that is no number any more,
    /// a callback's failure.
    pub fn fit(&mut self, data: &dyn Source, options: Fit<'_>) -> Result<History, TrainError> {
        options.run(self, data)
    }

    /// The loss and the metrics on a data set: of all samples, whatever the size of the last batch, weighted if there is a column
    /// [`SAMPLE_WEIGHT`].
    ///
    /// A last batch of fewer samples is computed by the program of the next power of two; the samples that fill it have weight 0. Where a loss ([`Loss::is_by_sample`](crate::nn::Loss::is_by_sample)),
    /// a metric ([`StatefulMetric::leaves_weightless_out`](crate::nn::metric::StatefulMetric::leaves_weightless_out)) or a penalty on activations could be of the batch as a whole, as those of one's own,
    /// it has a program of its own size.
    ///
    /// # Errors
    /// Data that don't fit the model, a step that can't be compiled, a label that is no class.
    pub fn evaluate(&mut self, data: &dyn Source) -> Result<Evaluation, TrainError> {
        let mut totals = Totals::new(&self.programs.subject);
        let (pass, mut weights) = (self.pass(), self.sample_weights(data));
        let mut batches = data.open(pass)?;
        while let Some(batch) = batches.next_batch()? {
            let (count, samples) = (batch.len(), batch.into());
            let room = self.room_to_evaluate(count, pass.batch);
            weights.filled = room > count;
            let program = step_of(&mut self.programs, Purpose::Evaluation, (&samples, room), &weights, &self.inputs)?;
            totals.add(count, weights.sum(&samples, &self.inputs)?, program)?;
        }
        totals.finish()
    }

    /// The places of the program that so many samples are evaluated by.
    pub(super) fn room_to_evaluate(&mut self, samples: usize, batch: usize) -> usize {
        match room_for(samples, batch) {
            room if room > samples && self.has_no_weights_of_its_own() && self.programs.may_be_filled() => room,
            _ => samples,
        }
    }

    /// What samples count: by the data's column of weights, if it has one that is no input of the model.
    pub(super) fn sample_weights(&self, data: &dyn Source) -> SampleWeights {
        let column = data.schema().field(SAMPLE_WEIGHT).is_some() && self.has_no_weights_of_its_own();
        SampleWeights { column, ..SampleWeights::default() }
    }

    /// False for a model with an input [`SAMPLE_WEIGHT`], whose samples all count alike.
    pub(super) fn has_no_weights_of_its_own(&self) -> bool {
        self.inputs.iter().all(|(input, _)| input != SAMPLE_WEIGHT)
    }

    /// The output of a model that has one, for all samples, along the first axis. Targets in the data set are not looked at.
    ///
    /// # Errors
    /// Data that don't fit the model, a step that can't be compiled, a model with several outputs.
    pub fn predict(&mut self, data: &dyn Source) -> Result<Value, TrainError> {
        let names = self.programs.subject.model.outputs();
        if names.len() != 1 {
            let what = format!("the model has the outputs {}: `predict_outputs` gives them all", names.join(", "));
            return Err(TrainError::Setting(what));
        }
        let mut outputs = self.predict_outputs(data)?;
        outputs.remove(&names[0]).ok_or_else(|| TrainError::Setting("a step without its output".into()))
    }

    /// The model's outputs for all samples, along the first axis, by the outputs' names. Targets in the data set are not looked at.
    ///
    /// A last batch of fewer samples is computed by the program of the next power of two, as a [`Predictor`](super::Predictor) does it and with the same bits, unless an
    /// output doesn't have a row for each sample.
    ///
    /// # Errors
    /// Data that don't fit the model, a step that can't be compiled.
    pub fn predict_outputs(&mut self, data: &dyn Source) -> Result<BTreeMap<String, Value>, TrainError> {
        let mut parts: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let (pass, none) = (self.pass(), SampleWeights::default());
        let mut batches = data.open(pass)?;
        let names = self.programs.subject.model.outputs();
        while let Some(batch) = batches.next_batch()? {
            let (count, samples) = (batch.len(), batch.into());
            let Self { programs, inputs, .. } = self;
            let room = match room_for(count, pass.batch) {
                room if has_rows(programs.activate((Purpose::Inference, room.into()))?, room) => room,
                _ => count,
            };
            let program = step_of(programs, Purpose::Inference, (&samples, room), &none, inputs)?;
            for name in &names {
                let output = program.output_value(name)?;
                let output = if room > count { first_rows(output, count)? } else { output };
                parts.entry(name.clone()).or_default().push(output);
            }
        }
        try_map_of(parts.into_iter().map(|(name, parts)| Ok((name, concatenate(&parts)?))))
    }

    /// Trainable parameters and running statistics, by name.
    ///
    /// # Errors
    /// None that a trainer without a failed step has.
    pub fn weights(&mut self) -> Result<BTreeMap<String, Value>, TrainError> {
        self.programs.states(StateRole::is_weight)
    }

    /// Replaces weights; those that aren't named stay as they are.
    ///
    /// # Errors
    /// A name that is no state of the model, a value of another type.
    pub fn set_weights(&mut self, weights: BTreeMap<String, Value>) -> Result<(), TrainError> {
        self.programs.set_states(weights)
    }

    /// The weights of a layer that is a model, by the names that they have in the model alone: `encoder/dense/kernel` of `encoder` is `dense/kernel`. Empty if there is no such layer.
    ///
    /// ```
    /// use gradc::prelude::*;
    /// let encoder = Sequential::new([8]).dense(4).named("encoder");
    /// let whole = Sequential::new([8]).add(encoder.clone()).dense(2);
    /// let mut whole = whole.compile(Adam::default(), SparseCategoricalCrossEntropy, [])?;
    /// let mut alone = encoder.compile(Adam::default(), MeanSquaredError, [])?;
    /// alone.set_weights(whole.weights_of("encoder")?)?;
    /// whole.set_weights_of("encoder", alone.weights()?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// None that a trainer without a failed step has.
    pub fn weights_of(&mut self, layer: &str) -> Result<BTreeMap<String, Value>, TrainError> {
        let prefix = format!("{layer}/");
        let weights = self.weights()?.into_iter();
        Ok(map_of(weights.filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?.to_string(), value)))))
    }

    /// Replaces weights of a layer that is a model by those of the model alone; see [`Self::weights_of`].
    ///
    /// # Errors
    /// A name that is no state of the layer, a value of another type.
    pub fn set_weights_of(&mut self, layer: &str, weights: BTreeMap<String, Value>) -> Result<(), TrainError> {
        self.set_weights(map_of(weights.into_iter().map(|(name, value)| (format!("{layer}/{name}"), value))))
    }

    /// The graph of a step of training on one sample, as it was declared.
    #[cfg(feature = "tensorboard")]
    pub(crate) fn training_graph(&self) -> Result<ir::Graph, ModelErrors> {
        Ok(self.programs.subject.declare((Purpose::Training, 1.into()))?.graph)
    }

    /// The element types of the model's inputs, by their names.
    pub(crate) fn input_types(&self) -> Vec<(String, DType)> {
        self.programs.subject.model.inputs().into_iter().map(|(name, ty)| (name, ty.dtype)).collect()
    }

    /// The number of training steps taken.
    ///
    /// # Errors
    /// None that a trainer without a failed step has.
    pub fn steps(&mut self) -> Result<u64, TrainError> {
        Ok(self.programs.number(STEP)?.unwrap_or(0.0) as u64)
    }

    /// What compiling did and took, of each program compiled so far: `training`, `evaluation` or `inference`, the samples of a batch, the
    /// report.
    pub fn reports(&self) -> Vec<(String, usize, &CompileReport)> {
        let name = |purpose: Purpose| format!("{purpose:?}").to_lowercase();
        self.programs.iter().map(|((purpose, batch), program)| (name(*purpose), batch.size, program.report())).collect()
    }
}

/// Whether all outputs have a row for each of so many samples.
fn has_rows(program: &CompiledProgram, samples: usize) -> bool {
    program.outputs().values().all(|ty| ty.shape.first() == Some(&samples))
}
