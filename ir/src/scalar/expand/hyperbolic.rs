//! `tanh` and `sigmoid`, by the exponential.

use super::exp::{exp_down, exp_near_zero, power_of_two, reduce};
use super::kit::{Kit, PerFormat, Poly};
use crate::DType;
use crate::scalar::{ScalarOp, ScalarProgram};

/// `(tanh x / x - 1) / x^2` as a function of `x^2`, up to [`CUT`].
const TANH_NEAR: Poly = Poly {
    f32: &[-0.33333334, 0.13333322, -0.053964064, 0.021811903, -0.008499248, 0.0024876148],
    f64: &[
        -0.3333333333333333,
        0.13333333333332392,
        -0.0539682539670594,
        0.021869488476962563,
        -0.008863234021529514,
        0.003592105532132769,
        -0.0014556239774192678,
        0.0005887537111834804,
        -0.00023410556936672797,
        8.426522203958066e-05,
        -2.0026740085317684e-05,
    ],
};

/// Where `tanh` changes from the polynomial to the exponential: there the latter's result is above 1/2, and what is
/// subtracted from 1 brings in less than its own rounding error.
const CUT: f64 = 0.5625;

/// `tanh`: a polynomial for small magnitudes, `1 - 2 / (exp 2|x| + 1)` for others.
pub(in crate::scalar) fn expand_tanh(dtype: DType) -> Option<ScalarProgram> {
    // Twice the argument from which the result rounds to 1.
    const SATURATED: PerFormat = PerFormat { f32: 18.2, f64: 38.2 };
    let mut k = Kit::new(dtype)?;
    let x = k.param(0);
    let magnitude = k.abs(x);
    let square = k.mul(x, x);
    let (slope, cube) = (k.poly(&TANH_NEAR, square), k.mul(square, magnitude));
    let near = k.fma(slope, cube, magnitude);

    let twice = k.add(magnitude, magnitude);
    let twice = k.at_most(twice, k.pick(SATURATED));
    let reduced = reduce(&mut k, twice);
    let (e, power) = (exp_near_zero(&mut k, reduced.r), power_of_two(&mut k, reduced.n_bits, 1.0));
    let (one, minus_two, cut) = (k.c(1.0), k.c(-2.0), k.c(CUT));
    let denominator = k.fma(e, power, one);
    let deficit = k.div(minus_two, denominator);
    let far = k.add(one, deficit);

    let is_near = k.lt(magnitude, cut);
    let result = k.select(is_near, near, far);
    let result = k.with_sign_of(result, x);
    k.finish(result)
}

/// `sigmoid x = 1 - q` and, below 0, `e - e q`, with `e = exp -|x|`, which cannot overflow, and `q = e / (1 + e)`. Below 0 the
/// value is `q` itself, but taking it as a correction to `e` halves the weight of the division's errors.
pub(in crate::scalar) fn expand_sigmoid(dtype: DType) -> Option<ScalarProgram> {
    let mut k = Kit::new(dtype)?;
    let x = k.param(0);
    let magnitude = k.abs(x);
    let falling = k.op(ScalarOp::NEG, &[magnitude]);
    let e = exp_down(&mut k, falling);
    let (zero, one, minus_one) = (k.c(0.0), k.c(1.0), k.c(-1.0));
    let denominator = k.sub(minus_one, e);
    let minus_q = k.div(e, denominator);
    let above = k.add(one, minus_q);
    let below = k.fma(e, minus_q, e);
    let negative = k.lt(x, zero);
    let result = k.select(negative, below, above);
    k.finish(result)
}
