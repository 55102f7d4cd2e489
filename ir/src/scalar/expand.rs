//! Expansions: scalar ops that no target has, spelled in ops that every target has.

use super::{ProgramBuilder, Scalar, ScalarOp, ScalarProgram};
use crate::DType;

/// For the ops that every emitter provides.
pub(super) fn never(_: DType) -> Option<ScalarProgram> {
    None
}

/// `relu(a) = max(a, 0)`.
pub(super) fn expand_relu(dtype: DType) -> Option<ScalarProgram> {
    let mut p = ProgramBuilder::new();
    let (a, zero) = (p.param(0), p.constant(Scalar::zero(dtype)));
    let r = p.apply(ScalarOp::MAX, &[a, zero]);
    Some(p.finish(r))
}

/// `sign(a)`: 1 above zero, -1 below, 0 at zeros, and `a` itself where it is NaN.
pub(super) fn expand_sign(dtype: DType) -> Option<ScalarProgram> {
    let mut p = ProgramBuilder::new();
    let a = p.param(0);
    let zero = p.constant(Scalar::zero(dtype));
    let one = p.constant(Scalar::one(dtype));
    let minus_one = p.constant(Scalar::from_i64(-1, dtype));
    let above = p.apply(ScalarOp::GT, &[a, zero]);
    let below = p.apply(ScalarOp::LT, &[a, zero]);
    let is_zero = p.apply(ScalarOp::EQ, &[a, zero]);
    let rest = p.apply(ScalarOp::SELECT, &[is_zero, zero, a]);
    let not_above = p.apply(ScalarOp::SELECT, &[below, minus_one, rest]);
    let r = p.apply(ScalarOp::SELECT, &[above, one, not_above]);
    Some(p.finish(r))
}

/// `1 / sqrt(a)`: two correctly rounded steps, within 1.5 ulp.
pub(super) fn expand_rsqrt(dtype: DType) -> Option<ScalarProgram> {
    let mut p = ProgramBuilder::new();
    let (a, one) = (p.param(0), p.constant(Scalar::one(dtype)));
    let root = p.apply(ScalarOp::SQRT, &[a]);
    let r = p.apply(ScalarOp::DIV, &[one, root]);
    Some(p.finish(r))
}

pub(super) fn expand_pow(_: DType) -> Option<ScalarProgram> {
    None
}

pub(super) fn expand_exp(_: DType) -> Option<ScalarProgram> {
    None
}

pub(super) fn expand_expm1(_: DType) -> Option<ScalarProgram> {
    None
}

pub(super) fn expand_log(_: DType) -> Option<ScalarProgram> {
    None
}

pub(super) fn expand_log1p(_: DType) -> Option<ScalarProgram> {
    None
}

pub(super) fn expand_tanh(_: DType) -> Option<ScalarProgram> {
    None
}

pub(super) fn expand_sigmoid(_: DType) -> Option<ScalarProgram> {
    None
}

pub(super) fn expand_erf(_: DType) -> Option<ScalarProgram> {
    None
}

pub(super) fn expand_sin(_: DType) -> Option<ScalarProgram> {
    None
}

pub(super) fn expand_cos(_: DType) -> Option<ScalarProgram> {
    None
}
