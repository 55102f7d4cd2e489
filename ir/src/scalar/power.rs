//! Roots and powers.

use super::arith::{map1, map2};
use super::expand::never;
use super::{Cost, Derivative, Laws, ScalarDef, ScalarOp, TypeClass, Typing};

pub(super) const OPS: &[&ScalarDef] = &[&SQRT, &RSQRT, &POW];

impl ScalarOp {
    /// Square root.
    pub const SQRT: Self = Self(&SQRT);
    /// Reciprocal square root.
    pub const RSQRT: Self = Self(&RSQRT);
    /// Power.
    pub const POW: Self = Self(&POW);
}

static SQRT: ScalarDef = ScalarDef {
    name: "sqrt",
    doc: "the square root; NaN below zero, -0 for -0",
    arity: 1,
    typing: Typing::Same(TypeClass::Float),
    eval: |a| map1(a[0], f32::sqrt, f64::sqrt, |x| x),
    derivative: Derivative::Rule(|cx| {
        let half = cx.build.full_like(cx.dy, 0.5)?;
        let scaled = cx.build.binary(ScalarOp::MUL, cx.dy, half)?;
        Ok(vec![Some(cx.build.binary(ScalarOp::DIV, scaled, cx.result)?)])
    }),
    laws: Laws::NONE,
    expand: never,
    cost: Cost::Moderate,
    max_ulp: 0,
};

static RSQRT: ScalarDef = ScalarDef {
    name: "rsqrt",
    doc: "1 / sqrt(a); infinite, with a's sign, for zeros; NaN below zero",
    arity: 1,
    typing: Typing::Same(TypeClass::Float),
    eval: |a| map1(a[0], |x| (1.0 / f64::from(x).sqrt()) as f32, |x| 1.0 / x.sqrt(), |x| x),
    derivative: Derivative::Rule(|cx| {
        let half = cx.build.full_like(cx.dy, -0.5)?;
        let scaled = cx.build.binary(ScalarOp::MUL, cx.dy, half)?;
        let ratio = cx.build.binary(ScalarOp::DIV, cx.result, cx.operands[0])?;
        Ok(vec![Some(cx.build.binary(ScalarOp::MUL, scaled, ratio)?)])
    }),
    laws: Laws::NONE,
    expand: super::expand::expand_rsqrt,
    cost: Cost::Moderate,
    max_ulp: 2,
};

static POW: ScalarDef = ScalarDef {
    name: "pow",
    doc: "a to the power b, as IEEE 754 pow: pow(a, 0) = 1 and pow(1, b) = 1 even for NaN",
    arity: 2,
    typing: Typing::Same(TypeClass::Float),
    eval: |a| map2(a, |x, y| f64::from(x).powf(f64::from(y)) as f32, f64::powf, |x, _| x),
    derivative: Derivative::Rule(|cx| {
        let (a, b) = (cx.operands[0], cx.operands[1]);
        let one = cx.build.full_like(b, 1.0)?;
        let less = cx.build.binary(ScalarOp::SUB, b, one)?;
        let lower = cx.build.binary(ScalarOp::POW, a, less)?;
        let product = cx.build.binary(ScalarOp::MUL, b, lower)?;
        // a^0 is constant, at a = 0 too, where the product would be 0 * inf.
        let none = cx.build.zeros_like(b)?;
        let is_flat = cx.build.binary(ScalarOp::EQ, b, none)?;
        let slope = cx.build.select(is_flat, none, product)?;
        let da = cx.build.binary(ScalarOp::MUL, cx.dy, slope)?;
        // d/db a^b = a^b log a, and 0 at a = 0, where the limit for b > 0 is 0.
        let zero = cx.build.zeros_like(a)?;
        let log = cx.build.unary(ScalarOp::LOG, a)?;
        let is_zero = cx.build.binary(ScalarOp::EQ, a, zero)?;
        let safe_log = cx.build.select(is_zero, zero, log)?;
        let slope_b = cx.build.binary(ScalarOp::MUL, cx.result, safe_log)?;
        Ok(vec![Some(da), Some(cx.build.binary(ScalarOp::MUL, cx.dy, slope_b)?)])
    }),
    laws: Laws::NONE,
    expand: super::expand::expand_pow,
    cost: Cost::Expensive,
    max_ulp: 2,
};
