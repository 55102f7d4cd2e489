//! Movement that moves nothing, or less than it seems.

use crate::simplify::matching::{ascending, full};
use crate::simplify::{Changes, Rewrite, RewriteRule};
use ir::op::movement::Reverse;
use ir::{Builder, Family, NodeId, Op, Scalar};

pub(super) const RULES: &[RewriteRule] = &[
    RewriteRule {
        name: "move_full",
        doc: "any movement of one element everywhere → the element everywhere; padding and concatenation only of that same element",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: move_full,
    },
    RewriteRule {
        name: "move_nothing",
        doc: "reshape, broadcast, slice and pad to the same shape, permutation to the same order, concatenation of one → the operand",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: move_nothing,
    },
    RewriteRule {
        name: "permute_units",
        doc: "a permutation that only moves axes of extent 1 → reshape",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: permute_units,
    },
    RewriteRule {
        name: "broadcast_units",
        doc: "a broadcast that only adds axes of extent 1 → reshape",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: broadcast_units,
    },
    RewriteRule {
        name: "reverse_units",
        doc: "reversal along an axis of extent 1 → without that axis",
        root: Family::Movement,
        changes: Changes::Nothing,
        apply: reverse_units,
    },
];

fn move_full(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let values: Option<Vec<Scalar>> = b.graph().operands(id).iter().map(|&o| full(b.graph(), o)).collect();
    let Some(mut values) = values else { return Ok(None) };
    if let Op::Pad(pad) = b.graph().op(id) {
        values.push(pad.value);
    }
    let Some(&value) = values.first().filter(|&first| values.iter().all(|v| v == first)) else { return Ok(None) };
    let shape = b.ty(id).shape.clone();
    b.full(value, shape).map(Some)
}

fn move_nothing(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let &[x] = b.graph().operands(id) else { return Ok(None) };
    let stays = match b.graph().op(id) {
        Op::Permute(op) => ascending(&op.perm),
        Op::Reverse(op) => op.axes.is_empty(),
        // For the others the shape says it: a slice of all extents starts at 0 with stride 1, a pad that adds nothing has no padding.
        _ => b.ty(x) == b.ty(id),
    };
    Ok(stays.then_some(x))
}

fn permute_units(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let (Op::Permute(op), &[x]) = (b.graph().op(id), b.graph().operands(id)) else { return Ok(None) };
    let moved: Vec<usize> = op.perm.iter().copied().filter(|&axis| b.ty(x).shape[axis] != 1).collect();
    if !ascending(&moved) {
        return Ok(None);
    }
    let shape = b.ty(id).shape.clone();
    b.reshape(x, shape).map(Some)
}

fn broadcast_units(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let (Op::Broadcast(op), &[x]) = (b.graph().op(id), b.graph().operands(id)) else { return Ok(None) };
    if b.ty(x).shape.numel() != op.shape.numel() {
        return Ok(None);
    }
    let shape = op.shape.clone();
    b.reshape(x, shape).map(Some)
}

fn reverse_units(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let (Op::Reverse(op), &[x]) = (b.graph().op(id), b.graph().operands(id)) else { return Ok(None) };
    let axes: Vec<usize> = op.axes.iter().copied().filter(|&axis| b.ty(x).shape[axis] != 1).collect();
    if axes.len() == op.axes.len() {
        Ok(None)
    } else if axes.is_empty() {
        Ok(Some(x))
    } else {
        b.add(Op::Reverse(Reverse { axes }), &[x]).map(Some)
    }
}
