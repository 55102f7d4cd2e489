//! Pooling layers.

mod global;

pub use global::{GlobalAvgPool1d, GlobalAvgPool2d, GlobalMaxPool1d, GlobalMaxPool2d};

use super::window::{image, sequence, window, window1d};
use super::{Extents2d, Layer, LayerId, Padding, Padding1d};
use crate::dsl::Tensor;

macro_rules! pooling {
    ($ty:ident, $base:literal, $kind:literal, $method:ident, $size:ty, $given:ty, $padding:ty, $check:ident, $window:expr, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Debug)]
        pub struct $ty {
            size: $size,
            stride: Option<$size>,
            padding: $padding,
        }

        impl $ty {
            /// With Keras's defaults: the stride is the size, valid padding.
            pub fn new(size: $given) -> Self {
                Self { size: size.into(), stride: None, padding: <$padding>::Valid }
            }

            /// How far the window moves.
            pub fn stride(mut self, stride: $given) -> Self {
                self.stride = Some(stride.into());
                self
            }

            /// How the border is treated; padding takes no part in the result.
            pub fn padding(mut self, padding: $padding) -> Self {
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

            fn id(&self) -> Option<&LayerId> {
                None
            }

            #[track_caller]
            fn call(&self, x: &Tensor, _: &str) -> Tensor {
                let ty = match $check($base, x) {
                    Ok(ty) => ty,
                    Err(poisoned) => return poisoned,
                };
                match $window(&ty, self.size, self.stride.unwrap_or(self.size), self.padding) {
                    Ok(window) => x.$method(window),
                    Err(rule) => x.fail($base, rule),
                }
            }
        }
    };
}

macro_rules! pooling2d {
    ($ty:ident, $base:literal, $kind:literal, $method:ident, $doc:literal) => {
        pooling!(
            $ty,
            $base,
            $kind,
            $method,
            Extents2d,
            impl Into<Extents2d>,
            Padding,
            image,
            |ty, size, stride, padding| window(ty, size, stride, Extents2d(1, 1), padding),
            $doc
        );
    };
}

macro_rules! pooling1d {
    ($ty:ident, $base:literal, $kind:literal, $method:ident, $doc:literal) => {
        pooling!(
            $ty,
            $base,
            $kind,
            $method,
            usize,
            usize,
            Padding1d,
            sequence,
            |ty: &ir::TensorType, size, stride, padding| window1d(ty.shape[1], size, stride, 1, padding),
            $doc
        );
    };
}

pooling2d!(MaxPool2d, "max_pooling2d", "MaxPooling2D", max_pool, "The largest element of each window of an image.");
pooling2d!(AvgPool2d, "average_pooling2d", "AveragePooling2D", avg_pool, "The mean of each window of an image.");
pooling1d!(MaxPool1d, "max_pooling1d", "MaxPooling1D", max_pool, "The largest element of each window of a sequence.");
pooling1d!(AvgPool1d, "average_pooling1d", "AveragePooling1D", avg_pool, "The mean of each window of a sequence.");
