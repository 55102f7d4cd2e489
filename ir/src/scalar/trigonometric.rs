//! Sine and cosine, in radians.

use super::arith::map1;
use super::expand;
use super::exponential::slope_rule;
use super::{Cost, Derivative, Laws, ScalarDef, ScalarOp, TypeClass, Typing};

pub(super) const OPS: &[&ScalarDef] = &[&SIN, &COS];

impl ScalarOp {
    /// Sine.
    pub const SIN: Self = Self(&SIN);
    /// Cosine.
    pub const COS: Self = Self(&COS);
}

static SIN: ScalarDef = ScalarDef {
    name: "sin",
    doc: "the sine of a, in radians; NaN for the infinities, and compiled also beyond 2^22 (f32) or 2^40 (f64)",
    arity: 1,
    typing: Typing::Same(TypeClass::Float),
    eval: |a| map1(a[0], |x| f64::from(x).sin() as f32, f64::sin, |x| x),
    derivative: Derivative::Rule(|cx| slope_rule(cx, ScalarOp::COS)),
    laws: Laws::NONE,
    expand: expand::expand_sin,
    cost: Cost::Expensive,
    max_ulp: 2,
};

static COS: ScalarDef = ScalarDef {
    name: "cos",
    doc: "the cosine of a, in radians; NaN for the infinities, and compiled also beyond 2^22 (f32) or 2^40 (f64)",
    arity: 1,
    typing: Typing::Same(TypeClass::Float),
    eval: |a| map1(a[0], |x| f64::from(x).cos() as f32, f64::cos, |x| x),
    derivative: Derivative::Rule(|cx| {
        let sine = cx.build.unary(ScalarOp::SIN, cx.operands[0])?;
        let slope = cx.build.unary(ScalarOp::NEG, sine)?;
        Ok(vec![Some(cx.build.binary(ScalarOp::MUL, cx.dy, slope)?)])
    }),
    laws: Laws::NONE,
    expand: expand::expand_cos,
    cost: Cost::Expensive,
    max_ulp: 2,
};
