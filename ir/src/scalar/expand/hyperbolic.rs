//! `tanh` and `sigmoid`, by the exponential.

use super::exp::{EXP_TAIL, UNDERFLOW, expm1_near_zero, power_of_two, reduce, reduce_short};
use super::kit::{Kit, PerFormat, Poly};
use crate::DType;
use crate::scalar::{ScalarOp, ScalarProgram};

/// `(tanh x / x - 1) / x^2` as a function of `x^2`, up to [`CUT`].
const TANH_NEAR: Poly = Poly {
    f32: &[-0.33333313, 0.13332468, -0.053839304, 0.021014396, -0.0061887447],
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

/// `tanh`: a polynomial for small magnitudes, `1 - 2 / (exp 2|x| + 1)` for others. Both `tanh x` near 0 and `exp r - 1` are `b + p(s) s b`, the
/// one with `b = x` and `s = x^2`, the other with `b = s = r`.
pub(in crate::scalar) fn expand_tanh(dtype: DType) -> Option<ScalarProgram> {
    // Twice the argument from which the result rounds to 1.
    const SATURATED: PerFormat = PerFormat { f32: 18.2, f64: 38.2 };
    let mut k = Kit::new(dtype)?;
    let x = k.param(0);
    let magnitude = k.abs(x);
    let twice = k.add(magnitude, magnitude);
    let twice = k.at_most(twice, k.pick(SATURATED));
    // What the second part of ln 2 would add to the exponential is small beside 1.
    let bias = k.bias();
    let reduced = reduce_short(&mut k, twice, bias);
    let (cut, square) = (k.c(CUT), k.mul(magnitude, magnitude));
    let is_near = k.lt(magnitude, cut);
    let (s, b) = (k.select(is_near, square, reduced.r), k.select(is_near, magnitude, reduced.r));
    let (tail, factor) = (k.either_poly(is_near, [&TANH_NEAR, &EXP_TAIL], s), k.mul(s, b));
    let value = k.fma(tail, factor, b);

    let (power, one, minus_two) = (power_of_two(&mut k, reduced.n_bits), k.c(1.0), k.c(-2.0));
    let rest = k.add(power, one);
    let denominator = k.fma(value, power, rest);
    let deficit = k.div(minus_two, denominator);
    let far = k.add(one, deficit);
    let result = k.select(is_near, value, far);
    let result = k.with_sign_of(result, x);
    k.finish(result)
}

/// `sigmoid x = 1 / (1 + exp -x)`, numerator and denominator times a power of two that keeps the latter from overflowing where the result is
/// denormal. With `exp -x = 2^n (1 + q)`, the denominator is `1 + 2^n + 2^n q`: of the first sum, what rounding took is added again.
pub(in crate::scalar) fn expand_sigmoid(dtype: DType) -> Option<ScalarProgram> {
    // From where on the result rounds to 1, and minus the exponent of that power.
    const SATURATED: PerFormat = PerFormat { f32: 20.0, f64: 40.0 };
    const DOWN: PerFormat = PerFormat { f32: 24.0, f64: 54.0 };
    let mut k = Kit::new(dtype)?;
    let x = k.param(0);
    let y = k.op(ScalarOp::NEG, &[x]);
    let y = k.at_most(y, -k.pick(UNDERFLOW));
    let y = k.at_least(y, -k.pick(SATURATED));
    let (down, bias) = (k.pick(DOWN), k.bias());
    let reduced = reduce(&mut k, y, bias - down as i64);
    let q = expm1_near_zero(&mut k, reduced.r);
    let (power, unit) = (power_of_two(&mut k, reduced.n_bits), k.c((-down).exp2()));
    let sum = k.add(power, unit);
    let kept = k.sub(sum, power);
    let lost = k.sub(unit, kept);
    let rest = k.fma(q, power, lost);
    let denominator = k.add(rest, sum);
    let result = k.div(unit, denominator);
    k.finish(result)
}
