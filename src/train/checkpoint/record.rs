//! A run on its way into a file and out of it again: tensors, and a text that says the rest.
//!
//! The file is one of safetensors. States stand in it under their own names, so that it is also a file of weights; what belongs to the run has names that begin with `@run/`:
//! the states of the best epoch where they differ, statistics of metrics, tensors of callbacks, and `@run/record`, JSON.

use super::measured::{SavedMeasurements, StepTypes};
use super::number::ExactFloat;
use super::{CheckpointError, RunPlace};
use crate::io::{IoError, RESERVED, TensorFile, select};
use crate::train::best::BestEpoch;
use crate::train::callback::CallbackState;
use crate::train::{EpochRecord, History, TrainError, Trainer};
use ir::{Data, Shape, TensorType, Value, map_of, try_map_of};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The form of the record: another one has another number.
const FORMAT: u32 = 1;
const RECORD: &str = "@run/record";
const BEST: &str = "@run/best/";
const TRAINING: &str = "@run/training/";
const TESTING: &str = "@run/testing/";
/// Bytes of a record that are read and written at most.
const MAX_RECORD: usize = 64 << 20;

/// What a run must have alike to go on from a checkpoint: by what it is called, what it is.
pub(in crate::train) type RunSettings = BTreeMap<String, String>;

/// The setting that stands for all that has no name here: rates, decays, a layer's and a loss's settings.
pub(in crate::train) const STEP_SETTINGS: &str =
    "the training step (a checksum of the model's, the loss's and the optimizer's settings)";

/// Where an epoch under way is.
#[derive(Clone, Copy, Serialize, Deserialize, PartialEq, Debug)]
pub(in crate::train) struct PassPlace {
    /// Which pass over the data it is.
    pub(in crate::train) number: u64,
    /// The steps that are done.
    pub(in crate::train) step: usize,
    /// What they took, in seconds.
    pub(in crate::train) seconds: f64,
    /// Of the last step's samples.
    pub(in crate::train) digest: u32,
}

/// Everything that a checkpoint holds besides the trainer's states and the run's settings.
pub(in crate::train) struct RunSnapshot<'r> {
    pub(in crate::train) history: &'r History,
    /// None where the run keeps none.
    pub(in crate::train) best: Option<&'r BestEpoch>,
    pub(in crate::train) callbacks: Vec<CallbackState>,
    pub(in crate::train) pass: Option<PassPlace>,
}

/// The text.
#[derive(Serialize, Deserialize)]
pub(super) struct RunRecord {
    format: u32,
    settings: RunSettings,
    epochs: Vec<SavedEpoch>,
    stopped: Option<String>,
    best: Option<SavedBest>,
    callbacks: Vec<SavedCallback>,
    pass: Option<SavedPass>,
}

/// Which epoch was the best, of a run that keeps its states.
#[derive(Serialize, Deserialize)]
struct SavedBest {
    epoch: usize,
    loss: ExactFloat,
}

#[derive(Serialize, Deserialize)]
struct SavedEpoch {
    epoch: usize,
    values: Vec<(String, ExactFloat)>,
    seconds: ExactFloat,
    samples_per_second: ExactFloat,
}

#[derive(Serialize, Deserialize)]
struct SavedCallback {
    numbers: BTreeMap<String, ExactFloat>,
    texts: BTreeMap<String, String>,
    /// Names of tensors.
    tensors: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct SavedPass {
    place: PassPlace,
    training: SavedMeasurements,
    testing: SavedMeasurements,
}

/// Where tensors of a callback stand.
fn of_callback(i: usize, name: &str) -> String {
    format!("@run/callback/{i}/{name}")
}

/// The tensors of a checkpoint.
pub(super) fn encode(
    trainer: &mut Trainer,
    settings: &RunSettings,
    view: &RunSnapshot<'_>,
) -> Result<BTreeMap<String, Value>, TrainError> {
    let mut tensors = trainer.programs.kept_states()?;
    let types = trainer.programs.kept_types();
    let of_best = view.best.map_or_else(|| Ok(BTreeMap::new()), |best| best.values(&types))?;
    let differing = of_best.into_iter().filter(|(name, value)| !same_bits(tensors.get(name), value));
    let differing: Vec<_> = differing.map(|(name, value)| (format!("{BEST}{name}"), value)).collect();
    tensors.extend(differing);
    for (i, state) in view.callbacks.iter().enumerate() {
        tensors.extend(state.tensors.iter().map(|(name, value)| (of_callback(i, name), value.clone())));
    }
    let pass = view.pass.map(|place| {
        let training = SavedMeasurements::of(&trainer.training, TRAINING, &mut tensors)?;
        let testing = SavedMeasurements::of(&trainer.testing, TESTING, &mut tensors)?;
        Ok::<_, TrainError>(SavedPass { place, training, testing })
    });
    let record = RunRecord {
        format: FORMAT,
        settings: settings.clone(),
        epochs: view.history.epochs.iter().map(SavedEpoch::of).collect(),
        stopped: view.history.stopped.clone(),
        best: view.best.map(|best| SavedBest { epoch: best.epoch, loss: ExactFloat(best.loss) }),
        callbacks: view.callbacks.iter().map(SavedCallback::of).collect(),
        pass: pass.transpose()?,
    };
    let too_long = |what: String| TrainError::Setting(format!("a checkpoint can't be written: {what}"));
    let text = serde_json::to_vec(&record).map_err(|e| too_long(e.to_string()))?;
    if text.len() > MAX_RECORD {
        return Err(too_long(format!("what callbacks and history say has {} bytes", text.len())));
    }
    let shape = Shape::new([text.len()]).map_err(|e| too_long(e.to_string()))?;
    let value = Value::new(TensorType::new(ir::DType::U8, shape), Data::U8(text));
    tensors.insert(RECORD.into(), value.map_err(|e| too_long(e.to_string()))?);
    Ok(tensors)
}

fn same_bits(a: Option<&Value>, b: &Value) -> bool {
    a.is_some_and(|a| a.ty() == b.ty() && a.data().to_bytes() == b.data().to_bytes())
}

impl SavedEpoch {
    fn of(record: &EpochRecord) -> Self {
        Self {
            epoch: record.epoch,
            values: record.values.iter().map(|(name, value)| (name.clone(), ExactFloat(*value))).collect(),
            seconds: ExactFloat(record.seconds),
            samples_per_second: ExactFloat(record.samples_per_second),
        }
    }

    fn into_record(self) -> EpochRecord {
        EpochRecord {
            epoch: self.epoch,
            values: self.values.into_iter().map(|(name, value)| (name, value.0)).collect(),
            seconds: self.seconds.0,
            samples_per_second: self.samples_per_second.0,
        }
    }
}

impl SavedCallback {
    fn of(state: &CallbackState) -> Self {
        Self {
            numbers: map_of(state.numbers.iter().map(|(name, number)| (name.clone(), ExactFloat(*number)))),
            texts: state.texts.clone(),
            tensors: state.tensors.keys().cloned().collect(),
        }
    }

    fn into_state(self, i: usize, file: &TensorFile) -> Result<CallbackState, IoError> {
        let tensors = self.tensors.into_iter().map(|name| Ok((name.clone(), file.tensor(&of_callback(i, &name))?)));
        Ok(CallbackState {
            numbers: map_of(self.numbers.into_iter().map(|(name, number)| (name, number.0))),
            texts: self.texts,
            tensors: try_map_of(tensors)?,
        })
    }
}

/// A checkpoint that has been read, and fits the trainer and the run.
pub(in crate::train) struct FoundRun {
    file: TensorFile,
    record: RunRecord,
    states: BTreeMap<String, Value>,
    /// Of the best epoch, if the run keeps them.
    best: Option<BTreeMap<String, Value>>,
    callbacks: Vec<CallbackState>,
}

/// What a run goes on with.
pub(in crate::train) struct ResumedRun {
    pub(in crate::train) history: History,
    pub(in crate::train) callbacks: Vec<CallbackState>,
    pub(in crate::train) pass: Option<PassPlace>,
}

impl FoundRun {
    /// Reads all of a checkpoint, and compares it with the trainer and the run's settings. Changes nothing.
    pub(in crate::train) fn read(
        file: TensorFile,
        trainer: &Trainer,
        settings: &RunSettings,
    ) -> Result<Self, CheckpointError> {
        let mut record = read_record(&file)?;
        compare(&file, &record.settings, settings, |what| what != STEP_SETTINGS)?;
        let model = |source| CheckpointError::Model { source };
        let wanted = trainer.programs.kept_types();
        let names = file.names().filter(|name| !name.starts_with(RESERVED));
        let tensors = file.tensors(names).map_err(model)?;
        let states = select(file.path(), tensors, &wanted, true).map_err(model)?;
        let best = record.best.is_some().then(|| best_states(&file, &states));
        let best = best.transpose().map_err(model)?;
        // After all that says more than a checksum does.
        compare(&file, &record.settings, settings, |what| what == STEP_SETTINGS)?;
        let callbacks = std::mem::take(&mut record.callbacks);
        let callbacks = callbacks.into_iter().enumerate().map(|(i, saved)| saved.into_state(i, &file));
        let callbacks = callbacks.collect::<Result<_, _>>().map_err(|e| wrong(&file, e.to_string()))?;
        Ok(Self { record, states, best, callbacks, file })
    }

    /// How far the run had come.
    pub(in crate::train) fn place(&self) -> RunPlace {
        let step = self.record.pass.as_ref().map_or(0, |pass| pass.place.step);
        RunPlace { epochs: self.record.epochs.len(), step }
    }

    /// Which file it is.
    pub(in crate::train) fn file(&self) -> &TensorFile {
        &self.file
    }

    /// Whether an epoch is under way: [`Self::restore`] then has to know what a step of training gives out.
    pub(in crate::train) fn is_within_epoch(&self) -> bool {
        self.record.pass.is_some()
    }

    /// The trainer and the best epoch become what they were.
    pub(in crate::train) fn restore(
        self,
        trainer: &mut Trainer,
        best: &mut Option<BestEpoch>,
        step: Option<(&BTreeMap<String, TensorType>, usize)>,
    ) -> Result<ResumedRun, TrainError> {
        let Self { file, record, states, best: of_best, callbacks } = self;
        trainer.reset_metrics();
        if let (Some(pass), Some((outputs, batch))) = (&record.pass, step) {
            let types = StepTypes { outputs, batch };
            let training = pass.training.restore(&mut trainer.training, (&file, TRAINING), &types);
            training
                .and_then(|()| pass.testing.restore(&mut trainer.testing, (&file, TESTING), &types))
                .map_err(|what| wrong(&file, what))?;
        }
        if let (Some(saved), Some(states)) = (record.best, of_best) {
            trainer.programs.set_states(states)?;
            *best = Some(BestEpoch::of(trainer, saved.epoch, saved.loss.0)?);
        }
        trainer.programs.set_states(states)?;
        trainer.extend_metadata(file.metadata()?);
        let history = History {
            epochs: record.epochs.into_iter().map(SavedEpoch::into_record).collect(),
            stopped: record.stopped,
            resumed: Some(file.path().into()),
        };
        Ok(ResumedRun { history, callbacks, pass: record.pass.map(|pass| pass.place) })
    }
}

fn wrong(file: &TensorFile, what: String) -> CheckpointError {
    CheckpointError::Record { path: file.path().into(), what }
}

/// The text of a checkpoint, with what must be so of any.
fn read_record(file: &TensorFile) -> Result<RunRecord, CheckpointError> {
    let wrong = |what: String| wrong(file, what);
    let ty = file.ty(RECORD).map_err(|_| wrong("it has no record of a run".into()))?;
    if ty.size_bytes() > MAX_RECORD {
        return Err(wrong(format!("a record of {} bytes", ty.size_bytes())));
    }
    let value = file.tensor(RECORD).map_err(|e| wrong(e.to_string()))?;
    let Data::U8(text) = value.data() else { return Err(wrong(format!("a record of {ty}"))) };
    let record: RunRecord = serde_json::from_slice(text).map_err(|e| wrong(format!("the record: {e}")))?;
    if record.format != FORMAT {
        return Err(wrong(format!("a record of form {}, of which this gradc only knows {FORMAT}", record.format)));
    }
    if record.epochs.iter().enumerate().any(|(i, epoch)| epoch.epoch != i + 1) {
        return Err(wrong("epochs that don't count from 1".into()));
    }
    if record.pass.as_ref().is_some_and(|pass| pass.place.step == 0) {
        return Err(wrong("an epoch under way without a step".into()));
    }
    Ok(record)
}

/// Refuses a checkpoint of a run with other settings, of those that are `asked` for.
fn compare(
    file: &TensorFile,
    found: &RunSettings,
    expected: &RunSettings,
    asked: impl Fn(&str) -> bool,
) -> Result<(), CheckpointError> {
    for (what, expected) in expected.iter().filter(|(what, _)| asked(what)) {
        let none = || "nothing".to_string();
        let found = found.get(what).cloned().unwrap_or_else(none);
        if found != *expected {
            let (path, what, expected) = (file.path().into(), what.clone(), expected.clone());
            return Err(CheckpointError::Setting { path, what, found, expected });
        }
    }
    Ok(())
}

/// The states of the best epoch: those that differ from the newest stand in the file.
fn best_states(file: &TensorFile, states: &BTreeMap<String, Value>) -> Result<BTreeMap<String, Value>, IoError> {
    let mut best = states.clone();
    for (name, name_there) in file.names().filter_map(|there| Some((there.strip_prefix(BEST)?, there))) {
        let value = file.tensor(name_there)?;
        let expected = states.get(name).map(|state| state.ty().clone());
        match expected {
            Some(expected) if expected == *value.ty() => drop(best.insert(name.into(), value)),
            Some(expected) => {
                let (path, name, found) = (file.path().into(), name_there.into(), value.ty().clone());
                return Err(IoError::Type { path, name, found, expected });
            }
            None => return Err(IoError::Unexpected { path: file.path().into(), names: vec![name_there.into()] }),
        }
    }
    Ok(best)
}
