//! Sources: inputs, state, constants, iota.

use crate::{Scalar, Shape, TensorType, Value};

/// A tensor that each run brings. Text: `input {name="x"} : f32[32,784]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Input {
    /// The port's name, unique among the graph's inputs.
    pub name: String,
    /// The type.
    pub ty: TensorType,
}

/// A tensor that outlives a run: a parameter, an optimizer's moment, a running mean. A graph says what it is after the run by an
/// update (see [`crate::Graph::set_update`]); without one it stays as it is. Text: `state {name="w"} : f32[784,10]`.
#[derive(Clone, PartialEq, Debug)]
pub struct State {
    /// The port's name, unique among the graph's states.
    pub name: String,
    /// The type.
    pub ty: TensorType,
}

/// One element everywhere. Text: `full {value=(0.5)} : f32[2,3]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Full {
    /// The element; its type is the result's.
    pub value: Scalar,
    /// The shape.
    pub shape: Shape,
}

/// Given elements, row-major. Text: `constant {values=(1.0, 2.0)} : f32[2]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Constant {
    /// The elements.
    pub value: Value,
}

/// The coordinate along an axis. Text: `iota {axis=1} : i32[4,10]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Iota {
    /// The result's type.
    pub ty: TensorType,
    /// The axis.
    pub axis: usize,
}
