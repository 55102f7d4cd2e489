//! Borders: zeros added around samples, and elements cut off their ends.

use super::stateless::stateless_layer;
use crate::dsl::Tensor;

/// The extents of `x`, which must be `[batch, spatial..., channels]` with that many spatial axes.
#[track_caller]
fn extents(op: &str, x: &Tensor, spatial: usize) -> Result<Vec<usize>, Tensor> {
    match x.shape() {
        Some(shape) if shape.rank() == spatial + 2 => Ok(shape.dims().to_vec()),
        Some(shape) => {
            let rule =
                format!("the input must be [batch, {spatial} spatial axes, channels], it has {} axes", shape.rank());
            Err(x.fail(op, rule))
        }
        None => Err(x.clone()),
    }
}

/// Zeros (before, after) along each spatial axis.
#[track_caller]
fn pad(op: &str, x: &Tensor, pads: &[(usize, usize)]) -> Tensor {
    match extents(op, x, pads.len()) {
        Ok(_) => x.pad(0.0, [&[(0, 0)], pads, &[(0, 0)]].concat()),
        Err(poisoned) => poisoned,
    }
}

/// Without so many (first, last) elements along each spatial axis.
#[track_caller]
fn crop(op: &str, x: &Tensor, crops: &[(usize, usize)]) -> Tensor {
    let mut limit = match extents(op, x, crops.len()) {
        Ok(extents) => extents,
        Err(poisoned) => return poisoned,
    };
    let mut start = vec![0; limit.len()];
    for (i, &(before, after)) in crops.iter().enumerate() {
        let extent = limit[i + 1];
        if before.saturating_add(after) >= extent {
            let rule =
                format!("cutting {before} and {after} elements leaves none of the {extent} along spatial axis {i}");
            return x.fail(op, rule);
        }
        (start[i + 1], limit[i + 1]) = (before, extent - after);
    }
    x.slice(start, limit)
}

macro_rules! borders {
    ($($ty:ident, $function:ident, $axes:literal, $base:literal, $kind:literal, $doc:literal;)*) => { $(
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $ty {
            ends: [(usize, usize); $axes],
        }

        impl $ty {
            /// So many elements (before, after) along each spatial axis.
            pub fn new(ends: [(usize, usize); $axes]) -> Self {
                Self { ends }
            }
        }

        stateless_layer!($ty, $base, $kind, |layer: &Self, x| $function($base, x, &layer.ends));
    )* };
}

borders! {
    ZeroPadding1d, pad, 1, "zero_padding1d", "ZeroPadding1D", "Zeros before and after sequences `[batch, length, features]`.";
    ZeroPadding2d, pad, 2, "zero_padding2d", "ZeroPadding2D", "Zeros around images `[batch, height, width, channels]`: rows above and below, columns left and right.";
    ZeroPadding3d, pad, 3, "zero_padding3d", "ZeroPadding3D", "Zeros around volumes `[batch, depth, height, width, channels]`.";
    Cropping1d, crop, 1, "cropping1d", "Cropping1D", "Sequences `[batch, length, features]` without their first and last positions.";
    Cropping2d, crop, 2, "cropping2d", "Cropping2D", "Images `[batch, height, width, channels]` without rows above and below, and columns left and right.";
    Cropping3d, crop, 3, "cropping3d", "Cropping3D", "Volumes `[batch, depth, height, width, channels]` without planes at their ends.";
}
