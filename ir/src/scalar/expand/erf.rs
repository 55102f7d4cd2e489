//! `erfc`: `exp -x^2` times a polynomial. `erf`: a polynomial near 0; above, a polynomial (`f32`) or a polynomial times `exp -x^2`, subtracted from 1 (`f64`).

use super::exp::{exp_near_zero, power_of_two, reduce, scale};
use super::kit::{Kit, PerFormat, Poly};
use crate::DType;
use crate::scalar::{Reg, ScalarOp, ScalarProgram};

/// `erf x / x - 1`. `f32`: as a function of `x^2 - 1.75`, up to [`CUT`]; around the middle, the steps of Horner's rule stay small where the sum
/// is nearly -1/2. `f64`: of `x^2`, up to 1.
const NEAR: Poly = Poly {
    f32: &[
        -0.29046154,
        -0.14670159,
        0.034860246,
        -0.007262854,
        0.0012971734,
        -0.00020021039,
        2.7001055e-05,
        -3.2459518e-06,
        3.7294234e-07,
        -3.5087847e-08,
    ],
    f64: &[
        0.1283791670955126,
        -0.3761263890318375,
        0.11283791670954879,
        -0.026866170645076792,
        0.0052239776248180145,
        -0.000854832698083379,
        0.0001205533111164271,
        -1.4925595266831182e-05,
        1.6461000484121368e-06,
        -1.6350312701054695e-07,
        1.4659775274047436e-08,
        -1.1372848856791674e-09,
        5.957176147748911e-11,
    ],
};

/// `f32`: `(erf x - FAR_FIRST) / t` as a function of `t = x - 2.90625`, from [`CUT`] to 3.93. `f64`: `exp(x^2) (1 - erf x)` as a function of
/// `(x - 2) / (x + 2)`, from 1 to 6.
const FAR: Poly = Poly {
    f32: &[
        0.00024212475,
        -0.0007039828,
        0.0012861408,
        -0.0016307478,
        0.0014948598,
        -0.0010261062,
        0.00052851374,
        -0.00014273444,
        -4.1158877e-05,
        3.2619115e-05,
    ],
    f64: &[
        0.25539567631050575,
        -0.4271858474139585,
        0.24165819424246585,
        -0.07897858101570611,
        0.0037328924043978336,
        0.006997461736971578,
        -0.00084714325299195,
        -0.0009819769411038642,
        4.355558686575482e-05,
        0.00017435947400205157,
        2.7527175557227246e-05,
        -2.7562209161129353e-05,
        -1.3998283772784976e-05,
        1.3058577122278017e-06,
        4.011749647325067e-06,
        1.272567661840228e-06,
        -1.1352571477273627e-06,
    ],
};

/// `erf 2.90625`.
const FAR_FIRST: f64 = 0.9999604;

/// `exp(a^2) erfc a`, in `f64` times `1 + 2 a`, as a function of `(a - k) / (a + k)`, `k` being [`COMPLEMENT_MIDDLE`], from 0 to [`COMPLEMENT_END`].
const COMPLEMENT: Poly = Poly {
    f32: &[
        0.17900115,
        -0.32623357,
        0.2456038,
        -0.15011579,
        0.07166585,
        -0.024394227,
        0.0042689187,
        0.0007157866,
        -0.0005946271,
        2.8757519e-05,
        5.5863868e-05,
    ],
    f64: &[
        1.2329951186255526,
        -0.13962111684056253,
        0.015379652102619584,
        0.06809705425469356,
        -0.10103906603629606,
        0.09373283499831789,
        -0.0663303658123792,
        0.037167515537983954,
        -0.016197734056285586,
        0.005031969973698179,
        -0.0007577732960297468,
        -0.00019925667239225933,
        0.0001506216953068026,
        -2.439928758861139e-05,
        -1.1222056567542861e-05,
        5.70988261845246e-06,
        2.9383252186026087e-07,
        -8.256003068577494e-07,
        7.460780257001613e-08,
        1.1014538107239169e-07,
        -1.7887124945071396e-08,
        -1.4098981967735139e-08,
        1.8232502650683418e-09,
        1.2495096223529886e-09,
    ],
};

/// Where that function's argument is 0.
const COMPLEMENT_MIDDLE: PerFormat = PerFormat { f32: 3.0, f64: 4.0 };
/// From there on `erfc a` rounds to 0.
const COMPLEMENT_END: PerFormat = PerFormat { f32: 10.1, f64: 27.3 };

/// Where the polynomials in `f32` meet.
const CUT: f64 = 1.875;

/// `erf a` in `f32`, for `a` not below 0: `b + p(s) m`, near 0 with `b = m = a`, else with `b` a constant and `m = s`, as the function is flat
/// there and the polynomial's value good to the last place.
fn magnitude_f32(k: &mut Kit, a: Reg) -> Reg {
    // From 3.92 on the result rounds to 1.
    let limited = k.at_most(a, 3.93);
    let (centre, minus_middle, cut, first) = (k.c(2.90625), k.c(-1.75), k.c(CUT), k.c(FAR_FIRST));
    let (square, t) = (k.fma(a, a, minus_middle), k.sub(limited, centre));
    let is_near = k.lt(a, cut);
    let s = k.select(is_near, square, t);
    let slope = k.either_poly(is_near, [&NEAR, &FAR], s);
    let (m, b) = (k.select(is_near, a, t), k.select(is_near, a, first));
    let value = k.fma(slope, m, b);
    k.at_most(value, 1.0)
}

/// `erf a` in `f64`, for `a` not below 0.
fn magnitude_f64(k: &mut Kit, a: Reg) -> Reg {
    let square = k.mul(a, a);
    let slope = k.poly(&NEAR, square);
    let near = k.fma(slope, a, a);
    let far = far_f64(k, a);
    let one = k.c(1.0);
    let is_near = k.lt(a, one);
    k.select(is_near, near, far)
}

/// `erf a` for `a` above 1 in `f64`.
fn far_f64(k: &mut Kit, a: Reg) -> Reg {
    // From 5.93 on the result rounds to 1.
    let a = k.at_most(a, 6.0);
    let (one, two) = (k.c(1.0), k.c(2.0));
    let (below, above) = (k.sub(a, two), k.add(a, two));
    let u = k.div(below, above);
    let scaled = k.poly(&FAR, u);
    let square = k.mul(a, a);
    let exponent = k.op(ScalarOp::NEG, &[square]);
    // With the bit above the exponent, the power is negative.
    let offset = k.bias() + (1 << k.exponent_bits());
    let reduced = reduce(k, exponent, offset);
    let (bell, power) = (exp_near_zero(k, reduced.r), power_of_two(k, reduced.n_bits));
    let minus_bell = k.mul(bell, power);
    k.fma(minus_bell, scaled, one)
}

/// `erf`: see the module.
pub(in crate::scalar) fn expand_erf(dtype: DType) -> Option<ScalarProgram> {
    let mut k = Kit::new(dtype)?;
    let x = k.param(0);
    let a = k.abs(x);
    let result = if k.float == DType::F64 { magnitude_f64(&mut k, a) } else { magnitude_f32(&mut k, a) };
    let result = k.with_sign_of(result, x);
    k.finish(result)
}

/// `erfc x = 1 - erf x`, with all digits where that is small: `exp(-a^2)` times a polynomial for the magnitude `a`, subtracted from 2 below 0.
pub(in crate::scalar) fn expand_erfc(dtype: DType) -> Option<ScalarProgram> {
    let mut k = Kit::new(dtype)?;
    let x = k.param(0);
    let a = k.abs(x);
    let a = k.at_most(a, k.pick(COMPLEMENT_END));
    let middle = k.per(COMPLEMENT_MIDDLE);
    let (below, above, one) = (k.sub(a, middle), k.add(a, middle), k.c(1.0));
    let inverse = k.div(one, above);
    let u = k.mul(below, inverse);
    // What is missing of a - k = u (a + k), each part of it exact or small: near a = 0 the polynomial is steep.
    let (minus_middle, beyond, minus_u) = (k.op(ScalarOp::NEG, &[middle]), k.add(u, one), k.op(ScalarOp::NEG, &[u]));
    let missing = k.fma(beyond, minus_middle, a);
    let missing = k.fma(minus_u, a, missing);
    let u = k.fma(missing, inverse, u);
    let mut scaled = k.poly(&COMPLEMENT, u);
    if k.float == DType::F64 {
        let two = k.c(2.0);
        let level = k.fma(a, two, one);
        scaled = k.div(scaled, level);
    }
    let square = k.mul(a, a);
    let exponent = k.op(ScalarOp::NEG, &[square]);
    // What rounding the square took: the exponential would multiply it by the square's size.
    let lost = k.fma(a, a, exponent);
    let twice_bias = 2 * k.bias();
    let reduced = reduce(&mut k, exponent, twice_bias);
    let r = k.sub(reduced.r, lost);
    let near = exp_near_zero(&mut k, r);
    let value = k.mul(near, scaled);
    let value = scale(&mut k, value, reduced.n_bits);
    let (zero, two) = (k.c(0.0), k.c(2.0));
    let (is_negative, mirrored) = (k.lt(x, zero), k.sub(two, value));
    let result = k.select(is_negative, mirrored, value);
    k.finish(result)
}
