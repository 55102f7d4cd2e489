//! Pooling layers.

use super::{Layer, Padding, Pair, image, window};
use crate::dsl::Tensor;

macro_rules! pooling {
    ($ty:ident, $base:literal, $kind:literal, $method:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Debug)]
        pub struct $ty {
            size: Pair,
            stride: Option<Pair>,
            padding: Padding,
        }

        impl $ty {
            /// With Keras's defaults: the stride is the size, valid padding.
            pub fn new(size: impl Into<Pair>) -> Self {
                Self { size: size.into(), stride: None, padding: Padding::Valid }
            }

            /// How far the window moves.
            pub fn stride(mut self, stride: impl Into<Pair>) -> Self {
                self.stride = Some(stride.into());
                self
            }

            /// How the border is treated; padding takes no part in the result.
            pub fn padding(mut self, padding: Padding) -> Self {
                self.padding = padding;
                self
            }
        }

        impl Layer for $ty {
            fn base(&self) -> &str {
                $base
            }

            fn kind(&self) -> &str {
                $kind
            }

            #[track_caller]
            fn call(&self, x: &Tensor, _: &str) -> Tensor {
                let ty = match image($base, x) {
                    Ok(ty) => ty,
                    Err(poisoned) => return poisoned,
                };
                match window(&ty, self.size, self.stride.unwrap_or(self.size), Pair(1, 1), self.padding) {
                    Ok(window) => x.$method(window),
                    Err(rule) => x.fail($base, rule),
                }
            }
        }
    };
}

pooling!(MaxPool2d, "max_pooling2d", "MaxPooling2D", max_pool, "The largest element of each window of an image.");
pooling!(AvgPool2d, "average_pooling2d", "AveragePooling2D", avg_pool, "The mean of each window of an image.");

/// The mean of each channel over an image: `[batch, height, width, channels]` to `[batch, channels]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct GlobalAvgPool2d;

impl Layer for GlobalAvgPool2d {
    fn base(&self) -> &str {
        "global_average_pooling2d"
    }

    fn kind(&self) -> &str {
        "GlobalAveragePooling2D"
    }

    #[track_caller]
    fn call(&self, x: &Tensor, _: &str) -> Tensor {
        match image("global_average_pooling2d", x) {
            Ok(_) => x.mean_axes([1, 2]),
            Err(poisoned) => poisoned,
        }
    }
}
