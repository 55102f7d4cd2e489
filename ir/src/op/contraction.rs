//! Contractions: sums of products. Products of floats are accumulated in the element type (16-bit floats in `f32`); the order of the
//! sum is fixed by shapes and target alone. Integers wrap.
//!
//! Convolution is closed under differentiation: each of `conv`, `conv_input_grad` and `conv_weight_grad` is linear in both operands
//! and its derivatives are the other two.

use super::window::Window;

/// A batched dot product. The result's axes: the batch axes, then the left operand's free axes, then the right one's.
/// Text: `dot %a, %b {batch=[(0,0)], contract=[(2,1)]}`; pairs are (left axis, right axis).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dot {
    /// Pairs of axes that run together and stay.
    pub batch: Vec<(usize, usize)>,
    /// Pairs of axes that are summed over.
    pub contract: Vec<(usize, usize)>,
}

/// Cross-correlation, what deep learning calls convolution: `x [n, s..., ci]` with `w [k..., ci/groups, co]` gives `[n, o..., co]`,
/// `y[n,o,co] = Σ_{k,ci} x[n, o*stride + k*dilation - before, ci] * w[k,ci,co]`; the window's `size` is `w`'s.
/// Group `g` maps the g-th part of the input channels to the g-th part of the output channels.
/// Text: `conv %x, %w {size=[3,3], stride=[1,1], pad=[(1,1),(1,1)], dilation=[1,1], groups=1}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conv {
    /// The window.
    pub window: Window,
    /// In how many groups the channels are split.
    pub groups: usize,
}

/// The gradient of [`Conv`] by `x` (a transposed convolution): operands `dy [n, o..., co]` and `w`; result `[n, s..., ci]`.
/// Text: `conv_input_grad %dy, %w {.., groups=1} : f32[n,s...,ci]` (spatial extents from the result type).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConvInputGrad {
    /// The window.
    pub window: Window,
    /// In how many groups the channels are split.
    pub groups: usize,
    /// The spatial extents `s...` of `x`.
    pub input: Vec<usize>,
}

/// The gradient of [`Conv`] by `w`: operands `x [n, s..., ci]` and `dy [n, o..., co]`; result `[k..., ci/groups, co]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConvWeightGrad {
    /// The window; its `size` gives the result's `k...`.
    pub window: Window,
    /// In how many groups the channels are split.
    pub groups: usize,
}
