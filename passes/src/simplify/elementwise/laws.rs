//! Rules read off the algebraic laws that scalar ops declare: they hold for ops that are yet to be added, too.

use crate::simplify::matching::{binary, full, is_known, unary};
use crate::simplify::{Changes, Rewrite, RewriteRule};
use ir::{Builder, Family, NodeId};

pub(super) const RULES: &[RewriteRule] = &[
    RewriteRule {
        name: "right_identity",
        doc: "f(x, e) → x, and f(e, x) → x if f is commutative, with the identity e that f declares: x + -0, x * 1, x - 0, x / 1",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: right_identity,
    },
    RewriteRule {
        name: "involution",
        doc: "f(f(x)) → x for involutions: neg, not",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: involution,
    },
    RewriteRule {
        name: "idempotent_twice",
        doc: "f(f(x)) → f(x) for idempotent unary ops: abs, sign, relu, floor",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: idempotent_twice,
    },
    RewriteRule {
        name: "idempotent_same",
        doc: "f(x, x) → x for idempotent binary ops: min, max, and, or",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: idempotent_same,
    },
    RewriteRule {
        name: "constant_right",
        doc: "f(c, x) → f(x, c) for commutative ops and known c, so that other rules need not look on both sides",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: constant_right,
    },
    RewriteRule {
        name: "reassociate",
        doc: "f(f(x, c), d) → f(x, f(c, d)) for known c and d where f is associative to the bit: on integers and truth values, and for min and max",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: reassociate,
    },
];

fn right_identity(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((op, x, y)) = binary(b.graph(), id) else { return Ok(None) };
    let laws = op.def().laws;
    let Some(identity) = laws.right_identity else { return Ok(None) };
    let identity = Some(identity(b.ty(y).dtype));
    if full(b.graph(), y) == identity {
        return Ok(Some(x));
    }
    Ok((laws.commutative && full(b.graph(), x) == identity).then_some(y))
}

fn involution(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((op, x)) = unary(b.graph(), id) else { return Ok(None) };
    Ok(unary(b.graph(), x).filter(|(inner, _)| *inner == op && op.def().laws.involution).map(|(_, x)| x))
}

fn idempotent_twice(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((op, x)) = unary(b.graph(), id) else { return Ok(None) };
    Ok(unary(b.graph(), x).filter(|(inner, _)| *inner == op && op.def().laws.idempotent).map(|_| x))
}

fn idempotent_same(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    Ok(binary(b.graph(), id).filter(|(op, x, y)| x == y && op.def().laws.idempotent).map(|(_, x, _)| x))
}

fn constant_right(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((op, c, x)) = binary(b.graph(), id) else { return Ok(None) };
    if !op.def().laws.commutative || !is_known(b.graph(), c) || is_known(b.graph(), x) {
        return Ok(None);
    }
    b.binary(op, x, c).map(Some)
}

fn reassociate(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((op, inner, d)) = binary(b.graph(), id) else { return Ok(None) };
    let Some((inner_op, x, c)) = binary(b.graph(), inner) else { return Ok(None) };
    let laws = op.def().laws;
    let to_the_bit = laws.associative && (laws.idempotent || !b.ty(id).dtype.is_float());
    if op != inner_op || !to_the_bit || !is_known(b.graph(), c) || !is_known(b.graph(), d) || is_known(b.graph(), x) {
        return Ok(None);
    }
    let both = b.binary(op, c, d)?;
    b.binary(op, x, both).map(Some)
}
