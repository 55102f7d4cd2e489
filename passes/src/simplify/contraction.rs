//! Rules on contractions: what moves axes of a dot product's operands or result becomes part of its dimension numbers.

use super::matching::{ascending, broadcast, rest};
use super::{Changes, Rewrite, RewriteRule};
use ir::op::contraction::Dot;
use ir::op::reduce::ReduceKind;
use ir::{Builder, DType, Family, NodeId, Op, Shape};

pub(super) const RULES: &[&[RewriteRule]] = &[&[
    RewriteRule {
        name: "dot_permute",
        doc: "dot(permute(x), y) → dot(x, y) with other axes, on either side, where the order of the axes that stay is the same",
        root: Family::Contraction,
        changes: Changes::Nothing,
        apply: dot_permute,
    },
    RewriteRule {
        name: "permute_dot",
        doc: "permute(dot(x, y)) → dot(y, x) where the permutation swaps the two operands' axes",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: permute_dot,
    },
    RewriteRule {
        name: "permute_dot_rows",
        doc: "permute(dot(x, y)) → permute(dot(y, x)) where the last axis comes from x: rows of the dot product stay rows",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: permute_dot_rows,
    },
    RewriteRule {
        name: "dot_broadcast",
        doc: "dot(x, broadcast(y)) repeated along a batch axis → dot(x, y) with that axis of x as a row",
        root: Family::Contraction,
        changes: Changes::Nothing,
        apply: dot_broadcast,
    },
    RewriteRule {
        name: "sum_dot_batch",
        doc: "reduce_sum(dot(x, y)) along a batch axis → dot(x, y) that sums over that axis too; the order of the sum changes",
        root: Family::Reduce,
        changes: Changes::Association,
        apply: sum_dot_batch,
    },
]];

fn dot(b: &Builder<'_>, id: NodeId) -> Option<(Dot, NodeId, NodeId)> {
    match (b.graph().op(id), b.graph().operands(id)) {
        (Op::Dot(op), &[x, y]) => Some((op.clone(), x, y)),
        _ => None,
    }
}

/// The axes of one operand that stay: neither batch nor contracted.
fn free(rank: usize, op: &Dot, side: fn(&(usize, usize)) -> usize) -> Vec<usize> {
    let used: Vec<usize> = op.batch.iter().chain(&op.contract).map(side).collect();
    rest(rank, &used)
}

fn dot_permute(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((mut op, x, y)) = dot(b, id) else { return Ok(None) };
    if let Some((perm, inner)) = absorbable(b, x, &op, |pair| pair.0) {
        op.batch.iter_mut().chain(&mut op.contract).for_each(|pair| pair.0 = perm[pair.0]);
        return b.add(Op::Dot(op), &[inner, y]).map(Some);
    }
    if let Some((perm, inner)) = absorbable(b, y, &op, |pair| pair.1) {
        op.batch.iter_mut().chain(&mut op.contract).for_each(|pair| pair.1 = perm[pair.1]);
        return b.add(Op::Dot(op), &[x, inner]).map(Some);
    }
    Ok(None)
}

/// The permutation that an operand is, and what it permutes, if the free axes keep their order without it.
fn absorbable(
    b: &Builder<'_>,
    operand: NodeId,
    op: &Dot,
    side: fn(&(usize, usize)) -> usize,
) -> Option<(Vec<usize>, NodeId)> {
    let Op::Permute(permute) = b.graph().op(operand) else { return None };
    let stay: Vec<usize> = free(permute.perm.len(), op, side).into_iter().map(|axis| permute.perm[axis]).collect();
    ascending(&stay).then(|| (permute.perm.clone(), b.graph().operands(operand)[0]))
}

fn permute_dot(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Op::Permute(permute) = b.graph().op(id) else { return Ok(None) };
    let Some((op, x, y)) = dot(b, b.graph().operands(id)[0]) else { return Ok(None) };
    let batch = op.batch.len();
    let rows = b.ty(x).shape.rank() - batch - op.contract.len();
    let all = permute.perm.len();
    let swap: Vec<usize> = (0..batch).chain(batch + rows..all).chain(batch..batch + rows).collect();
    if permute.perm != swap {
        return Ok(None);
    }
    b.add(Op::Dot(flipped(&op)), &[y, x]).map(Some)
}

/// The dot product with its operands in the other order.
fn flipped(op: &Dot) -> Dot {
    let flip = |pairs: &[(usize, usize)]| pairs.iter().map(|&(l, r)| (r, l)).collect();
    Dot { batch: flip(&op.batch), contract: flip(&op.contract) }
}

fn permute_dot_rows(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Op::Permute(permute) = b.graph().op(id) else { return Ok(None) };
    let (perm, product) = (permute.perm.clone(), b.graph().operands(id)[0]);
    let Some((op, x, y)) = dot(b, product) else { return Ok(None) };
    let (batch, all) = (op.batch.len(), perm.len());
    let rows = b.ty(x).shape.rank() - batch - op.contract.len();
    let columns = all - batch - rows;
    let from_rows = rows > 0 && perm.last() == Some(&(batch + rows - 1));
    // With other users the product would be computed twice.
    if !from_rows || columns == 0 || b.graph().users(product).len() > 1 || b.graph().is_result(product) {
        return Ok(None);
    }
    let turned = b.add(Op::Dot(flipped(&op)), &[y, x])?;
    let perm: Vec<usize> = perm
        .into_iter()
        .map(|axis| match axis {
            axis if axis < batch => axis,
            axis if axis < batch + rows => axis + columns,
            axis => axis - rows,
        })
        .collect();
    b.permute(turned, &perm).map(Some)
}

fn dot_broadcast(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((mut op, x, repeated)) = dot(b, id) else { return Ok(None) };
    let Some((spread, y)) = broadcast(b.graph(), repeated) else { return Ok(None) };
    // The last batch axis can become the first row axis of `x` if it stands before the others in `x`.
    let Some((left, right)) = op.batch.pop() else { return Ok(None) };
    let before_rows = free(b.ty(x).shape.rank(), &op, |pair| pair.0).first() == Some(&left);
    let repeats = !spread.axes.contains(&right);
    let others_own = (0..spread.shape.rank()).all(|axis| axis == right || spread.axes.contains(&axis));
    if !before_rows || !repeats {
        return Ok(None);
    }
    // `y` without that axis, still repeated along others if there are any.
    let narrow = if others_own {
        y
    } else {
        let Ok(shape) =
            Shape::new(rest(spread.shape.rank(), &[right]).iter().map(|&a| spread.shape[a]).collect::<Vec<_>>())
        else {
            return Ok(None);
        };
        let axes: Vec<usize> = spread.axes.iter().map(|&axis| axis - usize::from(axis > right)).collect();
        b.broadcast(y, shape, &axes)?
    };
    op.batch.iter_mut().chain(&mut op.contract).for_each(|pair| pair.1 -= usize::from(pair.1 > right));
    b.add(Op::Dot(op), &[x, narrow]).map(Some)
}

fn sum_dot_batch(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Op::Reduce(reduce) = b.graph().op(id) else { return Ok(None) };
    let Some((op, x, y)) = dot(b, b.graph().operands(id)[0]) else { return Ok(None) };
    let count = op.batch.len();
    let (summed, others): (Vec<usize>, Vec<usize>) = reduce.axes.iter().partition(|axis| **axis < count);
    if reduce.kind != ReduceKind::Sum || summed.is_empty() {
        return Ok(None);
    }
    let batch = rest(count, &summed).into_iter().map(|axis| op.batch[axis]).collect();
    let contract = summed.iter().map(|&axis| op.batch[axis]).chain(op.contract).collect();
    // What is added up further isn't rounded to 16 bits where it wasn't before: parts of a sum may be much larger than their own.
    let dtype = b.ty(x).dtype;
    let wide = if dtype.is_short_float() && !others.is_empty() { DType::F32 } else { dtype };
    let (x, y) = (b.cast(x, wide)?, b.cast(y, wide)?);
    let product = b.add(Op::Dot(Dot { batch, contract }), &[x, y])?;
    let others: Vec<usize> = others.iter().map(|axis| axis - summed.len()).collect();
    let sum = b.reduce_sum(product, &others)?;
    b.cast(sum, dtype).map(Some)
}
