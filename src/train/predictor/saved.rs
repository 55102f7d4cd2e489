//! Predictors of models that no trainer of this process has: from files, and of steps from elsewhere.

use super::lift::{NamedConstants, lift};
use super::program::ProgramSource;
use super::{Predictor, Served, ServedSize, TrainError, without_rows};
use crate::compile::{CompileError, CompileOptions, States, write_initial};
use crate::dsl::{Initializer, StateSpec, Step};
use crate::io::load_steps;
use passes::PassContext;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What steps of one model have in common, while they come one after the other.
struct Gathered {
    options: CompileOptions,
    cx: PassContext,
    named: NamedConstants,
    states: BTreeMap<String, StateSpec>,
    steps: BTreeMap<usize, Step>,
}

impl Predictor {
    /// The model in a file that [`save_model`](crate::io::save_model) or [`Trainer::save_model`](crate::train::Trainer::save_model) has written. A file of a trainer has graphs for several sizes of
    /// batches; one with a single graph predicts batches of that size, or, if its inputs and outputs don't count samples, whole arrays.
    ///
    /// ```
    /// use gradc::prelude::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("model.safetensors");
    /// let mut trainer = Sequential::new([2]).dense(1).compile(Sgd::new(0.1), MeanSquaredError, [])?;
    /// trainer.save_model(&path, 4)?;
    /// let predictor = Predictor::load(&path, CompileOptions::default())?;
    /// let x = array([3, 2], vec![0.5f32, -1.0, 0.0, 1.0, 2.0, 3.0])?;
    /// assert_eq!(predictor.predict(&[("x", (&x).into())])?, trainer.predictor()?.predict(&[("x", (&x).into())])?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`load_model`](crate::io::load_model), and if memory isn't to be had.
    pub fn load(path: impl AsRef<Path>, options: CompileOptions) -> Result<Self, TrainError> {
        let mut steps = load_steps(path)?;
        if steps.len() == 1
            && let Some(step) = steps.pop()
        {
            return Self::from_step(step, options);
        }
        let sized = |step: Step| {
            let first = step.graph.inputs().find_map(|(_, input)| input.ty.shape.first().copied());
            Ok::<_, TrainError>((first.unwrap_or(1), step))
        };
        Self::from_steps(steps.into_iter().map(sized), options)
    }

    /// A model of which there is one graph. If all inputs and outputs have the same first extent, samples are counted along it; else arrays are whole.
    ///
    /// # Errors
    /// If memory isn't to be had.
    pub fn from_step(step: Step, options: CompileOptions) -> Result<Self, TrainError> {
        let first = step.graph.inputs().find_map(|(_, input)| input.ty.shape.first().copied());
        let samples = first.filter(|samples| without_rows(&step, *samples).is_none());
        let mut gathered = Gathered::new(options)?;
        gathered.take(samples.unwrap_or(1), step)?;
        gathered.finish(samples.is_none())
    }

    /// A model of which there is a graph for each of some sizes of batches, from wherever they come; the values of states are those that the first step with a state starts with. Large constants are kept once for all of
    /// them, as states are.
    ///
    /// # Errors
    /// What a step fails with; none at all, an input or an output that doesn't count samples along its first axis, states of one name and several types; if memory isn't to be had.
    pub fn from_steps<E: From<TrainError>>(
        steps: impl IntoIterator<Item = Result<(usize, Step), E>>,
        options: CompileOptions,
    ) -> Result<Self, E> {
        let mut gathered = Gathered::new(options)?;
        for step in steps {
            let (samples, step) = step?;
            if let Some((port, ty)) = without_rows(&step, samples) {
                let what = format!("{port}, {ty}, has no row for each of {samples} samples");
                return Err(TrainError::Setting(what).into());
            }
            gathered.take(samples, step)?;
        }
        Ok(gathered.finish(false)?)
    }
}

impl Gathered {
    fn new(options: CompileOptions) -> Result<Self, TrainError> {
        let cx = PassContext { target: options.target_or_host()?, options: options.passes.clone() };
        Ok(Self { options, cx, named: NamedConstants::default(), states: BTreeMap::new(), steps: BTreeMap::new() })
    }

    /// Takes a step's states from it, as far as they aren't known.
    fn take(&mut self, samples: usize, mut step: Step) -> Result<(), TrainError> {
        lift(&mut step, &mut self.named, &self.cx).map_err(CompileError::from)?;
        for state in &mut step.states {
            let init = std::mem::replace(&mut state.init, Initializer::Constant(0.0));
            let known = self.states.entry(state.name.clone()).or_insert_with(|| StateSpec { init, ..state.clone() });
            if known.ty != state.ty {
                let what = format!("the state `{}` is {} in one graph, {} in another", state.name, known.ty, state.ty);
                return Err(TrainError::Setting(what));
            }
        }
        self.steps.insert(samples, step);
        Ok(())
    }

    fn finish(self, whole: bool) -> Result<Predictor, TrainError> {
        // From here on each constant is dropped when its state has been written.
        drop(self.named);
        let sizes = self.states.values().map(|state| (state.name.clone(), state.ty.dtype, state.ty.shape.numel()));
        let mut states = States::new(sizes).map_err(CompileError::from)?;
        for state in self.states.into_values() {
            write_initial(&mut states, &state, self.options.seed)?;
        }
        let Some((samples, largest)) = self.steps.last_key_value() else {
            return Err(TrainError::Setting("a predictor needs a step".into()));
        };
        let rows = if whole { 1 } else { *samples };
        let size = |ty: &ir::TensorType| ty.shape.numel() / rows.max(1);
        let served = Served {
            whole,
            inputs: largest.graph.inputs().map(|(_, input)| (input.name.clone(), size(&input.ty))).collect(),
            outputs: largest.graph.outputs().iter().map(|(name, _)| name.clone()).collect(),
            source: ProgramSource::Steps { states: Arc::new(states), options: self.options, model: None },
            sizes: vec![],
        };
        let sized = |(samples, step): (usize, Step)| ServedSize::new(samples, step.into());
        Ok(Predictor(Arc::new(Served { sizes: self.steps.into_iter().map(sized).collect(), ..served })))
    }
}
