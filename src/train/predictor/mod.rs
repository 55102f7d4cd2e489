//! Predictions from any thread, of any number of samples, by one block of weights.

mod batch;
#[cfg(feature = "built")]
mod built;
mod lift;
mod program;
mod saved;
#[cfg(test)]
mod tests;

pub use batch::PredictorBatch;

use super::feed::{feed, run};
use super::rows::{concatenate, first_rows};
use super::weights::SampleWeights;
use super::{TrainError, Trainer};
use crate::compile::{PortAccess, RunError, States};
use crate::data::Samples;
use crate::dsl::Step;
use crate::model::{Model, trace};
use ir::{Loc, TensorType, Value};
use program::{ProgramSource, ServedProgram};
use runtime::Element;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A trained model that only predicts: by the weights that a trainer had when [`Trainer::predictor`] made it, by those of a file ([`Predictor::load`]), or of steps from elsewhere
/// ([`Predictor::from_steps`]). Cheap to clone, and used by any number of threads at once: they read one block of weights, and no lock is held
/// while a step runs.
///
/// Any number of samples is cut into batches of the trainer's size, and what is left is computed by the program of the next power of two, whose further places repeat the last
/// sample: a batch of 64 takes seven programs for all sizes, each compiled when it is first needed, or before ([`Predictor::warm_up`]). Then nothing is allocated: who can't wait asks for [`Predictor::ready_batch`]. The same samples give the same bits again. A sample's last bits may depend on how many others
/// come with it, since sums of another size may be cut otherwise; a model that mixes samples of a batch sees the repeated ones.
///
/// ```
/// use gradc::prelude::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut trainer = Sequential::new([4]).dense(16).tanh().dense(2).compile(Adam::default(), MeanSquaredError, [])?;
/// let predictor = trainer.predictor()?;
/// let threads: Vec<_> = (0..2)
///     .map(|_| {
///         let predictor = predictor.clone();
///         std::thread::spawn(move || {
///             let mut output = [0.0f32; 2];
///             predictor.predict_into(&[("x", (&[0.1f32, 0.2, 0.3, 0.4]).into())], &mut [("output", &mut output)])?;
///             Ok::<_, TrainError>(output)
///         })
///     })
///     .collect();
/// let outputs: Result<Vec<_>, _> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
/// assert!(outputs?.windows(2).all(|pair| pair[0] == pair[1]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Predictor(Arc<Served>);

/// What clones of a predictor share.
struct Served {
    source: ProgramSource,
    /// Whether arrays are whole: the model has no axis that counts samples.
    whole: bool,
    inputs: Vec<(String, usize)>,
    outputs: Vec<String>,
    /// From the smallest to the largest.
    sizes: Vec<ServedSize>,
}

/// The programs of one size of a batch.
struct ServedSize {
    samples: usize,
    /// Declared when first needed.
    step: OnceLock<Step>,
    /// Whether there have been programs.
    ready: AtomicBool,
    /// Those that no thread runs at the moment.
    idle: Mutex<Vec<ServedProgram>>,
}

impl ServedSize {
    /// Without programs so far.
    fn new(samples: usize, step: OnceLock<Step>) -> Self {
        Self { samples, step, ready: AtomicBool::default(), idle: Mutex::default() }
    }
}

impl std::fmt::Debug for Predictor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sizes: Vec<usize> = self.0.sizes.iter().map(|size| size.samples).collect();
        write!(f, "Predictor({}, batches of {sizes:?})", self.0.outputs.join(", "))
    }
}

impl Trainer {
    /// What predicts by a copy of the weights of the moment, while this trainer goes on or is dropped. Its largest batch is that of [`Trainer::with_batch`], else of the last training,
    /// else 32.
    ///
    /// # Errors
    /// A model that breaks rules, or with an output that doesn't count samples along its first axis, in its largest batch; if memory isn't to be had.
    pub fn predictor(&mut self) -> Result<Predictor, TrainError> {
        let mut sizes = self.prediction_sizes();
        let largest = sizes.pop().unwrap_or(1);
        let step = self.prediction_step(largest)?;
        let states = self.programs.copy_of(&step.states)?;
        let steps = sizes.into_iter().map(|samples| (samples, OnceLock::new())).chain([(largest, step.into())]);
        Ok(self.predictor_of(steps, states))
    }

    /// The sizes of batches that predictors have, from the smallest to the largest; at least one.
    pub(super) fn prediction_sizes(&self) -> Vec<usize> {
        let largest = self.pass().batch;
        let powers = std::iter::successors(Some(1usize), |size| size.checked_mul(2)).take_while(|size| *size < largest);
        powers.chain([largest]).collect()
    }

    /// What predicts a batch of that size.
    pub(super) fn prediction_step(&self, samples: usize) -> Result<Step, TrainError> {
        declare(&*self.programs.subject.model, samples, &self.programs.subject.at)
    }

    /// A predictor that runs these steps on these states. Steps that aren't there yet are the model's.
    pub(super) fn predictor_of(
        &self,
        steps: impl IntoIterator<Item = (usize, OnceLock<Step>)>,
        states: States,
    ) -> Predictor {
        let model = Arc::clone(&self.programs.subject.model);
        Predictor(Arc::new(Served {
            whole: false,
            inputs: self.inputs.clone(),
            outputs: model.outputs(),
            sizes: steps.into_iter().map(|(samples, step)| ServedSize::new(samples, step)).collect(),
            source: ProgramSource::Steps {
                states: Arc::new(states),
                options: self.programs.options().clone(),
                model: Some((model, self.programs.subject.at.clone())),
            },
        }))
    }
}

/// The graph for so many samples, whose outputs all have a row for each.
fn declare(model: &dyn Model, samples: usize, at: &Loc) -> Result<Step, TrainError> {
    let step = trace::inference(model, samples, at)?;
    match without_rows(&step, samples) {
        None => Ok(step),
        Some((port, ty)) => {
            let what = format!("{port}, {ty}, has no row for each of {samples} samples: predict by the trainer");
            Err(TrainError::Setting(what))
        }
    }
}

/// An input or an output that doesn't count so many samples along its first axis.
fn without_rows(step: &Step, samples: usize) -> Option<(String, TensorType)> {
    let inputs = step.graph.inputs().map(|(_, input)| (format!("the input `{}`", input.name), &input.ty));
    let outputs =
        step.graph.outputs().iter().map(|(name, node)| (format!("the output `{name}`"), step.graph.ty(*node)));
    let mut ports = inputs.chain(outputs).map(|(port, ty)| (port, ty.clone()));
    ports.find(|(_, ty)| ty.shape.first() != Some(&samples))
}

impl Predictor {
    /// Writes outputs by name, sample after sample, each into room for exactly all samples: `output`, of a model that has one. The samples are a
    /// [`Dataset`](crate::data::Dataset), a [`BatchView`](crate::data::BatchView) or arrays by name.
    ///
    /// # Errors
    /// Data that don't fit the model, an output that there isn't or that has other elements or another size, a program that can't be compiled.
    pub fn predict_into<'s, T: Element>(
        &self,
        samples: impl Into<Samples<'s>>,
        outputs: &mut [(&str, &mut [T])],
    ) -> Result<(), TrainError> {
        self.run(&samples.into(), |program, at, count, all| {
            for (name, out) in &mut *outputs {
                let (rows, room) = (program.ports().1.output::<T>(name).map_err(RunError::from)?, out.len());
                let row = rows.len() / at.1;
                if room != all * row {
                    let what = format!("`{name}` of {all} samples has {} elements, not {room}", all * row);
                    return Err(TrainError::Setting(what));
                }
                out[at.0 * row..(at.0 + count) * row].copy_from_slice(&rows[..count * row]);
            }
            Ok(())
        })
    }

    /// The output of a model that has one, for all samples, along the first axis.
    ///
    /// # Errors
    /// As [`Predictor::predict_into`]; a model with several outputs.
    pub fn predict<'s>(&self, samples: impl Into<Samples<'s>>) -> Result<Value, TrainError> {
        let [name] = &self.0.outputs[..] else {
            let names = self.0.outputs.join(", ");
            return Err(TrainError::Setting(format!("the model has the outputs {names}: `predict_into` gives each")));
        };
        let mut parts = Vec::new();
        self.run(&samples.into(), |program, _, count, _| {
            parts.push(first_rows(program.read_output(name)?, count)?);
            Ok(())
        })?;
        concatenate(&parts)
    }

    /// The block of weights, if they have names.
    pub(super) fn states(&self) -> Option<&States> {
        self.0.source.states()
    }

    /// Bytes of the weights, and of the memory of programs that are idle.
    pub fn bytes(&self) -> usize {
        let of_size = |size: &ServedSize| lock(&size.idle).iter().map(ServedProgram::bytes).sum::<usize>();
        self.0.source.state_bytes() + self.0.sizes.iter().map(of_size).sum::<usize>()
    }

    /// How many programs there are, of all sizes, that are idle.
    pub fn programs(&self) -> usize {
        self.0.sizes.iter().map(|size| lock(&size.idle).len()).sum()
    }

    /// Runs batch after batch. `take` gets a program that has run, the first sample and the room of its batch, the number of its samples, and that of all.
    fn run(
        &self,
        samples: &Samples<'_>,
        mut take: impl FnMut(&ServedProgram, (usize, usize), usize, usize) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let Served { inputs, sizes, whole, .. } = &*self.0;
        if *whole {
            let what = "the model has no axis that counts samples: `ready_batch` takes whole arrays";
            return Err(TrainError::Setting(what.into()));
        }
        let all = samples.len(inputs)?;
        let mut at = 0;
        while at < all {
            let largest = sizes.last().map_or(1, |size| size.samples);
            let count = largest.min(all - at);
            let Some(size) = sizes.iter().find(|size| size.samples >= count) else { break };
            let mut program = self.program(size)?;
            let done = feed(&mut program, samples, at..at + count, &SampleWeights::default())
                .and_then(|()| run(&mut program, samples, at))
                .and_then(|()| take(&program, (at, size.samples), count, all));
            lock(&size.idle).push(program);
            done?;
            at += count;
        }
        Ok(())
    }

    /// A program that no other thread has: an idle one, or another.
    fn program(&self, size: &ServedSize) -> Result<ServedProgram, TrainError> {
        let idle = lock(&size.idle).pop();
        idle.map_or_else(|| self.0.source.program(size), Ok)
    }
}

/// A list of programs is whole whatever happened to a thread that had it.
fn lock(idle: &Mutex<Vec<ServedProgram>>) -> MutexGuard<'_, Vec<ServedProgram>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
