//! Two movements of one kind are one.

use crate::simplify::{Changes, Rewrite, RewriteRule};
use ir::op::movement::{Concat, Pad, Reverse, Slice};
use ir::{Builder, Family, NodeId, Op};

pub(super) const RULES: &[RewriteRule] = &[
    RewriteRule {
        name: "merge_reshapes",
        doc: "reshape(reshape(x)) → reshape(x)",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: merge_reshapes,
    },
    RewriteRule {
        name: "merge_permutes",
        doc: "permute(permute(x)) → permute(x)",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: merge_permutes,
    },
    RewriteRule {
        name: "merge_broadcasts",
        doc: "broadcast(broadcast(x)) → broadcast(x)",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: merge_broadcasts,
    },
    RewriteRule {
        name: "merge_reverses",
        doc: "reverse(reverse(x)) → reverse(x) along the axes that one of the two reverses",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: merge_reverses,
    },
    RewriteRule {
        name: "merge_slices",
        doc: "slice(slice(x)) → slice(x)",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: merge_slices,
    },
    RewriteRule {
        name: "merge_pads",
        doc: "pad(pad(x)) → pad(x) with the same element, and nothing between neighbours in either",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: merge_pads,
    },
    RewriteRule {
        name: "merge_concats",
        doc: "concat(.., concat(x, y), ..) → concat(.., x, y, ..) along the same axis",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: merge_concats,
    },
    RewriteRule {
        name: "join_slices",
        doc: "concat(slice(x), slice(x)) → slice(x), where each takes up along the axis where the one before ends, and all the same of other axes",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: join_slices,
    },
];

/// The one operand of a node.
fn operand(b: &Builder<'_>, id: NodeId) -> Option<NodeId> {
    match b.graph().operands(id) {
        &[x] => Some(x),
        _ => None,
    }
}

fn merge_reshapes(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let (Op::Reshape(outer), Some(middle)) = (b.graph().op(id), operand(b, id)) else { return Ok(None) };
    let (Op::Reshape(_), Some(x)) = (b.graph().op(middle), operand(b, middle)) else { return Ok(None) };
    let shape = outer.shape.clone();
    b.reshape(x, shape).map(Some)
}

fn merge_permutes(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let (Op::Permute(outer), Some(middle)) = (b.graph().op(id), operand(b, id)) else { return Ok(None) };
    let (Op::Permute(inner), Some(x)) = (b.graph().op(middle), operand(b, middle)) else { return Ok(None) };
    let perm: Vec<usize> = outer.perm.iter().map(|&axis| inner.perm[axis]).collect();
    b.permute(x, &perm).map(Some)
}

fn merge_broadcasts(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let (Op::Broadcast(outer), Some(middle)) = (b.graph().op(id), operand(b, id)) else { return Ok(None) };
    let (Op::Broadcast(inner), Some(x)) = (b.graph().op(middle), operand(b, middle)) else { return Ok(None) };
    let axes: Vec<usize> = inner.axes.iter().map(|&axis| outer.axes[axis]).collect();
    let shape = outer.shape.clone();
    b.broadcast(x, shape, &axes).map(Some)
}

fn merge_reverses(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let (Op::Reverse(outer), Some(middle)) = (b.graph().op(id), operand(b, id)) else { return Ok(None) };
    let (Op::Reverse(inner), Some(x)) = (b.graph().op(middle), operand(b, middle)) else { return Ok(None) };
    let rank = b.ty(x).shape.rank();
    let axes: Vec<usize> = (0..rank).filter(|axis| outer.axes.contains(axis) != inner.axes.contains(axis)).collect();
    if axes.is_empty() {
        return Ok(Some(x));
    }
    b.add(Op::Reverse(Reverse { axes }), &[x]).map(Some)
}

fn merge_slices(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let (Op::Slice(outer), Some(middle)) = (b.graph().op(id), operand(b, id)) else { return Ok(None) };
    let (Op::Slice(inner), Some(x)) = (b.graph().op(middle), operand(b, middle)) else { return Ok(None) };
    let extents = b.ty(id).shape.dims();
    let mut merged = Slice { start: vec![], limit: vec![], stride: vec![] };
    for (axis, &extent) in extents.iter().enumerate() {
        let start = inner.start[axis] + outer.start[axis] * inner.stride[axis];
        let stride = inner.stride[axis] * outer.stride[axis];
        merged.start.push(start);
        // One past the last element taken, which is within the operand; the end by strides might not be.
        merged.limit.push(start + (extent - 1) * stride + 1);
        merged.stride.push(stride);
    }
    b.add(Op::Slice(merged), &[x]).map(Some)
}

fn merge_pads(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let (Op::Pad(outer), Some(middle)) = (b.graph().op(id), operand(b, id)) else { return Ok(None) };
    let (Op::Pad(inner), Some(x)) = (b.graph().op(middle), operand(b, middle)) else { return Ok(None) };
    let dense = |pad: &Pad| pad.interior.iter().all(|&n| n == 0);
    if outer.value != inner.value || !dense(outer) || !dense(inner) {
        return Ok(None);
    }
    let sum = |a: &[usize], b: &[usize]| a.iter().zip(b).map(|(a, b)| a + b).collect();
    let merged = Pad {
        value: outer.value,
        low: sum(&outer.low, &inner.low),
        high: sum(&outer.high, &inner.high),
        interior: outer.interior.clone(),
    };
    b.add(Op::Pad(merged), &[x]).map(Some)
}

fn merge_concats(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Op::Concat(Concat { axis }) = *b.graph().op(id) else { return Ok(None) };
    let parts = b.graph().operands(id);
    let inner = |part: NodeId| match b.graph().op(part) {
        Op::Concat(op) if op.axis == axis => Some(b.graph().operands(part)),
        _ => None,
    };
    if parts.iter().all(|&part| inner(part).is_none()) {
        return Ok(None);
    }
    let flat: Vec<NodeId> = parts.iter().flat_map(|&part| inner(part).map_or(vec![part], <[_]>::to_vec)).collect();
    b.add(Op::Concat(Concat { axis }), &flat).map(Some)
}

fn join_slices(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Op::Concat(Concat { axis }) = *b.graph().op(id) else { return Ok(None) };
    let mut joined: Option<(NodeId, Slice)> = None;
    for &part in b.graph().operands(id) {
        let (Op::Slice(slice), Some(x)) = (b.graph().op(part), operand(b, part)) else { return Ok(None) };
        let Some((whole, so_far)) = &mut joined else {
            joined = Some((x, slice.clone()));
            continue;
        };
        let is_next = x == *whole && slice.start[axis] == so_far.limit[axis] && slice.stride[axis] == 1;
        so_far.limit[axis] = slice.limit[axis];
        let rest = Slice { start: with(&slice.start, axis, so_far.start[axis]), ..slice.clone() };
        if !is_next || rest != *so_far {
            return Ok(None);
        }
    }
    let Some((x, slice)) = joined else { return Ok(None) };
    b.add(Op::Slice(slice), &[x]).map(Some)
}

/// Numbers of axes, with another one for one of them.
fn with(numbers: &[usize], axis: usize, number: usize) -> Vec<usize> {
    let mut numbers = numbers.to_vec();
    numbers[axis] = number;
    numbers
}
