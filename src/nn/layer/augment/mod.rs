//! Images changed at random inside the step: in training alone, each image of a batch by numbers of its own, new in each step. They run with the step's threads and vectors, where
//! [`Augment`](crate::data::Augment) changes stored images on a stream's threads.

mod colour;
mod geometry;
mod sample;
#[cfg(test)]
mod tests;

pub use colour::{RandomBrightness, RandomContrast};
pub use geometry::{RandomFlip, RandomRotation, RandomTranslation, RandomZoom};
pub use sample::{FillMode, GridSample, grid_sample};

use super::window::image;
use crate::dsl::{Tensor, TypeSpec};
use ir::TensorType;
use sample::coordinate;

/// What `change` makes of images in training; otherwise they stay. `sound` is the rule that the layer's settings break, if any.
#[track_caller]
fn augmented(
    op: &str,
    x: &Tensor,
    sound: Result<(), &str>,
    change: impl FnOnce(&Tensor, &TensorType) -> Tensor,
) -> Tensor {
    let ty = match image(op, x) {
        Ok(ty) => ty,
        Err(failed) => return failed,
    };
    match sound {
        Err(rule) => x.fail(op, rule),
        Ok(()) if x.builder().is_training() => change(x, &ty),
        Ok(()) => x.clone(),
    }
}

/// A number for each image, `[batch, 1, 1]`, uniform between two.
#[track_caller]
fn uniform(x: &Tensor, ty: &TensorType, low: f64, high: f64) -> Tensor {
    x.builder().random_uniform(TypeSpec::new(coordinate(ty.dtype), [ty.shape[0], 1, 1])) * (high - low) + low
}
