//! Rows of length 1.

use crate::dsl::Tensor;
use crate::nn::layer::stateless::stateless_layer;

/// Each row along the last axis divided by its length, `sqrt(Σ x²)` or 1e-6 if that is more: `[batch, ..., features]` to the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnitNorm;

#[track_caller]
fn unit_length(_: &UnitNorm, x: &Tensor) -> Tensor {
    let wide = x.in_f32();
    let squares = wide.square().sum_keepdims([-1]);
    // Of the square: 16-bit floats, whose range ends before it, are in `f32` here.
    (&wide * squares.maximum(1e-12).rsqrt()).with_mask_of(x).rounded_like(x)
}

stateless_layer!(UnitNorm, "unit_normalization", "UnitNormalization", unit_length);
