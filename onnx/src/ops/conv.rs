//! Convolutions. The graph's own have their channels last, and so do results until an operator asks for the model's order.

use super::quantize::{centred, quantized};
use super::window::{PlacedWindow, positive};
use crate::call::{Call, Results};
use crate::error::Refusal;
use crate::item::{ImportItem, channels_last};
use crate::table::{OpEntry, op};
use gradc::dsl::{DType, Tensor, Window};

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    op("CausalConvWithState", &[27], causal),
    op("Conv", &[1, 11, 22], conv),
    op("ConvInteger", &[10], |c| {
        let (x, w) = (centred(c, 0, 2, -1)?, per_output(c, 1, 3)?);
        Ok(vec![ImportItem::channels_last(convolved(c, &channels_last(&x), &w)?)])
    }),
    op("ConvTranspose", &[1, 11, 22], transposed),
    op("QLinearConv", &[10], |c| {
        let (x, w) = (centred(c, 0, 2, -1)?, per_output(c, 3, 5)?);
        let mut sums = convolved(c, &channels_last(&x), &w)?;
        if let Some(bias) = c.optional(8)? {
            sums = sums + bias;
        }
        let scale = c.tensor(1)?.cast(DType::F32) * c.tensor(4)?.cast(DType::F32);
        let y = quantized(&(sums.cast(DType::F32) * scale), &c.tensor(6)?.cast(DType::F32), &c.tensor(7)?)?;
        Ok(y.into_iter().map(as_channels_last).collect())
    }),
];

/// A kernel of bytes around its zero point, which may be one for each output.
fn per_output(c: &Call<'_, '_>, kernel: usize, zero: usize) -> Result<Tensor, Refusal> {
    let (w, rank) = (c.tensor(kernel)?.cast(DType::I32), c.dims(kernel)?.len());
    let Some(zero) = c.optional(zero)? else { return Ok(w) };
    let mut zero = zero.cast(DType::I32);
    if zero.shape().is_some_and(|shape| shape.rank() == 1) {
        for _ in 1..rank {
            zero = zero.unsqueeze(-1);
        }
    }
    Ok(w - zero)
}

/// A tensor that was computed with its channels last.
fn as_channels_last(item: ImportItem) -> ImportItem {
    match item {
        ImportItem::Graph(laid) => ImportItem::channels_last(laid.as_is().clone()),
        other => other,
    }
}

/// `[out, in, k...]` as `[k..., in, out]`.
fn kernel(w: &Tensor) -> Tensor {
    let rank = w.shape().map_or(0, |shape| shape.rank()) as isize;
    w.permute((2..rank).chain([1, 0]).collect::<Vec<_>>())
}

/// The number of groups.
fn groups(c: &Call<'_, '_>) -> Result<usize, Refusal> {
    let groups = c.int("group", 1);
    usize::try_from(groups).ok().filter(|&g| g > 0).ok_or_else(|| Refusal::broken(format!("{groups} groups")))
}

/// The extents of an image's axes.
fn spatial(c: &Call<'_, '_>, operand: usize) -> Result<Vec<usize>, Refusal> {
    let dims = c.dims(operand)?;
    match dims.get(2..) {
        Some(spatial) if !spatial.is_empty() => Ok(spatial.to_vec()),
        _ => Err(Refusal::broken(format!("{dims:?} is no [n, channels, spatial...]"))),
    }
}

/// The node's convolution of an image with channels last.
fn convolved(c: &Call<'_, '_>, x: &Tensor, w: &Tensor) -> Result<Tensor, Refusal> {
    let size = w.shape().map(|shape| shape.dims().to_vec()).unwrap_or_default();
    let placed = PlacedWindow::new(c, &spatial(c, 0)?, size.get(2..).unwrap_or_default())?;
    let (x, window) = placed.on(x, 0.0);
    Ok(x.conv(kernel(w), window, groups(c)?))
}

fn conv(c: &mut Call<'_, '_>) -> Results {
    let mut y = convolved(c, &c.channels_last(0)?, &c.tensor(1)?)?;
    if let Some(bias) = c.optional(2)? {
        y = y + bias;
    }
    Ok(vec![ImportItem::channels_last(y)])
}

/// Places that a transposed convolution gives along an axis, and what is cut off before and after; below 0 it is added.
struct Extent {
    out: usize,
    before: i64,
    after: i64,
}

/// A number of places, with which sums don't overflow.
fn number(n: i64) -> Result<i64, Refusal> {
    if n.unsigned_abs() < 1 << 31 { Ok(n) } else { Err(Refusal::broken(format!("{n} places"))) }
}

/// The extents of a transposed convolution's result along an axis.
fn extent(c: &Call<'_, '_>, axis: usize, image: &[usize], placed: &Window) -> Result<Extent, Refusal> {
    let rank = image.len();
    let added = number(c.int_list("output_padding").and_then(|list| list.get(axis).copied()).unwrap_or(0))?;
    let covered = placed.dilated(axis).map_err(|e| Refusal::Rule(e.to_string()))? as i64;
    let full = placed.stride[axis] as i64 * (image[axis] as i64 - 1) + covered + added;
    let auto = c.text("auto_pad", "NOTSET");
    let asked = match c.int_list("output_shape") {
        Some(shape) => shape.get(shape.len().wrapping_sub(rank) + axis).copied(),
        None if auto.starts_with("SAME") => Some(image[axis] as i64 * placed.stride[axis] as i64),
        None => None,
    };
    let (before, after) = match asked {
        Some(out) => {
            let total = full - number(out)?;
            let less = total.div_euclid(2);
            if auto == "SAME_UPPER" { (less, total - less) } else { (total - less, less) }
        }
        None => {
            let pads = c.int_list("pads").unwrap_or_else(|| vec![0; 2 * rank]);
            let at = |i: usize| pads.get(i).copied().unwrap_or(0);
            if auto == "VALID" { (0, 0) } else { (number(at(axis))?, number(at(axis + rank))?) }
        }
    };
    let out = full.checked_sub(before).and_then(|n| n.checked_sub(after)).and_then(|n| usize::try_from(n).ok());
    let out = out.filter(|&n| n > 0).ok_or_else(|| Refusal::broken("a result without places"))?;
    Ok(Extent { out, before, after: after - added })
}

fn transposed(c: &mut Call<'_, '_>) -> Results {
    let (image, dims) = (spatial(c, 0)?, c.dims(1)?);
    let rank = image.len();
    let size = dims.get(2..).filter(|size| size.len() == rank);
    let size = size.ok_or_else(|| Refusal::broken(format!("a kernel {dims:?} on an image of {rank} axes")))?;
    let mut window = Window::new(size.to_vec());
    window.stride = positive(c, "strides", rank, 1)?;
    window.dilation = positive(c, "dilations", rank, 1)?;
    let extents = (0..rank).map(|axis| extent(c, axis, &image, &window)).collect::<Result<Vec<_>, _>>()?;
    // All places that taps reach, of which the borders are cut off; what no tap reaches is 0.
    let reached = |axis: usize| {
        let covered = window.dilated(axis).unwrap_or(usize::MAX);
        window.stride[axis].saturating_mul(image[axis] - 1).saturating_add(covered)
    };
    let full: Vec<usize> = (0..rank).map(reached).collect();
    let cuts = |axis: usize| (extents[axis].before, extents[axis].after);
    let fits = |axis: usize| {
        let (before, after) = cuts(axis);
        let covered = window.dilated(axis).unwrap_or(0) as i64;
        let kept = after > -(window.stride[axis] as i64) && after < covered;
        (0..covered).contains(&before) && kept
    };
    let w = kernel(&c.tensor(1)?);
    let x = c.channels_last(0)?;
    let mut y = if (0..rank).all(fits) {
        window.pad = (0..rank).map(|axis| (cuts(axis).0 as usize, cuts(axis).1.max(0) as usize)).collect();
        x.conv_transpose(&w, window, groups(c)?, extents.iter().map(|e| e.out).collect::<Vec<_>>())
    } else {
        let mut y = x.conv_transpose(&w, window, groups(c)?, &full);
        for axis in 0..rank {
            let (before, after) = cuts(axis);
            let (low, high) = (before.max(0) as usize, full[axis].saturating_sub(after.max(0) as usize));
            y = y.slice_axis(axis as isize + 1, low..high);
            let mut pads = vec![(0, 0); rank + 2];
            pads[axis + 1] = ((-before).max(0) as usize, (-after).max(0) as usize);
            y = y.pad(0.0, pads);
        }
        y
    };
    if let Some(bias) = c.optional(2)? {
        y = y + bias;
    }
    Ok(vec![ImportItem::channels_last(y)])
}

/// A convolution of each channel along time whose windows end at their place, with the steps of the call before in front.
fn causal(c: &mut Call<'_, '_>) -> Results {
    let (dims, size) = (c.dims(0)?, c.dims(1)?);
    let ([_, channels, time], [_, _, taps]) = (&dims[..], &size[..]) else {
        return Err(Refusal::case("a causal convolution of other than [n, channels, time]"));
    };
    let (x, steps) = (c.tensor(0)?, taps - 1);
    let longer = match c.optional(3)? {
        Some(state) => state.concat(&[&x], 2),
        None => x.pad(0.0, [(0, 0), (0, 0), (steps, 0)]),
    };
    let window = Window::new(vec![*taps]);
    let mut y = channels_last(&longer).conv(kernel(&c.tensor(1)?), window, *channels);
    if let Some(bias) = c.optional(2)? {
        y = y + bias;
    }
    let y = match c.text("activation", "none").as_str() {
        "none" | "" => y,
        "silu" | "swish" => &y * y.sigmoid(),
        other => return Err(Refusal::case(format!("activation {other:?}"))),
    };
    let state = if steps == 0 {
        ImportItem::Known(crate::item::KnownTensor::Empty { dtype: c.dtype(0)?, dims: vec![dims[0], *channels, 0] })
    } else {
        longer.slice_axis(2, *time..time + steps).into()
    };
    Ok(vec![ImportItem::channels_last(y), state])
}
