//! Rules on conversions.

use crate::simplify::{Changes, Rewrite, RewriteRule};
use ir::{Builder, DType, Family, NodeId, Op};

pub(super) const RULES: &[RewriteRule] = &[
    RewriteRule {
        name: "cast_same",
        doc: "cast to the operand's own type → the operand",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: cast_same,
    },
    RewriteRule {
        name: "cast_chain",
        doc: "cast(cast(x)) → cast(x) where the inner cast loses nothing and the outer one treats its result as it would x: integers wrap, floats saturate",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: cast_chain,
    },
];

fn cast_same(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Op::Cast(cast) = b.graph().op(id) else { return Ok(None) };
    let x = b.graph().operands(id)[0];
    Ok((b.ty(x).dtype == cast.dtype).then_some(x))
}

fn cast_chain(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let (Op::Cast(outer), &[middle]) = (b.graph().op(id), b.graph().operands(id)) else { return Ok(None) };
    let (Op::Cast(inner), &[x]) = (b.graph().op(middle), b.graph().operands(middle)) else { return Ok(None) };
    let (from, through, to) = (b.ty(x).dtype, inner.dtype, outer.dtype);
    let wraps_then_saturates = !from.is_float() && through.is_float() && !holds(to, from);
    if !holds(through, from) || wraps_then_saturates && to.is_int() {
        return Ok(None);
    }
    b.cast(x, to).map(Some)
}

/// True if `wide` holds every value of `narrow`.
fn holds(wide: DType, narrow: DType) -> bool {
    // Bits of precision; and the range of floats by exponent bits.
    let integer = |d: DType| match d {
        DType::Bool => 1,
        d => 8 * d.size_bytes() - usize::from(d.is_signed_int()),
    };
    let float = |d: DType| match d {
        DType::F64 => (53, 11),
        DType::F32 => (24, 8),
        DType::Bf16 => (8, 8),
        _ => (11, 5),
    };
    match (wide.is_float(), narrow.is_float()) {
        (true, true) => float(wide).0 >= float(narrow).0 && float(wide).1 >= float(narrow).1,
        (true, false) => float(wide).0 >= integer(narrow),
        (false, false) => integer(wide) >= integer(narrow) && (!narrow.is_signed_int() || wide.is_signed_int()),
        (false, true) => false,
    }
}
