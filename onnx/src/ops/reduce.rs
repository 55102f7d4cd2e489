//! Reductions, running sums, and order.

use super::shape::axes_of;
use crate::call::{Call, Results, one};
use crate::error::Refusal;
use crate::item::{ImportItem, KnownTensor};
use crate::table::{OpEntry, op};
use gradc::dsl::{Cumulative, DType, Scan, Tensor};
use ir::Scalar;

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    op("ArgMax", &[1, 11, 12, 13], |c| arg(c, true)),
    op("ArgMin", &[1, 11, 12, 13], |c| arg(c, false)),
    op("CumProd", &[26], cumprod),
    op("CumSum", &[11, 14], |c| {
        let axis = Call::axis(c.single_int(1)?, c.dims(0)?.len())?;
        let how = Cumulative { exclusive: c.flag("exclusive", false), reverse: c.flag("reverse", false) };
        one(c.tensor(0)?.cumsum_with(axis as isize, how))
    }),
    op("ReduceL1", &[1, 11, 13, 18], |c| reduce(c, 0.0, |x, axes| x.abs().sum_keepdims(axes))),
    op("ReduceL2", &[1, 11, 13, 18], |c| {
        reduce(c, 0.0, |x, axes| in_floats(x, |x| x.square().sum_keepdims(axes).sqrt()))
    }),
    op("ReduceLogSum", &[1, 11, 13, 18], |c| {
        reduce(c, f64::NEG_INFINITY, |x, axes| in_floats(x, |x| x.sum_keepdims(axes).log()))
    }),
    op("ReduceLogSumExp", &[1, 11, 13, 18], |c| {
        reduce(c, f64::NEG_INFINITY, |x, axes| in_floats(x, |x| log_sum_exp(x, axes)))
    }),
    op("ReduceMax", &[1, 11, 12, 13, 18, 20], |c| {
        let lowest = if c.dtype(0)?.is_float() { f64::NEG_INFINITY } else { -1e30 };
        reduce(c, lowest, |x, axes| ordered(x, |x| x.max_keepdims(axes)))
    }),
    op("ReduceMean", &[1, 11, 13, 18], |c| reduce(c, f64::NAN, |x, axes| in_floats(x, |x| x.mean_keepdims(axes)))),
    op("ReduceMin", &[1, 11, 12, 13, 18, 20], |c| {
        let highest = if c.dtype(0)?.is_float() { f64::INFINITY } else { 1e30 };
        reduce(c, highest, |x, axes| ordered(x, |x| x.min_keepdims(axes)))
    }),
    op("ReduceProd", &[1, 11, 13, 18], |c| reduce(c, 1.0, |x, axes| x.prod_keepdims(axes))),
    op("ReduceSum", &[1, 11, 13], |c| reduce(c, 0.0, |x, axes| x.sum_keepdims(axes))),
    op("ReduceSumSquare", &[1, 11, 13, 18], |c| reduce(c, 0.0, |x, axes| x.square().sum_keepdims(axes))),
    op("TopK", &[1, 10, 11, 24], top_k),
];

/// Computed in floats, in the tensor's own type at the end.
fn in_floats(x: &Tensor, f: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    match x.dtype() {
        Some(dtype) if !dtype.is_float() => f(&x.cast(DType::F64)).cast(dtype),
        _ => f(x),
    }
}

/// Truth values have the order of 0 and 1.
fn ordered(x: &Tensor, f: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    if x.dtype() == Some(DType::Bool) { f(&x.cast(DType::I32)).ne(0) } else { f(x) }
}

/// The logarithm of a sum of exponentials by way of the largest one.
fn log_sum_exp(x: &Tensor, axes: &[isize]) -> Tensor {
    let max = x.max_keepdims(axes).stop_gradient();
    let max = max.abs().lt(f64::INFINITY).select(&max, 0);
    (x - &max).exp().sum_keepdims(axes).log() + max
}

/// A reduction, whose function keeps axes; of no elements it is a number.
fn reduce(c: &Call<'_, '_>, of_none: f64, f: impl FnOnce(&Tensor, &[isize]) -> Tensor) -> Results {
    let (dtype, dims) = c.ty(0)?;
    let axes = axes_of(c, 1)?.unwrap_or_default();
    if axes.is_empty() && c.flag("noop_with_empty_axes", false) {
        return one(f(&c.tensor(0)?, &[]));
    }
    let axes = if axes.is_empty() { (0..dims.len()).collect() } else { Call::axes(&axes, dims.len())? };
    let keep = c.flag("keepdims", true);
    let left = |i: usize| (!axes.contains(&i)).then_some(dims[i]).or(keep.then_some(1));
    let result: Vec<usize> = (0..dims.len()).filter_map(left).collect();
    if let ImportItem::Known(KnownTensor::Empty { .. }) = c.item(0)? {
        if result.contains(&0) {
            return one(KnownTensor::Empty { dtype, dims: result });
        }
        let value = KnownTensor::scalar(Scalar::from_f64(of_none, dtype));
        return one(value.in_graph(&c.g, "none")?.broadcast_to(result));
    }
    let axes: Vec<isize> = axes.into_iter().map(|axis| axis as isize).collect();
    let reduced = f(&c.tensor(0)?, &axes);
    one(if keep { reduced } else { reduced.squeeze(axes) })
}

/// The place of the largest or smallest along an axis: the first one, or the last one.
fn arg(c: &Call<'_, '_>, largest: bool) -> Results {
    let dims = c.dims(0)?;
    let axis = c.axis_attribute(0, dims.len())?;
    let last = c.flag("select_last_index", false);
    let along = axis as isize;
    let x = if last { c.tensor(0)?.reverse([along]) } else { c.tensor(0)? };
    let place = if largest { x.argmax(along) } else { x.argmin(along) }.cast(DType::I64);
    let place = if last { (dims[axis] - 1) as f64 - place } else { place };
    one(if c.flag("keepdims", true) { place.unsqueeze(along) } else { place })
}

fn cumprod(c: &mut Call<'_, '_>) -> Results {
    let dims = c.dims(0)?;
    let axis = Call::axis(c.single_int(1)?, dims.len())? as isize;
    let exclusive = c.flag("exclusive", false);
    let x = c.tensor(0)?.swap_axes(0, axis);
    let Some(ty) = x.ty() else { return one(x) };
    let first = c.g.ones(gradc::dsl::TypeSpec::new(ty.dtype, &ty.shape[1..]));
    let scan = Scan::new().named("cumprod").reverse(c.flag("reverse", false));
    let (_, products) = scan.run(&[&first], &[&x], |carried, part| {
        let next = &carried[0] * &part[0];
        (vec![next.clone()], vec![if exclusive { carried[0].clone() } else { next }])
    });
    match products.first() {
        Some(products) => one(products.swap_axes(0, axis)),
        None => Err(Refusal::Rule("a running product of nothing".into())),
    }
}

fn top_k(c: &mut Call<'_, '_>) -> Results {
    let dims = c.dims(0)?;
    let axis = c.axis_attribute(-1, dims.len())?;
    let k = if c.has(1) { c.single_int(1)? } else { c.int("k", 0) };
    let k = usize::try_from(k).map_err(|_| Refusal::broken("a negative number of elements"))?;
    let (x, along) = (c.tensor(0)?, axis as isize);
    if k == 0 {
        let mut dims = dims;
        dims[axis] = 0;
        let none = |dtype| ImportItem::Known(KnownTensor::Empty { dtype, dims: dims.clone() });
        return Ok(vec![none(c.dtype(0)?), none(DType::I64)]);
    }
    let (values, places) = if c.flag("largest", true) {
        x.top_k(k, along)
    } else {
        if k > dims[axis] {
            return Err(Refusal::broken(format!("{k} elements of {}", dims[axis])));
        }
        let places = x.argsort(along, false).slice_axis(along, 0..k);
        (x.take_along_axis(&places, along), places)
    };
    Ok(vec![values.into(), places.cast(DType::I64).into()])
}
