//! Pooling to a given number of positions, whatever the input has.

use crate::dsl::Tensor;
use crate::nn::layer::Extents2d;
use crate::nn::layer::stateless::stateless_layer;
use crate::nn::layer::window::{Extents3d, SpatialExtents, spatial};
use std::ops::Range;

/// The window of result `i`, PyTorch's: from `⌊i input / output⌋` up to, but not including, `⌈(i + 1) input / output⌉`.
fn window(i: usize, input: usize, output: usize) -> Range<usize> {
    i * input / output..((i + 1) * input).div_ceil(output)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// `output` positions along an axis of `x`, each a reduction of its window. Windows repeat after as many results as the extents have no common divisor for: the axis is cut there, and what a graph
/// has of ops is those of one piece.
#[track_caller]
fn along(x: &Tensor, axis: usize, output: usize, reduce: fn(&Tensor, [isize; 1]) -> Tensor) -> Tensor {
    let Some(shape) = x.shape() else { return x.clone() };
    let pieces = gcd(shape[axis], output);
    let (input, count) = (shape[axis] / pieces, output / pieces);
    let mut dims: Vec<isize> = shape.iter().map(|&extent| extent as isize).collect();
    dims[axis] = input as isize;
    dims.insert(axis, pieces as isize);
    let cut = x.reshape(&dims);
    let inner = axis as isize + 1;
    let one = |i: usize| reduce(&cut.slice_axis(inner, window(i, input, count)), [inner]);
    let results: Vec<Tensor> = (0..count).map(one).collect();
    dims.remove(axis);
    dims[axis] = output as isize;
    results[0].concat(&results[1..].iter().collect::<Vec<_>>(), inner).reshape(dims)
}

macro_rules! adaptive {
    ($($ty:ident, $base:literal, $kind:literal, $method:ident, $given:ty => $size:ty, $doc:literal;)*) => { $(
        #[doc = $doc]
        ///
        /// Windows are PyTorch's: that of result `i` goes from `⌊i input / output⌋` to `⌈(i + 1) input / output⌉`, so that they overlap where the extents don't divide each other. The graph
        /// has an op for each result along an axis, divided by what both extents have in common: meant for a few results.
        #[derive(Clone, Copy, Debug)]
        pub struct $ty {
            output: $size,
        }

        impl $ty {
            /// To that many positions along each axis, at least 1.
            pub fn new(output: $given) -> Self {
                Self { output: output.into() }
            }

            #[track_caller]
            fn pool(&self, x: &Tensor) -> Tensor {
                let ty = match spatial($base, x, self.output) {
                    Ok(ty) => ty,
                    Err(poisoned) => return poisoned,
                };
                let output = self.output.list();
                let is_sound = |(i, n): (usize, &usize)| *n > 0 && (n + 1).checked_mul(ty.shape[i + 1]).is_some();
                if !output.iter().enumerate().all(is_sound) {
                    return x.fail($base, format!("{output:?} positions must be at least 1 along each axis, and fit memory"));
                }
                output.iter().enumerate().fold(x.clone(), |x, (i, &n)| along(&x, i + 1, n, Tensor::$method))
            }
        }

        stateless_layer!($ty, $base, $kind, $ty::pool);
    )* };
}

adaptive! {
    AdaptiveAvgPool1d, "adaptive_average_pooling1d", "AdaptiveAveragePooling1D", mean_keepdims, usize => usize,
        "The means of that many windows of a sequence: `[batch, length, features]` to `[batch, output, features]`.";
    AdaptiveMaxPool1d, "adaptive_max_pooling1d", "AdaptiveMaxPooling1D", max_keepdims, usize => usize,
        "The largest elements of that many windows of a sequence: `[batch, length, features]` to `[batch, output, features]`.";
    AdaptiveAvgPool2d, "adaptive_average_pooling2d", "AdaptiveAveragePooling2D", mean_keepdims, impl Into<Extents2d> => Extents2d,
        "The means of that many windows of an image along each axis: `[batch, height, width, channels]` to `[batch, rows, columns, channels]`.";
    AdaptiveMaxPool2d, "adaptive_max_pooling2d", "AdaptiveMaxPooling2D", max_keepdims, impl Into<Extents2d> => Extents2d,
        "The largest elements of that many windows of an image along each axis: `[batch, height, width, channels]` to `[batch, rows, columns, channels]`.";
    AdaptiveAvgPool3d, "adaptive_average_pooling3d", "AdaptiveAveragePooling3D", mean_keepdims, impl Into<Extents3d> => Extents3d,
        "The means of that many windows of a volume along each axis: `[batch, depth, height, width, channels]` to the same with other extents.";
    AdaptiveMaxPool3d, "adaptive_max_pooling3d", "AdaptiveMaxPooling3D", max_keepdims, impl Into<Extents3d> => Extents3d,
        "The largest elements of that many windows of a volume along each axis: `[batch, depth, height, width, channels]` to the same with other extents.";
}
