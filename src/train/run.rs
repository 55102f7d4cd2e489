//! A call of `fit` under way: epochs of steps, validation, callbacks, checkpoints.

use super::best::BestEpoch;
use super::callback::{Callback, CallbackState, Control, StepPlace};
use super::checkpoint::{
    CheckpointError, Checkpoints, FoundRun, Keeper, PassPlace, RunSettings, RunSnapshot, STEP_SETTINGS,
};
use super::evaluation::Measured;
use super::fit::steps_of;
use super::parallel::{check_alike, share_checkpoint, share_states, stop_together};
use super::programs::Purpose;
use super::progress::{Progress, Reporter};
use super::weights::{ClassWeights, SampleWeights};
use super::{EpochRecord, History, TrainError, Trainer};
use crate::compile::RunError;
use crate::data::{BatchReader, BatchView, Epoch, Source};
use crate::model::Batch;
use crate::nn::metric::StatefulMetric;
use crate::parallel::Communicator;
use ir::map_of;
use std::time::Instant;

/// What a run reads.
#[derive(Clone, Copy)]
pub(super) struct RunData<'d> {
    pub(super) train: &'d dyn Source,
    pub(super) validation: Option<&'d dyn Source>,
    /// The processes that train together, if they are several.
    pub(super) communicator: Option<&'d dyn Communicator>,
}

/// How it goes over it.
pub(super) struct EpochOptions {
    pub(super) epochs: usize,
    /// Whether validation is by the moving averages of the weights.
    pub(super) averages: bool,
    pub(super) shuffle: bool,
    pub(super) drop_last: bool,
    /// Whether the best epoch's states are kept.
    pub(super) keep_best: bool,
    pub(super) seed: u64,
    /// What classes count.
    pub(super) classes: ClassWeights,
}

/// A call of `fit`.
pub(super) struct Run<'r, 'c> {
    trainer: &'r mut Trainer,
    data: RunData<'r>,
    options: EpochOptions,
    reporter: Reporter,
    history: History,
    callbacks: Vec<Box<dyn Callback + 'c>>,
    /// What callbacks can watch.
    measured: Vec<Measured>,
    keeper: Option<Keeper>,
}

impl<'r, 'c> Run<'r, 'c> {
    pub(super) fn new(
        trainer: &'r mut Trainer,
        data: RunData<'r>,
        options: EpochOptions,
        progress: Progress,
        callbacks: Vec<Box<dyn Callback + 'c>>,
    ) -> Self {
        let images = trainer.programs.subject.model.inputs().iter().any(|(_, ty)| ty.dims.len() == 3);
        let unit = if images { "images" } else { "samples" };
        let measured = measured(trainer, data.validation.is_some());
        let reporter = Reporter::new(progress, options.epochs, unit, &measured);
        let history = History::default();
        Self { trainer, data, options, reporter, history, callbacks, measured, keeper: None }
    }

    /// All of it; with checkpoints, and whether to go on from one, if they are asked for.
    pub(super) fn fit(mut self, checkpoints: Option<(Checkpoints<'_>, bool)>) -> Result<History, TrainError> {
        if let Some(communicator) = self.data.communicator {
            self.check_alike(checkpoints.is_some(), communicator)?;
            share_states(self.trainer, communicator)?;
        }
        // A folder that other processes than the first have read the checkpoint from.
        let mut _copy = None;
        let mut found = None;
        if let Some((checkpoints, resume)) = checkpoints {
            (found, _copy) = self.open(checkpoints, resume)?;
            self.check_place(found.as_ref())?;
        }
        self.each(|callback, control| callback.begin(control))?;
        let mut best = self.options.keep_best.then(|| BestEpoch::new(self.trainer)).transpose()?;
        let begun = found.map(|found| self.resume(found, &mut best)).transpose()?.flatten();
        let run = self.epochs(&mut best, begun);
        let best = best.filter(|_| matches!(run, Err(TrainError::Diverged { .. })));
        let best = best.map(|best| best.restore(self.trainer)).transpose()?;
        // Also where an epoch failed: what a callback keeps for the end, the best weights for instance, is what one has then.
        let ended = self.each(|callback, control| callback.end(control));
        match run {
            Ok(()) => ended.map(|()| self.history),
            Err(TrainError::Diverged { epoch, step, loss, fault, .. }) => {
                Err(TrainError::Diverged { epoch, step, loss, history: Box::new(self.history), best, fault })
            }
            Err(error) => Err(error),
        }
    }

    /// What must be the same in a run that goes on from this one's checkpoints, besides the model's states. Not cheap: the step is traced for it.
    fn settings(&self) -> RunSettings {
        let Self { trainer, data, options, callbacks, .. } = self;
        let subject = &trainer.programs.subject;
        let losses = subject.objective.losses();
        let losses: Vec<&str> = losses.iter().map(|loss| loss.loss.name()).collect();
        let metrics: Vec<String> = subject.metrics.iter().map(|metric| metric.name()).collect();
        let columns: Vec<String> =
            data.train.schema().fields().iter().map(|field| format!("{} {}", field.name, field.ty)).collect();
        let callbacks: Vec<String> = callbacks.iter().map(|callback| callback.name()).collect();
        let settings = [
            ("the optimizer", subject.optimizer.name().into()),
            ("the loss", losses.join(" + ")),
            ("metrics", format!("[{}]", metrics.join(", "))),
            ("the size of a batch", trainer.batch.to_string()),
            ("the number of samples", data.train.samples().map_or("unknown".into(), |samples| samples.to_string())),
            ("columns of the data", columns.join(", ")),
            ("shuffling", yes(options.shuffle)),
            ("the seed of the shuffling", options.seed.to_string()),
            ("leaving out a last batch that isn't full", yes(options.drop_last)),
            ("keeping the best epoch's states", yes(options.keep_best)),
            ("weights of classes", format!("{:?}", options.classes)),
            ("validation", yes(data.validation.is_some())),
            ("the list of callbacks", format!("[{}]", callbacks.join(", "))),
            (STEP_SETTINGS, trainer.programs.fingerprint().unwrap_or_default()),
        ];
        map_of(settings.map(|(what, value)| (what.to_string(), value)))
    }

    /// Refuses processes that don't train alike.
    fn check_alike(&self, checkpoints: bool, communicator: &dyn Communicator) -> Result<(), TrainError> {
        let mut settings = self.settings();
        settings.extend(model_settings(self.trainer)?);
        settings.insert("the number of epochs".into(), self.options.epochs.to_string());
        settings.insert("keeping checkpoints".into(), yes(checkpoints));
        Ok(check_alike(&settings, communicator)?)
    }

    /// Opens the checkpoints' folder, of several processes at rank 0; the newest, which others get a copy of.
    fn open(
        &mut self,
        checkpoints: Checkpoints<'_>,
        resume: bool,
    ) -> Result<(Option<FoundRun>, Option<tempfile::TempDir>), TrainError> {
        let mut newest = None;
        let settings = self.settings();
        let communicator = self.data.communicator;
        if communicator.is_none_or(|communicator| communicator.rank() == 0) {
            let of = (&*self.trainer, settings.clone());
            let (keeper, found) = Keeper::open(checkpoints, resume, of, &self.reporter)?;
            (self.keeper, newest) = (Some(keeper), found);
        }
        let Some(communicator) = communicator else { return Ok((newest, None)) };
        match share_checkpoint(newest.as_ref().map(FoundRun::file), communicator)? {
            Some((file, folder)) => Ok((Some(FoundRun::read(file, self.trainer, &settings)?), Some(folder))),
            None => Ok((newest, None)),
        }
    }

    /// Refuses a checkpoint from beyond the last epoch that is asked for.
    fn check_place(&self, found: Option<&FoundRun>) -> Result<(), TrainError> {
        let Some(found) = found else { return Ok(()) };
        let (place, epochs) = (found.place(), self.options.epochs);
        let epoch = place.epochs + usize::from(place.step > 0);
        match epoch > epochs {
            true => Err(CheckpointError::Farther { path: found.file().path().into(), epoch, epochs }.into()),
            false => Ok(()),
        }
    }

    /// Everything becomes what it was at the checkpoint; where the epoch under way is, if one is.
    fn resume(&mut self, found: FoundRun, best: &mut Option<BestEpoch>) -> Result<Option<PassPlace>, TrainError> {
        let step = match found.is_within_epoch() {
            true => Some(self.step_types()?),
            false => None,
        };
        let step = step.as_ref().map(|(outputs, batch)| (outputs, *batch));
        let resumed = found.restore(self.trainer, best, step)?;
        self.history = resumed.history;
        let mut states = self.callbacks.iter_mut().zip(&resumed.callbacks);
        states.try_for_each(|(callback, state)| callback.load_state(state))?;
        Ok(resumed.pass)
    }

    /// What a step of training gives out, and of how many samples.
    fn step_types(&mut self) -> Result<StepOutputTypes, TrainError> {
        let size = self.data.train.samples().map_or(self.trainer.batch, |samples| samples.min(self.trainer.batch));
        let weighted = self.weights().any();
        let program = self.trainer.programs.activate((Purpose::Training, Batch { size, weighted }))?;
        Ok((program.outputs().clone(), size))
    }

    /// What samples count.
    fn weights(&self) -> SampleWeights {
        SampleWeights { classes: self.options.classes.clone(), ..self.trainer.sample_weights(self.data.train) }
    }

    /// Calls all callbacks, in order, until one fails.
    fn each(
        &mut self,
        mut call: impl FnMut(&mut (dyn Callback + 'c), &mut Control<'_>) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let Self { trainer, history, callbacks, measured, data, .. } = self;
        let rank = data.communicator.map_or(0, Communicator::rank);
        callbacks.iter_mut().try_for_each(|callback| {
            call(&mut **callback, &mut Control { trainer, stopped: &mut history.stopped, measured, rank })
        })
    }

    /// All epochs, or those until one fails or a callback stops; the first may have begun before.
    fn epochs(&mut self, best: &mut Option<BestEpoch>, mut begun: Option<PassPlace>) -> Result<(), TrainError> {
        if self.history.stopped.is_some() && begun.is_none() && self.history.resumed.is_some() {
            return Ok(());
        }
        for epoch in self.history.epochs.len() + 1..=self.options.epochs {
            let begun = begun.take();
            if begun.is_none() {
                self.each(|callback, control| callback.epoch_begin(epoch, control))?;
            }
            let record = self.epoch(epoch, begun, best.as_ref())?;
            self.reporter.epoch_done(&record);
            if let Some(best) = best {
                best.update(self.trainer, &record)?;
            }
            let told = self.each(|callback, control| callback.epoch_end(&record, control));
            self.history.epochs.push(record);
            told?;
            self.stop_together()?;
            self.save(best.as_ref(), None)?;
            if let Some(reason) = &self.history.stopped {
                self.reporter.note(reason);
                break;
            }
        }
        Ok(())
    }

    /// One epoch, which may have begun before.
    fn epoch(
        &mut self,
        epoch: usize,
        begun: Option<PassPlace>,
        best: Option<&BestEpoch>,
    ) -> Result<EpochRecord, TrainError> {
        let start = Instant::now();
        let steps = steps_of(self.data.train, self.trainer.batch, self.options.drop_last);
        self.reporter.epoch_begin(epoch, steps);
        let place = match begun {
            Some(place) => place,
            None => {
                self.trainer.reset_metrics();
                let number = passes_so_far(self.trainer, steps)?.saturating_add(1);
                PassPlace { number, step: 0, seconds: 0.0, digest: 0 }
            }
        };
        self.pass(epoch, place, start, best)?;
        let trained = place.seconds + start.elapsed().as_secs_f64();
        let mut values = named(self.trainer.logs().evaluation()?.values(), "");
        if let Some(data) = self.data.validation {
            let communicator = self.data.communicator;
            let evaluate = |trainer: &mut Trainer| match communicator {
                Some(communicator) => trainer.evaluate_part(data, communicator),
                None => trainer.evaluate(data),
            };
            let evaluation = match self.options.averages {
                true => self.trainer.with_averages(evaluate)?,
                false => evaluate(self.trainer)?,
            };
            values.extend(named(evaluation.values(), "val_"));
        }
        values.extend(self.trainer.training.statistics.means());
        values.extend(self.trainer.last_rates()?);
        let samples_per_second = self.trainer.logs().samples() as f64 / trained.max(1e-9);
        let seconds = place.seconds + start.elapsed().as_secs_f64();
        Ok(EpochRecord { epoch, values, seconds, samples_per_second })
    }

    /// The steps of an epoch from `place` on, or those until a callback stops.
    fn pass(
        &mut self,
        epoch: usize,
        place: PassPlace,
        start: Instant,
        best: Option<&BestEpoch>,
    ) -> Result<(), TrainError> {
        // Who stopped before the first step wants the epoch whole.
        let stopped_before = self.history.stopped.is_some();
        let EpochOptions { shuffle, seed, drop_last, .. } = self.options;
        let pass = Epoch { batch: self.trainer.batch, shuffle, seed, number: place.number };
        let (train, weights) = (self.data.train, self.weights());
        let mut batches = train.open(pass)?;
        let mut step = self.pass_over(&mut *batches, epoch, place)?;
        while let Some(batch) = batches.next_batch()?.filter(|b| !drop_last || b.len() == self.trainer.batch) {
            step += 1;
            let at = StepPlace { epoch, step };
            let digest = self.is_due()?.then(|| batch.digest());
            self.each(|callback, control| callback.batch_begin(at, control))?;
            self.step(at, &batch, &weights)?;
            self.reporter.step_done(step, &self.trainer.training.totals)?;
            self.each(|callback, control| callback.batch_end(at, control))?;
            self.stop_together()?;
            if self.history.stopped.is_some() && !stopped_before {
                break;
            }
            if let Some(digest) = digest {
                let seconds = place.seconds + start.elapsed().as_secs_f64();
                self.save(best, Some(PassPlace { number: place.number, step, seconds, digest }))?;
            }
        }
        if step == 0 {
            return Err(TrainError::Setting(format!("epoch {epoch} has no batch: the data have too few samples")));
        }
        Ok(())
    }

    /// If a callback has stopped one of several processes, all stop.
    fn stop_together(&mut self) -> Result<(), TrainError> {
        match self.data.communicator {
            Some(communicator) if !self.callbacks.is_empty() => {
                Ok(stop_together(&mut self.history.stopped, communicator)?)
            }
            _ => Ok(()),
        }
    }

    /// A step, whose loss must be finite.
    fn step(&mut self, at: StepPlace, batch: &BatchView<'_>, weights: &SampleWeights) -> Result<(), TrainError> {
        let taken = match self.data.communicator {
            Some(communicator) => self.trainer.take_batch(batch, weights, communicator),
            None => self.trainer.take_step(&(*batch).into(), weights),
        };
        let (loss, fault) = match taken {
            Ok(loss) if loss.is_finite() => return Ok(()),
            Ok(loss) => (loss, None),
            Err(TrainError::Run(RunError::NotFinite(fault))) => (f64::NAN, Some(fault)),
            Err(error) => return Err(error),
        };
        let StepPlace { epoch, step } = at;
        Err(TrainError::Diverged { epoch, step, loss, history: Box::default(), best: None, fault })
    }

    /// Passes over the batches of steps that were done before, and compares the last one with what it was. Their number.
    fn pass_over(&self, batches: &mut dyn BatchReader, epoch: usize, place: PassPlace) -> Result<usize, TrainError> {
        let Some(before) = place.step.checked_sub(1) else { return Ok(0) };
        let there = batches.skip(before)? == before;
        match batches.next_batch()? {
            Some(batch) if there && batch.digest() == place.digest => Ok(place.step),
            _ => {
                let path = self.history.resumed.clone().unwrap_or_default();
                Err(CheckpointError::Data { path, epoch, batch: place.step }.into())
            }
        }
    }

    /// Whether a checkpoint is to be written after the next step.
    fn is_due(&mut self) -> Result<bool, TrainError> {
        match &self.keeper {
            Some(keeper) => Ok(keeper.is_due(self.trainer.steps()?.saturating_add(1))),
            None => Ok(false),
        }
    }

    /// Writes a checkpoint, if they are asked for: between epochs, or within one.
    fn save(&mut self, best: Option<&BestEpoch>, pass: Option<PassPlace>) -> Result<(), TrainError> {
        let Some(keeper) = &mut self.keeper else { return Ok(()) };
        let callbacks: Vec<CallbackState> = self.callbacks.iter().map(|callback| callback.state()).collect();
        keeper.save(self.trainer, &RunSnapshot { history: &self.history, best, callbacks, pass })
    }
}

/// The types of a step's outputs, and the samples of its batch.
type StepOutputTypes = (std::collections::BTreeMap<String, ir::TensorType>, usize);

/// Values by names that begin with `prefix`.
fn named<'v>(values: impl Iterator<Item = (&'v str, f64)>, prefix: &str) -> Vec<(String, f64)> {
    values.map(|(name, value)| (format!("{prefix}{name}"), value)).collect()
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

fn yes(yes: bool) -> String {
    if yes { "on" } else { "off" }.to_string()
}

/// What must be the same in processes that take steps together, besides the model's states.
pub(super) fn model_settings(trainer: &Trainer) -> Result<RunSettings, TrainError> {
    let target = trainer.programs.options().target_or_host()?;
    let settings = [
        (STEP_SETTINGS, trainer.programs.fingerprint()?),
        ("the seed", trainer.programs.options().seed.to_string()),
        ("the machine that code is generated for (GRADC_TARGET and GRADC_CACHES say it)", format!("{target:?}")),
    ];
    Ok(map_of(settings.map(|(what, value)| (what.to_string(), value))))
}

/// How many passes over the data the steps so far would make. Counted by steps, which a checkpoint keeps, so that each epoch has an order of its own in whichever
/// call of `fit` it runs, and a training that goes on from a checkpoint has those that it would have had. Where nobody knows how many steps a pass has, the steps
/// themselves tell passes apart.
fn passes_so_far(trainer: &mut Trainer, steps: Option<usize>) -> Result<u64, TrainError> {
    Ok(trainer.steps()? / steps.unwrap_or(1).max(1) as u64)
}
