//! Rules on selection and conditions.

use crate::simplify::matching::{full, operand_of, operands_of, select};
use crate::simplify::{Changes, Rewrite, RewriteRule};
use ir::{Builder, DType, Family, NodeId, Scalar, ScalarOp};

pub(super) const RULES: &[RewriteRule] = &[
    RewriteRule {
        name: "select_same",
        doc: "select(c, x, x) → x",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: select_same,
    },
    RewriteRule {
        name: "select_known",
        doc: "select(true, x, y) → x, select(false, x, y) → y",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: select_known,
    },
    RewriteRule {
        name: "select_bool",
        doc: "select(c, true, false) → c, select(c, false, true) → not c",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: select_bool,
    },
    RewriteRule {
        name: "select_not",
        doc: "select(not c, x, y) → select(c, y, x)",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: select_not,
    },
    RewriteRule {
        name: "select_nested",
        doc: "select(c, select(c, x, y), z) → select(c, x, z), and likewise on the other side",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: select_nested,
    },
    RewriteRule {
        name: "not_equal",
        doc: "not (x == y) → x != y, and back; the other comparisons have no complement where an operand is NaN",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: not_equal,
    },
];

fn select_same(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    Ok(select(b.graph(), id).filter(|(_, on, off)| on == off).map(|(_, on, _)| on))
}

fn select_known(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((condition, on, off)) = select(b.graph(), id) else { return Ok(None) };
    Ok(full(b.graph(), condition).and_then(Scalar::as_bool).map(|holds| if holds { on } else { off }))
}

fn select_bool(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((condition, on, off)) = select(b.graph(), id) else { return Ok(None) };
    if b.ty(id).dtype != DType::Bool {
        return Ok(None);
    }
    let value = |id| full(b.graph(), id).and_then(Scalar::as_bool);
    match (value(on), value(off)) {
        (Some(true), Some(false)) => Ok(Some(condition)),
        (Some(false), Some(true)) => b.unary(ScalarOp::NOT, condition).map(Some),
        _ => Ok(None),
    }
}

fn select_not(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((condition, on, off)) = select(b.graph(), id) else { return Ok(None) };
    match operand_of(b.graph(), condition, ScalarOp::NOT) {
        Some(condition) => b.select(condition, off, on).map(Some),
        None => Ok(None),
    }
}

fn select_nested(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((condition, on, off)) = select(b.graph(), id) else { return Ok(None) };
    let same = |inner: NodeId| select(b.graph(), inner).filter(|(c, ..)| *c == condition);
    let new_on = same(on).map_or(on, |(_, x, _)| x);
    let new_off = same(off).map_or(off, |(_, _, y)| y);
    if (new_on, new_off) == (on, off) {
        return Ok(None);
    }
    b.select(condition, new_on, new_off).map(Some)
}

fn not_equal(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some(test) = operand_of(b.graph(), id, ScalarOp::NOT) else { return Ok(None) };
    for (op, complement) in [(ScalarOp::EQ, ScalarOp::NE), (ScalarOp::NE, ScalarOp::EQ)] {
        if let Some((x, y)) = operands_of(b.graph(), test, op) {
            return b.binary(complement, x, y).map(Some);
        }
    }
    Ok(None)
}
