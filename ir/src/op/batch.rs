//! The batching rule: which axis of an operand is which axis of the result, and what an op is for a part of it or for a stack of operands.
//!
//! Fusion asks it where a cluster's loops run through an operand, `hoist` what a step's op is over all steps, lowering whether rows of a scan can be
//! shared among threads. All of them ask the op's record, so that a new op takes part wherever its rule says so.

use crate::{Graph, NodeId, Op, ShapeError, TensorType};
use smallvec::{SmallVec, smallvec};

/// For each operand the axis that runs with an axis of the result; `None` where each coordinate along that takes all of the operand.
pub type Along = SmallVec<[Option<usize>; 3]>;

/// How axes run through an op.
pub enum Batching<'a> {
    /// Operands and result have the same axes, and an element is computed from those at its own place.
    Elementwise,
    /// No axis can be told from the others, or the op isn't for cutting.
    Whole,
    /// Some axes run through it.
    Axes(&'a dyn AxisRule),
}

/// The batching rule of an op that has one of its own.
pub trait AxisRule {
    /// The axes of the operands that run with `axis` of the result: what stands at one coordinate along it is computed from what the operands have at this
    /// coordinate, bit for bit as from all of them. `None` if it isn't.
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along>;

    /// The op whose result has another extent along an axis that is [along](Self::along) some of its operands, or repeats them; `None` if it is the same op
    /// because it names no such extent.
    ///
    /// # Errors
    /// If that is no shape.
    fn resized(&self, axis: usize, extent: usize) -> Result<Option<Op>, ShapeError> {
        let _ = (axis, extent);
        Ok(None)
    }

    /// The op on stacks of `length` operands each, of those where `differs` says so and of others if it can't do without; `None` if there is no such op. Operands are those
    /// of one element of the stack.
    fn stacked(&self, length: usize, differs: &[bool], operands: &[&TensorType]) -> Option<Stacked> {
        let _ = (length, differs, operands);
        None
    }
}

/// An op on stacks of operands: what is stacked is the first axis of those operands, and an axis of the result.
#[derive(Clone, PartialEq, Debug)]
pub struct Stacked {
    /// The op.
    pub op: Op,
    /// Which operands are stacked.
    pub operands: SmallVec<[bool; 3]>,
    /// The axis of the result that goes through the stack.
    pub axis: usize,
}

impl Stacked {
    /// The op on stacks of all its operands, whose result is stacked along its first axis.
    pub(super) fn all(op: Op, count: usize) -> Self {
        Self { op, operands: smallvec![true; count], axis: 0 }
    }
}

impl Op {
    /// The axes of the operands that run with an axis of the result, see [`AxisRule::along`].
    pub fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        match self.rules().batching() {
            Batching::Elementwise => Some(smallvec![Some(axis); operands.len()]),
            Batching::Whole => None,
            Batching::Axes(rule) => rule.along(axis, operands),
        }
    }

    /// The op whose result has another extent along an axis that [`Op::along`] relates to its operands, which have it, too, where they run with it.
    ///
    /// # Errors
    /// If that is no shape.
    pub fn resized(&self, axis: usize, extent: usize) -> Result<Self, ShapeError> {
        let resized = match self.rules().batching() {
            Batching::Axes(rule) => rule.resized(axis, extent)?,
            Batching::Elementwise | Batching::Whole => None,
        };
        Ok(resized.unwrap_or_else(|| self.clone()))
    }

    /// The op on stacks of operands, see [`AxisRule::stacked`]; `None` if there is none in which all operands that differ are stacked.
    pub fn stacked(&self, length: usize, differs: &[bool], operands: &[&TensorType]) -> Option<Stacked> {
        let stacked = match self.rules().batching() {
            Batching::Elementwise => Some(Stacked::all(self.clone(), operands.len())),
            Batching::Whole => None,
            Batching::Axes(rule) => rule.stacked(length, differs, operands),
        };
        stacked.filter(|stacked| stacked.operands.iter().zip(differs).all(|(stacked, differs)| stacked | !differs))
    }
}

impl Graph {
    /// The axes of a node's operands that run with an axis of its result, see [`Op::along`].
    ///
    /// # Panics
    /// If `id` is not a node of this graph.
    pub fn along(&self, id: NodeId, axis: usize) -> Option<Along> {
        self.op(id).along(axis, &self.operand_types(id))
    }

    /// The types of a node's operands.
    ///
    /// # Panics
    /// If `id` is not a node of this graph.
    pub fn operand_types(&self, id: NodeId) -> SmallVec<[&TensorType; 3]> {
        self.operands(id).iter().map(|&operand| self.ty(operand)).collect()
    }
}

/// The axes behind a new first one.
pub(super) fn behind(axes: &[usize]) -> Vec<usize> {
    axes.iter().map(|axis| axis + 1).collect()
}

/// A list with an entry for each axis, for tensors with one more in front.
pub(super) fn in_front<T: Copy>(first: T, rest: &[T]) -> Vec<T> {
    [&[first], rest].concat()
}
