//! Arithmetic: the four operations, remainder, sign manipulation, minimum and maximum, fused multiply-add, relu.

use super::expand::never;
use super::{Cost, Derivative, Laws, Scalar, ScalarDef, ScalarOp, TypeClass, Typing};
use crate::{BuildError, Cotangent, DType, NodeId};
use half::{bf16, f16};

pub(super) const OPS: &[&ScalarDef] = &[&ADD, &SUB, &MUL, &DIV, &REM, &NEG, &ABS, &SIGN, &MIN, &MAX, &FMA, &RELU];

impl ScalarOp {
    /// Sum.
    pub const ADD: Self = Self(&ADD);
    /// Difference.
    pub const SUB: Self = Self(&SUB);
    /// Product.
    pub const MUL: Self = Self(&MUL);
    /// Quotient.
    pub const DIV: Self = Self(&DIV);
    /// Remainder.
    pub const REM: Self = Self(&REM);
    /// Negation.
    pub const NEG: Self = Self(&NEG);
    /// Magnitude.
    pub const ABS: Self = Self(&ABS);
    /// Sign.
    pub const SIGN: Self = Self(&SIGN);
    /// Minimum.
    pub const MIN: Self = Self(&MIN);
    /// Maximum.
    pub const MAX: Self = Self(&MAX);
    /// Fused multiply-add.
    pub const FMA: Self = Self(&FMA);
    /// Rectifier.
    pub const RELU: Self = Self(&RELU);
}

/// Applies a function of one number, by type: 16-bit floats go through `f32`, integers through `i128`, wrapping back.
pub(super) fn map1(
    x: Scalar,
    f32_fn: impl Fn(f32) -> f32,
    f64_fn: impl Fn(f64) -> f64,
    int_fn: impl Fn(i128) -> i128,
) -> Scalar {
    match x {
        Scalar::F32(v) => Scalar::F32(f32_fn(v)),
        Scalar::F64(v) => Scalar::F64(f64_fn(v)),
        Scalar::Bf16(v) => Scalar::Bf16(bf16::from_f32(f32_fn(v.to_f32()))),
        Scalar::F16(v) => Scalar::F16(f16::from_f32(f32_fn(v.to_f32()))),
        _ => wrapped(int_fn(x.as_i128()), x.dtype()),
    }
}

/// The lowest bits of a number, as an integer of a type.
fn wrapped(number: i128, dtype: DType) -> Scalar {
    Scalar::from_bits(number as u64, dtype)
}

/// Applies a function of two numbers of one type: 16-bit floats go through `f32`, integers through `i128`, wrapping back.
pub(super) fn map2(
    args: &[Scalar],
    f32_fn: impl Fn(f32, f32) -> f32,
    f64_fn: impl Fn(f64, f64) -> f64,
    int_fn: impl Fn(i128, i128) -> i128,
) -> Scalar {
    match (args[0], args[1]) {
        (Scalar::F32(a), Scalar::F32(b)) => Scalar::F32(f32_fn(a, b)),
        (Scalar::F64(a), Scalar::F64(b)) => Scalar::F64(f64_fn(a, b)),
        (Scalar::Bf16(a), Scalar::Bf16(b)) => Scalar::Bf16(bf16::from_f32(f32_fn(a.to_f32(), b.to_f32()))),
        (Scalar::F16(a), Scalar::F16(b)) => Scalar::F16(f16::from_f32(f32_fn(a.to_f32(), b.to_f32()))),
        (a, b) => wrapped(int_fn(a.as_i128(), b.as_i128()), a.dtype()),
    }
}

const RING: Laws = Laws { commutative: true, associative: true, ..Laws::NONE };
const LATTICE: Laws = Laws { idempotent: true, ..RING };

static ADD: ScalarDef = ScalarDef {
    name: "add",
    doc: "a + b; integers wrap",
    arity: 2,
    typing: Typing::Same(TypeClass::Number),
    eval: |a| map2(a, |x, y| x + y, |x, y| x + y, i128::wrapping_add),
    derivative: Derivative::Rule(|cx| Ok(vec![Some(cx.dy), Some(cx.dy)])),
    // Minus zero, not zero: -0 + 0 is +0.
    laws: Laws { right_identity: Some(negative_zero), fold_start: Some(Scalar::zero), ..RING },
    expand: never,
    cost: Cost::Cheap,
    max_ulp: 0,
};

fn negative_zero(dtype: DType) -> Scalar {
    if dtype.is_float() { Scalar::from_f64(-0.0, dtype) } else { Scalar::zero(dtype) }
}

static SUB: ScalarDef = ScalarDef {
    name: "sub",
    doc: "a - b; integers wrap",
    arity: 2,
    typing: Typing::Same(TypeClass::Number),
    eval: |a| map2(a, |x, y| x - y, |x, y| x - y, i128::wrapping_sub),
    derivative: Derivative::Rule(|cx| {
        let neg = cx.build.unary(ScalarOp::NEG, cx.dy)?;
        Ok(vec![Some(cx.dy), Some(neg)])
    }),
    laws: Laws { right_identity: Some(Scalar::zero), ..Laws::NONE },
    expand: never,
    cost: Cost::Cheap,
    max_ulp: 0,
};

static MUL: ScalarDef = ScalarDef {
    name: "mul",
    doc: "a * b; integers wrap",
    arity: 2,
    typing: Typing::Same(TypeClass::Number),
    eval: |a| map2(a, |x, y| x * y, |x, y| x * y, i128::wrapping_mul),
    derivative: Derivative::Rule(|cx| {
        let (a, b) = (cx.operands[0], cx.operands[1]);
        Ok(vec![Some(cx.build.binary(ScalarOp::MUL, cx.dy, b)?), Some(cx.build.binary(ScalarOp::MUL, cx.dy, a)?)])
    }),
    laws: Laws { right_identity: Some(Scalar::one), fold_start: Some(Scalar::one), ..RING },
    expand: never,
    cost: Cost::Cheap,
    max_ulp: 0,
};

static DIV: ScalarDef = ScalarDef {
    name: "div",
    doc: "a / b; integers truncate towards zero, wrap, and give 0 for a division by 0",
    arity: 2,
    typing: Typing::Same(TypeClass::Number),
    eval: |a| map2(a, |x, y| x / y, |x, y| x / y, |x, y| if y == 0 { 0 } else { x.wrapping_div(y) }),
    derivative: Derivative::Rule(|cx| {
        let b = cx.operands[1];
        let da = cx.build.binary(ScalarOp::DIV, cx.dy, b)?;
        let scaled = cx.build.binary(ScalarOp::MUL, da, cx.result)?;
        Ok(vec![Some(da), Some(cx.build.unary(ScalarOp::NEG, scaled)?)])
    }),
    laws: Laws { right_identity: Some(Scalar::one), ..Laws::NONE },
    expand: never,
    cost: Cost::Moderate,
    max_ulp: 0,
};

static REM: ScalarDef = ScalarDef {
    name: "rem",
    doc: "the remainder of the truncating division, with the sign of a; 0 for a division by 0; integers only",
    arity: 2,
    typing: Typing::Same(TypeClass::Int),
    eval: |a| map2(a, |x, y| x % y, |x, y| x % y, |x, y| if y == 0 { 0 } else { x.wrapping_rem(y) }),
    derivative: Derivative::Zero("integers have no derivative"),
    laws: Laws::NONE,
    expand: never,
    cost: Cost::Moderate,
    max_ulp: 0,
};

static NEG: ScalarDef = ScalarDef {
    name: "neg",
    doc: "-a: flips the sign bit of a float; integers wrap",
    arity: 1,
    typing: Typing::Same(TypeClass::Number),
    eval: |a| map1(a[0], |x| -x, |x| -x, i128::wrapping_neg),
    derivative: Derivative::Rule(|cx| Ok(vec![Some(cx.build.unary(ScalarOp::NEG, cx.dy)?)])),
    laws: Laws { involution: true, ..Laws::NONE },
    expand: never,
    cost: Cost::Cheap,
    max_ulp: 0,
};

static ABS: ScalarDef = ScalarDef {
    name: "abs",
    doc: "|a|: clears the sign bit of a float; integers wrap",
    arity: 1,
    typing: Typing::Same(TypeClass::Number),
    eval: |a| map1(a[0], f32::abs, f64::abs, i128::wrapping_abs),
    derivative: Derivative::Rule(|cx| {
        let sign = cx.build.unary(ScalarOp::SIGN, cx.operands[0])?;
        Ok(vec![Some(cx.build.binary(ScalarOp::MUL, cx.dy, sign)?)])
    }),
    laws: Laws { idempotent: true, ..Laws::NONE },
    expand: never,
    cost: Cost::Cheap,
    max_ulp: 0,
};

static SIGN: ScalarDef = ScalarDef {
    name: "sign",
    doc: "-1, 0 or 1 as a is negative, zero (of either sign: +0) or positive; NaN for NaN",
    arity: 1,
    typing: Typing::Same(TypeClass::Number),
    eval: |a| map1(a[0], |x| sign(f64::from(x)) as f32, sign, i128::signum),
    derivative: Derivative::Zero("piecewise constant"),
    laws: Laws { idempotent: true, ..Laws::NONE },
    expand: super::expand::expand_sign,
    cost: Cost::Cheap,
    max_ulp: 0,
};

fn sign(x: f64) -> f64 {
    if x.is_nan() {
        f64::NAN
    } else if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    }
}

macro_rules! extremum {
    ($doc:expr, $name:ident, $wins:tt, $zero:expr) => {
        #[doc = $doc]
        pub(crate) fn $name<T: PartialOrd + Copy + std::ops::Add<Output = T> + Into<f64>>(a: T, b: T) -> T {
            // `a != a` is NaN; adding propagates it and makes it quiet.
            if a.partial_cmp(&b).is_none() {
                a + b
            } else if a == b {
                let a_wins = a.into().is_sign_negative() == $zero;
                if a_wins { a } else { b }
            } else if a $wins b {
                a
            } else {
                b
            }
        }
    };
}
extremum!("The larger one as [`ScalarOp::MAX`] has it.", maximum, >, false);
extremum!("The smaller one as [`ScalarOp::MIN`] has it.", minimum, <, true);

static MIN: ScalarDef = ScalarDef {
    name: "min",
    doc: "the smaller one; NaN if either is NaN; -0 is below +0",
    arity: 2,
    typing: Typing::Same(TypeClass::Number),
    eval: |a| map2(a, minimum, minimum, i128::min),
    derivative: Derivative::Rule(|cx| extremum_rule(cx, ScalarOp::LE)),
    laws: Laws { fold_start: Some(Scalar::highest), ..LATTICE },
    expand: never,
    cost: Cost::Cheap,
    max_ulp: 0,
};

static MAX: ScalarDef = ScalarDef {
    name: "max",
    doc: "the larger one; NaN if either is NaN; +0 is above -0",
    arity: 2,
    typing: Typing::Same(TypeClass::Number),
    eval: |a| map2(a, maximum, maximum, i128::max),
    derivative: Derivative::Rule(|cx| extremum_rule(cx, ScalarOp::GE)),
    laws: Laws { fold_start: Some(Scalar::lowest), ..LATTICE },
    expand: never,
    cost: Cost::Cheap,
    max_ulp: 0,
};

/// The gradient goes to the operand that won; to the first where both are equal.
fn extremum_rule(cx: &mut Cotangent<'_>, wins: ScalarOp) -> Result<Vec<Option<NodeId>>, BuildError> {
    let first = cx.build.binary(wins, cx.operands[0], cx.operands[1])?;
    let zero = cx.build.zeros_like(cx.dy)?;
    Ok(vec![Some(cx.build.select(first, cx.dy, zero)?), Some(cx.build.select(first, zero, cx.dy)?)])
}

static FMA: ScalarDef = ScalarDef {
    name: "fma",
    doc: "a * b + c, rounded once; floats only",
    arity: 3,
    typing: Typing::Same(TypeClass::Float),
    eval: |a| match (a[0], a[1], a[2]) {
        (Scalar::F64(x), Scalar::F64(y), Scalar::F64(z)) => Scalar::F64(x.mul_add(y, z)),
        (Scalar::F32(x), Scalar::F32(y), Scalar::F32(z)) => Scalar::F32(x.mul_add(y, z)),
        (x, y, z) => Scalar::from_f64(x.as_f64().mul_add(y.as_f64(), z.as_f64()), x.dtype()),
    },
    derivative: Derivative::Rule(|cx| {
        let (a, b) = (cx.operands[0], cx.operands[1]);
        let da = cx.build.binary(ScalarOp::MUL, cx.dy, b)?;
        let db = cx.build.binary(ScalarOp::MUL, cx.dy, a)?;
        Ok(vec![Some(da), Some(db), Some(cx.dy)])
    }),
    laws: Laws::NONE,
    expand: never,
    cost: Cost::Cheap,
    max_ulp: 0,
};

static RELU: ScalarDef = ScalarDef {
    name: "relu",
    doc: "max(a, 0); NaN for NaN; its gradient is 0 at 0 and below",
    arity: 1,
    typing: Typing::Same(TypeClass::Number),
    eval: |a| map1(a[0], |x| maximum(x, 0.0), |x| maximum(x, 0.0), |x| x.max(0)),
    // By the result, so that the input need not be kept for the backward pass.
    derivative: Derivative::Rule(|cx| {
        let zero = cx.build.zeros_like(cx.result)?;
        let on = cx.build.binary(ScalarOp::GT, cx.result, zero)?;
        Ok(vec![Some(cx.build.select(on, cx.dy, zero)?)])
    }),
    laws: Laws { idempotent: true, ..Laws::NONE },
    expand: super::expand::expand_relu,
    cost: Cost::Cheap,
    max_ulp: 0,
};
