//! Movement past movement of another kind: what repeats goes last, what takes parts goes first.

use crate::simplify::matching::{ascending, broadcast};
use crate::simplify::{Changes, Rewrite, RewriteRule};
use ir::op::movement::Slice;
use ir::{Builder, Family, NodeId, Op};

pub(super) const RULES: &[RewriteRule] = &[
    RewriteRule {
        name: "permute_broadcast",
        doc: "permute(broadcast(x)) → broadcast(permute(x)), the permutation of fewer elements, often of none",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: permute_broadcast,
    },
    RewriteRule {
        name: "broadcast_reshape",
        doc: "broadcast(reshape(x)) → broadcast(x) where the reshape only adds axes of extent 1",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: broadcast_reshape,
    },
    RewriteRule {
        name: "slice_broadcast",
        doc: "slice(broadcast(x)) → broadcast(slice(x))",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: slice_broadcast,
    },
    RewriteRule {
        name: "slice_pad",
        doc: "slice(pad(x)) → slice(x) where it takes nothing of the padding",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: slice_pad,
    },
    RewriteRule {
        name: "slice_concat",
        doc: "slice(concat(x, y)) → slice(x) where it takes from one part only",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: slice_concat,
    },
];

fn permute_broadcast(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Op::Permute(permute) = b.graph().op(id) else { return Ok(None) };
    let Some((op, x)) = broadcast(b.graph(), b.graph().operands(id)[0]) else { return Ok(None) };
    // For each axis of the result that comes from `x`: where it stands, and which axis of `x` it is.
    let from: Vec<(usize, usize)> = (permute.perm.iter().enumerate())
        .filter_map(|(to, axis)| op.axes.iter().position(|a| a == axis).map(|of_x| (to, of_x)))
        .collect();
    let (axes, perm): (Vec<usize>, Vec<usize>) = from.into_iter().unzip();
    let shape = b.ty(id).shape.clone();
    let x = if ascending(&perm) { x } else { b.permute(x, &perm)? };
    b.broadcast(x, shape, &axes).map(Some)
}

fn broadcast_reshape(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((op, dense)) = broadcast(b.graph(), id) else { return Ok(None) };
    let (Op::Reshape(reshape), &[x]) = (b.graph().op(dense), b.graph().operands(dense)) else { return Ok(None) };
    // Matches the axes of `x`, from the left, with those of the reshape; what is over must have extent 1.
    let from = &b.ty(x).shape;
    let mut axes = Vec::with_capacity(from.rank());
    for (axis, &extent) in reshape.shape.iter().enumerate() {
        if from.get(axes.len()) == Some(&extent) {
            axes.push(op.axes[axis]);
        } else if extent != 1 {
            return Ok(None);
        }
    }
    if axes.len() != from.rank() || axes.len() == reshape.shape.rank() {
        return Ok(None);
    }
    let shape = op.shape.clone();
    b.broadcast(x, shape, &axes).map(Some)
}

fn slice_broadcast(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Op::Slice(slice) = b.graph().op(id) else { return Ok(None) };
    let Some((op, x)) = broadcast(b.graph(), b.graph().operands(id)[0]) else { return Ok(None) };
    let pick = |values: &[usize]| op.axes.iter().map(|&axis| values[axis]).collect();
    let narrow = Slice { start: pick(&slice.start), limit: pick(&slice.limit), stride: pick(&slice.stride) };
    let (axes, shape) = (op.axes.clone(), b.ty(id).shape.clone());
    let part = b.add(Op::Slice(narrow), &[x])?;
    b.broadcast(part, shape, &axes).map(Some)
}

fn slice_pad(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let (Op::Slice(slice), &[padded]) = (b.graph().op(id), b.graph().operands(id)) else { return Ok(None) };
    let (Op::Pad(pad), &[x]) = (b.graph().op(padded), b.graph().operands(padded)) else { return Ok(None) };
    let (from, taken) = (&b.ty(x).shape, &b.ty(id).shape);
    let mut inner = Slice { start: vec![], limit: vec![], stride: slice.stride.clone() };
    for axis in 0..from.rank() {
        let last = slice.start[axis] + (taken[axis] - 1) * slice.stride[axis];
        let within = slice.start[axis] >= pad.low[axis] && last < pad.low[axis] + from[axis];
        if pad.interior[axis] != 0 || !within {
            return Ok(None);
        }
        inner.start.push(slice.start[axis] - pad.low[axis]);
        inner.limit.push(last + 1 - pad.low[axis]);
    }
    b.add(Op::Slice(inner), &[x]).map(Some)
}

fn slice_concat(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let (Op::Slice(slice), &[whole]) = (b.graph().op(id), b.graph().operands(id)) else { return Ok(None) };
    let Op::Concat(concat) = b.graph().op(whole) else { return Ok(None) };
    let axis = concat.axis;
    let (first, last) = (slice.start[axis], slice.start[axis] + (b.ty(id).shape[axis] - 1) * slice.stride[axis]);
    let mut begin = 0;
    for &part in b.graph().operands(whole) {
        let end = begin + b.ty(part).shape[axis];
        if begin <= first && last < end {
            let mut inner = slice.clone();
            inner.start[axis] = first - begin;
            inner.limit[axis] = last + 1 - begin;
            return b.add(Op::Slice(inner), &[part]).map(Some);
        }
        begin = end;
    }
    Ok(None)
}
