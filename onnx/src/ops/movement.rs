//! The same elements in other places.

use super::shape::{extents, signed};
use crate::call::{Call, Results, one};
use crate::error::Refusal;
use crate::item::{ImportItem, KnownTensor};
use crate::table::{OpEntry, op};
use gradc::dsl::{DType, Tensor, TypeSpec};

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    op("CenterCropPad", &[18], center_crop_pad),
    op("Col2Im", &[18], col2im),
    op("Concat", &[1, 4, 11, 13], |c| {
        let rank = c.dims(0)?.len();
        let axis = c.axis_attribute(1, rank)?;
        let items = (0..c.count()).map(|i| c.item(i).cloned()).collect::<Result<Vec<_>, _>>()?;
        concat(c, &items, axis)
    }),
    op("DepthToSpace", &[1, 11, 13], depth_to_space),
    op("Pad", &[1, 2, 11, 13, 18, 19, 21, 23, 24, 25], pad),
    op("ReverseSequence", &[10], reverse_sequence),
    op("Slice", &[1, 10, 11, 13], slice),
    op("SpaceToDepth", &[1, 13], space_to_depth),
    op("Split", &[1, 2, 11, 13, 18], split),
    op("Tile", &[1, 6, 13], |c| {
        let (dims, repeats) = (c.dims(0)?, extents(c, 1)?);
        if dims.len() != repeats.len() {
            return Err(Refusal::broken(format!("{} axes are to be repeated {repeats:?}", dims.len())));
        }
        let mut wide = Vec::new();
        let mut narrow = Vec::new();
        let mut result = Vec::new();
        for (&d, &n) in dims.iter().zip(&repeats) {
            wide.extend([n, d]);
            narrow.extend([1, d as isize]);
            let extent = d.checked_mul(n).ok_or_else(|| Refusal::broken("an extent overflows"))?;
            result.push(extent);
        }
        if result.contains(&0) {
            return one(KnownTensor::Empty { dtype: c.dtype(0)?, dims: result });
        }
        // An axis that isn't repeated needs none of its own.
        if repeats.iter().all(|&n| n == 1) {
            return Ok(vec![c.item(0)?.clone()]);
        }
        one(c.tensor(0)?.reshape(narrow).broadcast_to(wide).reshape(signed(&result)))
    }),
    op("Transpose", &[1, 13, 21, 23, 24, 25], |c| {
        let dims = c.dims(0)?;
        let rank = dims.len();
        let perm = c.int_list("perm").unwrap_or_else(|| (0..rank as i64).rev().collect());
        if let ImportItem::Known(KnownTensor::Empty { dtype, .. }) = c.item(0)? {
            let at = |&axis: &i64| Call::axis(axis, rank).map(|axis| dims[axis]);
            let dims = perm.iter().map(at).collect::<Result<Vec<_>, _>>()?;
            return one(KnownTensor::Empty { dtype: *dtype, dims });
        }
        one(c.tensor(0)?.permute(perm.into_iter().map(|axis| axis as isize).collect::<Vec<_>>()))
    }),
    op("Trilu", &[14], trilu),
];

/// Items one after the other along an axis; those without elements fall away.
pub(super) fn concat(c: &Call<'_, '_>, items: &[ImportItem], axis: usize) -> Results {
    let full: Vec<&ImportItem> =
        items.iter().filter(|item| !matches!(item, ImportItem::Known(KnownTensor::Empty { .. }))).collect();
    let Some((first, others)) = full.split_first() else {
        let Some(ImportItem::Known(KnownTensor::Empty { dtype, dims })) = items.first() else {
            return Err(Refusal::broken("nothing is to be joined"));
        };
        let mut dims = dims.clone();
        let along = items.iter().filter_map(ImportItem::ty).map(|(_, dims)| dims.get(axis).copied().unwrap_or(0)).sum();
        if let Some(extent) = dims.get_mut(axis) {
            *extent = along;
        }
        return one(KnownTensor::Empty { dtype: *dtype, dims });
    };
    // Channels that are joined stay last where all have them last.
    let last = |item: &&&ImportItem| matches!(item, ImportItem::Graph(crate::item::Laid::ChannelsLast(_)));
    if full.iter().all(|item| last(&item)) {
        let rank = first.ty().map_or(0, |(_, dims)| dims.len());
        let axis = match axis {
            0 => 0,
            1 => rank - 1,
            spatial => spatial - 1,
        };
        let tensors: Vec<Tensor> = full.iter().filter_map(|item| as_is(item)).collect();
        let rest: Vec<&Tensor> = tensors[1..].iter().collect();
        return one(ImportItem::channels_last(tensors[0].concat(&rest, axis as isize)));
    }
    let first = c.tensor_of(first, "an operand")?;
    let others = others.iter().map(|item| c.tensor_of(item, "an operand")).collect::<Result<Vec<_>, _>>()?;
    one(first.concat(&others.iter().collect::<Vec<_>>(), axis as isize))
}

/// The tensor in whichever order of axes it is.
fn as_is(item: &ImportItem) -> Option<Tensor> {
    match item {
        ImportItem::Graph(laid) => Some(laid.as_is().clone()),
        _ => None,
    }
}

/// What a slice takes of an axis: `(first, count, step)`.
fn taken(start: i64, end: i64, step: i64, extent: usize) -> Result<(i64, usize, i64), Refusal> {
    if step == 0 {
        return Err(Refusal::broken("a slice by steps of 0"));
    }
    let n = extent as i64;
    let from_start = |at: i64| if at < 0 { at.saturating_add(n) } else { at };
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let (start, end) = (from_start(start).clamp(low, high), from_start(end).clamp(low, high));
    let span = if step > 0 { end - start } else { start - end };
    let count = if span <= 0 { 0 } else { (span as u64).div_ceil(step.unsigned_abs()) as usize };
    Ok((start, count, step))
}

fn slice(c: &mut Call<'_, '_>) -> Results {
    let dims = c.dims(0)?;
    let rank = dims.len();
    let (starts, ends, axes, steps) = match c.int_list("starts") {
        Some(starts) => (starts, c.int_list("ends").unwrap_or_default(), c.int_list("axes"), None),
        None => (c.ints(1)?, c.ints(2)?, c.optional_ints(3)?, c.optional_ints(4)?),
    };
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&len| len != starts.len()) {
        return Err(Refusal::broken("starts, ends, axes and steps have different lengths"));
    }
    let mut parts: Vec<(i64, usize, i64)> = dims.iter().map(|&d| (0, d, 1)).collect();
    for (i, &axis) in axes.iter().enumerate() {
        let axis = Call::axis(axis, rank)?;
        parts[axis] = taken(starts[i], ends[i], steps[i], dims[axis])?;
    }
    let result: Vec<usize> = parts.iter().map(|p| p.1).collect();
    if result.contains(&0) {
        return one(KnownTensor::Empty { dtype: c.dtype(0)?, dims: result });
    }
    let mut x = c.tensor(0)?;
    let back: Vec<isize> = (0..rank).filter(|&i| parts[i].2 < 0).map(|i| i as isize).collect();
    let (mut start, mut limit, mut stride) = (vec![], vec![], vec![]);
    for (axis, &(first, count, step)) in parts.iter().enumerate() {
        let first = if step < 0 { dims[axis] as i64 - 1 - first } else { first } as usize;
        let step = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX).min(dims[axis]);
        start.push(first);
        limit.push(first + (count - 1) * step + 1);
        stride.push(step);
    }
    x = x.reverse(back);
    one(x.slice_strided(start, limit, stride))
}

fn split(c: &mut Call<'_, '_>) -> Results {
    let dims = c.dims(0)?;
    let axis = c.axis_attribute(0, dims.len())?;
    let sizes = match c.int_list("split") {
        Some(sizes) => Some(sizes),
        None => c.optional_ints(1)?,
    };
    let sizes: Vec<usize> = match sizes {
        Some(sizes) => crate::stored::extents(&sizes)?.0,
        None => {
            let count = c.node.output.len().max(1);
            if c.int("num_outputs", count as i64) != count as i64 {
                return Err(Refusal::broken(format!("`num_outputs` isn't {count}, the number of its results")));
            }
            let each = dims[axis].div_ceil(count);
            (0..count).map(|i| each.min(dims[axis].saturating_sub(i * each))).collect()
        }
    };
    if sizes.iter().try_fold(0usize, |sum, &n| sum.checked_add(n)) != Some(dims[axis]) {
        return Err(Refusal::broken(format!("{} places are to be split into {sizes:?}", dims[axis])));
    }
    parts(c, axis, &sizes)
}

/// The first operand in parts of these extents along an axis.
pub(super) fn parts(c: &Call<'_, '_>, axis: usize, sizes: &[usize]) -> Results {
    let (dtype, dims) = c.ty(0)?;
    let mut items = Vec::with_capacity(sizes.len());
    let mut start = 0;
    for &size in sizes {
        let mut part = dims.clone();
        part[axis] = size;
        items.push(match part.contains(&0) {
            true => KnownTensor::Empty { dtype, dims: part }.into(),
            false => c.tensor(0)?.slice_axis(axis as isize, start..start + size).into(),
        });
        start += size;
    }
    Ok(items)
}

/// Elements before and after each axis; below 0 they are cut off.
type Borders = Vec<(i64, i64)>;

fn borders(c: &Call<'_, '_>, rank: usize) -> Result<Borders, Refusal> {
    let pads = match c.int_list("pads") {
        Some(pads) => pads,
        None => c.ints(1)?,
    };
    let axes = match c.optional_ints(3)? {
        Some(axes) => axes.iter().map(|&axis| Call::axis(axis, rank)).collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(Refusal::broken(format!("{} borders of {} axes", pads.len(), axes.len())));
    }
    let mut borders = vec![(0, 0); rank];
    for (i, &axis) in axes.iter().enumerate() {
        borders[axis] = (pads[i], pads[i + axes.len()]);
    }
    Ok(borders)
}

fn pad(c: &mut Call<'_, '_>) -> Results {
    let dims = c.dims(0)?;
    let borders = borders(c, dims.len())?;
    let mode = c.text("mode", "constant");
    let mut x = c.tensor(0)?;
    let Some(dtype) = x.dtype() else { return one(x) };
    let value = match c.optional(2)? {
        Some(value) => Some(value.reshape([])),
        None if c.attribute("value").is_some() => Some(c.g.scalar(c.float("value", 0.0), dtype)),
        None => None,
    };
    for (axis, &(before, after)) in borders.iter().enumerate() {
        let extent = x.shape().map_or(1, |shape| shape[axis]);
        let cut = |n: i64| usize::try_from(n.saturating_neg()).unwrap_or(0);
        let (low, high) = (cut(before), extent.saturating_sub(cut(after)));
        if low >= high {
            return Err(Refusal::Empty("what is left of the tensor".into()));
        }
        if (low, high) != (0, extent) {
            x = x.slice_axis(axis as isize, low..high);
        }
    }
    let added = |n: i64| usize::try_from(n).unwrap_or(0);
    let added: Vec<(usize, usize)> = borders.iter().map(|&(b, a)| (added(b), added(a))).collect();
    if mode != "constant" {
        for (axis, &(before, after)) in added.iter().enumerate() {
            x = bordered(c, &x, axis, before, after, &mode)?;
        }
        return one(x);
    }
    let Some(value) = value else { return one(x.pad(0.0, added)) };
    if dtype == DType::Bool {
        return Err(Refusal::case("a border of truth values by a value"));
    }
    let inside = super::full_like(&x, 1.0).pad(0.0, &added).ne(0);
    one(inside.select(&x.pad(0.0, &added), &value))
}

/// Borders that repeat the tensor: places along the axis, gathered.
fn bordered(
    c: &Call<'_, '_>,
    x: &Tensor,
    axis: usize,
    before: usize,
    after: usize,
    mode: &str,
) -> Result<Tensor, Refusal> {
    /// The most places of an axis with its borders.
    const MOST: usize = 1 << 20;
    if before == 0 && after == 0 {
        return Ok(x.clone());
    }
    let n = x.shape().map_or(1, |shape| shape[axis]) as i64;
    if [before, after].into_iter().fold(n as usize, usize::saturating_add) > MOST {
        return Err(Refusal::Limit(format!("borders of {before} and {after} elements")));
    }
    let place = |i: i64| match mode {
        "edge" => Ok(i.clamp(0, n - 1)),
        "wrap" => Ok(i.rem_euclid(n)),
        "reflect" if n == 1 => Ok(0),
        "reflect" => {
            let at = i.rem_euclid(2 * (n - 1));
            Ok(if at < n { at } else { 2 * (n - 1) - at })
        }
        other => Err(Refusal::case(format!("mode {other:?} of borders"))),
    };
    let places = (-(before as i64)..n + after as i64).map(place).collect::<Result<Vec<_>, _>>()?;
    let places = KnownTensor::ints(&places).in_graph(&c.g, "places")?;
    Ok(super::index::gathered(x, &places, axis))
}

fn trilu(c: &mut Call<'_, '_>) -> Results {
    let (dtype, dims) = c.ty(0)?;
    let [.., rows, columns] = dims[..] else { return Err(Refusal::broken("it is of matrices")) };
    if dims.contains(&0) {
        return one(KnownTensor::Empty { dtype, dims });
    }
    let k = if c.has(1) { c.single_int(1)? } else { 0 };
    let places = |axis| c.g.iota(TypeSpec::new(DType::I64, [rows, columns]), axis);
    let above = places(1) - places(0);
    let kept = match c.flag("upper", true) {
        true => above.ge(c.g.scalar(k as f64, DType::I64)),
        false => above.le(c.g.scalar(k as f64, DType::I64)),
    };
    let x = c.tensor(0)?;
    one(match dtype {
        DType::Bool => kept.and(&x),
        _ => kept.select(&x, 0),
    })
}

fn depth_to_space(c: &mut Call<'_, '_>) -> Results {
    let [n, d, h, w] = c.dims(0)?[..] else { return Err(Refusal::broken("it is of images")) };
    let b = block(c)?;
    let inner = d / (b * b);
    let x = c.tensor(0)?;
    let split = match c.text("mode", "DCR").as_str() {
        "DCR" => x.reshape(signed(&[n, b, b, inner, h, w])).permute([0, 3, 4, 1, 5, 2]),
        _ => x.reshape(signed(&[n, inner, b, b, h, w])).permute([0, 1, 4, 2, 5, 3]),
    };
    one(split.reshape(signed(&[n, inner, h * b, w * b])))
}

fn space_to_depth(c: &mut Call<'_, '_>) -> Results {
    let [n, d, h, w] = c.dims(0)?[..] else { return Err(Refusal::broken("it is of images")) };
    let b = block(c)?;
    let split = c.tensor(0)?.reshape(signed(&[n, d, h / b, b, w / b, b])).permute([0, 3, 5, 1, 2, 4]);
    one(split.reshape(signed(&[n, d * b * b, h / b, w / b])))
}

fn block(c: &Call<'_, '_>) -> Result<usize, Refusal> {
    let size = c.int("blocksize", 0);
    usize::try_from(size).ok().filter(|b| (1..1 << 16).contains(b)).ok_or_else(|| Refusal::broken("no block size"))
}

fn center_crop_pad(c: &mut Call<'_, '_>) -> Results {
    let (dims, sizes) = (c.dims(0)?, extents(c, 1)?);
    let axes = match c.int_list("axes") {
        Some(axes) => axes.iter().map(|&axis| Call::axis(axis, dims.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..dims.len()).collect(),
    };
    if axes.len() != sizes.len() {
        return Err(Refusal::broken(format!("{} extents of {} axes", sizes.len(), axes.len())));
    }
    let mut x = c.tensor(0)?;
    for (&axis, &size) in axes.iter().zip(&sizes) {
        let extent = dims[axis];
        if size < extent {
            let start = (extent - size) / 2;
            x = x.slice_axis(axis as isize, start..start + size);
        } else {
            let mut pads = vec![(0, 0); dims.len()];
            let before = (size - extent) / 2;
            pads[axis] = (before, size - extent - before);
            x = x.pad(0.0, pads);
        }
    }
    one(x)
}

/// The first places of each sequence, as many as its length, in reverse order.
fn reverse_sequence(c: &mut Call<'_, '_>) -> Results {
    let dims = c.dims(0)?;
    let (time, batch) =
        (Call::axis(c.int("time_axis", 0), dims.len())?, Call::axis(c.int("batch_axis", 1), dims.len())?);
    let (x, lengths) = (c.tensor(0)?, c.tensor(1)?);
    let mut along = vec![1; dims.len()];
    along[batch] = dims[batch] as isize;
    let lengths = lengths.cast(DType::I64).reshape(along);
    let at = c.g.iota(TypeSpec::new(DType::I64, &dims), time);
    let places = at.lt(&lengths).select(&(&lengths - 1 - &at), &at);
    one(x.take_along_axis(places, time as isize))
}

/// Columns of windows added up to an image: the gradient of taking windows, by places.
fn col2im(c: &mut Call<'_, '_>) -> Results {
    let [n, rows, columns] = c.dims(0)?[..] else { return Err(Refusal::broken("it is of [n, rows, columns]")) };
    let (image, window) = (extents(c, 1)?, extents(c, 2)?);
    let rank = image.len();
    let list = |name: &str, otherwise: i64, len: usize| c.int_list(name).unwrap_or_else(|| vec![otherwise; len]);
    let (dilations, strides, pads) = (list("dilations", 1, rank), list("strides", 1, rank), list("pads", 0, 2 * rank));
    let taps: usize = window.iter().product();
    if window.len() != rank
        || taps == 0
        || rows % taps != 0
        || pads.len() != 2 * rank
        || strides.len() != rank
        || dilations.len() != rank
        || rows.saturating_mul(columns) > 1 << 20
        || [&dilations, &strides, &pads].into_iter().flatten().any(|n| n.unsigned_abs() >= 1 << 31)
    {
        return Err(Refusal::broken("image, window and columns don't fit"));
    }
    let channels = rows / taps;
    let out = |axis: usize| {
        let covered = dilations[axis] * (window[axis] as i64 - 1) + 1;
        (image[axis] as i64 + pads[axis] + pads[axis + rank] - covered).div_euclid(strides[axis].max(1)) + 1
    };
    let outs: Vec<usize> = (0..rank).map(|axis| out(axis).max(0) as usize).collect();
    if outs.iter().try_fold(1usize, |n, &out| n.checked_mul(out)) != Some(columns) {
        return Err(Refusal::broken("image, window and columns don't fit"));
    }
    // Each column's place in the image, or one past its end for those on the border.
    let numel: usize = image.iter().product();
    let mut places = Vec::with_capacity(taps * columns);
    for tap in 0..taps {
        for column in 0..columns {
            let (mut t, mut o, mut at, mut stride) = (tap, column, Some(0usize), 1);
            for axis in (0..rank).rev() {
                let (k, p) = ((t % window[axis]) as i64, (o % outs[axis]) as i64);
                (t, o) = (t / window[axis], o / outs[axis]);
                let x = p * strides[axis] + k * dilations[axis] - pads[axis];
                let inside = usize::try_from(x).ok().filter(|&x| x < image[axis]);
                at = at.zip(inside).map(|(at, x)| at + x * stride);
                stride *= image[axis];
            }
            places.push(at.unwrap_or(numel) as i64);
        }
    }
    let places = KnownTensor::ints(&places).in_graph(&c.g, "places")?;
    let x = c.tensor(0)?;
    let Some(dtype) = x.dtype() else { return one(x) };
    let rows = x.reshape(signed(&[n * channels, taps * columns])).transpose();
    let sums = c.g.zeros(TypeSpec::new(dtype, [numel + 1, n * channels])).scatter_add(places, rows);
    let mut dims = vec![n, channels];
    dims.extend(&image);
    one(sums.slice_axis(0, 0..numel).transpose().reshape(signed(&dims)))
}
