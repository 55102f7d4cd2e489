//! `sin` and `cos`.
//!
//! `|x| = n pi/2 + r`; the low two bits of `n` choose between the polynomials of sine and cosine at `r` and the sign. The product
//! `n pi/2` is subtracted in three parts (Cody and Waite). The first step is exact, being a fused operation whose result is a multiple
//! of the first part's unit and below 2; the second rounds `r` once, or not at all where `r` is tiny; the third part is added together with
//! the polynomial. This holds as long as the rounding constant can hold `n`: up to [`LIMIT`]. Beyond, the result is NaN rather than a wrong number.

use super::exp::ROUNDING;
use super::kit::{Kit, PerFormat, Poly};
use crate::DType;
use crate::scalar::{Reg, ScalarOp, ScalarProgram};

/// `(sin r / r - 1) / r^2` as a function of `r^2`, for `|r|` up to 0.92: `n` may be off by a little more than 1/2.
pub(super) const SIN_TAIL: Poly = Poly {
    f32: &[-0.16666667, 0.008333329, -0.00019839048, 2.7136387e-06],
    f64: &[
        -0.16666666666666666,
        0.008333333333333321,
        -0.00019841269841246664,
        2.75573192075513e-06,
        -2.5052102835192457e-08,
        1.605808128214726e-10,
        -7.564313655548158e-13,
    ],
};

/// `(cos r - 1 + r^2 / 2) / r^4` as a function of `r^2`, for the same range.
pub(super) const COS_TAIL: Poly = Poly {
    f32: &[0.04166666, -0.0013887789, 2.4454232e-05],
    f64: &[
        0.04166666666666666,
        -0.001388888888888165,
        2.480158729160727e-05,
        -2.755731419102345e-07,
        2.0875609295318654e-09,
        -1.1350012404823557e-11,
    ],
};

/// pi/2 as a sum of three numbers.
const HALF_PI: [PerFormat; 3] = [
    PerFormat { f32: 1.5707963705062866, f64: std::f64::consts::FRAC_PI_2 },
    PerFormat { f32: -4.371139e-8, f64: 6.123233995736766e-17 },
    PerFormat { f32: -1.7151245e-15, f64: -1.4973849048591698e-33 },
];

/// The largest magnitude for which the reduction holds.
const LIMIT: PerFormat = PerFormat { f32: 4_194_304.0, f64: 1_099_511_627_776.0 };

/// A magnitude as `n pi/2 + r + low`.
struct Reduced {
    /// Bits whose low two are those of `n`.
    quadrant: Reg,
    r: Reg,
    low: Reg,
}

/// Splits a magnitude; NaN beyond [`LIMIT`].
fn reduce(k: &mut Kit, magnitude: Reg) -> Reduced {
    let (limit, nan) = (k.per(LIMIT), k.c(f64::NAN));
    let beyond = k.lt(limit, magnitude);
    let magnitude = k.select(beyond, nan, magnitude);
    let (frac_2_pi, rounding) = (k.c(std::f64::consts::FRAC_2_PI), k.per(ROUNDING));
    let shifted = k.fma(magnitude, frac_2_pi, rounding);
    let n = k.sub(shifted, rounding);
    let [first, second, third] = HALF_PI.map(|part| k.c(-k.pick(part)));
    let r = k.fma(n, first, magnitude);
    let r = k.fma(n, second, r);
    Reduced { quadrant: k.as_bits(shifted), r, low: k.mul(n, third) }
}

/// `sin(r + low + quadrant pi/2)`, as bits; only the low two bits of `quadrant` matter. `low` is too small to count in a cosine.
fn by_quadrant(k: &mut Kit, reduced: &Reduced) -> Reg {
    let Reduced { quadrant, r, low } = *reduced;
    let (one, minus_half) = (k.c(1.0), k.c(-0.5));
    let square = k.mul(r, r);
    let tail = k.poly(&SIN_TAIL, square);
    let tail = k.mul(tail, square);
    let tail = k.fma(tail, r, low);
    let sin = k.add(r, tail);
    let tail = k.poly(&COS_TAIL, square);
    let tail = k.fma(tail, square, minus_half);
    let cos = k.fma(tail, square, one);

    let (int_one, int_two, zero) = (k.i(1), k.i(2), k.i(0));
    let to_sign = k.i(k.fraction_bits + k.exponent_bits() - 1);
    let odd = k.op(ScalarOp::AND, &[quadrant, int_one]);
    let even = k.op(ScalarOp::EQ, &[odd, zero]);
    let value = k.select(even, sin, cos);
    let flip = k.op(ScalarOp::AND, &[quadrant, int_two]);
    let flip = k.op(ScalarOp::SHL, &[flip, to_sign]);
    let value = k.as_bits(value);
    k.op(ScalarOp::XOR, &[value, flip])
}

/// `sin`, that of the magnitude with the argument's sign.
pub(in crate::scalar) fn expand_sin(dtype: DType) -> Option<ScalarProgram> {
    let mut k = Kit::new(dtype)?;
    let x = k.param(0);
    let magnitude = k.abs(x);
    let reduced = reduce(&mut k, magnitude);
    let value = by_quadrant(&mut k, &reduced);
    let (x_bits, sign_mask) = (k.as_bits(x), k.sign_mask());
    let sign = k.op(ScalarOp::AND, &[x_bits, sign_mask]);
    let value = k.op(ScalarOp::XOR, &[value, sign]);
    let result = k.as_float(value);
    k.finish(result)
}

/// `cos`, the sine a quarter turn on.
pub(in crate::scalar) fn expand_cos(dtype: DType) -> Option<ScalarProgram> {
    let mut k = Kit::new(dtype)?;
    let x = k.param(0);
    let magnitude = k.abs(x);
    let mut reduced = reduce(&mut k, magnitude);
    let quarter = k.i(1);
    reduced.quadrant = k.add(reduced.quadrant, quarter);
    let value = by_quadrant(&mut k, &reduced);
    let result = k.as_float(value);
    k.finish(result)
}
