//! Pooling over all positions.

use crate::dsl::Tensor;
use crate::nn::layer::window::{image, sequence, volume};
use crate::nn::mask::{max_where, mean_where};
use crate::nn::{Layer, LayerId};

macro_rules! global_pooling {
    ($($ty:ident, $base:literal, $kind:literal, $check:ident, $method:ident, $axes:expr, $doc:literal;)*) => { $(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $ty;

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
                match $check($base, x) {
                    Ok(_) => x.$method($axes),
                    Err(poisoned) => poisoned,
                }
            }
        }
    )* };
}

global_pooling! {
    GlobalAvgPool2d, "global_average_pooling2d", "GlobalAveragePooling2D", image, mean_axes, [1, 2],
        "The mean of each channel over an image: `[batch, height, width, channels]` to `[batch, channels]`.";
    GlobalMaxPool2d, "global_max_pooling2d", "GlobalMaxPooling2D", image, max_axes, [1, 2],
        "The largest of each channel over an image: `[batch, height, width, channels]` to `[batch, channels]`.";
    GlobalAvgPool3d, "global_average_pooling3d", "GlobalAveragePooling3D", volume, mean_axes, [1, 2, 3],
        "The mean of each channel over a volume: `[batch, depth, height, width, channels]` to `[batch, channels]`.";
    GlobalMaxPool3d, "global_max_pooling3d", "GlobalMaxPooling3D", volume, max_axes, [1, 2, 3],
        "The largest of each channel over a volume: `[batch, depth, height, width, channels]` to `[batch, channels]`.";
}

#[track_caller]
fn mean_of_steps(x: &Tensor, mask: &Tensor) -> Tensor {
    mean_where(x, mask, &[1])
}

macro_rules! pooling_over_time {
    ($($ty:ident, $base:literal, $kind:literal, $method:ident, $masked:expr, $what:literal;)*) => { $(
        #[doc = concat!("The ", $what, " of each feature over a sequence: `[batch, length, features]` to `[batch, features]`.")]
        /// Where the input has a mask (see [`crate::nn::layer`]; [`Tensor::with_mask`] gives it one), over the positions that count; 0 for a sequence without any.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $ty;

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
                match (sequence($base, x), x.mask()) {
                    (Ok(_), Some(mask)) => $masked(x, &mask),
                    (Ok(_), None) => x.$method([1]),
                    (Err(poisoned), _) => poisoned,
                }
            }
        }
    )* };
}

pooling_over_time! {
    GlobalAvgPool1d, "global_average_pooling1d", "GlobalAveragePooling1D", mean_axes, mean_of_steps, "mean";
    GlobalMaxPool1d, "global_max_pooling1d", "GlobalMaxPooling1D", max_axes, max_where, "largest";
}
