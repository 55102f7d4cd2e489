//! From a declared step, or a graph read from text, to an object.

use crate::{AotError, EntryPoint, Files, Initial, Variant, build};
use gradc::compile::{CompileOptions, lower};
use gradc::dsl::Step;
use ir::{Graph, TensorType, Value};
use kernel::{InstructionSet, Target, TargetError};
use std::collections::{BTreeMap, BTreeSet};

/// How to compile a step to an object.
#[derive(Clone, Debug)]
pub struct ObjectOptions {
    /// The prefix of all symbols, and the name of the files.
    pub name: String,
    /// The processors to compile for, all of one system. None: this one, held to what `GRADC_TARGET` allows.
    pub targets: Vec<Target>,
    /// The seed of initial values, and of random ops.
    pub seed: u64,
    /// What states start with instead of what the model says: trained weights.
    pub values: BTreeMap<String, Value>,
}

impl ObjectOptions {
    /// Code for this processor, initial values of seed 0.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), targets: vec![], seed: 0, values: BTreeMap::new() }
    }

    /// With other processors.
    #[must_use]
    pub fn targets(self, targets: impl IntoIterator<Item = Target>) -> Self {
        Self { targets: targets.into_iter().collect(), ..self }
    }

    /// With another seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// With values that states start with, by their names.
    #[must_use]
    pub fn values(self, values: BTreeMap<String, Value>) -> Self {
        Self { values, ..self }
    }
}

/// A system's machines with these instruction sets, by their names; `baseline` is fused multiply-add on x86-64, and the one that there is on AArch64.
///
/// # Errors
/// A name that is none; a set that the system doesn't have.
pub fn targets<'n>(system: &Target, sets: impl IntoIterator<Item = &'n str>) -> Result<Vec<Target>, TargetError> {
    let set = |name| match name {
        "baseline" if system.instruction_set().is_x86() => Ok(InstructionSet::Fma),
        "baseline" => Ok(InstructionSet::Aarch64),
        name => name.parse(),
    };
    sets.into_iter().map(|name| system.clone().with_instruction_set(set(name)?)).collect()
}

/// Values of the graph's states, of all that a file has.
pub fn values_of_states(graph: &Graph, mut values: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let states: BTreeSet<&str> = graph.states().map(|(_, state)| state.name.as_str()).collect();
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
        let mut values: BTreeMap<String, Value> = self.initial_values(options.seed).into_iter().collect();
        values.extend(options.values.clone());
        compile_graph(&self.graph, &ObjectOptions { values, ..options.clone() })
    }
}

/// Compiles a graph, of a file for instance; states that [`ObjectOptions::values`] doesn't name start with zeros.
///
/// # Errors
/// As [`CompileObject::compile_object`].
pub fn compile_graph(graph: &Graph, options: &ObjectOptions) -> Result<Files, AotError> {
    let targets = match options.targets.is_empty() {
        true => vec![CompileOptions::default().target_or_host()?],
        false => options.targets.clone(),
    };
    let lower_for = |target: Target| {
        let compile = CompileOptions { target: Some(target.clone()), seed: options.seed, ..CompileOptions::default() };
        Ok::<_, AotError>(Variant { target, program: lower(graph, &compile)? })
    };
    build(&EntryPoint {
        name: options.name.clone(),
        about: format!("The graph \"{}\".", graph.name()),
        variants: targets.into_iter().map(lower_for).collect::<Result<_, _>>()?,
        shapes: shapes(graph),
        initial: initial(graph, &options.values)?,
    })
}

/// The shapes of inputs and outputs.
fn shapes(graph: &Graph) -> BTreeMap<String, Vec<usize>> {
    let inputs = graph.inputs().map(|(_, input)| (input.name.clone(), input.ty.shape.dims().to_vec()));
    let outputs = graph.outputs().iter().map(|(name, node)| (name.clone(), graph.ty(*node).shape.dims().to_vec()));
    inputs.chain(outputs).collect()
}

/// Values as bytes, if they are of the states' types.
fn initial(graph: &Graph, values: &BTreeMap<String, Value>) -> Result<BTreeMap<String, Initial>, AotError> {
    let states: BTreeMap<&str, &TensorType> =
        graph.states().map(|(_, state)| (state.name.as_str(), &state.ty)).collect();
    let mut initial = BTreeMap::new();
    for (name, value) in values {
        // What is no state's, `build` refuses.
        if let Some(expected) = states.get(name.as_str()).filter(|expected| **expected != value.ty()) {
            let (state, found, expected) = (name.clone(), value.ty().clone(), (*expected).clone());
            return Err(AotError::InitialType { state, found, expected });
        }
        initial.insert(name.clone(), Initial(value.data().to_bytes()));
    }
    Ok(initial)
}
