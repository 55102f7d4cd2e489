//! Places given by values: gathering, scattering, and selections whose extent a known value gives.

use super::full_like;
use super::shape::signed;
use crate::call::{Call, Results, one};
use crate::error::Refusal;
use crate::item::{ImportItem, KnownTensor};
use crate::table::{OpEntry, op};
use gradc::dsl::{DType, Scan, Tensor, TypeSpec};
use ir::{Data, Scalar};
use std::collections::BTreeMap;

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    op("Compress", &[9, 11], compress),
    op("Gather", &[1, 11, 13], |c| {
        let dims = c.dims(0)?;
        let axis = c.axis_attribute(0, dims.len())?;
        if let ImportItem::Known(KnownTensor::Empty { dims: places, .. }) = c.item(1)? {
            let dims = [&dims[..axis], places, &dims[axis + 1..]].concat();
            return one(KnownTensor::Empty { dtype: c.dtype(0)?, dims });
        }
        let places = indices(c, 1, dims[axis])?;
        one(gathered(&c.tensor(0)?, &places, axis))
    }),
    op("GatherElements", &[11, 13], gather_elements),
    op("GatherND", &[11, 12, 13], gather_nd),
    op("NonZero", &[9, 13], non_zero),
    op("OneHot", &[9, 11], one_hot),
    op("Scatter", &[9, 11], scatter_elements),
    op("ScatterElements", &[11, 13, 16, 18], scatter_elements),
    op("ScatterND", &[11, 13, 16, 18], scatter_nd),
    op("TensorScatter", &[24], tensor_scatter),
    op("Unique", &[11], unique),
];

/// Indices into an axis of that extent, those below 0 counted from its end.
pub(super) fn indices(c: &Call<'_, '_>, operand: usize, extent: usize) -> Result<Tensor, Refusal> {
    if let ImportItem::Known(known) = c.item(operand)? {
        let n = extent as i64;
        let places = known.to_ints().into_iter().map(|i| if i < 0 { i.saturating_add(n) } else { i });
        return KnownTensor::new(known.dims(), Data::I64(places.collect()))?.in_graph(&c.g, c.name(operand));
    }
    let x = c.tensor(operand)?;
    Ok(x.lt(0).select(&(&x + extent as f64), &x))
}

/// The slices of a tensor at places along an axis, whose axes stand where that one stood.
pub(super) fn gathered(x: &Tensor, places: &Tensor, axis: usize) -> Tensor {
    let (Some(shape), Some(index)) = (x.shape(), places.shape()) else { return x.clone() };
    let (rank, new) = (shape.rank(), index.rank());
    let to_front: Vec<isize> = [axis].into_iter().chain((0..rank).filter(|&i| i != axis)).map(|i| i as isize).collect();
    let rows = if axis == 0 { x.clone() } else { x.permute(to_front) };
    let taken = rows.gather(places);
    if axis == 0 {
        return taken;
    }
    let back = (new..new + axis).chain(0..new).chain(new + axis..new + rank - 1);
    taken.permute(back.map(|i| i as isize).collect::<Vec<_>>())
}

/// Row numbers of `[..., k]` indices into axes of these extents.
fn row_numbers(places: &Tensor, extents: &[usize]) -> Tensor {
    let places = places.cast(DType::I64);
    let mut stride = 1usize;
    let mut sum: Option<Tensor> = None;
    for (k, &extent) in extents.iter().enumerate().rev() {
        let at = places.slice_axis(-1, k..k + 1).squeeze([-1]);
        let at = at.lt(0).select(&(&at + extent as i64), &at).check_index(extent);
        let part = at * (stride as i64);
        sum = Some(sum.map_or(part.clone(), |sum| sum + part));
        stride = stride.saturating_mul(extent);
    }
    sum.unwrap_or(places)
}

/// The axis along which the node's indices lead. On all others they may end before the data does, and not after it.
fn element_axis(c: &Call<'_, '_>, dims: &[usize], index: &[usize]) -> Result<usize, Refusal> {
    let axis = c.axis_attribute(0, dims.len())?;
    let is_inside = |i: usize| i == axis || index[i] <= dims[i];
    match index.len() == dims.len() && (0..dims.len()).all(is_inside) {
        true => Ok(axis),
        false => Err(Refusal::broken(format!("indices {index:?} along axis {axis} of {dims:?}"))),
    }
}

fn gather_elements(c: &mut Call<'_, '_>) -> Results {
    let (dims, index) = (c.dims(0)?, c.dims(1)?);
    let axis = element_axis(c, &dims, &index)?;
    let places = indices(c, 1, dims[axis])?;
    let mut x = c.tensor(0)?;
    for i in (0..dims.len()).filter(|&i| i != axis && index[i] < dims[i]) {
        x = x.slice_axis(i as isize, 0..index[i]);
    }
    one(x.take_along_axis(places, axis as isize))
}

fn gather_nd(c: &mut Call<'_, '_>) -> Results {
    let (dims, index) = (c.dims(0)?, c.dims(1)?);
    let batch = usize::try_from(c.int("batch_dims", 0)).unwrap_or(usize::MAX);
    let width = index.last().copied().unwrap_or(0);
    if batch >= index.len() || batch.saturating_add(width) > dims.len() || width == 0 {
        return Err(Refusal::broken(format!("indices {index:?} into {dims:?}")));
    }
    let outer: usize = dims[..batch].iter().product();
    let inner: usize = dims[batch..batch + width].iter().product();
    let mut table = vec![outer * inner];
    table.extend(&dims[batch + width..]);
    let count: usize = index[batch..index.len() - 1].iter().product();
    let places = c.tensor(1)?.reshape(signed(&[outer, count, width]));
    let first = c.g.iota(TypeSpec::new(DType::I64, [outer, 1]), 0) * (inner as i64);
    let rows = row_numbers(&places, &dims[batch..batch + width]) + first;
    let result = [&index[..index.len() - 1], &dims[batch + width..]].concat();
    one(c.tensor(0)?.reshape(signed(&table)).gather(rows).reshape(signed(&result)))
}

/// A table with rows changed by updates at places: put there, added, multiplied, or the larger or smaller one.
fn scattered(table: &Tensor, places: &Tensor, updates: &Tensor, reduction: &str) -> Result<Tensor, Refusal> {
    let (Some(ty), Some(rows)) = (table.ty(), places.shape()) else { return Ok(table.clone()) };
    if ty.dtype == DType::Bool {
        let [table, updates] = [table, updates].map(|x| x.cast(DType::U8));
        return Ok(scattered(&table, places, &updates, reduction)?.ne(0));
    }
    let along = [&[ty.shape[0]], &vec![1; ty.shape.rank() - 1][..]].concat();
    match reduction {
        "add" => Ok(table.scatter_add(places, updates)),
        "none" => {
            let counts = table.builder().zeros(TypeSpec::new(DType::I32, [ty.shape[0]]));
            let one_each = table.builder().ones(TypeSpec::new(DType::I32, rows.dims()));
            let changed = counts.scatter_add(places, one_each).gt(0).reshape(signed(&along));
            Ok(changed.select(&full_like(table, 0.0).scatter_add(places, updates), table))
        }
        "mul" | "max" | "min" => {
            let numbers = table.builder().iota(TypeSpec::new(DType::I64, &along), 0);
            let step = |carried: &[Tensor], part: &[Tensor]| {
                let (old, update) = (&carried[0], &part[1]);
                let new = match reduction {
                    "mul" => old * update,
                    "max" => old.maximum(update),
                    _ => old.minimum(update),
                };
                (vec![numbers.eq(&part[0]).select(&new, old)], vec![])
            };
            let (mut last, _) = Scan::new().named("scatter").run(&[table], &[places, updates], step);
            last.pop().ok_or_else(|| Refusal::Rule("the loop over updates carries nothing".into()))
        }
        other => Err(Refusal::case(format!("reduction {other:?}"))),
    }
}

fn scatter_elements(c: &mut Call<'_, '_>) -> Results {
    let (dims, index) = (c.dims(0)?, c.dims(1)?);
    let axis = element_axis(c, &dims, &index)?;
    let updates = c.dims(2)?;
    if updates != index {
        return Err(Refusal::broken(format!("updates {updates:?} for indices {index:?}")));
    }
    let along = indices(c, 1, dims[axis])?.cast(DType::I64).check_index(dims[axis]);
    let (mut places, mut stride) = (None::<Tensor>, 1usize);
    for i in (0..dims.len()).rev() {
        let at = if i == axis { along.clone() } else { c.g.iota(TypeSpec::new(DType::I64, &index), i) };
        let part = at * (stride as i64);
        places = Some(places.map_or(part.clone(), |sum| sum + part));
        stride *= dims[i];
    }
    let places = places.ok_or_else(|| Refusal::broken("a scalar has no axis"))?;
    let (x, updates) = (c.tensor(0)?.reshape([-1]), c.tensor(2)?.reshape([-1]));
    let result = scattered(&x, &places.reshape([-1]), &updates, &c.text("reduction", "none"))?;
    one(result.reshape(signed(&dims)))
}

fn scatter_nd(c: &mut Call<'_, '_>) -> Results {
    let (dims, index) = (c.dims(0)?, c.dims(1)?);
    let width = index.last().copied().unwrap_or(0);
    if width == 0 || width > dims.len() {
        return Err(Refusal::broken(format!("indices {index:?} into {dims:?}")));
    }
    let count: usize = index[..index.len() - 1].iter().product();
    let rows: usize = dims[..width].iter().product();
    let part: usize = dims[width..].iter().product();
    let places = row_numbers(&c.tensor(1)?.reshape(signed(&[count, width])), &dims[..width]);
    let table = c.tensor(0)?.reshape(signed(&[rows, part]));
    let updates = c.tensor(2)?.reshape(signed(&[count, part]));
    one(scattered(&table, &places, &updates, &c.text("reduction", "none"))?.reshape(signed(&dims)))
}

/// A cache with new steps written from a place on, a place for each element of a batch.
fn tensor_scatter(c: &mut Call<'_, '_>) -> Results {
    let (dims, update) = (c.dims(0)?, c.dims(1)?);
    let axis = c.axis_attribute(-2, dims.len())?;
    if update.len() != dims.len() || (0..dims.len()).any(|i| i != axis && update[i] != dims[i]) {
        return Err(Refusal::broken(format!("an update {update:?} along axis {axis} of {dims:?}")));
    }
    let (x, new) = (c.tensor(0)?, c.tensor(1)?);
    let mut batch = vec![1; dims.len()];
    batch[0] = dims[0];
    let start = match c.optional(2)? {
        Some(start) => start.cast(DType::I64).reshape(signed(&batch)),
        None => c.g.zeros(TypeSpec::new(DType::I64, &batch)),
    };
    let (extent, count) = (dims[axis] as i64, update[axis] as i64);
    let since = c.g.iota(TypeSpec::new(DType::I64, &dims), axis) - start;
    let since = match c.text("mode", "linear").as_str() {
        "circular" => (since + extent).remainder(extent),
        _ => since,
    };
    let is_new = since.ge(0).and(since.lt(count));
    let places = since.maximum(0).minimum(count - 1);
    one(is_new.select(&new.take_along_axis(places, axis as isize), &x))
}

fn one_hot(c: &mut Call<'_, '_>) -> Results {
    let depth = usize::try_from(c.single_int(1)?).map_err(|_| Refusal::broken("a negative depth"))?;
    let rank = c.dims(0)?.len();
    let axis = c.axis_attribute(-1, rank + 1)?;
    let x = c.tensor(0)?.cast(DType::I64);
    let places = x.lt(0).select(&(&x + depth as i64), &x);
    let values = c.tensor(2)?;
    let value = |i: usize| values.slice_axis(0, i..i + 1).reshape([]);
    let hot = places.one_hot_mask(depth);
    let order = (0..axis).chain([rank]).chain(axis..rank).map(|i| i as isize);
    let hot = hot.permute(order.collect::<Vec<_>>());
    one(hot.select(&value(1), value(0)))
}

fn compress(c: &mut Call<'_, '_>) -> Results {
    let dims = c.dims(0)?;
    let kept: Vec<i64> = (0..).zip(c.ints(1)?).filter(|(_, keep)| *keep != 0).map(|(i, _)| i).collect();
    let (x, axis) = match c.attribute("axis") {
        Some(a) => (c.tensor(0)?, Call::axis(a.i, dims.len())?),
        None => (c.tensor(0)?.reshape([-1]), 0),
    };
    if kept.is_empty() {
        return Err(Refusal::Empty("what is kept".into()));
    }
    one(gathered(&x, &KnownTensor::ints(&kept).in_graph(&c.g, "kept")?, axis))
}

/// The coordinates of elements that aren't 0, of a known tensor: their number is a shape.
fn non_zero(c: &mut Call<'_, '_>) -> Results {
    let known = c.known(0)?;
    let dims = known.dims().to_vec();
    let places: Vec<usize> =
        known.scalars().iter().enumerate().filter(|(_, x)| x.as_f64() != 0.0).map(|(i, _)| i).collect();
    let mut data = Vec::with_capacity(places.len() * dims.len());
    for axis in 0..dims.len() {
        let stride: usize = dims[axis + 1..].iter().product();
        data.extend(places.iter().map(|&at| (at / stride % dims[axis]) as i64));
    }
    one(KnownTensor::new(&[dims.len(), places.len()], Data::I64(data))?)
}

/// The distinct slices of a tensor without elements: none, where the axis itself has no extent.
fn nothing_unique(known: &KnownTensor, axis: Option<usize>) -> Results {
    let dims = match axis {
        Some(axis) if known.dims()[axis] > 0 => return Err(Refusal::Empty("what is compared".into())),
        Some(_) => known.dims().to_vec(),
        None => vec![0],
    };
    let none = KnownTensor::Empty { dtype: known.dtype(), dims };
    Ok([none, KnownTensor::ints(&[]), KnownTensor::ints(&[]), KnownTensor::ints(&[])].map(ImportItem::from).into())
}

/// The distinct slices of a known tensor along an axis, or its distinct elements: their number is a shape.
fn unique(c: &mut Call<'_, '_>) -> Results {
    let known = c.known(0)?;
    let (dims, elements) = (known.dims().to_vec(), known.scalars());
    let axis = c.attribute("axis").map(|a| Call::axis(a.i, dims.len())).transpose()?;
    if elements.is_empty() {
        return nothing_unique(known, axis);
    }
    let (outer, extent, inner): (usize, usize, usize) = match axis {
        Some(axis) => (dims[..axis].iter().product(), dims[axis], dims[axis + 1..].iter().product()),
        None => (1, elements.len(), 1),
    };
    let row = |i: usize| -> Vec<Scalar> {
        (0..outer * inner).map(|j| elements[(j / inner * extent + i) * inner + j % inner]).collect()
    };
    // First places, and how often each stands there; -0 is 0.
    let mut found: Vec<(Vec<Scalar>, usize, i64)> = vec![];
    let mut places = BTreeMap::new();
    let mut which = vec![0; extent];
    for (i, which) in which.iter_mut().enumerate() {
        let own = row(i);
        let is_zero = |x: &Scalar| x.as_f64() == 0.0;
        let key: Vec<u64> = own.iter().map(|x| if is_zero(x) { 0 } else { x.to_bits() }).collect();
        let at = *places.entry(key).or_insert(found.len());
        match found.get_mut(at) {
            Some(entry) => entry.2 += 1,
            None => found.push((own, i, 1)),
        }
        *which = at;
    }
    let mut order: Vec<usize> = (0..found.len()).collect();
    if c.flag("sorted", true) {
        let key = |i: &usize| -> Vec<f64> { found[*i].0.iter().map(|x| x.as_f64()).collect() };
        order.sort_by(|a, b| key(a).partial_cmp(&key(b)).unwrap_or(std::cmp::Ordering::Equal));
    }
    let mut rank_of = vec![0; order.len()];
    order.iter().enumerate().for_each(|(new, &old)| rank_of[old] = new as i64);
    let count = order.len();
    let mut shape = if axis.is_some() { dims.clone() } else { vec![0] };
    shape[axis.unwrap_or(0)] = count;
    let mut data = Data::splat(Scalar::zero(known.dtype()), outer * count * inner);
    for (new, &old) in order.iter().enumerate() {
        for (j, &x) in found[old].0.iter().enumerate() {
            data.set((j / inner * count + new) * inner + j % inner, x);
        }
    }
    let firsts: Vec<i64> = order.iter().map(|&i| found[i].1 as i64).collect();
    let inverse: Vec<i64> = which.iter().map(|&i| rank_of[i]).collect();
    let counts: Vec<i64> = order.iter().map(|&i| found[i].2).collect();
    let lists = [firsts, inverse, counts].map(|list| ImportItem::Known(KnownTensor::ints(&list)));
    Ok([ImportItem::Known(KnownTensor::new(&shape, data)?)].into_iter().chain(lists).collect())
}
