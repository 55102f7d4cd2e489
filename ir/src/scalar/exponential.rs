//! Exponentials, logarithms and what is made of them: tanh, sigmoid, softplus, erf.

use super::arith::map1;
use super::expand;
use super::{Cost, Derivative, Laws, ScalarDef, ScalarOp, TypeClass, Typing};
use crate::NodeId;

pub(super) const OPS: &[&ScalarDef] = &[&EXP, &EXPM1, &LOG, &LOG1P, &TANH, &SIGMOID, &SOFTPLUS, &ERF, &ERFC];

impl ScalarOp {
    /// Exponential.
    pub const EXP: Self = Self(&EXP);
    /// Exponential minus one.
    pub const EXPM1: Self = Self(&EXPM1);
    /// Natural logarithm.
    pub const LOG: Self = Self(&LOG);
    /// Logarithm of one plus the operand.
    pub const LOG1P: Self = Self(&LOG1P);
    /// Hyperbolic tangent.
    pub const TANH: Self = Self(&TANH);
    /// Logistic function.
    pub const SIGMOID: Self = Self(&SIGMOID);
    /// Logarithm of one plus the exponential of the operand.
    pub const SOFTPLUS: Self = Self(&SOFTPLUS);
    /// Error function.
    pub const ERF: Self = Self(&ERF);
    /// Complementary error function.
    pub const ERFC: Self = Self(&ERFC);
}

static EXP: ScalarDef = ScalarDef {
    name: "exp",
    doc: "e to the power a; 0 for -inf, inf on overflow",
    arity: 1,
    typing: Typing::Same(TypeClass::Float),
    eval: |a| map1(a[0], |x| f64::from(x).exp() as f32, f64::exp, |x| x),
    derivative: Derivative::Rule(|cx| Ok(vec![Some(cx.build.binary(ScalarOp::MUL, cx.dy, cx.result)?)])),
    laws: Laws::NONE,
    expand: expand::expand_exp,
    cost: Cost::Expensive,
    max_ulp: 1,
};

static EXPM1: ScalarDef = ScalarDef {
    name: "expm1",
    doc: "exp(a) - 1, accurate near 0",
    arity: 1,
    typing: Typing::Same(TypeClass::Float),
    eval: |a| map1(a[0], |x| f64::from(x).exp_m1() as f32, f64::exp_m1, |x| x),
    // Not the result plus 1, which is 0 for operands below -17, where the slope isn't.
    derivative: Derivative::Rule(|cx| slope_rule(cx, ScalarOp::EXP)),
    laws: Laws::NONE,
    expand: expand::expand_expm1,
    cost: Cost::Expensive,
    max_ulp: 2,
};

static LOG: ScalarDef = ScalarDef {
    name: "log",
    doc: "the natural logarithm; -inf for zeros, NaN below zero",
    arity: 1,
    typing: Typing::Same(TypeClass::Float),
    eval: |a| map1(a[0], |x| f64::from(x).ln() as f32, f64::ln, |x| x),
    derivative: Derivative::Rule(|cx| Ok(vec![Some(cx.build.binary(ScalarOp::DIV, cx.dy, cx.operands[0])?)])),
    laws: Laws::NONE,
    expand: expand::expand_log,
    cost: Cost::Expensive,
    max_ulp: 2,
};

static LOG1P: ScalarDef = ScalarDef {
    name: "log1p",
    doc: "log(1 + a), accurate near 0; -inf at -1, NaN below",
    arity: 1,
    typing: Typing::Same(TypeClass::Float),
    eval: |a| map1(a[0], |x| f64::from(x).ln_1p() as f32, f64::ln_1p, |x| x),
    derivative: Derivative::Rule(|cx| {
        let one = cx.build.full_like(cx.result, 1.0)?;
        let shifted = cx.build.binary(ScalarOp::ADD, cx.operands[0], one)?;
        Ok(vec![Some(cx.build.binary(ScalarOp::DIV, cx.dy, shifted)?)])
    }),
    laws: Laws::NONE,
    expand: expand::expand_log1p,
    cost: Cost::Expensive,
    max_ulp: 2,
};

/// `dy` times another op of the operand: the slope.
pub(super) fn slope_rule(
    cx: &mut crate::Cotangent<'_>,
    slope: ScalarOp,
) -> Result<Vec<Option<NodeId>>, crate::BuildError> {
    let slope = cx.build.unary(slope, cx.operands[0])?;
    Ok(vec![Some(cx.build.binary(ScalarOp::MUL, cx.dy, slope)?)])
}

/// `dy * (1 - y * y)`.
fn tanh_rule(cx: &mut crate::Cotangent<'_>) -> Result<Vec<Option<NodeId>>, crate::BuildError> {
    let one = cx.build.full_like(cx.result, 1.0)?;
    let square = cx.build.binary(ScalarOp::MUL, cx.result, cx.result)?;
    let slope = cx.build.binary(ScalarOp::SUB, one, square)?;
    Ok(vec![Some(cx.build.binary(ScalarOp::MUL, cx.dy, slope)?)])
}

static TANH: ScalarDef = ScalarDef {
    name: "tanh",
    doc: "the hyperbolic tangent; 1 and -1 at the infinities",
    arity: 1,
    typing: Typing::Same(TypeClass::Float),
    eval: |a| map1(a[0], |x| f64::from(x).tanh() as f32, f64::tanh, |x| x),
    derivative: Derivative::Rule(tanh_rule),
    laws: Laws::NONE,
    expand: expand::expand_tanh,
    cost: Cost::Expensive,
    max_ulp: 2,
};

static SIGMOID: ScalarDef = ScalarDef {
    name: "sigmoid",
    doc: "1 / (1 + exp(-a)), without overflow; 1 and 0 at the infinities",
    arity: 1,
    typing: Typing::Same(TypeClass::Float),
    eval: |a| map1(a[0], |x| sigmoid(f64::from(x)) as f32, sigmoid, |x| x),
    derivative: Derivative::Rule(|cx| {
        let one = cx.build.full_like(cx.result, 1.0)?;
        let rest = cx.build.binary(ScalarOp::SUB, one, cx.result)?;
        let slope = cx.build.binary(ScalarOp::MUL, cx.result, rest)?;
        Ok(vec![Some(cx.build.binary(ScalarOp::MUL, cx.dy, slope)?)])
    }),
    laws: Laws::NONE,
    expand: expand::expand_sigmoid,
    cost: Cost::Expensive,
    max_ulp: 2,
};

fn sigmoid(x: f64) -> f64 {
    // Both forms keep the exponential's argument at or below 0.
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

static SOFTPLUS: ScalarDef = ScalarDef {
    name: "softplus",
    doc: "log(1 + exp(a)), without overflow; 0 and inf at the infinities",
    arity: 1,
    typing: Typing::Same(TypeClass::Float),
    eval: |a| map1(a[0], |x| softplus(f64::from(x)) as f32, softplus, |x| x),
    derivative: Derivative::Rule(|cx| slope_rule(cx, ScalarOp::SIGMOID)),
    laws: Laws::NONE,
    expand: expand::expand_softplus,
    cost: Cost::Expensive,
    max_ulp: 2,
};

fn softplus(x: f64) -> f64 {
    super::arith::maximum(x, 0.0) + (-x.abs()).exp().ln_1p()
}

static ERF: ScalarDef = ScalarDef {
    name: "erf",
    doc: "the error function, 2/sqrt(pi) times the integral of exp(-t*t) from 0 to a; 1 and -1 at the infinities",
    arity: 1,
    typing: Typing::Same(TypeClass::Float),
    eval: |a| map1(a[0], |x| super::erf::erf(f64::from(x)) as f32, super::erf::erf, |x| x),
    derivative: Derivative::Rule(|cx| bell_rule(cx, std::f64::consts::FRAC_2_SQRT_PI)),
    laws: Laws::NONE,
    expand: expand::expand_erf,
    cost: Cost::Expensive,
    max_ulp: 2,
};

/// `dy * scale * exp(-x * x)`.
fn bell_rule(cx: &mut crate::Cotangent<'_>, scale: f64) -> Result<Vec<Option<NodeId>>, crate::BuildError> {
    let x = cx.operands[0];
    let square = cx.build.binary(ScalarOp::MUL, x, x)?;
    let exponent = cx.build.unary(ScalarOp::NEG, square)?;
    let bell = cx.build.unary(ScalarOp::EXP, exponent)?;
    let scale = cx.build.full_like(x, scale)?;
    let slope = cx.build.binary(ScalarOp::MUL, bell, scale)?;
    Ok(vec![Some(cx.build.binary(ScalarOp::MUL, cx.dy, slope)?)])
}

static ERFC: ScalarDef = ScalarDef {
    name: "erfc",
    doc: "1 - erf(a), with all digits where that is small; 0 and 2 at the infinities",
    arity: 1,
    typing: Typing::Same(TypeClass::Float),
    eval: |a| map1(a[0], |x| super::erf::erfc(f64::from(x)) as f32, super::erf::erfc, |x| x),
    derivative: Derivative::Rule(|cx| bell_rule(cx, -std::f64::consts::FRAC_2_SQRT_PI)),
    laws: Laws::NONE,
    expand: expand::expand_erfc,
    cost: Cost::Expensive,
    max_ulp: 4,
};
