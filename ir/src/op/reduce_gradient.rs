//! The derivative rules of reductions, built from ops.

use super::Cotangent;
use super::axes::other_axes;
use super::movement::{Concat, Pad, Permute, Slice};
use crate::{Builder, Built, NodeId, Op, Scalar, ScalarOp, Shape};

/// `reduced` (the result's shape) repeated along the reduced axes.
pub(super) fn spread(cx: &mut Cotangent<'_>, axes: &[usize], reduced: NodeId) -> Built {
    let shape = cx.build.ty(cx.operands[0]).shape.clone();
    let kept = other_axes(axes, shape.rank());
    cx.build.broadcast(reduced, shape, &kept)
}

/// Equal shares for all elements that are the extremum, as in JAX: `dy / count` where `x = y`.
pub(super) fn extremum_gradient(cx: &mut Cotangent<'_>, axes: &[usize]) -> Built {
    let (x, dtype) = (cx.operands[0], cx.build.ty(cx.dy).dtype);
    let extremum = spread(cx, axes, cx.result)?;
    let is_extremum = cx.build.binary(ScalarOp::EQ, x, extremum)?;
    let ones = cx.build.cast(is_extremum, dtype)?;
    let count = cx.build.reduce_sum(ones, axes)?;
    let share = cx.build.binary(ScalarOp::DIV, cx.dy, count)?;
    let share = spread(cx, axes, share)?;
    let zero = cx.build.zeros_like(x)?;
    cx.build.select(is_extremum, share, zero)
}

/// `dy` times the product of all *other* elements.
///
/// The quotient `y / x` would be that product only away from zeros, and would overflow where `y` does. The product is instead made of
/// products alone, in a tree: the elements are folded half onto half until one is left, and on the way back each half is what the fold got times the other half. For
/// `k` elements that takes some `3 k` multiplications. So it holds at zeros, and so do its own derivatives.
pub(super) fn prod_gradient(cx: &mut Cotangent<'_>, axes: &[usize]) -> Built {
    let shape = cx.build.ty(cx.operands[0]).shape.clone();
    let perm: Vec<usize> = other_axes(axes, shape.rank()).into_iter().chain(axes.iter().copied()).collect();
    let last = Permute { perm };
    let in_order = last.perm.iter().copied().eq(0..shape.rank());
    let moved = if in_order { cx.operands[0] } else { cx.build.permute(cx.operands[0], &last.perm)? };
    let moved_shape = cx.build.ty(moved).shape.clone();
    // The reduced axes as one, the last.
    let mut dims = moved_shape[..shape.rank() - axes.len()].to_vec();
    dims.push(axes.iter().map(|&axis| shape[axis]).product());
    let rows = Shape::new(dims.clone()).expect("as many elements as the operand has");
    let flat = cx.build.reshape(moved, rows)?;
    dims.pop();
    dims.push(1);
    let one = Shape::new(dims).expect("as many elements as the result has");
    let dy = cx.build.reshape(cx.dy, one)?;
    let mut gradient = times_others(&mut cx.build, flat, dy)?;
    gradient = cx.build.reshape(gradient, moved_shape)?;
    if in_order { Ok(gradient) } else { cx.build.permute(gradient, &last.inverse()) }
}

/// `dy [..., 1]` times, at each place of the last axis of `x`, the product of all elements but that one.
fn times_others(build: &mut Builder<'_>, x: NodeId, dy: NodeId) -> Built {
    // The pairs of each fold: the first half, and the second with a 1 where the first has one more.
    let mut levels = vec![];
    let mut folded = x;
    loop {
        let len = build.ty(folded).shape.last().copied().unwrap_or(1);
        if len == 1 {
            break;
        }
        let half = len.div_ceil(2);
        let (first, second) = (part(build, folded, 0, half)?, part(build, folded, half, len)?);
        let second = if len.is_multiple_of(2) { second } else { one_more(build, second)? };
        levels.push((len, first, second));
        folded = build.binary(ScalarOp::MUL, first, second)?;
    }
    let mut gradient = dy;
    for (len, first, second) in levels.into_iter().rev() {
        let of_first = build.binary(ScalarOp::MUL, gradient, second)?;
        let of_second = build.binary(ScalarOp::MUL, gradient, first)?;
        let of_second = part(build, of_second, 0, len / 2)?;
        let axis = build.ty(x).shape.rank() - 1;
        gradient = build.add(Op::Concat(Concat { axis }), &[of_first, of_second])?;
    }
    Ok(gradient)
}

/// The elements from `start` to `limit` along the last axis.
fn part(build: &mut Builder<'_>, x: NodeId, start: usize, limit: usize) -> Built {
    let shape = build.ty(x).shape.clone();
    let axis = shape.rank() - 1;
    if (start, limit) == (0, shape[axis]) {
        return Ok(x);
    }
    let mut slice = Slice { start: vec![0; shape.rank()], limit: shape.dims().to_vec(), stride: vec![1; shape.rank()] };
    (slice.start[axis], slice.limit[axis]) = (start, limit);
    build.add(Op::Slice(slice), &[x])
}

/// With a 1 at the end of the last axis.
fn one_more(build: &mut Builder<'_>, x: NodeId) -> Built {
    let ty = build.ty(x).clone();
    let nothing = vec![0; ty.shape.rank()];
    let mut high = nothing.clone();
    high[ty.shape.rank() - 1] = 1;
    build.add(Op::Pad(Pad { value: Scalar::one(ty.dtype), low: nothing.clone(), high, interior: nothing }), &[x])
}
