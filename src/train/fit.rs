//! Fitting: epochs of steps over a data set.

use super::callback::Callback;
use super::checkpoint::Checkpoints;
use super::parallel::or_abort;
use super::progress::Progress;
use super::run::{EpochOptions, Run, RunData};
use super::trainer::DEFAULT_BATCH;
use super::weights::{ClassWeights, SampleWeights};
use super::{History, TrainError, Trainer};
use crate::data::{Dataset, Source};
use crate::model::TARGET;
use crate::parallel::Communicator;

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
    forget_best: bool,
    seed: u64,
    progress: Progress,
    class_weight: ClassWeights,
    callbacks: Vec<Box<dyn Callback + 'a>>,
    checkpoints: Option<Checkpoints<'a>>,
    resume: bool,
    communicator: Option<&'a dyn Communicator>,
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

    /// Whether a copy of all states is kept as the best epoch left them, to which a training that diverges goes back. By default it is. Without it there is as much more room for a
    /// model that hardly fits memory, and a training that has diverged leaves what its last step made of the weights.
    pub fn keep_best(mut self, keep: bool) -> Self {
        self.forget_best = !keep;
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

    /// Keeps checkpoints of this run, which begins anew: the folder must have none. After each epoch, and more often on request.
    pub fn checkpoints(mut self, checkpoints: impl Into<Checkpoints<'a>>) -> Self {
        (self.checkpoints, self.resume) = (Some(checkpoints.into()), false);
        self
    }

    /// The same, but goes on from the folder's newest whole checkpoint, if it has one: the same program, started again after it was killed at any moment, gives the very weights and
    /// history that it would have given undisturbed. Model, loss and optimizer with all their settings, data, the size of a batch, shuffling and callbacks must be as they were, or it is an error that says
    /// which isn't; `epochs` may be more. A damaged checkpoint
    /// is passed over. A run that had come to its end only gives its result again.
    ///
    /// ```
    /// use gradc::data::array;
    /// use gradc::prelude::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// let data = Dataset::new(array([4, 1], vec![0.0f32, 1.0, 2.0, 3.0])?, array([4, 1], vec![1.0f32, 3.0, 5.0, 7.0])?)?;
    /// let run = |epochs| {
    ///     let mut trainer = Sequential::new([1]).dense(1).compile(Adam::new(0.1), MeanSquaredError, [])?;
    ///     let options = Fit::epochs(epochs).batch(2).resume(Checkpoints::new(dir).every_steps(1)).silent();
    ///     trainer.fit(&data, options)
    /// };
    /// assert!(run(2)?.resumed.is_none());
    /// let history = run(5)?;
    /// assert!(history.resumed.is_some() && history.epochs.len() == 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(mut self, checkpoints: impl Into<Checkpoints<'a>>) -> Self {
        (self.checkpoints, self.resume) = (Some(checkpoints.into()), true);
        self
    }

    /// Trains together with other processes, all of which make the same call on the same data: [`Fit::batch`] is the size of the batch that they share, and each computes its part of it. One process gives
    /// the result that it would give without this call.
    ///
    /// Gradients are summed over the processes, then each updates alike. Loss, metrics and validation are those of all samples, in all processes. Rank 0 shows progress, keeps checkpoints and writes what
    /// callbacks write. The parts of a batch that can't be divided differ by a sample; each sample counts as much as in one process. Batch normalization is by each process's
    /// samples, unless it is [synchronized](crate::nn::BatchNorm::synchronized).
    ///
    /// Errors that all processes find alike are returned: a loss that is no number, processes that differ in model, data or settings
    /// ([`ParallelError::Different`](crate::parallel::ParallelError::Different)). Any other error of one process ends all, by [`Communicator::abort`]. `docs/parallel.md` says more.
    pub fn parallel(mut self, communicator: &'a dyn Communicator) -> Self {
        self.communicator = Some(communicator);
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

    /// Trains; see [`Trainer::fit`].
    pub(super) fn run(mut self, trainer: &mut Trainer, data: &dyn Source) -> Result<History, TrainError> {
        self.communicator = self.communicator.filter(|communicator| communicator.size() > 1);
        let Some(communicator) = self.communicator else { return self.train(trainer, data) };
        if communicator.rank() != 0 {
            self.progress = Progress::Silent;
        }
        or_abort(self.train(trainer, data), communicator)
    }

    fn train(mut self, trainer: &mut Trainer, data: &dyn Source) -> Result<History, TrainError> {
        let split = split(data, &self)?;
        let (train, validation): (&dyn Source, Option<&dyn Source>) = match &split {
            Some((train, validation)) => (train, Some(validation)),
            None => (data, self.validation),
        };
        SampleWeights::check(&self.class_weight)?;
        let batch = self.batch.unwrap_or(DEFAULT_BATCH);
        if batch == 0 {
            return Err(TrainError::Setting("a batch needs at least 1 sample".into()));
        }
        if let Some(n) = train.samples().filter(|n| self.drop_last && *n < batch) {
            let what = "no batch is left when the last one is dropped";
            return Err(TrainError::Setting(format!("{n} samples make no batch of {batch}: {what}")));
        }
        if self.averages {
            trainer.averages()?;
        }
        trainer.batch = batch;
        let options = EpochOptions {
            epochs: self.epochs,
            averages: self.averages,
            shuffle: !self.in_order,
            drop_last: self.drop_last,
            keep_best: !self.forget_best,
            seed: self.seed,
            classes: std::mem::take(&mut self.class_weight),
        };
        let run = Run::new(
            trainer,
            RunData { train, validation, communicator: self.communicator },
            options,
            self.progress,
            self.callbacks,
        );
        run.fit(self.checkpoints.map(|checkpoints| (checkpoints, self.resume)))
    }
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

/// The steps of an epoch, where it is known before how many samples there are.
pub(super) fn steps_of(train: &dyn Source, batch: usize, drop_last: bool) -> Option<usize> {
    train.samples().map(|samples| if drop_last { samples / batch } else { samples.div_ceil(batch) })
}
