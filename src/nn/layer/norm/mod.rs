//! Normalization: over the batch, over the features of each position, over groups of channels.

mod batch;
mod group;
mod layer;
mod response;
mod rms;
mod unit;

pub use batch::BatchNorm;
pub use group::GroupNorm;
pub use layer::LayerNorm;
pub use response::LocalResponseNorm;
pub use rms::RmsNorm;
pub use unit::UnitNorm;

use super::weight;
use crate::dsl::{Tensor, ones, zeros};
use ir::TensorType;

/// The options that all normalizations have.
macro_rules! norm_options {
    ($ty:ident) => {
        impl $ty {
            /// With another name than the kind's.
            pub fn name(mut self, name: &str) -> Self {
                self.name = name.into();
                self
            }

            /// What is added under the root.
            pub fn epsilon(mut self, epsilon: f64) -> Self {
                self.epsilon = epsilon;
                self
            }

            /// With or without gamma.
            pub fn scale(mut self, scale: bool) -> Self {
                self.scale = scale;
                self
            }
        }
    };
}
use norm_options;

/// The option of normalizations that also shift.
macro_rules! center_option {
    ($ty:ident) => {
        impl $ty {
            /// With or without beta.
            pub fn center(mut self, center: bool) -> Self {
                self.center = center;
                self
            }
        }
    };
}
use center_option;

/// Checks that `x` is `[batch, ..., features]` of floats, and that epsilon can stand under a root.
#[track_caller]
fn features(op: &str, x: &Tensor, epsilon: f64) -> Result<TensorType, Tensor> {
    if !(epsilon >= 0.0 && epsilon.is_finite()) {
        return Err(x.fail(op, format!("epsilon must be finite and at least 0, not {epsilon}")));
    }
    match x.ty() {
        Some(ty) if ty.shape.rank() < 2 || !ty.dtype.is_float() => {
            Err(x.fail(op, "the input must be [batch, ..., features] of floats"))
        }
        Some(ty) => Ok(ty),
        None => Err(x.clone()),
    }
}

/// `(x - mean) / sqrt(variance + epsilon)` with mean and (biased) variance over `axes`. The variance is the mean square of the distances, in
/// a second pass: the difference of two means would cancel. 16-bit floats stay in `f32`, for [`scale_and_center`] to round.
#[track_caller]
fn standardize(x: &Tensor, axes: &[isize], epsilon: f64) -> Tensor {
    let x = x.in_f32();
    let centred = &x - x.mean_keepdims(axes);
    let variance = centred.square().mean_keepdims(axes);
    centred * (variance + epsilon).rsqrt()
}

/// `y gamma + beta` along the last axis, rounded to the type of `x`, with the parameters that are wanted: gamma is 1 at first, beta 0.
#[track_caller]
fn scale_and_center(y: Tensor, x: &Tensor, name: &str, features: usize, scale: bool, center: bool) -> Tensor {
    let y = if scale { &y * weight(x, name, "gamma", &[features], &ones()).in_f32() } else { y };
    let y = if center { &y + weight(x, name, "beta", &[features], &zeros()).in_f32() } else { y };
    y.rounded_like(x)
}

#[cfg(test)]
mod tests;
