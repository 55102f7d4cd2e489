//! `exp` and `expm1`, and the argument reduction that every function made of exponentials shares.
//!
//! `x = n ln 2 + r` with an integer `n` and `|r| <= ln 2 / 2`, so `exp x = 2^n exp r`. The product `n ln 2` is subtracted in
//! two parts (Cody and Waite, "Software Manual for the Elementary Functions", 1980); each step is one fused operation, the first exact.

use super::kit::{Kit, PerFormat, Poly};
use crate::DType;
use crate::scalar::{Reg, ScalarOp, ScalarProgram};

/// `(exp r - 1 - r) / r^2` for `|r| <= ln 2 / 2`.
pub(super) const EXP_TAIL: Poly = Poly {
    f32: &[0.5, 0.16666667, 0.041666463, 0.0083333105, 0.0013933731, 0.0001989108],
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

/// An argument of the exponential, reduced.
pub(super) struct Reduced {
    /// Bits whose low end is the integer `n` (of an `f64` as an `i64`): those of [`ROUNDING`] plus `n`.
    pub(super) n_bits: Reg,
    /// `r`.
    pub(super) r: Reg,
}

/// Splits `x` as `n ln 2 + r`.
pub(super) fn reduce(k: &mut Kit, x: Reg) -> Reduced {
    let (log2_e, rounding) = (k.c(std::f64::consts::LOG2_E), k.per(ROUNDING));
    let shifted = k.fma(x, log2_e, rounding);
    let n = k.sub(shifted, rounding);
    let low = -k.pick(LN_2_LOW);
    let (high, low) = (k.c(-std::f64::consts::LN_2), k.c(low));
    let r = k.fma(n, high, x);
    let r = k.fma(n, low, r);
    Reduced { n_bits: k.as_bits(shifted), r }
}

/// `exp r` near 1.
pub(super) fn exp_near_zero(k: &mut Kit, r: Reg) -> Reg {
    let (p, one) = (expm1_near_zero(k, r), k.c(1.0));
    k.add(p, one)
}

/// `exp r - 1` near 0.
pub(super) fn expm1_near_zero(k: &mut Kit, r: Reg) -> Reg {
    let (tail, square) = (k.poly(&EXP_TAIL, r), k.mul(r, r));
    k.fma(square, tail, r)
}

/// `2^n * unit`, where that is a normal number.
pub(super) fn power_of_two(k: &mut Kit, n_bits: Reg, unit: f64) -> Reg {
    let (width, unit) = (k.i(k.fraction_bits), k.i(k.bits_of(unit)));
    let exponent = k.op(ScalarOp::SHL, &[n_bits, width]);
    let bits = k.add(exponent, unit);
    k.as_float(bits)
}

/// `value * 2^n` for any `n` that [`exp`] meets, in two steps as `2^n` alone may not be representable. The first is exact, the
/// second rounds once, so that results below the normal range are rounded correctly.
pub(super) fn scale(k: &mut Kit, value: Reg, n_bits: Reg) -> Reg {
    // n + 2 * bias is positive, so that a logical shift halves it.
    let offset = k.i(2 * k.bias() - k.bits_of(k.pick(ROUNDING)));
    let (one, width) = (k.i(1), k.i(k.fraction_bits));
    let sum = k.add(n_bits, offset);
    let half = k.op(ScalarOp::SHR, &[sum, one]);
    let rest = k.sub(sum, half);
    let mut result = value;
    for exponent in [half, rest] {
        let bits = k.op(ScalarOp::SHL, &[exponent, width]);
        let factor = k.as_float(bits);
        result = k.mul(result, factor);
    }
    result
}

/// `exp x` for `x` not above [`OVERFLOW`].
pub(super) fn exp_down(k: &mut Kit, x: Reg) -> Reg {
    let x = k.at_least(x, k.pick(UNDERFLOW));
    let reduced = reduce(k, x);
    let near = exp_near_zero(k, reduced.r);
    scale(k, near, reduced.n_bits)
}

/// `exp`: see the module. Below 1 ulp: half for the last sum (`1 + p`, the unit being 2^-24 where `p < 0`), a quarter for `p`, which is below
/// 1/2, a fifth for `r`, and the polynomial's error, which is below a hundredth.
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
    let reduced = reduce(&mut k, clamped);
    let near = expm1_near_zero(&mut k, reduced.r);
    let (power, half) = (power_of_two(&mut k, reduced.n_bits, 0.5), k.c(0.5));
    let offset = k.sub(power, half);
    let half_result = k.fma(near, power, offset);
    let result = k.add(half_result, half_result);
    let (magnitude, limit) = (k.abs(x), k.per(IDENTITY));
    let small = k.lt(magnitude, limit);
    let result = k.select(small, x, result);
    k.finish(result)
}
