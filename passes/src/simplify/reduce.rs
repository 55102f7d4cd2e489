//! Rules on reductions. Those on sums reorder them, as the float rules allow; on maxima, minima and integers all are exact.

use super::matching::{ascending, broadcast, full, operand_of, rest};
use super::{Changes, Rewrite, RewriteRule};
use ir::op::reduce::{Reduce, ReduceKind};
use ir::{Builder, DType, Family, NodeId, Op, Scalar, ScalarOp, Shape};

pub(super) const RULES: &[&[RewriteRule]] = &[&[
    RewriteRule {
        name: "reduce_units",
        doc: "reduction along an axis of extent 1 → reshape; a sum of -0 alone would be +0",
        root: Family::Reduce,
        changes: Changes::SignOfZero,
        apply: reduce_units,
    },
    RewriteRule {
        name: "reduce_full",
        doc: "maximum or minimum of c everywhere → c; sum of n times c → n * c, rounded once instead of n times",
        root: Family::Reduce,
        changes: Changes::Association,
        apply: reduce_full,
    },
    RewriteRule {
        name: "reduce_broadcast",
        doc: "maximum or minimum along repetitions → without them; sum of n repetitions → n times, rounded once instead of n times",
        root: Family::Reduce,
        changes: Changes::Association,
        apply: reduce_broadcast,
    },
    RewriteRule {
        name: "merge_reduces",
        doc: "reduce(reduce(x)) of one kind → reduce(x) along all the axes",
        root: Family::Reduce,
        changes: Changes::Association,
        apply: merge_reduces,
    },
    RewriteRule {
        name: "reduce_neg",
        doc: "sum of -x → -(sum of x); a sum that is 0 gets the other sign",
        root: Family::Reduce,
        changes: Changes::SignOfZero,
        apply: reduce_neg,
    },
    RewriteRule {
        name: "reduce_permute",
        doc: "reduce(permute(x)) → permute(reduce(x)), the permutation of fewer elements, often of none",
        root: Family::Reduce,
        changes: Changes::Association,
        apply: reduce_permute,
    },
]];

fn reduce(b: &Builder<'_>, id: NodeId) -> Option<(Reduce, NodeId)> {
    match b.graph().op(id) {
        Op::Reduce(op) => Some((op.clone(), b.graph().operands(id)[0])),
        _ => None,
    }
}

fn reduce_units(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((op, x)) = reduce(b, id) else { return Ok(None) };
    let shape = b.ty(x).shape.clone();
    let unit = |axis: &usize| op.axes.contains(axis) && shape[*axis] == 1;
    let kept: Vec<usize> = (0..shape.rank()).filter(|axis| !unit(axis)).collect();
    if kept.len() == shape.rank() {
        return Ok(None);
    }
    let Ok(dense) = Shape::new(kept.iter().map(|&axis| shape[axis]).collect::<Vec<_>>()) else { return Ok(None) };
    let dense = b.reshape(x, dense)?;
    let axes: Vec<usize> = (0..kept.len()).filter(|&i| op.axes.contains(&kept[i])).collect();
    b.reduce(op.kind, dense, &axes).map(Some)
}

fn reduce_full(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((op, x)) = reduce(b, id) else { return Ok(None) };
    let Some(value) = full(b.graph(), x) else { return Ok(None) };
    let value = match op.kind {
        ReduceKind::Max | ReduceKind::Min => value,
        ReduceKind::Prod => return Ok(None),
        ReduceKind::Sum => {
            let count = b.ty(x).shape.numel() / b.ty(id).shape.numel();
            let Some(count) = exact_count(count, value.dtype()) else { return Ok(None) };
            ScalarOp::MUL.eval(&[value, count])
        }
    };
    let shape = b.ty(id).shape.clone();
    b.full(value, shape).map(Some)
}

/// The count as an element, unless it isn't one of the type's numbers; integers wrap, as their sums do.
fn exact_count(count: usize, dtype: DType) -> Option<Scalar> {
    let element = Scalar::from_i64(count as i64, dtype);
    (!dtype.is_float() || element.as_f64() == count as f64).then_some(element)
}

fn reduce_broadcast(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((op, repeated)) = reduce(b, id) else { return Ok(None) };
    let Some((spread, x)) = broadcast(b.graph(), repeated) else { return Ok(None) };
    let spread = spread.clone();
    let count: usize =
        op.axes.iter().filter(|axis| !spread.axes.contains(axis)).map(|&axis| spread.shape[axis]).product();
    let only_own_axes = op.axes.iter().all(|axis| spread.axes.contains(axis));
    if only_own_axes || op.kind == ReduceKind::Prod && count != 1 {
        return Ok(None);
    }
    let own: Vec<usize> = (0..spread.axes.len()).filter(|&i| op.axes.contains(&spread.axes[i])).collect();
    let once = match op.kind {
        ReduceKind::Sum => times_sum(b, count, x, &own)?,
        kind => Some(b.reduce(kind, x, &own)?),
    };
    let Some(once) = once else { return Ok(None) };
    let left = rest(spread.shape.rank(), &op.axes);
    let axes: Vec<usize> = (0..left.len()).filter(|&i| spread.axes.contains(&left[i])).collect();
    let shape = b.ty(id).shape.clone();
    if axes.len() == left.len() { Ok(Some(once)) } else { b.broadcast(once, shape, &axes).map(Some) }
}

/// That many times a sum; `None` if the number isn't one of the type's. Sums of 16-bit floats are rounded once, after the product.
pub(super) fn times_sum(b: &mut Builder<'_>, count: usize, x: NodeId, axes: &[usize]) -> Rewrite {
    let dtype = b.ty(x).dtype;
    if count == 1 {
        return b.reduce(ReduceKind::Sum, x, axes).map(Some);
    }
    let wide = if dtype.is_short_float() { DType::F32 } else { dtype };
    let Some(count) = exact_count(count, wide) else { return Ok(None) };
    let x = b.cast(x, wide)?;
    let sum = b.reduce(ReduceKind::Sum, x, axes)?;
    let shape = b.ty(sum).shape.clone();
    let count = b.full(count, shape)?;
    let product = b.binary(ScalarOp::MUL, sum, count)?;
    b.cast(product, dtype).map(Some)
}

fn merge_reduces(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((outer, middle)) = reduce(b, id) else { return Ok(None) };
    let Some((inner, x)) = reduce(b, middle).filter(|(inner, _)| inner.kind == outer.kind) else { return Ok(None) };
    let left = rest(b.ty(x).shape.rank(), &inner.axes);
    let mut axes = inner.axes;
    axes.extend(outer.axes.iter().map(|&axis| left[axis]));
    axes.sort_unstable();
    b.reduce(outer.kind, x, &axes).map(Some)
}

fn reduce_neg(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((op, negated)) = reduce(b, id).filter(|(op, _)| op.kind == ReduceKind::Sum) else { return Ok(None) };
    let Some(x) = operand_of(b.graph(), negated, ScalarOp::NEG) else { return Ok(None) };
    let sum = b.reduce(ReduceKind::Sum, x, &op.axes)?;
    b.unary(ScalarOp::NEG, sum).map(Some)
}

fn reduce_permute(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((op, permuted)) = reduce(b, id) else { return Ok(None) };
    let (Op::Permute(permute), &[x]) = (b.graph().op(permuted), b.graph().operands(permuted)) else { return Ok(None) };
    let perm = permute.perm.clone();
    let mut axes: Vec<usize> = op.axes.iter().map(|&axis| perm[axis]).collect();
    axes.sort_unstable();
    // The axes that are left, in the order of `x` and in that of the result.
    let of_x = rest(perm.len(), &axes);
    let of_result: Vec<usize> = rest(perm.len(), &op.axes).into_iter().map(|axis| perm[axis]).collect();
    let reduced = b.reduce(op.kind, x, &axes)?;
    if ascending(&of_result) {
        return Ok(Some(reduced));
    }
    let order: Vec<usize> = of_result.iter().map(|axis| of_x.partition_point(|a| a < axis)).collect();
    b.permute(reduced, &order).map(Some)
}
