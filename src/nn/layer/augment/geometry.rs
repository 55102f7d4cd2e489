//! Images moved, turned, enlarged and mirrored at random.

use super::sample::{FillMode, GridSample, Taps, coordinate, numbers};
use super::{augmented, uniform};
use crate::dsl::Tensor;
use crate::nn::layer::Interpolation;
use crate::nn::layer::stateless::stateless_layer;
use ir::TensorType;
use std::f64::consts::TAU;

/// In training mirrors each image with probability 1/2, left to right; otherwise the identity. For Keras's `RandomFlip`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RandomFlip {
    axes: &'static [usize],
}

impl RandomFlip {
    /// Left to right.
    pub fn horizontal() -> Self {
        Self { axes: &[2] }
    }

    /// Upside down.
    pub fn vertical() -> Self {
        Self { axes: &[1] }
    }

    /// Each with probability 1/2, one independent of the other.
    pub fn both() -> Self {
        Self { axes: &[2, 1] }
    }

    #[track_caller]
    fn flip(&self, x: &Tensor) -> Tensor {
        augmented("random_flip", x, Ok(()), |x, ty| {
            self.axes.iter().fold(x.clone(), |x, axis| {
                let flips = uniform(&x, ty, 0.0, 1.0).lt(0.5).unsqueeze(-1);
                flips.select(&x.reverse([*axis as isize]), &x)
            })
        })
    }
}

stateless_layer!(RandomFlip, "random_flip", "RandomFlip", RandomFlip::flip);

/// How an image is read at another place: from where each of its elements comes, about the middle.
struct Origins {
    /// By how much of the distance below the middle, and right of it, a row's origin is below.
    row: [Tensor; 2],
    column: [Tensor; 2],
}

/// The images with each element from where `origins` says, plus a distance down and right, all `[batch, 1, 1]`.
#[track_caller]
fn read(x: &Tensor, ty: &TensorType, how: GridSample, origins: &Origins) -> Tensor {
    let dtype = coordinate(ty.dtype);
    let (down, right) = (numbers(x, dtype, ty.shape[1], 1, true), numbers(x, dtype, ty.shape[2], 2, true));
    let middle = |axis: usize| (ty.shape[axis] as f64 - 1.0) / 2.0;
    let rows = &origins.row[0] * &down + &origins.row[1] * &right + middle(1);
    let columns = &origins.column[0] * &down + &origins.column[1] * &right + middle(2);
    Taps { x, ty, how }.at(&rows, &columns)
}

/// What layers that move images have in common.
macro_rules! moving_layer {
    ($ty:ident) => {
        impl $ty {
            /// What lies outside of the image; without this call [`FillMode::Reflect`].
            pub fn fill_mode(mut self, fill: FillMode) -> Self {
                self.how.fill = fill;
                self
            }

            /// Between elements; without this call [`Interpolation::Bilinear`].
            pub fn interpolation(mut self, interpolation: Interpolation) -> Self {
                self.how.interpolation = interpolation;
                self
            }
        }
    };
}

const BILINEAR: GridSample =
    GridSample { interpolation: Interpolation::Bilinear, fill: FillMode::Reflect, align_corners: false };

fn is_share(factor: f64, rule: &'static str) -> Result<(), &'static str> {
    if factor >= 0.0 && factor.is_finite() { Ok(()) } else { Err(rule) }
}

/// In training moves each image by a distance of its own, at most these shares of its height and width up or down and to each side; otherwise the identity. For Keras's
/// `RandomTranslation`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RandomTranslation {
    height: f64,
    width: f64,
    how: GridSample,
}

impl RandomTranslation {
    /// By at most these shares of height and width, each at least 0.
    pub fn new(height: f64, width: f64) -> Self {
        Self { height, width, how: BILINEAR }
    }

    #[track_caller]
    fn translate(&self, x: &Tensor) -> Tensor {
        let rule = "the shares must be finite and at least 0";
        let sound = is_share(self.height, rule).and(is_share(self.width, rule));
        augmented("random_translation", x, sound, |x, ty| {
            let dtype = coordinate(ty.dtype);
            let along = |axis: usize, share: f64| {
                let distance = share * ty.shape[axis] as f64;
                numbers(x, dtype, ty.shape[axis], axis, false) + uniform(x, ty, -distance, distance)
            };
            let dims = [0, 1, 2].map(|axis| ty.shape[axis]);
            let (rows, columns) = (along(1, self.height), along(2, self.width));
            Taps { x, ty, how: self.how }.at(&rows.broadcast_to(dims), &columns.broadcast_to(dims))
        })
    }
}

moving_layer!(RandomTranslation);
stateless_layer!(RandomTranslation, "random_translation", "RandomTranslation", RandomTranslation::translate);

/// In training turns each image about its middle by an angle of its own, at most this share of a whole turn either way; otherwise the identity. For Keras's `RandomRotation`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RandomRotation {
    factor: f64,
    how: GridSample,
}

impl RandomRotation {
    /// By at most that share of a whole turn, at least 0: 0.25 for a right angle.
    pub fn new(factor: f64) -> Self {
        Self { factor, how: BILINEAR }
    }

    #[track_caller]
    fn rotate(&self, x: &Tensor) -> Tensor {
        let sound = is_share(self.factor, "the share of a turn must be finite and at least 0");
        augmented("random_rotation", x, sound, |x, ty| {
            let angle = uniform(x, ty, -TAU * self.factor, TAU * self.factor);
            let (sin, cos) = (angle.sin(), angle.cos());
            read(x, ty, self.how, &Origins { row: [cos.clone(), sin.clone()], column: [-sin, cos] })
        })
    }
}

moving_layer!(RandomRotation);
stateless_layer!(RandomRotation, "random_rotation", "RandomRotation", RandomRotation::rotate);

/// In training makes each image smaller or larger about its middle, by a factor of its own that is the same along both axes; otherwise the identity. For Keras's `RandomZoom` with one
/// factor.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RandomZoom {
    factor: f64,
    how: GridSample,
}

impl RandomZoom {
    /// What is seen of the image has from `1 - factor` to `1 + factor` of its extents; from 0 up to, but not including, 1.
    pub fn new(factor: f64) -> Self {
        Self { factor, how: BILINEAR }
    }

    #[track_caller]
    fn zoom(&self, x: &Tensor) -> Tensor {
        let is_sound = (0.0..1.0).contains(&self.factor);
        let sound = if is_sound { Ok(()) } else { Err("the factor must be at least 0 and below 1") };
        augmented("random_zoom", x, sound, |x, ty| {
            let factor = uniform(x, ty, 1.0 - self.factor, 1.0 + self.factor);
            let none = || x.builder().scalar(0.0, coordinate(ty.dtype));
            read(x, ty, self.how, &Origins { row: [factor.clone(), none()], column: [none(), factor] })
        })
    }
}

moving_layer!(RandomZoom);
stateless_layer!(RandomZoom, "random_zoom", "RandomZoom", RandomZoom::zoom);
