//! Sliding windows over the spatial axes of `[batch, spatial..., channels]` tensors: pooling and its gradients.
//!
//! The family is closed under differentiation: `pool_sum` and `pool_sum_grad` are each other's derivative, and so are
//! `pool_max_grad` and `pool_max_take` (by their second operand; both are linear in it).

/// How a window moves. All lists have one entry per spatial axis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// Its extents.
    pub size: Vec<usize>,
    /// How far it moves from one output element to the next; at least 1.
    pub stride: Vec<usize>,
    /// How many rows are added before and after the input; below the (dilated) extent of the window.
    pub pad: Vec<(usize, usize)>,
    /// The distance between neighbouring taps; at least 1.
    pub dilation: Vec<usize>,
}

/// What folds a window. Padding does not take part: it counts as 0 in a sum and as less than everything in a maximum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PoolKind {
    /// Sum.
    Sum,
    /// Maximum, NaN if any element of the window is.
    Max,
}

/// Pooling of `x [n, s..., c]` to `[n, o..., c]`, `o = (s + before + after - dilation*(size-1) - 1) / stride + 1`.
/// Text: `pool_max %x {size=[2,2], stride=[2,2], pad=[(0,0),(0,0)], dilation=[1,1]}`, `pool_sum`.
#[derive(Clone, PartialEq, Debug)]
pub struct Pool {
    /// What folds.
    pub kind: PoolKind,
    /// The window.
    pub window: Window,
}

/// The gradient of `pool_sum`: each element of `dy [n, o..., c]` is added to all places of its window.
/// The result's spatial extents are attributes because strides lose them.
/// Text: `pool_sum_grad %dy {size=.., stride=.., pad=.., dilation=..} : f32[n,s...,c]` (extents from the result type).
#[derive(Clone, PartialEq, Debug)]
pub struct PoolSumGrad {
    /// The window of the pooling.
    pub window: Window,
    /// The spatial extents of the pooling's input.
    pub input: Vec<usize>,
}

/// The gradient of `pool_max`: each element of `dy` is added to the place of its window where `x` is largest, the first such place in
/// row-major order (the first NaN if there is one). Operands: `x [n, s..., c]`, `dy [n, o..., c]`; result like `x`.
#[derive(Clone, PartialEq, Debug)]
pub struct PoolMaxGrad {
    /// The window of the pooling.
    pub window: Window,
}

/// For each window the element of `t` at the place where `x` is largest, chosen as in [`PoolMaxGrad`].
/// Operands: `x [n, s..., c]`, `t` like `x`; result `[n, o..., c]`.
#[derive(Clone, PartialEq, Debug)]
pub struct PoolMaxTake {
    /// The window of the pooling.
    pub window: Window,
}
