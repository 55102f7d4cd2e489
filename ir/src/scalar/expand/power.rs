//! `rsqrt` and `pow`.

use super::exp::{OVERFLOW, VANISHED, exp_near_zero, reduce, scale};
use super::kit::{Kit, PerFormat, Poly};
use super::log::{negated_exponent, normalize};
use crate::DType;
use crate::scalar::{Reg, ScalarOp, ScalarProgram};

/// `1 / sqrt(a)`: two correctly rounded steps, within 1.5 ulp.
pub(in crate::scalar) fn expand_rsqrt(dtype: DType) -> Option<ScalarProgram> {
    let mut k = Kit::new(dtype)?;
    let (a, one) = (k.param(0), k.c(1.0));
    let root = k.op(ScalarOp::SQRT, &[a]);
    let r = k.div(one, root);
    k.finish(r)
}

/// `(2 artanh(s) - 2 s - 2/3 s^3) / s^5` as a function of `s^2`, for `(1 + s) / (1 - s)` between sqrt(1/2) and sqrt 2.
const ARTANH_TAIL: Poly = Poly {
    f32: &[0.4, 0.2857153, 0.2220473, 0.1912133],
    f64: &[
        0.4,
        0.2857142857142937,
        0.22222222221652765,
        0.18181818336099848,
        0.1538459488700718,
        0.1333480879881234,
        0.11706126464563398,
        0.11724327060846747,
    ],
};

/// ln 2 to as many bits as leave room for an exponent in a product, and the rest.
const LN_2_SHORT: PerFormat = PerFormat { f32: 0.693145751953125, f64: 0.6931471805598903 };
const LN_2_REST: PerFormat = PerFormat { f32: 1.4286068203094173e-6, f64: 5.497923018708371e-14 };

/// 2/3 less its value in the format.
const TWO_THIRDS_LOW: PerFormat = PerFormat { f32: -1.9868216e-8, f64: 3.700743415417188e-17 };

/// An unevaluated sum of two numbers, the second at most half a unit in the last place of the first: twice the format's precision.
#[derive(Clone, Copy)]
struct DoubleWord {
    high: Reg,
    low: Reg,
}

/// `a + b` exactly, where `|a| >= |b|` or `a` is 0 (Dekker 1971).
fn fast_two_sum(k: &mut Kit, a: Reg, b: Reg) -> DoubleWord {
    let high = k.add(a, b);
    let taken = k.sub(high, a);
    DoubleWord { high, low: k.sub(b, taken) }
}

/// `a * b` to twice the precision, for numbers that are pairs or not.
fn product(k: &mut Kit, a: DoubleWord, b: DoubleWord) -> DoubleWord {
    let high = k.mul(a.high, b.high);
    let minus_high = k.op(ScalarOp::NEG, &[high]);
    let low = k.fma(a.high, b.high, minus_high);
    let low = k.fma(a.high, b.low, low);
    let low = k.fma(a.low, b.high, low);
    DoubleWord { high, low }
}

/// `(m - 1) / (m + 1)` for `m` between sqrt(1/2) and sqrt 2.
fn artanh_argument(k: &mut Kit, m: Reg) -> DoubleWord {
    let one = k.c(1.0);
    let (numerator, denominator) = (k.sub(m, one), fast_two_sum(k, one, m));
    let inverse = k.div(one, denominator.high);
    let high = k.mul(numerator, inverse);
    let minus_high = k.op(ScalarOp::NEG, &[high]);
    let rest = k.fma(minus_high, denominator.high, numerator);
    let rest = k.fma(minus_high, denominator.low, rest);
    DoubleWord { high, low: k.mul(rest, inverse) }
}

/// `log a` for positive finite `a`, to half as many bits again as the format has: the power multiplies its error by the exponent.
///
/// With `s = (m - 1) / (m + 1)`, `log m = 2 artanh s = 2 s + s (2/3 s^2 + s^4 q(s^2))`; all but `q` is computed with pairs.
fn log_pair(k: &mut Kit, a: Reg) -> DoubleWord {
    let (normal, made_up) = normalize(k, a);
    let bits = k.as_bits(normal);
    let exponent = negated_exponent(k, bits);
    let mantissa = k.add(bits, exponent);
    let mantissa = k.as_float(mantissa);
    let exponent = k.int_to_float(exponent);
    let exponent = k.add(exponent, made_up);

    let s = artanh_argument(k, mantissa);
    let square = product(k, s, s);
    let tail = k.poly(&ARTANH_TAIL, square.high);
    let (two_thirds, low) = (k.c(2.0 / 3.0), k.per(TWO_THIRDS_LOW));
    let tail = k.fma(square.high, tail, low);
    let factor = fast_two_sum(k, two_thirds, tail);
    let correction = product(k, square, factor);
    let correction = product(k, s, correction);
    let (twice, twice_low) = (k.add(s.high, s.high), k.add(s.low, s.low));
    let sum = fast_two_sum(k, twice, correction.high);
    let low = k.add(twice_low, correction.low);
    let low = k.add(sum.low, low);

    let unit = -(2f64.powi(-(k.fraction_bits as i32)));
    let (short, rest) = (k.c(k.pick(LN_2_SHORT) * unit), k.c(k.pick(LN_2_REST) * unit));
    let whole = k.mul(exponent, short);
    let sum = fast_two_sum(k, whole, sum.high);
    let low = k.add(sum.low, low);
    let low = k.fma(exponent, rest, low);
    fast_two_sum(k, sum.high, low)
}

/// `|x|^y`, with `log 0 = -inf` and `log inf = inf` giving the limits.
fn power_of_magnitude(k: &mut Kit, magnitude: Reg, y: Reg) -> Reg {
    // Beyond this every power but those of 1 is 0 or infinite; and 1 to an infinite power must not be 0 times infinity.
    const LARGE: f64 = 1e30;
    let log = log_pair(k, magnitude);
    let (zero, infinity, minus_infinity) = (k.c(0.0), k.c(f64::INFINITY), k.c(f64::NEG_INFINITY));
    let finite = k.lt(magnitude, infinity);
    let high = k.select(finite, log.high, magnitude);
    let is_zero = k.op(ScalarOp::EQ, &[magnitude, zero]);
    let high = k.select(is_zero, minus_infinity, high);

    let y = k.at_most(y, LARGE);
    let y = k.at_least(y, -LARGE);
    let exponent = k.mul(y, high);
    let minus_exponent = k.op(ScalarOp::NEG, &[exponent]);
    let low = k.fma(y, high, minus_exponent);
    let low = k.fma(y, log.low, low);
    // The low part matters, and is a number, only where the result is neither 0 nor infinite.
    let (size, limit) = (k.abs(exponent), k.c(1000.0));
    let moderate = k.lt(size, limit);
    let low = k.select(moderate, low, zero);
    let exponent = k.at_most(exponent, k.pick(OVERFLOW));
    let exponent = k.at_least(exponent, k.pick(VANISHED));
    let twice_bias = 2 * k.bias();
    let reduced = reduce(k, exponent, twice_bias);
    let r = k.add(reduced.r, low);
    let near = exp_near_zero(k, r);
    scale(k, near, reduced.n_bits)
}

/// `pow`: `exp(y log |x|)`, then the sign for a negative base and an odd exponent, NaN for a negative base and a fraction, and 1
/// where IEEE 754 wants it whatever the other operand.
pub(in crate::scalar) fn expand_pow(dtype: DType) -> Option<ScalarProgram> {
    let mut k = Kit::new(dtype)?;
    let (x, y) = (k.param(0), k.param(1));
    let magnitude = k.abs(x);
    let power = power_of_magnitude(&mut k, magnitude, y);

    let (zero, half, one) = (k.c(0.0), k.c(0.5), k.c(1.0));
    let whole = k.op(ScalarOp::TRUNC, &[y]);
    let is_whole = k.op(ScalarOp::EQ, &[whole, y]);
    let half_y = k.mul(y, half);
    let half_whole = k.op(ScalarOp::TRUNC, &[half_y]);
    let not_even = k.op(ScalarOp::NE, &[half_whole, half_y]);
    let is_odd = k.op(ScalarOp::AND, &[not_even, is_whole]);
    let sign = k.select(is_odd, x, one);
    let signed = k.with_sign_of(power, sign);

    let (minus_infinity, nan) = (k.c(f64::NEG_INFINITY), k.c(f64::NAN));
    let (negative, above) = (k.lt(x, zero), k.lt(minus_infinity, x));
    let negative = k.op(ScalarOp::AND, &[negative, above]);
    let is_fraction = k.op(ScalarOp::NOT, &[is_whole]);
    let undefined = k.op(ScalarOp::AND, &[negative, is_fraction]);
    let result = k.select(undefined, nan, signed);

    let (y_is_zero, x_is_one) = (k.op(ScalarOp::EQ, &[y, zero]), k.op(ScalarOp::EQ, &[x, one]));
    let is_one = k.op(ScalarOp::OR, &[y_is_zero, x_is_one]);
    let result = k.select(is_one, one, result);
    k.finish(result)
}
