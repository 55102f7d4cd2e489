//! Pooling layers.

mod adaptive;
mod global;
mod power;

pub use adaptive::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d,
};
pub use global::{
    GlobalAvgPool1d, GlobalAvgPool2d, GlobalAvgPool3d, GlobalMaxPool1d, GlobalMaxPool2d, GlobalMaxPool3d,
};

pub use power::{LpPool1d, LpPool2d, MaxUnpool2d};

use super::stateless::stateless_layer;
use super::window::{Border, Extents3d, Padding3d, SpatialExtents, spatial, window};
use super::{Extents2d, Padding, Padding1d};
use crate::dsl::{Tensor, Window};

/// What `pool` makes of `x` and a window of that size, stride and dilation.
#[track_caller]
fn pooled<E: SpatialExtents, P: Border>(
    op: &str,
    x: &Tensor,
    [size, stride, dilation]: [E; 3],
    padding: P,
    pool: impl FnOnce(Window) -> Tensor,
) -> Tensor {
    match spatial(op, x, size).map(|ty| window(&ty, size, stride, dilation, padding)) {
        Ok(Ok(window)) => pool(window),
        Ok(Err(rule)) => x.fail(op, rule),
        Err(poisoned) => poisoned,
    }
}

macro_rules! pooling {
    ($($ty:ident, $base:literal, $kind:literal, $method:ident, $given:ty => $size:ty, $one:expr, $padding:ty, $doc:literal;)*) => { $(
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

            #[track_caller]
            fn pool(&self, x: &Tensor) -> Tensor {
                let window = [self.size, self.stride.unwrap_or(self.size), $one];
                pooled($base, x, window, self.padding, |window| x.$method(window))
            }
        }

        stateless_layer!($ty, $base, $kind, $ty::pool);
    )* };
}

pooling! {
    MaxPool1d, "max_pooling1d", "MaxPooling1D", max_pool, usize => usize, 1, Padding1d,
        "The largest element of each window of a sequence.";
    AvgPool1d, "average_pooling1d", "AveragePooling1D", avg_pool, usize => usize, 1, Padding1d,
        "The mean of each window of a sequence.";
    MaxPool2d, "max_pooling2d", "MaxPooling2D", max_pool, impl Into<Extents2d> => Extents2d, Extents2d(1, 1), Padding,
        "The largest element of each window of an image.";
    AvgPool2d, "average_pooling2d", "AveragePooling2D", avg_pool, impl Into<Extents2d> => Extents2d, Extents2d(1, 1), Padding,
        "The mean of each window of an image.";
    MaxPool3d, "max_pooling3d", "MaxPooling3D", max_pool, impl Into<Extents3d> => Extents3d, Extents3d(1, 1, 1), Padding3d,
        "The largest element of each window of a volume.";
    AvgPool3d, "average_pooling3d", "AveragePooling3D", avg_pool, impl Into<Extents3d> => Extents3d, Extents3d(1, 1, 1), Padding3d,
        "The mean of each window of a volume.";
}
