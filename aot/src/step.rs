//! From a declared step, or a graph read from text, to an object.

use crate::{AotError, EntryPoint, Files, Initial, Variant, build, build_entries};
use gradc::compile::{CompileOptions, lower};
use gradc::dsl::{Initializer, StateSpec, Step};
use ir::{Graph, TensorType, Value};
use kernel::{Target, TargetError};
use std::collections::{BTreeMap, BTreeSet};

/// How to compile a step to an object.
#[derive(Clone, Debug)]
pub struct ObjectOptions {
    /// The prefix of all symbols, and the name of the files.
    pub name: String,
    /// The processors to compile for, all of one system. None: this one, held to what `GRADC_TARGET` allows.
    pub targets: Vec<Target>,
    /// What states start with instead of what the model says: trained weights.
    pub values: BTreeMap<String, Value>,
    /// How many bytes the loops' arena may have, as [`CompileOptions::memory_limit`] says it. What the caller gives is that and each thread's scratch memory.
    pub memory_limit: Option<usize>,
}

impl ObjectOptions {
    /// Code for this processor, states that start as the model says.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), targets: vec![], values: BTreeMap::new(), memory_limit: None }
    }

    /// With other processors.
    #[must_use]
    pub fn targets(self, targets: impl IntoIterator<Item = Target>) -> Self {
        Self { targets: targets.into_iter().collect(), ..self }
    }

    /// With a limit of memory.
    #[must_use]
    pub fn memory_limit(self, bytes: usize) -> Self {
        Self { memory_limit: Some(bytes), ..self }
    }

    /// Those of one of several entries.
    fn of_entry(&self, entry: &str) -> Self {
        Self { name: format!("{}_{entry}", self.name), ..self.clone() }
    }

    /// With values that states start with, by their names.
    #[must_use]
    pub fn values(self, values: BTreeMap<String, Value>) -> Self {
        Self { values, ..self }
    }
}

/// A system's machines with these instruction sets, by their names ([`Target::set_named`]).
///
/// # Errors
/// A name that is none; a set that the system doesn't have.
pub fn targets<'n>(system: &Target, sets: impl IntoIterator<Item = &'n str>) -> Result<Vec<Target>, TargetError> {
    sets.into_iter().map(|name| system.clone().with_instruction_set(system.set_named(name)?)).collect()
}

/// Values of the graphs' states, of all that a file has.
pub fn values_of_states<'g>(
    graphs: impl IntoIterator<Item = &'g Graph>,
    mut values: BTreeMap<String, Value>,
) -> BTreeMap<String, Value> {
    let states = graphs.into_iter().flat_map(|graph| graph.states().map(|(_, state)| state.name.as_str()));
    let states: BTreeSet<&str> = states.collect();
    values.retain(|name, _| states.contains(name.as_str()));
    values
}

/// Compiling ahead of time, for a [`Step`].
pub trait CompileObject {
    /// Compiles the step to an object with a C interface.
    ///
    /// # Errors
    /// As [`Step::compile`], and as [`build`]; a value for what is no state, or of another type.
    fn compile_object(&self, options: &ObjectOptions) -> Result<Files, AotError>;
}

impl CompileObject for Step {
    fn compile_object(&self, options: &ObjectOptions) -> Result<Files, AotError> {
        build(&step_entry(self, options)?)
    }
}

/// Compiles several steps of one model to objects that run on one block of states: training and prediction, for instance. Of options with the name `cnn`, the step
/// `train` becomes the entry `cnn_train`; the files come in the order of the steps. A value of [`ObjectOptions::values`] may be for a state that only one of the
/// steps has.
///
/// ```
/// use aot::{ObjectOptions, compile_steps};
/// use gradc::prelude::*;
/// let model = Sequential::new([4]).dense(3).tanh().dense(2);
/// let train = model.training_graph(8, &MeanSquaredError, &[], &Adam::default())?;
/// let infer = model.inference_graph(1)?;
/// let files = compile_steps(&[("train", &train), ("infer", &infer)], &ObjectOptions::named("fit"))?;
/// assert_eq!(files.iter().map(|files| files.name.as_str()).collect::<Vec<_>>(), ["fit_train", "fit_infer"]);
/// // Prediction's block has the optimizer's states too.
/// assert!(files[1].header.contains("FIT_INFER_STATE_adam_m_dense_kernel".to_uppercase().as_str()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`CompileObject::compile_object`] and [`build_entries`].
pub fn compile_steps(steps: &[(&str, &Step)], options: &ObjectOptions) -> Result<Vec<Files>, AotError> {
    let entry = |(name, step): &(&str, &Step)| step_entry(step, &options.of_entry(name));
    build_entries(&steps.iter().map(entry).collect::<Result<Vec<_>, _>>()?)
}

/// Compiles several graphs to objects that run on one block of states, as [`compile_steps`] does; states that [`ObjectOptions::values`] doesn't name start with
/// zeros.
///
/// # Errors
/// As [`compile_steps`].
pub fn compile_graphs(graphs: &[(&str, &Graph)], options: &ObjectOptions) -> Result<Vec<Files>, AotError> {
    let entry = |(name, graph): &(&str, &Graph)| entry_point(graph, BTreeMap::new(), &options.of_entry(name));
    build_entries(&graphs.iter().map(entry).collect::<Result<Vec<_>, _>>()?)
}

/// Compiles a graph, of a file for instance; states that [`ObjectOptions::values`] doesn't name start with zeros.
///
/// # Errors
/// As [`CompileObject::compile_object`].
pub fn compile_graph(graph: &Graph, options: &ObjectOptions) -> Result<Files, AotError> {
    build(&entry_point(graph, BTreeMap::new(), options)?)
}

/// A step's loops for each processor; states start as the model says, but for those that the options have values of.
fn step_entry(step: &Step, options: &ObjectOptions) -> Result<EntryPoint, AotError> {
    let start = |state: &StateSpec| (state.name.clone(), Initial { ty: state.ty.clone(), init: state.init.clone() });
    entry_point(&step.graph, step.states.iter().map(start).collect(), options)
}

/// A graph's loops for each processor. States start so, but for those that the options have values of.
fn entry_point(
    graph: &Graph,
    mut initial: BTreeMap<String, Initial>,
    options: &ObjectOptions,
) -> Result<EntryPoint, AotError> {
    initial.extend(given(graph, &options.values)?);
    let targets = match options.targets.is_empty() {
        true => vec![CompileOptions::default().target_or_host()?],
        false => options.targets.clone(),
    };
    let lower_for = |target: Target| {
        let mut compile = CompileOptions { target: Some(target.clone()), ..CompileOptions::default() };
        compile.passes.memory_limit = options.memory_limit;
        Ok::<_, AotError>(Variant { target, program: lower(graph, &compile)? })
    };
    Ok(EntryPoint {
        name: options.name.clone(),
        about: format!("The graph \"{}\".", graph.name()),
        variants: targets.into_iter().map(lower_for).collect::<Result<_, _>>()?,
        shapes: shapes(graph),
        state_shapes: graph.states().map(|(_, state)| (state.name.clone(), state.ty.shape.dims().to_vec())).collect(),
        initial,
    })
}

/// The shapes of inputs and outputs.
fn shapes(graph: &Graph) -> BTreeMap<String, Vec<usize>> {
    let inputs = graph.inputs().map(|(_, input)| (input.name.clone(), input.ty.shape.dims().to_vec()));
    let outputs = graph.outputs().iter().map(|(name, node)| (name.clone(), graph.ty(*node).shape.dims().to_vec()));
    inputs.chain(outputs).collect()
}

/// Values that states start with, if they are of the states' types.
fn given(graph: &Graph, values: &BTreeMap<String, Value>) -> Result<BTreeMap<String, Initial>, AotError> {
    let states: BTreeMap<&str, &TensorType> =
        graph.states().map(|(_, state)| (state.name.as_str(), &state.ty)).collect();
    let mut initial = BTreeMap::new();
    for (name, value) in values {
        // What is no state's, `build` refuses.
        if let Some(expected) = states.get(name.as_str()).filter(|expected| **expected != value.ty()) {
            let (state, found, expected) = (name.clone(), value.ty().clone(), (*expected).clone());
            return Err(AotError::InitialType { state, found, expected });
        }
        let init = Initializer::Given(value.clone());
        initial.insert(name.clone(), Initial { ty: value.ty().clone(), init });
    }
    Ok(initial)
}
