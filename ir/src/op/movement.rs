//! Movement: the same elements at other places. Fusion turns these into index arithmetic.

use crate::{Scalar, Shape};

/// The same elements, in row-major order, under another shape. Text: `reshape %0 : f32[6]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Reshape {
    /// The result's shape; as many elements as the operand has.
    pub shape: Shape,
}

/// Axes in another order: axis `i` of the result is axis `perm[i]` of the operand. Text: `permute %0 {perm=[1,0]}`.
#[derive(Clone, PartialEq, Debug)]
pub struct Permute {
    /// A permutation of the operand's axes.
    pub perm: Vec<usize>,
}

/// Repetition along new axes: axis `i` of the operand becomes axis `axes[i]` of the result, with the same extent; the result's
/// other axes repeat. Text: `broadcast %0 {axes=[1]} : f32[32,10]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Broadcast {
    /// The result's shape.
    pub shape: Shape,
    /// For each axis of the operand the result's axis, ascending.
    pub axes: Vec<usize>,
}

/// Every `stride`-th element from `start` (inclusive) to `limit` (exclusive) on each axis.
/// Text: `slice %0 {start=[0,1], limit=[4,9], stride=[1,2]}`.
#[derive(Clone, PartialEq, Debug)]
pub struct Slice {
    /// First coordinate, per axis.
    pub start: Vec<usize>,
    /// End, per axis; above `start`, at most the extent.
    pub limit: Vec<usize>,
    /// Step, per axis; at least 1.
    pub stride: Vec<usize>,
}

/// `low` elements before, `high` after and `interior` between neighbours on each axis.
/// Text: `pad %0 {value=(0.0), low=[1,0], high=[1,0], interior=[0,0]}`.
#[derive(Clone, PartialEq, Debug)]
pub struct Pad {
    /// The element padded with.
    pub value: Scalar,
    /// How many before, per axis.
    pub low: Vec<usize>,
    /// How many after, per axis.
    pub high: Vec<usize>,
    /// How many between two neighbours, per axis.
    pub interior: Vec<usize>,
}

/// The operands one after the other along an axis. Text: `concat %0, %1 {axis=1}`.
#[derive(Clone, PartialEq, Debug)]
pub struct Concat {
    /// The axis; the operands' other extents are equal.
    pub axis: usize,
}

/// The elements in reverse order along axes. Text: `reverse %0 {axes=[1]}`.
#[derive(Clone, PartialEq, Debug)]
pub struct Reverse {
    /// The axes, ascending.
    pub axes: Vec<usize>,
}
