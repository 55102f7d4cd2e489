//! `log`, `log1p` and `softplus`.
//!
//! The argument is `2^e m` with `m` between sqrt(1/2) and sqrt 2, split by integer operations on the bits; with `f = m - 1`,
//! `log = e ln 2 + f + f^2 q(f)`. The exponent is kept negated, `-e`, so that for `e = 0` its products are `-0` and vanish even
//! beside `f = -0`.

use super::exp::exp_down;
use super::kit::{Kit, PerFormat, Poly};
use crate::DType;
use crate::scalar::{Reg, ScalarOp, ScalarProgram};

/// `(log(1 + f) - f) / f^2` for `1 + f` between sqrt(1/2) and sqrt 2.
pub(super) const LOG_TAIL: Poly = Poly {
    f32: &[
        -0.5,
        0.33333322,
        -0.25000012,
        0.20001447,
        -0.16667537,
        0.14232318,
        -0.124208145,
        0.11812136,
        -0.11557288,
        0.06769024,
    ],
    f64: &[
        -0.5,
        0.3333333333333337,
        -0.24999999999999434,
        0.19999999999975535,
        -0.16666666666809152,
        0.14285714290226392,
        -0.12499999988229632,
        0.1111111072996344,
        -0.10000000293648051,
        0.09090926519529235,
        -0.08333341859605121,
        0.07691846251495121,
        -0.07142178144931366,
        0.06673746435165462,
        -0.06266871141028912,
        0.05825070238646302,
        -0.053492389973253424,
        0.054081381753003616,
        -0.06207496038793952,
        0.05647814073538777,
        -0.02432617491821441,
    ],
};

/// ln 2 rounded down, so that both parts are positive: the sign of zero hangs on it.
const LN_2_HIGH: PerFormat = PerFormat { f32: 0.6931471228599548, f64: std::f64::consts::LN_2 };
/// ln 2 less that.
const LN_2_LOW: PerFormat = PerFormat { f32: 5.769999047543286e-8, f64: 2.3190468138462996e-17 };

/// The least normal number.
const MIN_NORMAL: PerFormat = PerFormat { f32: 1.1754943508222875e-38, f64: f64::MIN_POSITIVE };

/// `-e`, shifted to the exponent's place, for a positive normal number given by its bits.
pub(super) fn negated_exponent(k: &mut Kit, bits: Reg) -> Reg {
    // Rounding up where the mask rounds down: the mantissa's threshold less one unit of the exponent's place.
    let unit = 1 << k.fraction_bits;
    let (ceiling, mask) = (k.i(k.bits_of(std::f64::consts::FRAC_1_SQRT_2) + unit - 1), k.i(-unit));
    let distance = k.sub(ceiling, bits);
    k.op(ScalarOp::AND, &[distance, mask])
}

/// `x` made normal, and what to add to `-e` (as a float, in units of the fraction's width) to make up for it.
pub(super) fn normalize(k: &mut Kit, x: Reg) -> (Reg, Reg) {
    let shift = k.fraction_bits + 1;
    let (limit, factor, zero) = (k.per(MIN_NORMAL), k.c(2f64.powi(shift as i32)), k.c(0.0));
    let small = k.lt(x, limit);
    let scaled = k.mul(x, factor);
    let made_up = k.c(shift as f64 * 2f64.powi(k.fraction_bits as i32));
    (k.select(small, scaled, x), k.select(small, made_up, zero))
}

/// `e ln 2 + log(1 + f)`, from `-e` as a float in units of the fraction's width.
fn combine(k: &mut Kit, negated_exponent: Reg, f: Reg) -> Reg {
    let unit = 2f64.powi(-(k.fraction_bits as i32));
    let (high, low) = (k.pick(LN_2_HIGH), k.pick(LN_2_LOW));
    let (high, low) = (k.c(-high * unit), k.c(-low * unit));
    let square = k.mul(f, f);
    let tail = k.poly(&LOG_TAIL, f);
    let rest = k.mul(negated_exponent, low);
    let rest = k.fma(square, tail, rest);
    let main = k.fma(negated_exponent, high, f);
    k.add(main, rest)
}

/// `result` where the argument `x` is positive and finite; infinity and NaN give themselves, a zero -inf, anything below NaN.
fn edges(k: &mut Kit, result: Reg, x: Reg) -> Reg {
    let (zero, infinity) = (k.c(0.0), k.c(f64::INFINITY));
    let (minus_infinity, nan) = (k.c(f64::NEG_INFINITY), k.c(f64::NAN));
    let finite = k.lt(x, infinity);
    let result = k.select(finite, result, x);
    let is_zero = k.op(ScalarOp::EQ, &[x, zero]);
    let outside = k.select(is_zero, minus_infinity, nan);
    let not_positive = k.op(ScalarOp::LE, &[x, zero]);
    k.select(not_positive, outside, result)
}

/// `log`: see the module.
pub(in crate::scalar) fn expand_log(dtype: DType) -> Option<ScalarProgram> {
    let mut k = Kit::new(dtype)?;
    let x = k.param(0);
    let (normal, made_up) = normalize(&mut k, x);
    let bits = k.as_bits(normal);
    let exponent = negated_exponent(&mut k, bits);
    let mantissa = k.add(bits, exponent);
    let (mantissa, one) = (k.as_float(mantissa), k.c(1.0));
    let f = k.sub(mantissa, one);
    let exponent = k.int_to_float(exponent);
    let exponent = k.add(exponent, made_up);
    let result = combine(&mut k, exponent, f);
    let result = edges(&mut k, result, x);
    k.finish(result)
}

/// `log1p`: the exponent is that of the rounded `1 + x`, but `f = (1 + x) / 2^e - 1` is formed as `x / 2^e - (1 - 1 / 2^e)`, so
/// that the digits which `1 + x` lost are not missing.
pub(in crate::scalar) fn expand_log1p(dtype: DType) -> Option<ScalarProgram> {
    let mut k = Kit::new(dtype)?;
    let (x, one) = (k.param(0), k.c(1.0));
    let sum = k.add(one, x);
    let bits = k.as_bits(sum);
    let exponent = negated_exponent(&mut k, bits);
    // The exponent of 2^-e falls out of range at the very top, where 1 - 2^-e is 1 anyway.
    let (one_bits, zero) = (k.i(k.bits_of(1.0)), k.i(0));
    let power = k.add(one_bits, exponent);
    let power = k.op(ScalarOp::MAX, &[power, zero]);
    let power = k.as_float(power);
    let offset = k.sub(one, power);
    let x_bits = k.as_bits(x);
    let scaled = k.add(x_bits, exponent);
    let scaled = k.as_float(scaled);
    let f = k.sub(scaled, offset);
    let exponent = k.int_to_float(exponent);
    let result = combine(&mut k, exponent, f);
    let result = edges(&mut k, result, sum);
    k.finish(result)
}

/// `softplus x = max(x, 0) + log(1 + u)` with `u = exp -|x|`, at most 1: `1 + u` is `2^e (1 + f)` with an `e` of 0 or 1, and `f` exact.
pub(in crate::scalar) fn expand_softplus(dtype: DType) -> Option<ScalarProgram> {
    let mut k = Kit::new(dtype)?;
    let x = k.param(0);
    let magnitude = k.abs(x);
    let down = k.op(ScalarOp::NEG, &[magnitude]);
    let u = exp_down(&mut k, down);
    let (cut, one, half, zero) = (k.c(std::f64::consts::SQRT_2 - 1.0), k.c(1.0), k.c(0.5), k.c(0.0));
    let is_near = k.lt(u, cut);
    let less = k.sub(u, one);
    let halved = k.mul(less, half);
    let f = k.select(is_near, u, halved);
    let (high, low) = (k.per(LN_2_HIGH), k.per(LN_2_LOW));
    let (high, low) = (k.select(is_near, zero, high), k.select(is_near, zero, low));
    let (square, tail) = (k.mul(f, f), k.poly(&LOG_TAIL, f));
    let rest = k.fma(square, tail, low);
    // The small parts first: the constant is then added with the last rounding.
    let small = k.add(f, rest);
    let log = k.add(high, small);
    let positive = k.at_least(x, 0.0);
    let result = k.add(positive, log);
    k.finish(result)
}
