//! Windows that are summed, averaged, or give their largest element.

use super::full_like;
use super::shape::signed;
use super::window::{PlacedWindow, positive};
use crate::call::{Call, Results, one};
use crate::error::Refusal;
use crate::item::{ImportItem, KnownTensor};
use crate::table::{OpEntry, op};
use gradc::dsl::{DType, Tensor, TypeSpec};
use ir::{Data, Scalar};

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    op("AveragePool", &[1, 7, 10, 11, 19, 22], average),
    op("GlobalAveragePool", &[1, 22], |c| global(c, |x, axes| x.mean_keepdims(axes))),
    op("GlobalLpPool", &[1, 2, 22], |c| {
        let p = order(c)?;
        global(c, |x, axes| x.abs().pow(p).sum_keepdims(axes).pow(1.0 / p))
    }),
    op("GlobalMaxPool", &[1, 22], |c| global(c, |x, axes| x.max_keepdims(axes))),
    op("LpPool", &[1, 2, 11, 18, 22], lp),
    op("MaxPool", &[1, 8, 10, 11, 12, 22], max),
    op("MaxUnpool", &[9, 11, 22], max_unpool),
];

/// The order of a norm: a float at first, an integer from version 2 on.
fn order(c: &Call<'_, '_>) -> Result<f64, Refusal> {
    const FLOAT: i32 = 1;
    let p = c.attribute("p").map_or(2.0, |a| if a.r#type == FLOAT { f64::from(a.f) } else { a.i as f64 });
    if p > 0.0 { Ok(p) } else { Err(Refusal::broken(format!("the norm of order {p}"))) }
}

/// A reduction of all places of an image.
fn global(c: &Call<'_, '_>, f: impl FnOnce(&Tensor, &[isize]) -> Tensor) -> Results {
    let rank = c.dims(0)?.len();
    if rank < 3 {
        return Err(Refusal::broken("it is of [n, channels, spatial...]"));
    }
    let axes: Vec<isize> = (1..rank as isize - 1).collect();
    Ok(vec![ImportItem::channels_last(f(&c.channels_last(0)?, &axes))])
}

/// The node's window, with its image's extents.
fn placed(c: &Call<'_, '_>) -> Result<(PlacedWindow, Vec<usize>), Refusal> {
    let dims = c.dims(0)?;
    let image = dims.get(2..).unwrap_or_default().to_vec();
    let size = positive(c, "kernel_shape", image.len(), 0)?;
    Ok((PlacedWindow::new(c, &image, &size)?, image))
}

/// What borders count as: less than any element.
fn lowest(dtype: DType) -> f64 {
    match dtype {
        dtype if dtype.is_float() => f64::NEG_INFINITY,
        dtype => Scalar::lowest(dtype).as_f64(),
    }
}

/// For each place of the window along an axis how many taps count.
fn counts(placed: &PlacedWindow, axis: usize, extent: usize, with_borders: bool) -> Vec<usize> {
    let (before, after) = placed.pads[axis];
    let inside = if with_borders { 0..before + extent + after } else { before..before + extent };
    let taps = |o: usize| (0..placed.size[axis]).map(move |k| o * placed.stride[axis] + k * placed.dilation[axis]);
    (0..placed.out[axis]).map(|o| taps(o).filter(|at| inside.contains(at)).count().max(1)).collect()
}

fn average(c: &mut Call<'_, '_>) -> Results {
    /// The most places along an axis whose counts are written down.
    const MOST: usize = 1 << 20;
    let (placed, image) = placed(c)?;
    let (x, window) = placed.on(&c.channels_last(0)?, 0.0);
    let mut y = x.sum_pool(window);
    let Some(dtype) = y.dtype() else { return one(y) };
    for (axis, &extent) in image.iter().enumerate() {
        if placed.out[axis].saturating_mul(placed.size[axis]) > MOST {
            return Err(Refusal::Limit(format!("a window with {} places", placed.out[axis])));
        }
        let counts = counts(&placed, axis, extent, c.flag("count_include_pad", false));
        if counts.iter().all(|&n| n == counts[0]) {
            y = y / (counts[0] as f64);
            continue;
        }
        let mut along = vec![1; image.len() + 1];
        along[axis] = counts.len();
        let mut data = Data::splat(Scalar::zero(dtype), counts.len());
        counts.iter().enumerate().for_each(|(i, &n)| data.set(i, Scalar::from_f64(n as f64, dtype)));
        y = y / KnownTensor::new(&along, data)?.in_graph(&c.g, "counts")?;
    }
    Ok(vec![ImportItem::channels_last(y)])
}

fn lp(c: &mut Call<'_, '_>) -> Results {
    let p = order(c)?;
    let (placed, _) = placed(c)?;
    let (x, window) = placed.on(&c.channels_last(0)?, 0.0);
    let y = if p == 2.0 { x.square().sum_pool(window).sqrt() } else { x.abs().pow(p).sum_pool(window).pow(1.0 / p) };
    Ok(vec![ImportItem::channels_last(y)])
}

fn max(c: &mut Call<'_, '_>) -> Results {
    let (placed, image) = placed(c)?;
    let x = c.channels_last(0)?;
    let Some(dtype) = x.dtype() else { return one(x) };
    let (padded, window) = placed.on(&x, lowest(dtype));
    let y = padded.max_pool(window);
    let mut results = vec![ImportItem::channels_last(y.clone())];
    if c.node.output.get(1).is_some_and(|name| !name.is_empty()) {
        results.push(ImportItem::channels_last(places_of_max(c, &x, &y, &placed, &image)?));
    }
    Ok(results)
}

/// Where each window's largest element stands in the whole tensor: of several the first one.
fn places_of_max(
    c: &Call<'_, '_>,
    x: &Tensor,
    y: &Tensor,
    placed: &PlacedWindow,
    image: &[usize],
) -> Result<Tensor, Refusal> {
    /// The most taps that are compared one by one.
    const MOST: usize = 1 << 10;
    let (rank, taps) = (image.len(), placed.size.iter().product::<usize>());
    let dims = c.dims(0)?;
    if taps > MOST {
        return Err(Refusal::Limit(format!("places of the largest element in a window of {taps}")));
    }
    let Some(dtype) = x.dtype() else { return Ok(x.clone()) };
    // The number of each element in the model's order of axes, or with the image's axes in reverse.
    let column_major = c.flag("storage_order", false);
    let laid = [&[dims[0]], image, &[dims[1]]].concat();
    let along = |axis: usize| c.g.iota(TypeSpec::new(DType::I64, &laid), axis);
    let numel: usize = image.iter().product();
    let mut number = along(0) * ((dims[1] * numel) as i64) + along(rank + 1) * (numel as i64);
    for axis in 0..rank {
        let stride: usize =
            if column_major { image[..axis].iter().product() } else { image[axis + 1..].iter().product() };
        number = number + along(axis + 1) * (stride as i64);
    }
    let mut pads = vec![(0, 0); rank + 2];
    for axis in 0..rank {
        pads[axis + 1] = (placed.pads[axis].0, placed.pads[axis].1 + placed.beyond[axis]);
    }
    let inside = full_like(&number, 1.0).pad(0.0, &pads);
    let (values, number) = (x.pad(lowest(dtype), &pads), number.pad(0.0, &pads));
    let mut found =
        c.g.full(i64::MAX as f64, TypeSpec::new(DType::I64, y.shape().map_or(vec![], |s| s.dims().to_vec())));
    for tap in (0..taps).rev() {
        let (mut rest, mut start) = (tap, vec![0; rank + 2]);
        for axis in (0..rank).rev() {
            start[axis + 1] = rest % placed.size[axis] * placed.dilation[axis];
            rest /= placed.size[axis];
        }
        let mut limit = start.clone();
        let mut stride = vec![1; rank + 2];
        stride[1..=rank].copy_from_slice(&placed.stride);
        for axis in 0..rank {
            limit[axis + 1] += (placed.out[axis] - 1) * placed.stride[axis] + 1;
        }
        (limit[0], limit[rank + 1]) = (dims[0], dims[1]);
        let part = |t: &Tensor| t.slice_strided(&start, &limit, &stride);
        let is_max = part(&values).eq(y).and(part(&inside).ne(0));
        found = is_max.select(&part(&number), &found);
    }
    Ok(found)
}

/// Elements back at the places that pooling took them from, 0 elsewhere.
fn max_unpool(c: &mut Call<'_, '_>) -> Results {
    let dims = c.dims(0)?;
    let image = dims.get(2..).unwrap_or_default();
    let rank = image.len();
    if rank == 0 || dims.contains(&0) {
        return Err(Refusal::broken(format!("{dims:?} isn't [n, channels, spatial...]")));
    }
    let size = positive(c, "kernel_shape", rank, 0)?;
    let stride = positive(c, "strides", rank, 1)?;
    let pads = c.int_list("pads").unwrap_or_else(|| vec![0; 2 * rank]);
    let mut result = dims[..2].to_vec();
    for axis in 0..rank {
        let pad = |i: usize| pads.get(i).and_then(|&p| usize::try_from(p).ok()).unwrap_or(0);
        let full = (image[axis] - 1) * stride[axis] + size[axis];
        result.push(full.saturating_sub(pad(axis) + pad(axis + rank)));
    }
    let numel: usize = result.iter().product();
    let x = c.tensor(0)?.reshape([-1]);
    let Some(dtype) = x.dtype() else { return one(x) };
    let y = c.g.zeros(TypeSpec::new(dtype, [numel])).scatter_add(c.tensor(1)?.reshape([-1]), x);
    let y = y.reshape(signed(&result));
    let Some(asked) = c.optional_ints(2)? else { return one(y) };
    let (asked, _) = crate::stored::extents(&asked)?;
    if asked.len() != result.len() || asked.iter().zip(&result).any(|(a, r)| a < r) {
        return Err(Refusal::broken(format!("{result:?} is to become {asked:?}")));
    }
    one(y.pad(0.0, asked.iter().zip(&result).map(|(a, r)| (0, a - r)).collect::<Vec<_>>()))
}
