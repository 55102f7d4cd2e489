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

/// How a window over a volume treats the border.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Padding3d {
    /// Only places where the whole window lies inside.
    #[default]
    Valid,
    /// As many output elements as `ceil(input / stride)`: what is missing is split, the odd one goes after.
    Same,
    /// That many planes, rows and columns at each end: below the window's extent.
    Both(Extents3d),
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

/// Extents along depth, height and width: one number for all, or three.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extents3d(pub usize, pub usize, pub usize);

impl From<usize> for Extents3d {
    fn from(n: usize) -> Self {
        Self(n, n, n)
    }
}

impl From<(usize, usize, usize)> for Extents3d {
    fn from((d, h, w): (usize, usize, usize)) -> Self {
        Self(d, h, w)
    }
}

impl From<[usize; 3]> for Extents3d {
    fn from([d, h, w]: [usize; 3]) -> Self {
        Self(d, h, w)
    }
}

/// Extents along each spatial axis.
pub(super) trait SpatialExtents: Copy {
    /// One number an axis.
    fn list(self) -> Vec<usize>;
}

impl SpatialExtents for usize {
    fn list(self) -> Vec<usize> {
        vec![self]
    }
}

impl SpatialExtents for Extents2d {
    fn list(self) -> Vec<usize> {
        vec![self.0, self.1]
    }
}

impl SpatialExtents for Extents3d {
    fn list(self) -> Vec<usize> {
        vec![self.0, self.1, self.2]
    }
}

/// How much is added along one spatial axis.
#[derive(Clone, Copy)]
pub(super) enum Ends {
    Valid,
    Same,
    Causal,
    /// Before and after.
    Both(usize),
}

/// How a window treats the border, axis by axis.
pub(super) trait Border: Copy {
    /// What is added along spatial axis `i`.
    fn along(self, i: usize) -> Ends;
}

impl Border for Padding1d {
    fn along(self, _: usize) -> Ends {
        match self {
            Self::Valid => Ends::Valid,
            Self::Same => Ends::Same,
            Self::Causal => Ends::Causal,
            Self::Both(n) => Ends::Both(n),
        }
    }
}

macro_rules! borders {
    ($($padding:ty),*) => { $(
        impl Border for $padding {
            fn along(self, i: usize) -> Ends {
                match self {
                    Self::Valid => Ends::Valid,
                    Self::Same => Ends::Same,
                    Self::Both(extents) => Ends::Both(extents.list()[i]),
                }
            }
        }
    )* };
}

borders!(Padding, Padding3d);

/// Checks that `x` is a batch of volumes, `[batch, depth, height, width, channels]` of floats.
#[track_caller]
pub(super) fn volume(op: &str, x: &Tensor) -> Result<TensorType, Tensor> {
    floats(op, x, 5, "[batch, depth, height, width, channels]")
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

/// Checks that `x` has as many spatial axes as a layer with such extents takes.
#[track_caller]
pub(super) fn spatial<E: SpatialExtents>(op: &str, x: &Tensor, size: E) -> Result<TensorType, Tensor> {
    match size.list().len() {
        1 => sequence(op, x),
        2 => image(op, x),
        _ => volume(op, x),
    }
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
#[derive(Clone, Copy)]
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

/// The axes of a window over so many elements along each spatial axis.
fn axes<E: SpatialExtents>(input: &[usize], size: E, stride: E, dilation: E) -> Result<Vec<WindowAxis>, String> {
    let (size, stride, dilation) = (size.list(), stride.list(), dilation.list());
    if size.contains(&0) || stride.contains(&0) || dilation.contains(&0) {
        return Err(format!("window {size:?}, stride {stride:?} and dilation {dilation:?} must be at least 1"));
    }
    let names: &[&str] = match size.len() {
        1 => &["length"],
        2 => &["height", "width"],
        _ => &["depth", "height", "width"],
    };
    let axis = |(i, name): (usize, &&'static str)| WindowAxis {
        name,
        input: input[i],
        size: size[i],
        stride: stride[i],
        dilation: dilation[i],
    };
    Ok(names.iter().enumerate().map(axis).collect())
}

/// The window along these axes with that padding.
fn joined(axes: &[WindowAxis], pad: Vec<(usize, usize)>) -> Window {
    let list = |f: fn(&WindowAxis) -> usize| axes.iter().map(f).collect();
    Window { size: list(|a| a.size), stride: list(|a| a.stride), pad, dilation: list(|a| a.dilation) }
}

/// The window of a layer over an input of type `ty`, `[batch, spatial..., channels]`.
pub(super) fn window<E: SpatialExtents, P: Border>(
    ty: &TensorType,
    size: E,
    stride: E,
    dilation: E,
    padding: P,
) -> Result<Window, String> {
    let axes = axes(&ty.shape[1..ty.shape.rank() - 1], size, stride, dilation)?;
    let mut pad = vec![];
    for (i, axis) in axes.iter().enumerate() {
        let ends = match padding.along(i) {
            Ends::Valid => (0, 0),
            Ends::Same => axis.same(),
            Ends::Causal => (axis.extent() - 1, 0),
            Ends::Both(n) => (n, n),
        };
        axis.check(ends)?;
        pad.push(ends);
    }
    Ok(joined(&axes, pad))
}

/// The window of a transposed convolution of an input of type `ty`, and the result's spatial extents: those whose convolution by the window has the input's.
///
/// As Keras and PyTorch have them: `(input - 1) stride + extent` without what padding takes away, and `output_padding` more, which is below the stride. Without it, and with
/// [`Padding::Valid`], a stride over the extent counts in its place (Keras); with [`Padding::Same`] the result has `input stride` elements.
pub(super) fn transposed<E: SpatialExtents, P: Border>(
    ty: &TensorType,
    [size, stride, dilation]: [E; 3],
    padding: P,
    output_padding: Option<E>,
) -> Result<(Window, Vec<usize>), String> {
    let input = &ty.shape[1..ty.shape.rank() - 1];
    let (axes, more) = (axes(input, size, stride, dilation)?, output_padding.map(E::list));
    let (mut pad, mut output) = (vec![], vec![]);
    for (i, axis) in axes.into_iter().enumerate() {
        let (extent, more) = (axis.extent(), more.as_ref().map(|more| more[i]));
        let too_large = || format!("the {} of the result is more than memory can hold", axis.name);
        let reach =
            (axis.input - 1).checked_mul(axis.stride).and_then(|n| n.checked_add(extent)).ok_or_else(too_large)?;
        if more.is_some_and(|more| more >= axis.stride) {
            return Err(format!("the output padding along the {} must be below the stride {}", axis.name, axis.stride));
        }
        let (ends, extent) = match (padding.along(i), more) {
            (Ends::Valid, None) => ((0, 0), reach.saturating_add(axis.stride.saturating_sub(extent))),
            (Ends::Valid, Some(more)) => ((0, 0), reach.saturating_add(more)),
            (Ends::Same, None) => {
                let whole = axis.input.checked_mul(axis.stride).ok_or_else(too_large)?;
                (WindowAxis { input: whole, ..axis }.same(), whole)
            }
            (Ends::Both(n), more) => match reach.saturating_add(more.unwrap_or(0)).checked_sub(n.saturating_mul(2)) {
                Some(left) if left > 0 => ((n, n), left),
                _ => return Err(format!("padding {n} takes away all of the result's {} {reach}", axis.name)),
            },
            (Ends::Same, Some(_)) => return Err("with padding `Same` the stride says how large the result is".into()),
            (Ends::Causal, _) => return Err("a transposed convolution has no causal padding".into()),
        };
        pad.push((axis, ends));
        output.push(extent);
    }
    let (axes, pad): (Vec<WindowAxis>, Vec<(usize, usize)>) = pad.into_iter().unzip();
    let window = joined(&axes, pad);
    match window.output(&output) {
        Ok(back) if back == input => Ok((window, output)),
        Ok(back) => Err(format!("a convolution of {output:?} places would give {back:?}, not the input's {input:?}")),
        Err(rule) => Err(rule.to_string()),
    }
}
