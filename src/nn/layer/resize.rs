//! More positions: upsampling, and channels that become positions.

use super::Extents2d;
use super::stateless::stateless_layer;
use super::window::{Extents3d, image, sequence, volume};
use crate::dsl::{Tensor, TypeSpec};
use ir::{Scalar, Value};

/// How positions between those of the input are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Interpolation {
    /// Each is the nearest one of the input: every element is repeated.
    #[default]
    Nearest,
    /// A mixture of the two nearest ones along each axis, by distance; positions are centres of equal cells (PyTorch's `align_corners=False`, Keras's `bilinear`).
    Bilinear,
}

impl Interpolation {
    /// `x` with `factor` times as many positions along an axis.
    #[track_caller]
    fn along(self, x: &Tensor, axis: usize, factor: usize) -> Tensor {
        let Some(shape) = x.shape() else { return x.clone() };
        if factor == 1 {
            return x.clone();
        }
        let mut dims = shape.dims().to_vec();
        dims.insert(axis + 1, factor);
        let finer = |x: &Tensor| x.unsqueeze(axis as isize + 1);
        let all = match self {
            Self::Nearest => finer(x).broadcast_to(dims),
            Self::Bilinear => {
                let [before, at, after] = shares(x, factor, shape.rank() - axis - 1);
                let (previous, next) = neighbours(x, axis as isize, shape[axis]);
                finer(&previous) * before + finer(x) * at + finer(&next) * after
            }
        };
        let mut dims: Vec<isize> = shape.iter().map(|&extent| extent as isize).collect();
        dims[axis] = -1;
        all.reshape(dims)
    }
}

/// What each of `factor` new positions has of the element before, of the one that it lies in, and of the one after: `[factor, 1, ..., 1]` with `trailing` ones.
#[track_caller]
fn shares(x: &Tensor, factor: usize, trailing: usize) -> [Tensor; 3] {
    let mut dims = vec![1; trailing + 1];
    dims[0] = factor;
    let of = |share: fn(f64) -> f64| {
        let Some(ty) = x.dtype().and_then(|dtype| TypeSpec::new(dtype, &dims).check().ok()) else {
            return x.poisoned();
        };
        let dtype = ty.dtype;
        // The distance of a new position from the centre of its element, in elements.
        let offset = |i: usize| (i as f64 + 0.5) / factor as f64 - 0.5;
        x.builder().constant(Value::from_fn(ty, |i| Scalar::from_f64(share(offset(i)), dtype)))
    };
    [of(|d| (-d).max(0.0)), of(|d| 1.0 - d.abs()), of(|d| d.max(0.0))]
}

/// The element before and after each one along an axis; at the ends the element itself.
#[track_caller]
fn neighbours(x: &Tensor, axis: isize, extent: usize) -> (Tensor, Tensor) {
    if extent == 1 {
        return (x.clone(), x.clone());
    }
    let part = |range| x.slice_axis(axis, range);
    let previous = part(0..1).concat(&[&part(0..extent - 1)], axis);
    let next = part(1..extent).concat(&[&part(extent - 1..extent)], axis);
    (previous, next)
}

/// The rule that factors break, if any.
fn check_factors(shape: &[usize], factors: &[usize]) -> Option<String> {
    let fits = |(i, factor): (usize, &usize)| *factor > 0 && shape[i + 1].checked_mul(*factor).is_some();
    let is_sound = factors.iter().enumerate().all(fits);
    (!is_sound).then(|| format!("factors {factors:?} must be at least 1, and what they make of the input fit memory"))
}

macro_rules! upsampling {
    ($($ty:ident, $size:ty, $given:ty, $check:ident, $factors:expr, $base:literal, $kind:literal, $doc:literal;)*) => { $(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug)]
        pub struct $ty {
            size: $size,
            interpolation: Interpolation,
        }

        impl $ty {
            /// That many times as many positions along each axis, each the nearest one of the input.
            pub fn new(size: $given) -> Self {
                Self { size: size.into(), interpolation: Interpolation::Nearest }
            }

            /// How positions between those of the input are made.
            pub fn interpolation(mut self, interpolation: Interpolation) -> Self {
                self.interpolation = interpolation;
                self
            }

            #[track_caller]
            fn enlarge(&self, x: &Tensor) -> Tensor {
                let ty = match $check($base, x) {
                    Ok(ty) => ty,
                    Err(poisoned) => return poisoned,
                };
                let factors = $factors(self.size);
                if let Some(rule) = check_factors(&ty.shape, &factors) {
                    return x.fail($base, rule);
                }
                let mut y = x.clone();
                for (i, factor) in factors.into_iter().enumerate() {
                    y = self.interpolation.along(&y, i + 1, factor);
                }
                y
            }
        }

        stateless_layer!($ty, $base, $kind, $ty::enlarge);
    )* };
}

upsampling! {
    UpSampling1d, usize, usize, sequence, |n: usize| [n], "up_sampling1d", "UpSampling1D",
        "Longer sequences: `[batch, length, features]` to `[batch, size length, features]`.";
    UpSampling2d, Extents2d, impl Into<Extents2d>, image, |Extents2d(h, w)| [h, w], "up_sampling2d", "UpSampling2D",
        "Larger images: `[batch, height, width, channels]` to `[batch, size height, size width, channels]`.";
    UpSampling3d, Extents3d, impl Into<Extents3d>, volume, |Extents3d(d, h, w)| [d, h, w], "up_sampling3d", "UpSampling3D",
        "Larger volumes: `[batch, depth, height, width, channels]` to `[batch, size depth, size height, size width, channels]`.";
}

/// Channels that become positions (Shi et al., arXiv 1609.05158): `[batch, height, width, channels factor²]` to `[batch, height factor, width factor, channels]`.
/// As in PyTorch channel `(c factor + i) factor + j` is what channel `c` has at row `i` and column `j` of a pixel's square.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PixelShuffle {
    factor: usize,
}

impl PixelShuffle {
    /// With squares of that many rows and columns.
    pub fn new(factor: usize) -> Self {
        Self { factor }
    }

    #[track_caller]
    fn shuffle(&self, x: &Tensor) -> Tensor {
        let (ty, r) = match image("pixel_shuffle", x) {
            Ok(ty) => (ty, self.factor),
            Err(poisoned) => return poisoned,
        };
        let [n, h, w, channels] = [0, 1, 2, 3].map(|axis| ty.shape[axis]);
        let Some(square) = r.checked_mul(r).filter(|&square| square > 0 && channels.is_multiple_of(square)) else {
            return x
                .fail("pixel_shuffle", format!("the square of the factor {r} must divide the {channels} channels"));
        };
        let split = x.reshape([n, h, w, channels / square, r, r].map(|d| d as isize));
        split.permute([0, 1, 4, 2, 5, 3]).reshape([n, h * r, w * r, channels / square].map(|d| d as isize))
    }
}

stateless_layer!(PixelShuffle, "pixel_shuffle", "PixelShuffle", PixelShuffle::shuffle);

/// Positions that become channels, the inverse of [`PixelShuffle`]: `[batch, height factor, width factor, channels]` to `[batch, height, width, channels factor²]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PixelUnshuffle {
    factor: usize,
}

impl PixelUnshuffle {
    /// With squares of that many rows and columns.
    pub fn new(factor: usize) -> Self {
        Self { factor }
    }

    #[track_caller]
    fn unshuffle(&self, x: &Tensor) -> Tensor {
        let (ty, r) = match image("pixel_unshuffle", x) {
            Ok(ty) => (ty, self.factor),
            Err(poisoned) => return poisoned,
        };
        let [n, h, w, c] = [0, 1, 2, 3].map(|axis| ty.shape[axis]);
        if r == 0 || !h.is_multiple_of(r) || !w.is_multiple_of(r) {
            return x.fail("pixel_unshuffle", format!("the factor {r} must divide height {h} and width {w}"));
        }
        let split = x.reshape([n, h / r, r, w / r, r, c].map(|d| d as isize));
        split.permute([0, 1, 3, 5, 2, 4]).reshape([n, h / r, w / r, c * r * r].map(|d| d as isize))
    }
}

stateless_layer!(PixelUnshuffle, "pixel_unshuffle", "PixelUnshuffle", PixelUnshuffle::unshuffle);
