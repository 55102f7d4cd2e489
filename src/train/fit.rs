//! Fitting: epochs of steps over a data set.

use super::best::BestEpoch;
use super::callback::{Callback, Control, StepPlace};
use super::evaluation::Measured;
use super::progress::{Progress, Reporter};
use super::trainer::DEFAULT_BATCH;
use super::weights::{ClassWeights, SampleWeights};
use super::{EpochRecord, History, TrainError, Trainer};
use crate::data::{BatchReader, Dataset, Epoch, Source};
use crate::model::TARGET;
use std::time::Instant;

/// How to fit: epochs, the size of a batch, validation, callbacks.
///
/// ```
/// use gradc::train::Fit;
/// use gradc::train::callback::EarlyStopping;
/// let options = Fit::epochs(20).batch(64).validation_split(0.1).callback(EarlyStopping::new("val_loss").patience(3));
/// ```
#[derive(Default)]
pub struct Fit<'a> {
    epochs: usize,
    batch: Option<usize>,
    validation: Option<&'a dyn Source>,
    validation_split: Option<f64>,
    averages: bool,
    in_order: bool,
    drop_last: bool,
    seed: u64,
    progress: Progress,
    class_weight: ClassWeights,
    callbacks: Vec<Box<dyn Callback + 'a>>,
}

impl<'a> Fit<'a> {
    /// That many passes over the data.
    pub fn epochs(epochs: usize) -> Self {
        Self { epochs, ..Self::default() }
    }

    /// The steps of an epoch over these data: what a schedule counts that changes by the epoch.
    ///
    /// # Errors
    /// A stream that doesn't know its length; a batch of no samples; a split that can't be.
    pub fn steps_per_epoch(&self, data: &dyn Source) -> Result<u64, TrainError> {
        let batch = self.batch.unwrap_or(DEFAULT_BATCH);
        let split = split(data, self)?;
        let train: &dyn Source = split.as_ref().map_or(data, |(train, _)| train);
        match steps_of(train, batch.max(1), self.drop_last) {
            Some(steps) if batch > 0 => Ok(steps as u64),
            Some(_) => Err(TrainError::Setting("a batch needs at least 1 sample".into())),
            None => {
                let what =
                    "nobody knows how many samples an epoch of these data has: give the schedule a number of steps";
                Err(TrainError::Setting(what.into()))
            }
        }
    }

    /// The steps of all epochs over these data: how long a schedule lasts that ends with the training. (A schedule counts updates: an optimizer that accumulates `n` steps makes an
    /// `n`th of them.)
    ///
    /// ```
    /// use gradc::data::array;
    /// use gradc::prelude::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let data = Dataset::new(array([20, 1], vec![0.5f32; 20])?, array([20, 1], vec![1.0f32; 20])?)?;
    /// let fit = Fit::epochs(5).batch(8).silent();
    /// assert_eq!((fit.steps_per_epoch(&data)?, fit.steps(&data)?), (3, 15));
    /// let rate = Schedule::cosine(0.1, fit.steps(&data)?).warmup(fit.steps_per_epoch(&data)?);
    /// let mut trainer = Sequential::new([1]).dense(1).compile(Sgd::new(rate), MeanSquaredError, [])?;
    /// trainer.fit(&data, fit)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Fit::steps_per_epoch`].
    pub fn steps(&self, data: &dyn Source) -> Result<u64, TrainError> {
        Ok(self.steps_per_epoch(data)? * self.epochs as u64)
    }

    /// Samples in a batch; without this call 32. The last batch of an epoch has as many as are left, in a program of its own size, so
    /// that its mean is over real samples alone.
    pub fn batch(mut self, samples: usize) -> Self {
        self.batch = Some(samples);
        self
    }

    /// Evaluates this data set, or stream, after each epoch.
    pub fn validate(mut self, data: &'a dyn Source) -> Self {
        self.validation = Some(data);
        self
    }

    /// Keeps the last `fraction` of a data set's samples, as they are before shuffling, for evaluation after each epoch. A stream can't be split.
    pub fn validation_split(mut self, fraction: f64) -> Self {
        self.validation_split = Some(fraction);
        self
    }

    /// Evaluates after each epoch with the moving averages of the weights in place of them, which an optimizer with [`crate::optim::Optimizer::ema`] keeps.
    pub fn validate_averages(mut self) -> Self {
        self.averages = true;
        self
    }

    /// Whether each epoch has an order of its own (the default), which the seed decides. A stream is shuffled as far as its buffer reaches, if it has one.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.in_order = !shuffle;
        self
    }

    /// Whether a last batch of fewer samples is left out. By default it isn't.
    pub fn drop_last(mut self, drop: bool) -> Self {
        self.drop_last = drop;
        self
    }

    /// The seed of the shuffling. The order of an epoch depends on it and on the steps taken before, in this call of `fit` and in earlier ones.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What a sample of each of these classes counts in the training's loss and metrics, besides its weight if there is a column of weights; other classes count 1, and
    /// in validation all do. The column `y` holds a sample's class, as a number or one-hot. [`balanced_weights`](Dataset::balanced_weights) gives those
    /// by which all classes count alike.
    pub fn class_weight(self, weights: impl IntoIterator<Item = (usize, f64)>) -> Self {
        self.class_weight_of(TARGET, weights)
    }

    /// The same by the classes in another column: of a model with several outputs, whose labels have the outputs' names, or of labels that no output has. What
    /// several columns say is multiplied, and counts for the whole sample: in the losses of all outputs, and in all metrics.
    ///
    /// ```
    /// use gradc::train::Fit;
    /// let fit = Fit::epochs(5).class_weight_of("kind", [(1, 4.0)]).class_weight_of("colour", [(0, 0.5)]);
    /// ```
    pub fn class_weight_of(mut self, column: &str, weights: impl IntoIterator<Item = (usize, f64)>) -> Self {
        self.class_weight.insert(column.into(), weights.into_iter().collect());
        self
    }

    /// Something to do after each epoch. Several are called in the order of these calls.
    pub fn callback(mut self, callback: impl Callback + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// How progress is shown.
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Shows nothing.
    pub fn silent(self) -> Self {
        self.progress(Progress::Silent)
    }
}

/// Trains; see [`Trainer::fit`].
pub(super) fn fit(trainer: &mut Trainer, data: &dyn Source, mut options: Fit<'_>) -> Result<History, TrainError> {
    let split = split(data, &options)?;
    let (train, validation): (&dyn Source, Option<&dyn Source>) = match &split {
        Some((train, validation)) => (train, Some(validation)),
        None => (data, options.validation),
    };
    SampleWeights::check(&options.class_weight)?;
    let batch = options.batch.unwrap_or(DEFAULT_BATCH);
    if batch == 0 {
        return Err(TrainError::Setting("a batch needs at least 1 sample".into()));
    }
    if let Some(n) = train.samples().filter(|n| options.drop_last && *n < batch) {
        let what = "no batch is left when the last one is dropped";
        return Err(TrainError::Setting(format!("{n} samples make no batch of {batch}: {what}")));
    }
    if options.averages {
        trainer.averages()?;
    }
    trainer.batch = batch;
    let unit = if trainer.programs.subject.model.inputs().iter().any(|(_, ty)| ty.dims.len() == 3) {
        "images"
    } else {
        "samples"
    };
    let measured = measured(trainer, validation.is_some());
    let mut reporter = Reporter::new(options.progress, options.epochs, unit, &measured);
    let mut history = History::default();
    let callbacks = std::mem::take(&mut options.callbacks);
    let mut observers = Observers { callbacks, measured };
    observers.each(trainer, &mut history, |callback, control| callback.begin(control))?;
    let mut best = BestEpoch::new(trainer)?;
    let run =
        run_epochs(trainer, (train, validation), &options, &mut reporter, &mut history, (&mut observers, &mut best));
    let best = if let Err(TrainError::Diverged { .. }) = run { best.restore(trainer)? } else { 0 };
    // Also where an epoch failed: what a callback keeps for the end, the best weights for instance, is what one has then.
    let ended = observers.each(trainer, &mut history, |callback, control| callback.end(control));
    match run {
        Ok(()) => ended.map(|()| history),
        Err(TrainError::Diverged { epoch, step, loss, .. }) => {
            Err(TrainError::Diverged { epoch, step, loss, history: Box::new(history), best })
        }
        Err(error) => Err(error),
    }
}

/// The callbacks, and what they can watch.
struct Observers<'a> {
    callbacks: Vec<Box<dyn Callback + 'a>>,
    measured: Vec<Measured>,
}

impl<'a> Observers<'a> {
    /// Calls all of them, in order, until one fails.
    fn each(
        &mut self,
        trainer: &mut Trainer,
        history: &mut History,
        mut call: impl FnMut(&mut (dyn Callback + 'a), &mut Control<'_>) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let Self { callbacks, measured } = self;
        callbacks.iter_mut().try_for_each(|callback| {
            call(&mut **callback, &mut Control { trainer, stopped: &mut history.stopped, measured })
        })
    }
}

/// What an epoch measures.
fn measured(trainer: &Trainer, validation: bool) -> Vec<Measured> {
    let subject = &trainer.programs.subject;
    let mut all = Measured::of(subject, "");
    if validation {
        all.extend(Measured::of(subject, "val_"));
    }
    let unjudged = trainer.statistics.iter().chain(trainer.rates.iter().map(|rate| &rate.state));
    all.extend(unjudged.map(|name| Measured { name: name.clone(), mode: None, in_percent: false }));
    all
}

/// All epochs, or those until one fails or a callback stops.
fn run_epochs(
    trainer: &mut Trainer,
    (train, validation): (&dyn Source, Option<&dyn Source>),
    options: &Fit<'_>,
    reporter: &mut Reporter,
    history: &mut History,
    (observers, best): (&mut Observers<'_>, &mut BestEpoch),
) -> Result<(), TrainError> {
    for epoch in 1..=options.epochs {
        observers.each(trainer, history, |callback, control| callback.epoch_begin(epoch, control))?;
        let record = run_epoch(trainer, epoch, (train, validation), options, reporter, history, observers)?;
        reporter.epoch_done(&record);
        best.update(trainer, &record)?;
        let told = observers.each(trainer, history, |callback, control| callback.epoch_end(&record, control));
        history.epochs.push(record);
        told?;
        if let Some(reason) = &history.stopped {
            reporter.note(reason);
            break;
        }
    }
    Ok(())
}

/// What is trained on, and what is evaluated after each epoch, where that is a part of the data.
fn split(data: &dyn Source, options: &Fit<'_>) -> Result<Option<(Dataset, Dataset)>, TrainError> {
    match (options.validation, options.validation_split) {
        (Some(_), Some(_)) => {
            let what = "validation data are given, and a split too: choose one".to_string();
            Err(TrainError::Setting(what))
        }
        (None, Some(fraction)) => Ok(Some(data.split_off(fraction)?)),
        (_, None) => Ok(None),
    }
}

fn run_epoch(
    trainer: &mut Trainer,
    epoch: usize,
    (train, validation): (&dyn Source, Option<&dyn Source>),
    options: &Fit<'_>,
    reporter: &mut Reporter,
    history: &mut History,
    observers: &mut Observers<'_>,
) -> Result<EpochRecord, TrainError> {
    let start = Instant::now();
    let steps = steps_of(train, trainer.batch, options.drop_last);
    let number = 1 + passes_so_far(trainer, steps)?;
    let pass = Epoch { batch: trainer.batch, shuffle: !options.in_order, seed: options.seed, number };
    let weights = SampleWeights { classes: options.class_weight.clone(), ..trainer.sample_weights(train) };
    reporter.epoch_begin(epoch, steps);
    trainer.reset_metrics();
    let batches = train.open(pass)?;
    TrainingPass { epoch, batches, weights, drop_last: options.drop_last }
        .run(trainer, reporter, history, observers)?;
    let trained = start.elapsed().as_secs_f64();
    let evaluation = trainer.logs().evaluation()?;
    let mut values: Vec<(String, f64)> = evaluation.values().map(|(name, value)| (name.to_string(), value)).collect();
    if let Some(data) = validation {
        let evaluation = match options.averages {
            true => trainer.with_averages(|trainer| trainer.evaluate(data))?,
            false => trainer.evaluate(data)?,
        };
        values.extend(evaluation.values().map(|(name, value)| (format!("val_{name}"), value)));
    }
    values.extend(trainer.training.statistics.means());
    values.extend(trainer.last_rates()?);
    let samples_per_second = trainer.logs().samples() as f64 / trained.max(1e-9);
    Ok(EpochRecord { epoch, values, seconds: start.elapsed().as_secs_f64(), samples_per_second })
}

/// The steps of an epoch, where it is known before how many samples there are.
fn steps_of(train: &dyn Source, batch: usize, drop_last: bool) -> Option<usize> {
    train.samples().map(|samples| if drop_last { samples / batch } else { samples.div_ceil(batch) })
}

/// How many passes over the data the steps so far would make. Counted by steps, which a checkpoint keeps, so that each epoch has an order of its own in whichever
/// call of `fit` it runs, and a training that goes on from a checkpoint has those that it would have had. Where nobody knows how many steps a pass has, the steps
/// themselves tell passes apart.
fn passes_so_far(trainer: &mut Trainer, steps: Option<usize>) -> Result<u64, TrainError> {
    Ok(trainer.steps()? / steps.unwrap_or(1).max(1) as u64)
}

/// One pass over the training samples.
struct TrainingPass<'d> {
    epoch: usize,
    batches: Box<dyn BatchReader + 'd>,
    weights: SampleWeights,
    drop_last: bool,
}

impl TrainingPass<'_> {
    /// All steps, or those until a callback stops.
    fn run(
        &mut self,
        trainer: &mut Trainer,
        reporter: &mut Reporter,
        history: &mut History,
        observers: &mut Observers<'_>,
    ) -> Result<(), TrainError> {
        let epoch = self.epoch;
        // Who stopped before the first step wants the epoch whole.
        let stopped_before = history.stopped.is_some();
        let mut step = 0;
        while let Some(batch) = self.batches.next_batch()?.filter(|b| !self.drop_last || b.len() == trainer.batch) {
            step += 1;
            let at = StepPlace { epoch, step };
            observers.each(trainer, history, |callback, control| callback.batch_begin(at, control))?;
            let loss = trainer.take_step(&batch.into(), &self.weights)?;
            if !loss.is_finite() {
                return Err(TrainError::Diverged { epoch, step, loss, history: Box::default(), best: 0 });
            }
            reporter.step_done(step, &trainer.training.totals)?;
            observers.each(trainer, history, |callback, control| callback.batch_end(at, control))?;
            if history.stopped.is_some() && !stopped_before {
                break;
            }
        }
        if step == 0 {
            return Err(TrainError::Setting(format!("epoch {epoch} has no batch: the data have too few samples")));
        }
        Ok(())
    }
}
