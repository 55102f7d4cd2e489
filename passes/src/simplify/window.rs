//! Rules on gradients of pooling: work moves from the pooled tensor's elements to the windows, of which there are fewer.

use super::matching::{binary, full, select};
use super::reduce::times_sum;
use super::{Changes, Rewrite, RewriteRule};
use ir::op::reduce::{Reduce, ReduceKind};
use ir::op::window::{Pool, PoolKind, PoolMaxGrad, Window};
use ir::{Builder, Family, NodeId, Op, Scalar, ScalarOp};

pub(super) const RULES: &[&[RewriteRule]] = &[&[
    RewriteRule {
        name: "mask_pool_gradient",
        doc: "select(x < c, pool_max_grad(x, dy), 0) → pool_max_grad(x, select(pool_max(x) < c, dy, 0)), with any comparison: where \
              the gradient isn't 0 stands the window's maximum",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: mask_pool_gradient,
    },
    RewriteRule {
        name: "reduce_pool_gradient",
        doc: "sum along all spatial axes of a pooling's gradient → the sum of what it spreads, for sums times the number of taps; \
              added in another order",
        root: Family::Reduce,
        changes: Changes::Association,
        apply: reduce_pool_gradient,
    },
]];

const COMPARISONS: [ScalarOp; 6] = [ScalarOp::LT, ScalarOp::LE, ScalarOp::GT, ScalarOp::GE, ScalarOp::EQ, ScalarOp::NE];

fn mask_pool_gradient(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((condition, gradient, off)) = select(b.graph(), id) else { return Ok(None) };
    let Op::PoolMaxGrad(PoolMaxGrad { window }) = b.graph().op(gradient).clone() else { return Ok(None) };
    let [x, dy] = b.graph().operands(gradient)[..] else { return Ok(None) };
    let Some((op, left, right)) = binary(b.graph(), condition) else { return Ok(None) };
    let zero = Scalar::zero(b.ty(id).dtype);
    if !COMPARISONS.contains(&op) || full(b.graph(), off) != Some(zero) {
        return Ok(None);
    }
    let (on_left, bound) = match (full(b.graph(), left), full(b.graph(), right)) {
        (None, Some(bound)) if left == x => (true, bound),
        (Some(bound), None) if right == x => (false, bound),
        _ => return Ok(None),
    };
    let shape = b.ty(dy).shape.clone();
    let max = b.add(Op::Pool(Pool { kind: PoolKind::Max, window: window.clone() }), &[x])?;
    let bound = b.full(bound, shape.clone())?;
    let test = if on_left { b.binary(op, max, bound)? } else { b.binary(op, bound, max)? };
    let nothing = b.full(zero, shape)?;
    let masked = b.select(test, dy, nothing)?;
    b.add(Op::PoolMaxGrad(PoolMaxGrad { window }), &[x, masked]).map(Some)
}

fn reduce_pool_gradient(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Op::Reduce(Reduce { kind: ReduceKind::Sum, axes }) = b.graph().op(id).clone() else { return Ok(None) };
    let gradient = b.graph().operands(id)[0];
    let operands = b.graph().operands(gradient);
    let (window, dy, times) = match b.graph().op(gradient) {
        Op::PoolMaxGrad(op) if always_meets_the_input(&op.window) => (&op.window, operands[1], 1),
        Op::PoolSumGrad(op) if unpadded(&op.window) => (&op.window, operands[0], op.window.taps()),
        _ => return Ok(None),
    };
    if !(1..=window.rank()).all(|axis| axes.contains(&axis)) {
        return Ok(None);
    }
    times_sum(b, times, dy, &axes)
}

/// True if no window covers padding alone: then each has a largest element. Padding is less than what a window covers, so without gaps
/// between its taps one of them is on the input.
fn always_meets_the_input(window: &Window) -> bool {
    unpadded(window) || window.dilation.iter().all(|&d| d == 1)
}

fn unpadded(window: &Window) -> bool {
    window.pad.iter().all(|&pad| pad == (0, 0))
}
