//! `exp` and `expm1`, and the argument reduction that every function made of exponentials shares.
//!
//! `x = n ln 2 + r` with an integer `n` and `|r| <= ln 2 / 2`, so `exp x = 2^n exp r`. The product `n ln 2` is subtracted in
//! two parts (Cody and Waite, "Software Manual for the Elementary Functions", 1980); each step is one fused operation, the first exact.

use super::kit::{Kit, PerFormat, Poly};
use crate::DType;
use crate::scalar::{Reg, ScalarOp, ScalarProgram};

/// `(exp r - 1 - r) / r^2` for `|r| <= ln 2 / 2`.
pub(super) const EXP_TAIL: Poly = Poly {
    f32: &[0.49999994, 0.16666521, 0.041668333, 0.008368707, 0.0013814458],
    f64: &[
        0.5,
        0.1666666666666667,
        0.041666666666666616,
        0.008333333333326084,
        0.001388888888890792,
        0.0001984126987500228,
        2.4801587279700312e-05,
        2.755725517000089e-06,
        2.755731168044203e-07,
        2.5105312729622103e-08,
        2.090321305728692e-09,
    ],
};

/// Adding this to a small number leaves its nearest integer in the low bits of the sum: 1.5 times two to the fraction's width.
pub(super) const ROUNDING: PerFormat = PerFormat { f32: 12_582_912.0, f64: 6_755_399_441_055_744.0 };

/// ln 2 less its value in the format.
const LN_2_LOW: PerFormat = PerFormat { f32: -1.9046542e-9, f64: 2.3190468138462996e-17 };

/// Where `exp` overflows, rounded up, and where it rounds to zero, rounded down.
pub(super) const OVERFLOW: PerFormat = PerFormat { f32: 89.0, f64: 710.0 };
pub(super) const UNDERFLOW: PerFormat = PerFormat { f32: -104.0, f64: -746.0 };

/// Far enough below that both factors of [`scale`] are 0 in bits. A product that is lost below the denormals takes processors as long as ten others, and
/// scores hidden from a softmax are such: from here down nothing is lost, zeros are multiplied.
pub(super) const VANISHED: PerFormat = PerFormat { f32: -176.0, f64: -1418.0 };

/// An argument of the exponential, reduced.
pub(super) struct ExpArgument {
    /// Bits whose low end is the integer `n` plus the offset asked for (of an `f64` as an `i64`); the next bits up, as many as an exponent and a
    /// sign have, are 0 but for the sum's carry.
    pub(super) n_bits: Reg,
    /// `n`.
    n: Reg,
    /// `r`.
    pub(super) r: Reg,
}

/// Splits `x` as `n ln 2 + r`.
pub(super) fn reduce(k: &mut Kit, x: Reg, offset: i64) -> ExpArgument {
    let reduced = reduce_short(k, x, offset);
    let low = -k.pick(LN_2_LOW);
    let low = k.c(low);
    let r = k.fma(reduced.n, low, reduced.r);
    ExpArgument { r, ..reduced }
}

/// The same without the second part of `ln 2`: for where an error of `n` half units in the last place of `r` doesn't count.
pub(super) fn reduce_short(k: &mut Kit, x: Reg, offset: i64) -> ExpArgument {
    let rounding = k.pick(ROUNDING) + offset as f64;
    let (log2_e, rounding) = (k.c(std::f64::consts::LOG2_E), k.c(rounding));
    let shifted = k.fma(x, log2_e, rounding);
    let n = k.sub(shifted, rounding);
    let high = k.c(-std::f64::consts::LN_2);
    let r = k.fma(n, high, x);
    ExpArgument { n_bits: k.as_bits(shifted), n, r }
}

/// `exp r` near 1, by Horner's rule to the end: the coefficients 1 and 1 are exact.
pub(super) fn exp_near_zero(k: &mut Kit, r: Reg) -> Reg {
    let (tail, one) = (k.poly(&EXP_TAIL, r), k.c(1.0));
    let slope = k.fma(tail, r, one);
    k.fma(slope, r, one)
}

/// `exp r - 1` near 0.
pub(super) fn expm1_near_zero(k: &mut Kit, r: Reg) -> Reg {
    let (tail, square) = (k.poly(&EXP_TAIL, r), k.mul(r, r));
    k.fma(square, tail, r)
}

/// `2^n`, where that is a normal number, of bits that hold `n` plus the exponent's bias.
pub(super) fn power_of_two(k: &mut Kit, n_bits: Reg) -> Reg {
    let width = k.i(k.fraction_bits);
    let bits = k.op(ScalarOp::SHL, &[n_bits, width]);
    k.as_float(bits)
}

/// `value * 2^n` for any `n` that [`exp`] meets, of bits that hold `n` plus twice the bias, in two steps as `2^n` alone may not be representable.
/// The first is exact, the second rounds once, so that results below the normal range are rounded correctly.
pub(super) fn scale(k: &mut Kit, value: Reg, n_bits: Reg) -> Reg {
    let one = k.i(1);
    let half = k.op(ScalarOp::LSHR, &[n_bits, one]);
    let rest = k.sub(n_bits, half);
    let mut result = value;
    for exponent in [half, rest] {
        let factor = power_of_two(k, exponent);
        result = k.mul(result, factor);
    }
    result
}

/// `exp x` for `x` not above [`OVERFLOW`].
pub(super) fn exp_down(k: &mut Kit, x: Reg) -> Reg {
    let x = k.at_least(x, k.pick(VANISHED));
    let twice_bias = 2 * k.bias();
    let reduced = reduce(k, x, twice_bias);
    let near = exp_near_zero(k, reduced.r);
    scale(k, near, reduced.n_bits)
}

/// `exp`: see the module. Below 1 ulp: half for the last sum (its unit being 2^-24 where `r < 0`), a fifth for the one before, which counts
/// `|r|` times, a fifth for `r`, and the polynomial's error, which is below a tenth.
pub(in crate::scalar) fn expand_exp(dtype: DType) -> Option<ScalarProgram> {
    let mut k = Kit::new(dtype)?;
    let x = k.param(0);
    let x = k.at_most(x, k.pick(OVERFLOW));
    let result = exp_down(&mut k, x);
    k.finish(result)
}

/// `expm1 = 2 (2^(n-1) (exp r - 1) + (2^(n-1) - 1/2))`: half the value, as `2^n` may overflow where the result does not.
pub(in crate::scalar) fn expand_expm1(dtype: DType) -> Option<ScalarProgram> {
    // Where the result rounds to -1, and where it rounds to the argument, which also keeps denormals and the sign of zero.
    const MINUS_ONE: PerFormat = PerFormat { f32: -18.0, f64: -38.0 };
    const IDENTITY: PerFormat = PerFormat { f32: 1.0 / 67_108_864.0, f64: 1.0 / 36_028_797_018_963_968.0 };
    let mut k = Kit::new(dtype)?;
    let x = k.param(0);
    let clamped = k.at_most(x, k.pick(OVERFLOW));
    let clamped = k.at_least(clamped, k.pick(MINUS_ONE));
    let one_less = k.bias() - 1;
    let reduced = reduce(&mut k, clamped, one_less);
    let near = expm1_near_zero(&mut k, reduced.r);
    let (power, half) = (power_of_two(&mut k, reduced.n_bits), k.c(0.5));
    let offset = k.sub(power, half);
    let half_result = k.fma(near, power, offset);
    let result = k.add(half_result, half_result);
    let (magnitude, limit) = (k.abs(x), k.per(IDENTITY));
    let small = k.lt(magnitude, limit);
    let result = k.select(small, x, result);
    k.finish(result)
}
