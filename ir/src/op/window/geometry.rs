//! How a window moves: extents of results, places of taps, the rules that windows obey, their attributes.

use super::super::attr::{Attr, AttrMap, ints};
use super::super::batch::Along;
use crate::{RuleError, Shape, TensorType};
use smallvec::smallvec;

/// The largest number that a window may be made of: what fits any [`Shape`], so that sums of a few never overflow.
const LIMIT: usize = isize::MAX as usize / 8;

/// How a window moves. All lists have one entry per spatial axis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// Its extents.
    pub size: Vec<usize>,
    /// How far it moves from one output element to the next; at least 1.
    pub stride: Vec<usize>,
    /// How many rows are added before and after the input; below the (dilated) extent of the window.
    pub pad: Vec<(usize, usize)>,
    /// The distance between neighbouring taps; at least 1.
    pub dilation: Vec<usize>,
}

impl Window {
    /// The window of that size that moves by 1, without padding and dilation.
    pub fn new(size: impl Into<Vec<usize>>) -> Self {
        let size = size.into();
        let rank = size.len();
        Self { size, stride: vec![1; rank], pad: vec![(0, 0); rank], dilation: vec![1; rank] }
    }

    /// The number of spatial axes.
    pub fn rank(&self) -> usize {
        self.size.len()
    }

    /// The number of taps: the product of the extents. It fits for a window that [`Window::check`] accepts.
    pub fn taps(&self) -> usize {
        self.size.iter().product()
    }

    /// What the window covers on an axis: `dilation * (size - 1) + 1`.
    ///
    /// # Errors
    /// If that overflows.
    ///
    /// # Panics
    /// If the window has no such spatial axis.
    pub fn dilated(&self, axis: usize) -> Result<usize, RuleError> {
        let (size, dilation) = (self.size[axis], self.dilation[axis]);
        let extent = size.checked_sub(1).and_then(|n| n.checked_mul(dilation)).and_then(|n| n.checked_add(1));
        extent.filter(|&n| n <= LIMIT).ok_or_else(|| {
            format!("a window of size {size} with dilation {dilation} on spatial axis {axis} is no extent").into()
        })
    }

    /// True if no two windows have a tap on the same place by covering it both: the stride steps over what a window covers.
    ///
    /// # Errors
    /// If what it covers overflows.
    pub fn is_apart(&self) -> Result<bool, RuleError> {
        let covered = (0..self.rank()).map(|axis| self.dilated(axis)).collect::<Result<Vec<_>, _>>()?;
        Ok(covered.iter().zip(&self.stride).all(|(extent, stride)| stride >= extent))
    }

    /// Checks what holds whatever the input: one entry per axis in each list, extents, strides and dilations of at least 1, padding
    /// below the dilated extent.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(&self) -> Result<(), RuleError> {
        let rank = self.rank();
        if rank == 0 {
            return Err("a window needs at least one spatial axis".into());
        }
        let lists = [("stride", self.stride.len()), ("pad", self.pad.len()), ("dilation", self.dilation.len())];
        if let Some((name, len)) = lists.iter().find(|(_, len)| *len != rank) {
            return Err(format!("the window's size has {rank} axes, but `{name}` has {len} entries").into());
        }
        for (name, list) in [("size", &self.size), ("stride", &self.stride), ("dilation", &self.dilation)] {
            if let Some(axis) = list.iter().position(|&v| v == 0 || v > LIMIT) {
                let value = list[axis];
                return Err(format!(
                    "the window's `{name}` on spatial axis {axis} is {value}, it must be from 1 to {LIMIT}"
                )
                .into());
            }
        }
        let taps = self.size.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
        if taps.is_none_or(|n| n > LIMIT) {
            return Err(format!("a window of size {:?} has more than {LIMIT} taps", self.size).into());
        }
        for (axis, &(before, after)) in self.pad.iter().enumerate() {
            let dilated = self.dilated(axis)?;
            if before >= dilated || after >= dilated {
                return Err(format!(
                    "padding ({before},{after}) on spatial axis {axis} must be below the window's dilated extent {dilated}"
                )
                .into());
            }
        }
        Ok(())
    }

    /// The spatial extents of the result for an input with spatial extents `input`:
    /// `(input + before + after - dilated) / stride + 1` per axis, rounded down.
    ///
    /// # Errors
    /// If the window is not one (see [`Window::check`]), the number of axes is another one, or the window is larger than the padded
    /// input.
    pub fn output(&self, input: &[usize]) -> Result<Vec<usize>, RuleError> {
        self.check()?;
        if input.len() != self.rank() {
            return Err(format!("the window has {} spatial axes, the tensor {}", self.rank(), input.len()).into());
        }
        (0..self.rank())
            .map(|axis| {
                let (before, after) = self.pad[axis];
                let dilated = self.dilated(axis)?;
                let padded = [before, after].iter().try_fold(input[axis], |n, &p| n.checked_add(p));
                let padded = padded.ok_or_else(|| format!("the padded extent of spatial axis {axis} overflows"))?;
                let room = padded.checked_sub(dilated).ok_or_else(|| {
                    format!(
                        "the window covers {dilated} (size {}, dilation {}) on spatial axis {axis}, more than the padded input's \
                         {padded} ({} + {before} + {after})",
                        self.size[axis], self.dilation[axis], input[axis]
                    )
                })?;
                Ok(room / self.stride[axis] + 1)
            })
            .collect()
    }

    /// The four attributes, in printing order.
    pub(in crate::op) fn attrs(&self) -> Vec<(&'static str, Attr)> {
        let pad = self.pad.iter().map(|&(a, b)| (a as i64, b as i64)).collect();
        vec![
            ("size", ints(&self.size)),
            ("stride", ints(&self.stride)),
            ("pad", Attr::Pairs(pad)),
            ("dilation", ints(&self.dilation)),
        ]
    }

    /// Takes the four attributes.
    ///
    /// # Errors
    /// If one is missing or of another kind.
    pub fn from_attrs(attrs: &mut AttrMap) -> Result<Self, RuleError> {
        Ok(Self {
            size: attrs.usizes("size")?,
            stride: attrs.usizes("stride")?,
            pad: attrs.pairs("pad")?,
            dilation: attrs.usizes("dilation")?,
        })
    }

    /// Calls `f(output, tap, input)` for each output element and each tap of its window that lies on the input rather than on
    /// padding; all three are row-major positions in the spatial axes. Outputs ascend, and for each output the taps. `f` is called by
    /// address: ninety copies of this walk were a fortieth of what this crate's code was made of.
    pub(in crate::op) fn for_each_tap(
        &self,
        input: &[usize],
        output: &[usize],
        f: &mut dyn FnMut(usize, usize, usize),
    ) {
        let (mut o, mut k) = (vec![0; self.rank()], vec![0; self.rank()]);
        for out in 0..output.iter().product() {
            unravel(out, output, &mut o);
            for tap in 0..self.taps() {
                unravel(tap, &self.size, &mut k);
                if let Some(at) = self.place(input, &o, &k) {
                    f(out, tap, at);
                }
            }
        }
    }

    /// The row-major position in the input that tap `k` of the window for output `o` reads; `None` if it is padding.
    fn place(&self, input: &[usize], o: &[usize], k: &[usize]) -> Option<usize> {
        let mut at = 0;
        for axis in 0..self.rank() {
            let padded = o[axis] * self.stride[axis] + k[axis] * self.dilation[axis];
            let x = padded.checked_sub(self.pad[axis].0).filter(|&x| x < input[axis])?;
            at = at * input[axis] + x;
        }
        Some(at)
    }
}

/// The coordinates of a row-major position.
fn unravel(mut position: usize, dims: &[usize], coordinates: &mut [usize]) {
    for axis in (0..dims.len()).rev() {
        coordinates[axis] = position % dims[axis];
        position /= dims[axis];
    }
}

/// The batching rule of windows: images and channels are alone, places aren't.
pub(super) fn along_image(axis: usize, operands: &[&TensorType]) -> Option<Along> {
    let channels = operands[0].shape.rank() - 1;
    (axis == 0 || axis == channels).then(|| smallvec![Some(axis); operands.len()])
}

/// The parts of a type `[batch, spatial..., channels]`.
///
/// # Errors
/// If it has fewer than three axes.
pub(in crate::op) fn image<'a>(what: &str, ty: &'a TensorType) -> Result<(usize, &'a [usize], usize), RuleError> {
    match ty.shape.dims() {
        [n, spatial @ .., c] if !spatial.is_empty() => Ok((*n, spatial, *c)),
        _ => Err(format!(
            "{what} must be [batch, spatial..., channels] with at least one spatial axis, it is {}",
            ty.shape
        )
        .into()),
    }
}

/// The shape `[batch, spatial..., channels]`.
///
/// # Errors
/// If that is no shape.
pub(in crate::op) fn image_shape(n: usize, spatial: &[usize], c: usize) -> Result<Shape, RuleError> {
    let dims: Vec<usize> = [&[n], spatial, &[c]].concat();
    Ok(Shape::new(dims)?)
}

/// The spatial extents of the type that a line of text gives to its result.
///
/// # Errors
/// If it has fewer than three axes.
pub(in crate::op) fn spatial_of_result(ty: &TensorType) -> Result<Vec<usize>, RuleError> {
    image("the result", ty).map(|(_, spatial, _)| spatial.to_vec())
}

/// Checks that the elements are numbers.
///
/// # Errors
/// If they are truth values.
pub(in crate::op) fn numbers(what: &str, ty: &TensorType) -> Result<(), RuleError> {
    if ty.dtype.is_number() { Ok(()) } else { Err(format!("{what} must hold numbers, it is {ty}").into()) }
}

/// Checks that two operands have the same element type.
///
/// # Errors
/// If they have not.
pub(in crate::op) fn same_dtype(a: &TensorType, b: &TensorType) -> Result<(), RuleError> {
    if a.dtype == b.dtype {
        Ok(())
    } else {
        Err(format!("the operands must have one element type, they are {} and {}", a.dtype, b.dtype).into())
    }
}
