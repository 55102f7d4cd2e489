//! Rules on indices.

use super::{Changes, Rewrite, RewriteRule};
use ir::{Builder, Family, NodeId, Op};

pub(super) const RULES: &[&[RewriteRule]] = &[&[RewriteRule {
    name: "check_again",
    doc: "check_index(check_index(x)) → check_index(x) where the inner bound is no larger: what passed it passes the outer one",
    root: Family::Index,
    changes: Changes::Nothing,
    apply: check_again,
}]];

fn check_again(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let (Op::CheckIndex(outer), &[checked]) = (b.graph().op(id), b.graph().operands(id)) else { return Ok(None) };
    let Op::CheckIndex(inner) = b.graph().op(checked) else { return Ok(None) };
    Ok((inner.bound <= outer.bound).then_some(checked))
}
