//! Fitting: epochs of steps over a data set.

use super::callback::{Callback, Control};
use super::evaluation::Means;
use super::feed::{feed, step as run_step};
use super::programs::Purpose;
use super::progress::{Progress, Reporter};
use super::trainer::DEFAULT_BATCH;
use super::{EpochRecord, History, TrainError, Trainer};
use crate::compile::CompiledProgram;
use crate::data::{Batches, Dataset};
use crate::dsl::LEARNING_RATE;
use ir::{DType, Scalar, Shape, Value};
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
    validation: Option<&'a Dataset>,
    validation_split: Option<f64>,
    in_order: bool,
    drop_last: bool,
    seed: u64,
    progress: Progress,
    callbacks: Vec<Box<dyn Callback + 'a>>,
}

impl<'a> Fit<'a> {
    /// That many passes over the data.
    pub fn epochs(epochs: usize) -> Self {
        Self { epochs, ..Self::default() }
    }

    /// Samples in a batch; without this call 32. The last batch of an epoch has as many as are left, in a program of its own size, so
    /// that its mean is over real samples alone.
    pub fn batch(mut self, samples: usize) -> Self {
        self.batch = Some(samples);
        self
    }

    /// Evaluates this data set after each epoch.
    pub fn validate(mut self, data: &'a Dataset) -> Self {
        self.validation = Some(data);
        self
    }

    /// Keeps the last `fraction` of the samples, as they are before shuffling, for evaluation after each epoch.
    pub fn validation_split(mut self, fraction: f64) -> Self {
        self.validation_split = Some(fraction);
        self
    }

    /// Whether each epoch has an order of its own (the default), which the seed decides.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.in_order = !shuffle;
        self
    }

    /// Whether a last batch of fewer samples is left out. By default it isn't.
    pub fn drop_last(mut self, drop: bool) -> Self {
        self.drop_last = drop;
        self
    }

    /// The seed of the shuffling.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
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
pub(super) fn fit(trainer: &mut Trainer, data: &Dataset, mut options: Fit<'_>) -> Result<History, TrainError> {
    let (train, validation) = parts(data, &options)?;
    let batch = options.batch.unwrap_or(DEFAULT_BATCH);
    if batch == 0 {
        return Err(TrainError::Setting("a batch needs at least 1 sample".into()));
    }
    if options.drop_last && train.len() < batch {
        let (n, what) = (train.len(), "no batch is left when the last one is dropped");
        return Err(TrainError::Setting(format!("{n} samples make no batch of {batch}: {what}")));
    }
    trainer.batch = batch;
    let unit = if trainer.programs.subject.model.inputs().iter().any(|(_, ty)| ty.dims.len() == 3) {
        "images"
    } else {
        "samples"
    };
    let mut reporter = Reporter::new(options.progress, options.epochs, unit);
    let mut history = History::default();
    let mut callbacks = std::mem::take(&mut options.callbacks);
    for callback in &mut callbacks {
        callback.begin(&mut Control::new(trainer, &mut history.stopped))?;
    }
    for epoch in 1..=options.epochs {
        for callback in &mut callbacks {
            callback.epoch_begin(epoch, &mut Control::new(trainer, &mut history.stopped))?;
        }
        let record = run_epoch(trainer, epoch, &train, validation.as_ref(), &options, &mut reporter)?;
        reporter.epoch_done(&record);
        for callback in &mut callbacks {
            callback.epoch_end(&record, &mut Control::new(trainer, &mut history.stopped))?;
        }
        history.epochs.push(record);
        if let Some(reason) = &history.stopped {
            reporter.note(reason);
            break;
        }
    }
    for callback in &mut callbacks {
        callback.end(&mut Control::new(trainer, &mut history.stopped))?;
    }
    Ok(history)
}

/// What is trained on, and what is evaluated after each epoch.
fn parts(data: &Dataset, options: &Fit<'_>) -> Result<(Dataset, Option<Dataset>), TrainError> {
    match (options.validation, options.validation_split) {
        (Some(_), Some(_)) => {
            let what = "validation data are given, and a split too: choose one".to_string();
            Err(TrainError::Setting(what))
        }
        (Some(validation), None) => Ok((data.clone(), Some(validation.clone()))),
        (None, Some(fraction)) => {
            let (train, validation) = data.split(fraction)?;
            Ok((train, Some(validation)))
        }
        (None, None) => Ok((data.clone(), None)),
    }
}

fn run_epoch(
    trainer: &mut Trainer,
    epoch: usize,
    train: &Dataset,
    validation: Option<&Dataset>,
    options: &Fit<'_>,
    reporter: &mut Reporter,
) -> Result<EpochRecord, TrainError> {
    let start = Instant::now();
    let batches = if options.in_order {
        Batches::in_order(train, trainer.batch)
    } else {
        Batches::shuffled(train, trainer.batch, options.seed, epoch as u64)
    };
    let means = train_epoch(trainer, epoch, &batches, options.drop_last, reporter)?;
    let trained = start.elapsed().as_secs_f64();
    let samples = means.samples();
    let evaluation = means.finish();
    let mut values: Vec<(String, f64)> = evaluation.values().map(|(name, value)| (name.to_string(), value)).collect();
    if let Some(data) = validation {
        let evaluation = trainer.evaluate(data)?;
        values.extend(evaluation.values().map(|(name, value)| (format!("val_{name}"), value)));
    }
    values.push((LEARNING_RATE.to_string(), trainer.last_rate()?));
    let samples_per_second = samples as f64 / trained.max(1e-9);
    Ok(EpochRecord { epoch, values, seconds: start.elapsed().as_secs_f64(), samples_per_second })
}

/// One pass over the training samples.
fn train_epoch(
    trainer: &mut Trainer,
    epoch: usize,
    batches: &Batches<'_>,
    drop_last: bool,
    reporter: &mut Reporter,
) -> Result<Means, TrainError> {
    let schedule = trainer.programs.subject.optimizer.schedule().clone();
    let mut taken = if schedule.is_constant() { 0 } else { trainer.steps()? };
    let mut means = Means::new(&trainer.metrics);
    let size = trainer.batch;
    let count = batches.iter().filter(|rows| !drop_last || rows.len() == size).count();
    reporter.epoch_begin(epoch, count);
    for (step, rows) in batches.iter().take(count).enumerate() {
        let program = trainer.programs.activate((Purpose::Training, rows.len()))?;
        feed(program, batches, rows)?;
        if !schedule.is_constant() {
            set_rate(program, schedule.at(taken))?;
            taken += 1;
        }
        run_step(program, rows)?;
        let loss = program.scalar("loss")?;
        if !loss.is_finite() {
            return Err(TrainError::Diverged { epoch, step: step + 1, loss });
        }
        means.add(rows.len(), |name| program.scalar(name))?;
        reporter.step_done(step + 1, &means);
    }
    Ok(means)
}

/// Writes the learning rate into a program's memory.
fn set_rate(program: &mut CompiledProgram, rate: f64) -> Result<(), TrainError> {
    let dtype = program.states().iter().find(|s| s.name == LEARNING_RATE).map(|s| s.ty.dtype);
    let value = Value::splat(Scalar::from_f64(rate, dtype.unwrap_or(DType::F32)), Shape::scalar());
    Ok(program.set_state(LEARNING_RATE, &value)?)
}
