//! Expansions: scalar ops that no target has, spelled in ops that every target has.
//!
//! The programs are branch-free and, for the 16- and 32-bit floats, of values of at most 32 bits, so that they run in vector lanes.
//! `docs/accuracy.md` lists how exact each is; `ir/tests/ulp/` measures it.

mod erf;
mod exp;
mod hyperbolic;
mod kit;
mod log;
mod normal;
mod power;
mod trig;

use super::{ProgramBuilder, Scalar, ScalarOp, ScalarProgram};
use crate::DType;

pub(super) use erf::{expand_erf, expand_erfc};
pub(super) use exp::{expand_exp, expand_expm1};
pub(super) use hyperbolic::{expand_sigmoid, expand_tanh};
pub(super) use log::{expand_log, expand_log1p, expand_softplus};
pub(super) use normal::{expand_normal_cdf, expand_normal_cdf_short};
pub(super) use power::{expand_pow, expand_rsqrt};
pub(super) use trig::{expand_cos, expand_sin};

/// Polynomials of expansions in double precision, lowest degree first, for who computes such functions elsewhere.
pub mod polynomials {
    use super::{log, trig};

    /// `(log(1 + f) - f) / f^2` for `1 + f` between sqrt(1/2) and sqrt 2.
    pub const LOG_TAIL: &[f64] = log::LOG_TAIL.f64;
    /// `(sin r / r - 1) / r^2` as a function of `r^2`, for `|r|` up to 0.92.
    pub const SIN_TAIL: &[f64] = trig::SIN_TAIL.f64;
    /// `(cos r - 1 + r^2 / 2) / r^4` as a function of `r^2`, for the same range.
    pub const COS_TAIL: &[f64] = trig::COS_TAIL.f64;
}

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

/// `shr(a, b)`: of numbers without a sign the logical shift; of the others as well, after each bit of a negative one was turned, and turned back.
pub(super) fn expand_shr(dtype: DType) -> Option<ScalarProgram> {
    if !dtype.is_int() {
        return None;
    }
    let mut p = ProgramBuilder::new();
    let (a, by) = (p.param(0), p.param(1));
    if dtype.is_unsigned_int() {
        let r = p.apply(ScalarOp::LSHR, &[a, by]);
        return Some(p.finish(r));
    }
    let (zero, ones) = (p.constant(Scalar::zero(dtype)), p.constant(Scalar::from_i64(-1, dtype)));
    let is_negative = p.apply(ScalarOp::LT, &[a, zero]);
    let sign = p.apply(ScalarOp::SELECT, &[is_negative, ones, zero]);
    let magnitude = p.apply(ScalarOp::XOR, &[a, sign]);
    let shifted = p.apply(ScalarOp::LSHR, &[magnitude, by]);
    let r = p.apply(ScalarOp::XOR, &[shifted, sign]);
    Some(p.finish(r))
}
