//! The derivative rules of reductions, built from ops.

use super::Cotangent;
use super::axes::other_axes;
use super::movement::{Concat, Pad, Permute, Slice};
use crate::{BuildResult, Builder, NodeId, Op, Scalar, ScalarOp, Shape};

/// `reduced` (the result's shape) repeated along the reduced axes.
pub(super) fn spread(cx: &mut Cotangent<'_>, axes: &[usize], reduced: NodeId) -> BuildResult {
    let shape = cx.build.ty(cx.operands[0]).shape.clone();
    let kept = other_axes(axes, shape.rank());
    cx.build.broadcast(reduced, shape, &kept)
}

/// Equal shares for all elements that are the extremum, as in JAX: `dy / count` where `x = y`.
pub(super) fn extremum_gradient(cx: &mut Cotangent<'_>, axes: &[usize]) -> BuildResult {
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
pub(super) fn prod_gradient(cx: &mut Cotangent<'_>, axes: &[usize]) -> BuildResult {
    let shape = cx.build.ty(cx.operands[0]).shape.clone();
    // Axes side by side are reduced where they are: moving them would cost two trips over the operand. Others go to the end.
    let adjacent = axes.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    let first = if adjacent { axes.first().copied().unwrap_or(0) } else { shape.rank() - axes.len() };
    let order = Permute { perm: if adjacent { (0..shape.rank()).collect() } else { last(axes, shape.rank()) } };
    let moved = if adjacent { cx.operands[0] } else { cx.build.permute(cx.operands[0], &order.perm)? };
    let moved_shape = cx.build.ty(moved).shape.clone();
    let sizes = |axes: &[usize]| axes.iter().product::<usize>();
    let (before, rest) = moved_shape.split_at(first);
    let (reduced, after) = rest.split_at(axes.len());
    let dims = [before, reduced, after].map(sizes);
    let flat = cx.build.reshape(moved, shape_of(dims))?;
    let dy = cx.build.reshape(cx.dy, shape_of([dims[0], 1, dims[2]]))?;
    let mut gradient = times_others(&mut cx.build, flat, dy)?;
    gradient = cx.build.reshape(gradient, moved_shape)?;
    if adjacent { Ok(gradient) } else { cx.build.permute(gradient, &order.inverse()) }
}

/// All axes, those first that aren't named.
fn last(axes: &[usize], rank: usize) -> Vec<usize> {
    other_axes(axes, rank).into_iter().chain(axes.iter().copied()).collect()
}

fn shape_of(dims: [usize; 3]) -> Shape {
    Shape::new(dims).expect("as many elements as a tensor that is there, or fewer")
}

/// The axis that is folded, of three.
const FOLDED: usize = 1;

/// `dy [.., 1, ..]` times, at each place of the middle axis of `x`, the product of all elements but that one.
fn times_others(build: &mut Builder<'_>, x: NodeId, dy: NodeId) -> BuildResult {
    // The pairs of each fold: the first half, and the second with a 1 where the first has one more.
    let mut levels = vec![];
    let mut folded = x;
    loop {
        let len = build.ty(folded).shape[FOLDED];
        if len <= 1 {
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
        gradient = build.add(Op::Concat(Concat { axis: FOLDED }), &[of_first, of_second])?;
    }
    Ok(gradient)
}

/// The elements from `start` to `limit` along the folded axis.
fn part(build: &mut Builder<'_>, x: NodeId, start: usize, limit: usize) -> BuildResult {
    let shape = build.ty(x).shape.clone();
    if (start, limit) == (0, shape[FOLDED]) {
        return Ok(x);
    }
    let mut slice = Slice { start: vec![0; shape.rank()], limit: shape.dims().to_vec(), stride: vec![1; shape.rank()] };
    (slice.start[FOLDED], slice.limit[FOLDED]) = (start, limit);
    build.add(Op::Slice(slice), &[x])
}

/// With a 1 at the end of the folded axis.
fn one_more(build: &mut Builder<'_>, x: NodeId) -> BuildResult {
    let ty = build.ty(x).clone();
    let nothing = vec![0; ty.shape.rank()];
    let mut high = nothing.clone();
    high[FOLDED] = 1;
    build.add(Op::Pad(Pad { value: Scalar::one(ty.dtype), low: nothing.clone(), high, interior: nothing }), &[x])
}
