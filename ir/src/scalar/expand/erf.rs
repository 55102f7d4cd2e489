//! `erf`: a polynomial below 1; above, a polynomial (`f32`) or a polynomial times `exp -x^2`, subtracted from 1 (`f64`).

use super::exp::{exp_near_zero, power_of_two, reduce};
use super::kit::{Kit, Poly};
use crate::DType;
use crate::scalar::{Reg, ScalarOp, ScalarProgram};

/// `erf x / x - 1` as a function of `x^2`, up to 1.
const NEAR: Poly = Poly {
    f32: &[0.12837917, -0.37612626, 0.11283594, -0.026854211, 0.0051890872, -0.00080168643, 7.875875e-05],
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

/// `f32`: `erf x` as a function of `x - 2.5`, from 1 to 4. `f64`: `exp(x^2) (1 - erf x)` as a function of `(x - 2) / (x + 2)`,
/// from 1 to 6.
const FAR: Poly = Poly {
    f32: &[
        0.999593,
        0.0021782836,
        -0.0054456834,
        0.008350128,
        -0.008622642,
        0.006116989,
        -0.0027974555,
        0.00054368476,
        0.00025860508,
        -0.00025250236,
        8.118151e-05,
        7.2204307e-06,
        -1.574534e-05,
        3.6213873e-06,
        8.934341e-07,
        -3.7010295e-07,
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

/// `erf a` for `a` above 1 in `f32`: the function is flat there, so that the polynomial's value is good to the last place.
fn far_f32(k: &mut Kit, a: Reg) -> Reg {
    // From 3.92 on the result rounds to 1.
    let a = k.at_most(a, 4.0);
    let centre = k.c(2.5);
    let t = k.sub(a, centre);
    let value = k.poly(&FAR, t);
    k.at_most(value, 1.0)
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
    let reduced = reduce(k, exponent);
    let (bell, power) = (exp_near_zero(k, reduced.r), power_of_two(k, reduced.n_bits, -1.0));
    let minus_bell = k.mul(bell, power);
    k.fma(minus_bell, scaled, one)
}

/// `erf`: see the module.
pub(in crate::scalar) fn expand_erf(dtype: DType) -> Option<ScalarProgram> {
    let mut k = Kit::new(dtype)?;
    let x = k.param(0);
    let a = k.abs(x);
    let square = k.mul(a, a);
    let slope = k.poly(&NEAR, square);
    let near = k.fma(slope, a, a);
    let far = if k.float == DType::F64 { far_f64(&mut k, a) } else { far_f32(&mut k, a) };
    let one = k.c(1.0);
    let is_near = k.lt(a, one);
    let result = k.select(is_near, near, far);
    let result = k.with_sign_of(result, x);
    k.finish(result)
}
