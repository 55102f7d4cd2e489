//! Pooling over all positions.

use crate::dsl::Tensor;
use crate::nn::Layer;
use crate::nn::layer::window::{image, sequence};

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
    GlobalMaxPool1d, "global_max_pooling1d", "GlobalMaxPooling1D", sequence, max_axes, [1],
        "The largest of each feature over a sequence, `[batch, length, features]` to `[batch, features]`; padded positions take part.";
}

/// The mean of each feature over a sequence: `[batch, length, features]` to `[batch, features]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct GlobalAvgPool1d;

impl GlobalAvgPool1d {
    /// The mean over the positions where `mask`, of truth values `[batch, length]`, holds; 0 for a sequence without any.
    #[track_caller]
    pub fn apply_masked(&self, x: &Tensor, mask: &Tensor) -> Tensor {
        let (op, g) = (self.base(), x.builder());
        g.layer(op, self.kind(), |_| {
            let (Some(ty), Some(mask_ty)) = (x.ty(), mask.ty()) else { return x.poisoned() };
            if mask_ty.dtype != ir::DType::Bool || ty.shape.rank() != 3 || mask_ty.shape[..] != ty.shape[..2] {
                return g.fail(op, &[x, mask], "wanted are [batch, length, features] and a mask bool[batch, length]");
            }
            let kept = mask.unsqueeze(-1);
            let count = kept.cast(ty.dtype).sum_axes([1]).maximum(1.0);
            kept.select(x, 0).sum_axes([1]) / count
        })
    }
}

impl Layer for GlobalAvgPool1d {
    fn base(&self) -> &str {
        "global_average_pooling1d"
    }

    fn kind(&self) -> &str {
        "GlobalAveragePooling1D"
    }

    #[track_caller]
    fn call(&self, x: &Tensor, _: &str) -> Tensor {
        match sequence(self.base(), x) {
            Ok(_) => x.mean_axes([1]),
            Err(poisoned) => poisoned,
        }
    }
}
