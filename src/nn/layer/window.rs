//! Windows over images and sequences: how they treat the border, and which inputs they take.

use crate::dsl::{Tensor, Window};
use ir::TensorType;

/// How a window over an image treats the border.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Padding {
    /// Only places where the whole window lies inside.
    #[default]
    Valid,
    /// As many output elements as `ceil(input / stride)`: what is missing is split, the odd one goes after.
    Same,
    /// That many rows above and below, that many columns on each side: below the window's extent.
    Both(Extents2d),
}

/// How a window over a sequence treats the ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Padding1d {
    /// Only places where the whole window lies inside.
    #[default]
    Valid,
    /// As many output elements as `ceil(input / stride)`: what is missing is split, the odd one goes after.
    Same,
    /// All of the padding before the sequence, so that no output sees what comes after it: `(size - 1) dilation` positions.
    Causal,
    /// That many positions at each end: below the window's extent.
    Both(usize),
}

/// Extents along height and width: one number for both, or a pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extents2d(pub usize, pub usize);

impl From<usize> for Extents2d {
    fn from(n: usize) -> Self {
        Self(n, n)
    }
}

impl From<(usize, usize)> for Extents2d {
    fn from((h, w): (usize, usize)) -> Self {
        Self(h, w)
    }
}

impl From<[usize; 2]> for Extents2d {
    fn from([h, w]: [usize; 2]) -> Self {
        Self(h, w)
    }
}

/// Checks that `x` is a batch of images, `[batch, height, width, channels]` of floats.
#[track_caller]
pub(super) fn image(op: &str, x: &Tensor) -> Result<TensorType, Tensor> {
    floats(op, x, 4, "[batch, height, width, channels]")
}

/// Checks that `x` is a batch of sequences, `[batch, length, features]` of floats.
#[track_caller]
pub(super) fn sequence(op: &str, x: &Tensor) -> Result<TensorType, Tensor> {
    floats(op, x, 3, "[batch, length, features]")
}

#[track_caller]
fn floats(op: &str, x: &Tensor, rank: usize, axes: &str) -> Result<TensorType, Tensor> {
    match x.ty() {
        Some(ty) if ty.shape.rank() != rank => {
            Err(x.fail(op, format!("the input must be {axes}, it has {} axes", ty.shape.rank())))
        }
        Some(ty) if !ty.dtype.is_float() => {
            Err(x.fail(op, format!("the input must be floats, not {}: cast it", ty.dtype)))
        }
        Some(ty) => Ok(ty),
        None => Err(x.clone()),
    }
}

/// One axis of a window.
struct WindowAxis {
    /// What messages call it.
    name: &'static str,
    input: usize,
    size: usize,
    stride: usize,
    dilation: usize,
}

impl WindowAxis {
    /// How far the taps reach: the extent of the dilated window, `usize::MAX` if it is more.
    fn extent(&self) -> usize {
        self.dilation.saturating_mul(self.size - 1).saturating_add(1)
    }

    /// Padding before and after that gives `ceil(input / stride)` places.
    fn same(&self) -> (usize, usize) {
        let output = self.input.div_ceil(self.stride);
        let missing = ((output - 1) * self.stride).saturating_add(self.extent()).saturating_sub(self.input);
        (missing / 2, missing - missing / 2)
    }

    fn check(&self, (before, after): (usize, usize)) -> Result<(), String> {
        let (padded, extent) = (self.input.saturating_add(before).saturating_add(after), self.extent());
        if padded.max(extent) > isize::MAX as usize {
            return Err(format!("a window whose {} reaches over {extent} elements is larger than memory", self.name));
        }
        if extent > padded {
            return Err(format!("the window's extent {extent} is over the input's {} {padded}", self.name));
        }
        Ok(())
    }
}

/// The window of a two-dimensional layer over an image of type `ty`.
pub(super) fn window(
    ty: &TensorType,
    size: Extents2d,
    stride: Extents2d,
    dilation: Extents2d,
    padding: Padding,
) -> Result<Window, String> {
    let (size, stride, dilation) = ([size.0, size.1], [stride.0, stride.1], [dilation.0, dilation.1]);
    if size.contains(&0) || stride.contains(&0) || dilation.contains(&0) {
        return Err(format!("window {size:?}, stride {stride:?} and dilation {dilation:?} must be at least 1"));
    }
    let mut pad = vec![(0, 0); 2];
    for i in 0..2 {
        let name = ["height", "width"][i];
        let axis = WindowAxis { name, input: ty.shape[i + 1], size: size[i], stride: stride[i], dilation: dilation[i] };
        pad[i] = match padding {
            Padding::Valid => (0, 0),
            Padding::Same => axis.same(),
            Padding::Both(Extents2d(h, w)) => ([h, w][i], [h, w][i]),
        };
        axis.check(pad[i])?;
    }
    Ok(Window { size: size.to_vec(), stride: stride.to_vec(), pad, dilation: dilation.to_vec() })
}

/// The window of a one-dimensional layer over sequences of length `input`.
pub(super) fn window1d(
    input: usize,
    size: usize,
    stride: usize,
    dilation: usize,
    padding: Padding1d,
) -> Result<Window, String> {
    if [size, stride, dilation].contains(&0) {
        return Err(format!("window {size}, stride {stride} and dilation {dilation} must be at least 1"));
    }
    let axis = WindowAxis { name: "length", input, size, stride, dilation };
    let pad = match padding {
        Padding1d::Valid => (0, 0),
        Padding1d::Same => axis.same(),
        Padding1d::Causal => (axis.extent() - 1, 0),
        Padding1d::Both(n) => (n, n),
    };
    axis.check(pad)?;
    Ok(Window { size: vec![size], stride: vec![stride], pad: vec![pad], dilation: vec![dilation] })
}
