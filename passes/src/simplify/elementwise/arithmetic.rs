//! Rules on arithmetic: signs, powers of two, small powers, zeros of the integers.

use crate::simplify::matching::{binary, full, operand_of, operands_of};
use crate::simplify::{Changes, Rewrite, RewriteRule};
use ir::{BuildError, Builder, DType, Family, NodeId, Scalar, ScalarOp};

pub(super) const RULES: &[RewriteRule] = &[
    RewriteRule {
        name: "add_neg",
        doc: "x + -y → x - y, -x + y → y - x",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: add_neg,
    },
    RewriteRule {
        name: "add_same",
        doc: "x + x → x * 2: one spelling for both",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: add_same,
    },
    RewriteRule {
        name: "sub_neg",
        doc: "x - -y → x + y",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: sub_neg,
    },
    RewriteRule {
        name: "sub_from_zero",
        doc: "-0 - x → -x; for floats not from +0, because +0 - +0 is +0",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: sub_from_zero,
    },
    RewriteRule {
        name: "mul_minus_one",
        doc: "x * -1 → -x",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: mul_minus_one,
    },
    RewriteRule {
        name: "mul_neg",
        doc: "-x * -y → x * y, -x * c → x * -c",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: mul_neg,
    },
    RewriteRule {
        name: "neg_mul_constant",
        doc: "-(x * c) → x * -c",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: neg_mul_constant,
    },
    RewriteRule {
        name: "abs_neg",
        doc: "|-x| → |x|, not in u8, where -x is as good a magnitude",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: abs_neg,
    },
    RewriteRule {
        name: "div_power_of_two",
        doc: "x / 2^k → x * 2^-k for floats where both powers are normal numbers: both round the same exact value",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: div_power_of_two,
    },
    RewriteRule {
        name: "pow_small",
        doc: "pow(x, n) by products, quotients and square roots for n = 0, 1, 2, 3, 4, -1, -2, 0.5, -0.5, 0.25, 1.5; not exact: the power's error bound is kept, not its bits",
        root: Family::Elementwise,
        changes: Changes::Error,
        apply: pow_small,
    },
    RewriteRule {
        name: "annihilate",
        doc: "x * 0 → 0, x and 0 → 0, x or ~0 → ~0 on integers and truth values; for floats it would lose NaN",
        root: Family::Elementwise,
        changes: Changes::Nothing,
        apply: annihilate,
    },
];

fn add_neg(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((x, y)) = operands_of(b.graph(), id, ScalarOp::ADD) else { return Ok(None) };
    if let Some(y) = operand_of(b.graph(), y, ScalarOp::NEG) {
        return b.binary(ScalarOp::SUB, x, y).map(Some);
    }
    match operand_of(b.graph(), x, ScalarOp::NEG) {
        Some(x) => b.binary(ScalarOp::SUB, y, x).map(Some),
        None => Ok(None),
    }
}

fn add_same(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((x, y)) = operands_of(b.graph(), id, ScalarOp::ADD) else { return Ok(None) };
    if x != y {
        return Ok(None);
    }
    let two = b.full_like(x, 2.0)?;
    b.binary(ScalarOp::MUL, x, two).map(Some)
}

fn sub_neg(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((x, y)) = operands_of(b.graph(), id, ScalarOp::SUB) else { return Ok(None) };
    match operand_of(b.graph(), y, ScalarOp::NEG) {
        Some(y) => b.binary(ScalarOp::ADD, x, y).map(Some),
        None => Ok(None),
    }
}

fn sub_from_zero(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((zero, x)) = operands_of(b.graph(), id, ScalarOp::SUB) else { return Ok(None) };
    // The identity of addition: -0 for floats, 0 for integers.
    let dtype = b.ty(id).dtype;
    let identity = ScalarOp::ADD.def().laws.right_identity.map(|of| of(dtype));
    if identity.is_none() || full(b.graph(), zero) != identity {
        return Ok(None);
    }
    b.unary(ScalarOp::NEG, x).map(Some)
}

fn mul_minus_one(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((x, c)) = operands_of(b.graph(), id, ScalarOp::MUL) else { return Ok(None) };
    if full(b.graph(), c) != Some(Scalar::from_i64(-1, b.ty(id).dtype)) {
        return Ok(None);
    }
    b.unary(ScalarOp::NEG, x).map(Some)
}

fn mul_neg(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((x, y)) = operands_of(b.graph(), id, ScalarOp::MUL) else { return Ok(None) };
    let Some(x) = operand_of(b.graph(), x, ScalarOp::NEG) else { return Ok(None) };
    if let Some(y) = operand_of(b.graph(), y, ScalarOp::NEG) {
        return b.binary(ScalarOp::MUL, x, y).map(Some);
    }
    scale_negated(b, x, y)
}

fn neg_mul_constant(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some(product) = operand_of(b.graph(), id, ScalarOp::NEG) else { return Ok(None) };
    let Some((x, c)) = operands_of(b.graph(), product, ScalarOp::MUL) else { return Ok(None) };
    scale_negated(b, x, c)
}

/// `x * -c`, if `c` is one element everywhere.
fn scale_negated(b: &mut Builder<'_>, x: NodeId, c: NodeId) -> Rewrite {
    let Some(value) = full(b.graph(), c) else { return Ok(None) };
    let shape = b.ty(c).shape.clone();
    let negated = b.full(ScalarOp::NEG.eval(&[value]), shape)?;
    b.binary(ScalarOp::MUL, x, negated).map(Some)
}

fn abs_neg(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some(negated) = operand_of(b.graph(), id, ScalarOp::ABS) else { return Ok(None) };
    if b.ty(id).dtype.is_unsigned_int() {
        return Ok(None);
    }
    match operand_of(b.graph(), negated, ScalarOp::NEG) {
        Some(x) => b.unary(ScalarOp::ABS, x).map(Some),
        None => Ok(None),
    }
}

fn div_power_of_two(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((x, c)) = operands_of(b.graph(), id, ScalarOp::DIV) else { return Ok(None) };
    let Some(value) = full(b.graph(), c).filter(|v| is_normal_power_of_two(*v)) else { return Ok(None) };
    let reciprocal = ScalarOp::DIV.eval(&[Scalar::one(value.dtype()), value]);
    if !is_normal_power_of_two(reciprocal) {
        return Ok(None);
    }
    let shape = b.ty(c).shape.clone();
    let factor = b.full(reciprocal, shape)?;
    b.binary(ScalarOp::MUL, x, factor).map(Some)
}

/// A float ±2^k that is neither zero nor subnormal.
fn is_normal_power_of_two(value: Scalar) -> bool {
    let mantissa_bits = match value {
        Scalar::F32(v) if v.is_normal() => 23,
        Scalar::F64(v) if v.is_normal() => 52,
        Scalar::Bf16(v) if v.is_normal() => 7,
        Scalar::F16(v) if v.is_normal() => 10,
        _ => return false,
    };
    value.to_bits() & ((1 << mantissa_bits) - 1) == 0
}

fn pow_small(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((x, exponent)) = operands_of(b.graph(), id, ScalarOp::POW) else { return Ok(None) };
    let Some(n) = full(b.graph(), exponent).map(Scalar::as_f64) else { return Ok(None) };
    if n == 0.0 {
        b.full_like(x, 1.0).map(Some)
    } else if n == 1.0 {
        Ok(Some(x))
    } else if n == 2.0 {
        b.binary(ScalarOp::MUL, x, x).map(Some)
    } else if n == 3.0 {
        let square = b.binary(ScalarOp::MUL, x, x)?;
        b.binary(ScalarOp::MUL, square, x).map(Some)
    } else if n == -1.0 {
        reciprocal(b, x).map(Some)
    } else if matches!(b.ty(id).dtype, DType::F32 | DType::F64) {
        pow_in_steps(b, x, n)
    } else {
        // In 16 bits each step would round.
        Ok(None)
    }
}

/// Powers of several steps, each of which rounds by half a unit.
fn pow_in_steps(b: &mut Builder<'_>, x: NodeId, n: f64) -> Rewrite {
    if n == 4.0 {
        let square = b.binary(ScalarOp::MUL, x, x)?;
        return b.binary(ScalarOp::MUL, square, square).map(Some);
    } else if n == -2.0 {
        // The reciprocal of a square would lose what is small when the square overflows.
        let inverse = reciprocal(b, x)?;
        return b.binary(ScalarOp::MUL, inverse, inverse).map(Some);
    } else if ![0.5, -0.5, 0.25, 1.5].contains(&n) {
        return Ok(None);
    }
    let root = power_of_half(b, x)?;
    if n == 0.5 {
        Ok(Some(root))
    } else if n == -0.5 {
        reciprocal(b, root).map(Some)
    } else if n == 0.25 {
        b.unary(ScalarOp::SQRT, root).map(Some)
    } else {
        let magnitude = b.unary(ScalarOp::ABS, x)?;
        b.binary(ScalarOp::MUL, magnitude, root).map(Some)
    }
}

fn reciprocal(b: &mut Builder<'_>, x: NodeId) -> Result<NodeId, BuildError> {
    let one = b.full_like(x, 1.0)?;
    b.binary(ScalarOp::DIV, one, x)
}

/// `pow(x, 1/2)`: the square root but at -0, where it is +0, and at -inf, where it is inf.
fn power_of_half(b: &mut Builder<'_>, x: NodeId) -> Result<NodeId, BuildError> {
    let root = b.unary(ScalarOp::SQRT, x)?;
    let root = b.unary(ScalarOp::ABS, root)?;
    let (low, high) = (b.full_like(x, f64::NEG_INFINITY)?, b.full_like(x, f64::INFINITY)?);
    let is_low = b.binary(ScalarOp::EQ, x, low)?;
    b.select(is_low, high, root)
}

fn annihilate(b: &mut Builder<'_>, id: NodeId) -> Rewrite {
    let Some((op, _, c)) = binary(b.graph(), id) else { return Ok(None) };
    let dtype = b.ty(id).dtype;
    if dtype.is_float() {
        return Ok(None);
    }
    let zero = if op == ScalarOp::MUL || op == ScalarOp::AND {
        Scalar::zero(dtype)
    } else if op == ScalarOp::OR {
        Scalar::from_bits(u64::MAX, dtype)
    } else {
        return Ok(None);
    };
    Ok((full(b.graph(), c) == Some(zero)).then_some(c))
}
