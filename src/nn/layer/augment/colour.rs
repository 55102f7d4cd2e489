//! Images made lighter and darker, and of more or less contrast, at random.

use super::{augmented, uniform};
use crate::dsl::Tensor;
use crate::nn::layer::stateless::stateless_layer;

fn check(factor: f64, (low, high): (f64, f64)) -> Result<(), &'static str> {
    if !(factor >= 0.0 && factor.is_finite()) {
        return Err("the factor must be finite and at least 0");
    }
    if low.is_finite() && high.is_finite() && low < high {
        Ok(())
    } else {
        Err("the range must go from a number up to another")
    }
}

/// What layers that change colours have in common.
macro_rules! colour_layer {
    ($ty:ident) => {
        impl $ty {
            /// The colours that there are; without this call from 0 to 1. Results are kept between them.
            pub fn value_range(mut self, low: f64, high: f64) -> Self {
                self.range = (low, high);
                self
            }
        }
    };
}

/// In training multiplies the distances of each image's elements from their channel's mean by a number of the image's own, from `1 - factor` to `1 + factor`; otherwise the identity.
/// For Keras's `RandomContrast`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RandomContrast {
    factor: f64,
    range: (f64, f64),
}

impl RandomContrast {
    /// With a factor of at least 0.
    pub fn new(factor: f64) -> Self {
        Self { factor, range: (0.0, 1.0) }
    }

    #[track_caller]
    fn change(&self, x: &Tensor) -> Tensor {
        augmented("random_contrast", x, check(self.factor, self.range), |x, ty| {
            let factor = uniform(x, ty, 1.0 - self.factor, 1.0 + self.factor).cast(ty.dtype).unsqueeze(-1);
            let mean = x.mean_keepdims([1, 2]);
            ((x - &mean) * factor + mean).clamp(self.range.0, self.range.1)
        })
    }
}

colour_layer!(RandomContrast);
stateless_layer!(RandomContrast, "random_contrast", "RandomContrast", RandomContrast::change);

/// In training adds to each image a number of its own, from `-factor` to `factor` of the range of colours; otherwise the identity. For Keras's `RandomBrightness`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RandomBrightness {
    factor: f64,
    range: (f64, f64),
}

impl RandomBrightness {
    /// With a factor of at least 0.
    pub fn new(factor: f64) -> Self {
        Self { factor, range: (0.0, 1.0) }
    }

    #[track_caller]
    fn change(&self, x: &Tensor) -> Tensor {
        augmented("random_brightness", x, check(self.factor, self.range), |x, ty| {
            let (low, high) = self.range;
            let most = self.factor * (high - low);
            let light = uniform(x, ty, -most, most).cast(ty.dtype).unsqueeze(-1);
            (x + light).clamp(low, high)
        })
    }
}

colour_layer!(RandomBrightness);
stateless_layer!(RandomBrightness, "random_brightness", "RandomBrightness", RandomBrightness::change);
