//! The normal distribution's cumulative function: `exp(-a^2 / 2) N(a) / D(a)` for the magnitude `a`, subtracted from 1 above 0.
//!
//! All coefficients of `N` and `D` that count are positive, so that neither sum cancels; near 0 and far out the quotient is equally good. The exponential is
//! `2^n exp(-r / 2)` with `r = a^2 + 2 n ln 2`, `n` not above 0: one product brings the result into the denormals and rounds once, as `N` carries the factor
//! [`TAIL_SCALE`] and `2^n` its inverse. `2 ln 2` is a number of the format; what that changes is a function of `a` alone, which `N / D` makes up for.

use super::exp::{ROUNDING, power_of_two};
use super::kit::{Kit, PerFormat, Poly};
use crate::DType;
use crate::scalar::{Reg, ScalarOp, ScalarProgram};

/// `N`, times [`TAIL_SCALE`].
const ABOVE: Poly = Poly {
    f32: &[2.7105054e-20, 2.381571e-20, 9.972856e-21, 2.2157355e-21, 2.249928e-22],
    f64: &[
        3.7291703656001034e-155,
        6.1434720049734455e-155,
        5.01998452211028e-155,
        2.6277994450390818e-155,
        9.66618664488209e-156,
        2.5986212175257334e-156,
        5.163317296810774e-157,
        7.495791118517836e-158,
        7.637307255933579e-159,
        4.965455139001147e-160,
        1.5831134487105395e-161,
    ],
};

/// `D`.
const BELOW: Poly = Poly {
    f32: &[1.0, 1.6765295, 1.2056055, 0.47139907, 0.10245943, 0.01040338],
    f64: &[
        1.0,
        2.4452944141161317,
        2.79720242531553,
        1.9798195465591086,
        0.9656252044961727,
        0.34171000906993176,
        0.089821315506561,
        0.01760869184926224,
        0.002535902842897618,
        0.0002572096632480401,
        1.668809551140681e-05,
        5.320589492355287e-07,
    ],
};

/// `(exp(-r / 2) - 1) / r` for `r` up to `ln 2` from 0.
const BELL: Poly = Poly {
    f32: &[-0.5, 0.125, -0.02083302, 0.002604068, -0.00026185228, 2.1971968e-05],
    f64: &[
        -0.5,
        0.12500000000000014,
        -0.020833333333333346,
        0.0026041666666607277,
        -0.00026041666666637816,
        2.17013889578355e-05,
        -1.5500992092854929e-06,
        9.688087375334527e-08,
        -5.382275759267188e-09,
        2.697913475614566e-10,
        -1.2258951003577789e-11,
    ],
};

/// The same three for a result that will be rounded to 16 bits: an error of 2^-16.
const SHORT_ABOVE: &[f64] = &[2.7105326e-20, 1.3877465e-20, 2.9395525e-21, -4.1205417e-25];
const SHORT_BELOW: &[f64] = &[1.0, 1.3102124, 0.65198517, 0.1352152];
const SHORT_BELL: &[f64] = &[-0.49997556, 0.12498981, -0.02101155, 0.0026489766];

/// The exponent of the factor that keeps `2^n` normal.
const TAIL_SCALE: PerFormat = PerFormat { f32: -64.0, f64: -512.0 };

/// Where `2^n` less [`TAIL_SCALE`] becomes a zero; the result has long been one (from 14.2 and 38.6 on).
const END: PerFormat = PerFormat { f32: 16.27, f64: 46.13 };

/// How exact a result is asked for.
#[derive(Clone, Copy, PartialEq)]
enum Digits {
    Full,
    ForSixteenBits,
}

/// The distribution below `-a`, `a` not being negative.
fn tail(k: &mut Kit, a: Reg, digits: Digits) -> Reg {
    let a = k.at_most(a, k.pick(END));
    let square = k.mul(a, a);
    let offset = k.bias() as f64 - k.pick(TAIL_SCALE);
    let (slope, rounding) = (k.c(-0.5 * std::f64::consts::LOG2_E), k.c(k.pick(ROUNDING) + offset));
    let shifted = k.fma(square, slope, rounding);
    let (n, twice_ln_2) = (k.sub(shifted, rounding), k.c(2.0 * std::f64::consts::LN_2));
    let mut r = k.fma(n, twice_ln_2, square);
    let [bell, above, below] = if digits == Digits::Full {
        // What rounding the square took: the exponential would multiply it by the square's size.
        let minus_square = k.op(ScalarOp::NEG, &[square]);
        let lost = k.fma(a, a, minus_square);
        r = k.add(r, lost);
        [&BELL, &ABOVE, &BELOW].map(|poly| k.coefficients(poly))
    } else {
        [SHORT_BELL, SHORT_ABOVE, SHORT_BELOW]
    };
    let (one, bell) = (k.c(1.0), k.horner(bell, r));
    let bell = k.fma(bell, r, one);
    let (above, below) = (k.horner(above, a), k.horner(below, a));
    let numerator = k.mul(bell, above);
    let value = k.div(numerator, below);
    let n_bits = k.as_bits(shifted);
    let power = power_of_two(k, n_bits);
    k.mul(value, power)
}

fn expand(dtype: DType, digits: Digits) -> Option<ScalarProgram> {
    let mut k = Kit::new(dtype)?;
    let x = k.param(0);
    let a = k.abs(x);
    let value = tail(&mut k, a, digits);
    let (zero, one) = (k.c(0.0), k.c(1.0));
    let (is_negative, rest) = (k.lt(x, zero), k.sub(one, value));
    let result = k.select(is_negative, value, rest);
    k.finish(result)
}

/// `normal_cdf`: see the module.
pub(in crate::scalar) fn expand_normal_cdf(dtype: DType) -> Option<ScalarProgram> {
    expand(dtype, Digits::Full)
}

/// `normal_cdf_short`: the same with fewer terms, but in `f64`, which nobody rounds to 16 bits.
pub(in crate::scalar) fn expand_normal_cdf_short(dtype: DType) -> Option<ScalarProgram> {
    expand(dtype, if dtype == DType::F64 { Digits::Full } else { Digits::ForSixteenBits })
}
