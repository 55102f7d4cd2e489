//! Sums of tensors that are zero where the other isn't: what gradients of slices are.

use crate::simplify::{Changes, Rewrite, RewriteRule};
use ir::op::movement::{Concat, Pad};
use ir::{Builder, Family, NodeId, Op, Scalar, ScalarOp};

pub(super) const RULES: &[RewriteRule] = &[RewriteRule {
    name: "add_parts",
    doc: "pad(x) + pad(y), zeros around parts that follow one another along an axis → pad(concat(x, y)); a -0 stays one",
    root: Family::Elementwise,
    changes: Changes::SignOfZero,
    apply: add_parts,
}];

fn add_parts(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let (Op::Elementwise(op), &[left, right]) = (b.graph().op(id), b.graph().operands(id)) else { return Ok(None) };
    if *op != ScalarOp::ADD {
        return Ok(None);
    }
    let (Some((first, x)), Some((second, y))) = (part(b, left), part(b, right)) else { return Ok(None) };
    let joined = join(b, (&first, x), (&second, y)).or_else(|| join(b, (&second, y), (&first, x)));
    let Some((pad, axis, parts)) = joined else { return Ok(None) };
    let whole = b.add(Op::Concat(Concat { axis }), &parts)?;
    if [&pad.low, &pad.high].into_iter().flatten().all(|&n| n == 0) {
        return Ok(Some(whole));
    }
    b.add(Op::Pad(pad), &[whole]).map(Some)
}

/// A tensor with zeros around it.
fn part(b: &Builder<'_>, id: NodeId) -> Option<(Pad, NodeId)> {
    match (b.graph().op(id), b.graph().operands(id)) {
        (Op::Pad(pad), &[x]) => {
            let zeros = pad.value == Scalar::zero(pad.value.dtype()) && pad.interior.iter().all(|&n| n == 0);
            zeros.then(|| (pad.clone(), x))
        }
        _ => None,
    }
}

/// The padding around both, if the second begins where the first ends, and the axis along which it does.
fn join(b: &Builder<'_>, (first, x): (&Pad, NodeId), (second, y): (&Pad, NodeId)) -> Option<(Pad, usize, [NodeId; 2])> {
    let differs = |axis: &usize| (first.low[*axis], first.high[*axis]) != (second.low[*axis], second.high[*axis]);
    let mut axes = (0..first.low.len()).filter(differs);
    let (axis, None) = (axes.next()?, axes.next()) else { return None };
    if first.low[axis] + b.ty(x).shape[axis] != second.low[axis] {
        return None;
    }
    let mut pad = first.clone();
    pad.high[axis] = second.high[axis];
    Some((pad, axis, [x, y]))
}
