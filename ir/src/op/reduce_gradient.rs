//! The derivative rules of reductions, built from ops.

use super::Cotangent;
use super::axes::other_axes;
use super::movement::{Pad, Permute, Slice};
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
/// products alone: those of the elements before and those of the elements after each place, by doubling (Hillis and Steele, "Data parallel
/// algorithms", CACM 1986), in `2 log2 k` multiplications of tensors for `k` elements. So it holds at zeros, and so do its own derivatives.
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
    let rows = Shape::new(dims).expect("as many elements as the operand has");
    let flat = cx.build.reshape(moved, rows)?;
    let before = products(&mut cx.build, flat, Side::Before)?;
    let after = products(&mut cx.build, flat, Side::After)?;
    let others = cx.build.binary(ScalarOp::MUL, before, after)?;
    let mut others = cx.build.reshape(others, moved_shape)?;
    if !in_order {
        others = cx.build.permute(others, &last.inverse())?;
    }
    let dy = spread(cx, axes, cx.dy)?;
    cx.build.binary(ScalarOp::MUL, dy, others)
}

/// Which elements of a row a product is of.
#[derive(Clone, Copy)]
enum Side {
    /// Those before the place.
    Before,
    /// Those after it.
    After,
}

/// At each place of the last axis the product of all elements before or after it; 1 where there are none.
fn products(build: &mut Builder<'_>, x: NodeId, side: Side) -> Built {
    let len = build.ty(x).shape.last().copied().unwrap_or(1);
    let mut product = shift(build, x, 1, side)?;
    // Each place holds the product of the `span` elements next to it.
    let mut span = 1;
    while span + 1 < len {
        let next = shift(build, product, span, side)?;
        product = build.binary(ScalarOp::MUL, product, next)?;
        span *= 2;
    }
    Ok(product)
}

/// The elements `by` places before or after along the last axis, 1 where there are none.
fn shift(build: &mut Builder<'_>, x: NodeId, by: usize, side: Side) -> Built {
    let ty = build.ty(x).clone();
    let (rank, zeros) = (ty.shape.rank(), vec![0; ty.shape.rank()]);
    let mut moved = zeros.clone();
    moved[rank - 1] = by;
    let (low, high, start) = match side {
        Side::Before => (moved, zeros.clone(), zeros.clone()),
        Side::After => (zeros.clone(), moved.clone(), moved),
    };
    let limit = (0..rank).map(|i| start[i] + ty.shape[i]).collect();
    let padded = build.add(Op::Pad(Pad { value: Scalar::one(ty.dtype), low, high, interior: zeros }), &[x])?;
    build.add(Op::Slice(Slice { start, limit, stride: vec![1; rank] }), &[padded])
}
