//! What a declared graph is handed on as: the graph, and for each state what it is and how it starts.

use super::Initializer;
use super::layer::LayerRecord;
use ir::{Graph, TensorType, Value};

/// What a state is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum StateRole {
    /// A trainable parameter: a checkpoint holds it, an optimizer updates it.
    Parameter,
    /// Part of the model that is not trained by gradients: running statistics.
    Buffer,
    /// An optimizer's memory of one parameter: a moment, a sum of squares.
    Slot,
    /// What a step leaves for the next one and no checkpoint holds: keys and values of the positions seen so far.
    Cache,
    /// A scalar that the host or the step keeps for the run: learning rate, step count, random key.
    Runtime,
}

impl StateRole {
    /// Whether it is part of what a model has learnt: a parameter, or a running statistic.
    pub(crate) fn is_weight(self) -> bool {
        matches!(self, Self::Parameter | Self::Buffer)
    }
}

/// A state port: its name, its type, its value before the first run.
#[derive(Clone, PartialEq, Debug)]
pub struct StateSpec {
    /// The port's name: `dense/kernel`, `adam/m/dense/kernel`, `lr`.
    pub name: String,
    /// The type.
    pub ty: TensorType,
    /// How it starts.
    pub init: Initializer,
    /// What it is for.
    pub role: StateRole,
}

impl StateSpec {
    /// The value before the first run. The numbers depend on the seed, the name and the type alone, so that a layer more in the
    /// model leaves the other layers' initial weights as they are.
    pub fn initial(&self, seed: u64) -> Value {
        self.init.value(&self.ty, seed, &self.name)
    }

    /// True for trainable parameters.
    pub fn trainable(&self) -> bool {
        self.role == StateRole::Parameter
    }
}

/// A finished declaration: one run of this graph is one step (of training, of evaluation, of prediction).
#[derive(Clone, Debug)]
pub struct Step {
    /// The graph, with [`ir::Op::Gradient`] nodes still to be derived.
    pub graph: Graph,
    /// All states, in the order of their declaration.
    pub states: Vec<StateSpec>,
    /// The layers that were applied, in the order of their first application, each before those in it: for summaries.
    pub layers: Vec<LayerRecord>,
}

impl Step {
    /// The state of that name.
    pub fn state(&self, name: &str) -> Option<&StateSpec> {
        self.states.iter().find(|s| s.name == name)
    }

    /// All states' values before the first run, in the order of [`Step::states`].
    pub fn initial_values(&self, seed: u64) -> Vec<(String, Value)> {
        self.states.iter().map(|s| (s.name.clone(), s.initial(seed))).collect()
    }

    /// The number of elements of all trainable parameters.
    pub fn parameter_count(&self) -> usize {
        self.states.iter().filter(|s| s.trainable()).map(|s| s.ty.shape.numel()).sum()
    }
}
