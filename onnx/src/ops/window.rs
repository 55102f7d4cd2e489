//! Windows by the standard's attributes: strides, dilations, padding that is given or found.

use crate::call::Call;
use crate::error::Refusal;
use gradc::dsl::{Tensor, Window};

/// A window over an image, and the extents of its results.
pub(super) struct PlacedWindow {
    /// Extents of the window.
    pub(super) size: Vec<usize>,
    /// Steps from one place to the next.
    pub(super) stride: Vec<usize>,
    /// Distances of taps.
    pub(super) dilation: Vec<usize>,
    /// Places before and after each axis that the attributes ask for.
    pub(super) pads: Vec<(usize, usize)>,
    /// Places after each axis that the last window covers beyond those.
    pub(super) beyond: Vec<usize>,
    /// How many places the window takes.
    pub(super) out: Vec<usize>,
}

/// A list of positive numbers.
pub(super) fn positive(c: &Call<'_, '_>, name: &str, rank: usize, otherwise: i64) -> Result<Vec<usize>, Refusal> {
    let list = c.int_list(name).filter(|list| !list.is_empty()).unwrap_or_else(|| vec![otherwise; rank]);
    let wrong = || Refusal::broken(format!("`{name}` is {list:?} for {rank} axes"));
    let valid = |v: &i64| usize::try_from(*v).ok().filter(|v| (1..1 << 31).contains(v));
    let found: Option<Vec<usize>> = list.iter().map(valid).collect();
    found.filter(|found| found.len() == rank).ok_or_else(wrong)
}

/// The borders that the node asks for, before and after each axis.
fn given(c: &Call<'_, '_>, rank: usize) -> Result<Vec<(usize, usize)>, Refusal> {
    let Some(pads) = c.int_list("pads").filter(|pads| !pads.is_empty()) else { return Ok(vec![(0, 0); rank]) };
    let valid = |v: &i64| usize::try_from(*v).ok().filter(|v| *v < 1 << 31);
    let found: Option<Vec<usize>> = pads.iter().map(valid).collect();
    let found = found.filter(|found| found.len() == 2 * rank);
    let found = found.ok_or_else(|| Refusal::broken(format!("`pads` are {pads:?} for {rank} axes")))?;
    Ok((0..rank).map(|axis| (found[axis], found[axis + rank])).collect())
}

impl PlacedWindow {
    /// The node's window of that size on an image.
    pub(super) fn new(c: &Call<'_, '_>, image: &[usize], size: &[usize]) -> Result<Self, Refusal> {
        let rank = image.len();
        if size.len() != rank || rank == 0 {
            return Err(Refusal::broken(format!("a window of {size:?} on an image of {image:?}")));
        }
        let (stride, dilation) = (positive(c, "strides", rank, 1)?, positive(c, "dilations", rank, 1)?);
        let mut placed =
            Self { size: size.to_vec(), stride, dilation, pads: given(c, rank)?, beyond: vec![0; rank], out: vec![] };
        let (auto, ceil) = (c.text("auto_pad", "NOTSET"), c.flag("ceil_mode", false));
        for (axis, &extent) in image.iter().enumerate() {
            let out = placed.along(axis, extent, &auto, ceil)?;
            placed.out.push(out);
        }
        Ok(placed)
    }

    /// What the window covers of an axis.
    pub(super) fn covered(&self, axis: usize) -> usize {
        (self.size[axis] - 1).saturating_mul(self.dilation[axis]).saturating_add(1)
    }

    /// The number of places along an axis; the borders that are to be found.
    fn along(&mut self, axis: usize, extent: usize, auto: &str, ceil: bool) -> Result<usize, Refusal> {
        let (covered, stride) = (self.covered(axis), self.stride[axis]);
        if auto.starts_with("SAME") {
            let out = extent.div_ceil(stride);
            let total = ((out - 1).saturating_mul(stride).saturating_add(covered)).saturating_sub(extent);
            let less = total / 2;
            self.pads[axis] = if auto == "SAME_UPPER" { (less, total - less) } else { (total - less, less) };
            return Ok(out);
        }
        if auto == "VALID" {
            self.pads[axis] = (0, 0);
        }
        let (before, after) = self.pads[axis];
        let room = (extent + before + after).checked_sub(covered).ok_or_else(|| {
            Refusal::broken(format!(
                "a window that covers {covered} places is larger than axis {axis} of {extent} with its borders"
            ))
        })?;
        let mut out = room / stride + 1;
        // One more place where a part is left, unless the window would begin behind the image.
        if ceil && !room.is_multiple_of(stride) && out * stride < extent + before {
            out += 1;
            self.beyond[axis] = (out - 1) * stride + covered - (extent + before + after);
        }
        Ok(out)
    }

    /// The window, and the image `[n, spatial..., c]` with those borders that are as large as what the window covers, which the window can't have itself.
    pub(super) fn on(&self, x: &Tensor, border: f64) -> (Tensor, Window) {
        let rank = self.size.len();
        let mut pad: Vec<(usize, usize)> =
            (0..rank).map(|axis| (self.pads[axis].0, self.pads[axis].1 + self.beyond[axis])).collect();
        let mut own = vec![(0, 0); rank + 2];
        for (axis, pad) in pad.iter_mut().enumerate() {
            let covered = self.covered(axis);
            if pad.0 >= covered || pad.1 >= covered {
                own[axis + 1] = std::mem::take(pad);
            }
        }
        let x = if own.iter().any(|pad| *pad != (0, 0)) { x.pad(border, own) } else { x.clone() };
        let window =
            Window { size: self.size.clone(), stride: self.stride.clone(), pad, dilation: self.dilation.clone() };
        (x, window)
    }
}
