//! The normal distribution's cumulative function, what GELU is made of.

use super::arith::map1;
use super::{Cost, Derivative, Laws, ScalarDef, ScalarOp, TypeClass, Typing, expand};
use crate::NodeId;

pub(super) const OPS: &[&ScalarDef] = &[&NORMAL_CDF, &NORMAL_CDF_SHORT];

impl ScalarOp {
    /// Cumulative function of the normal distribution.
    pub const NORMAL_CDF: Self = Self(&NORMAL_CDF);
    /// The same for results that are rounded to 16 bits.
    pub const NORMAL_CDF_SHORT: Self = Self(&NORMAL_CDF_SHORT);
}

static NORMAL_CDF: ScalarDef = ScalarDef {
    name: "normal_cdf",
    doc: "the normal distribution below a, erfc(-a/sqrt(2))/2, with all digits where that is small; 0 and 1 at the infinities",
    arity: 1,
    typing: Typing::Same(TypeClass::Float),
    eval: |a| map1(a[0], |x| distribution(f64::from(x)) as f32, distribution, |x| x),
    derivative: Derivative::Rule(density_rule),
    laws: Laws::NONE,
    expand: expand::expand_normal_cdf,
    cost: Cost::Expensive,
    max_ulp: 6,
};

static NORMAL_CDF_SHORT: ScalarDef = ScalarDef {
    name: "normal_cdf_short",
    doc: "normal_cdf, in f32 with the digits that count where what is made of it is rounded to 16 bits: an error below 2^-14 of the value",
    expand: expand::expand_normal_cdf_short,
    max_ulp: 512,
    ..NORMAL_CDF
};

/// `dy * exp(-x^2 / 2) / sqrt(2 pi)`.
fn density_rule(cx: &mut crate::Cotangent<'_>) -> Result<Vec<Option<NodeId>>, crate::BuildError> {
    let x = cx.operands[0];
    let minus_half = cx.build.full_like(x, -0.5)?;
    let half = cx.build.binary(ScalarOp::MUL, x, minus_half)?;
    let exponent = cx.build.binary(ScalarOp::MUL, half, x)?;
    let bell = cx.build.unary(ScalarOp::EXP, exponent)?;
    let scale = cx.build.full_like(x, std::f64::consts::FRAC_1_SQRT_2 * std::f64::consts::FRAC_2_SQRT_PI / 2.0)?;
    let slope = cx.build.binary(ScalarOp::MUL, bell, scale)?;
    Ok(vec![Some(cx.build.binary(ScalarOp::MUL, cx.dy, slope)?)])
}

/// The reference: by `erf` near 0, elsewhere by the tail's continued fraction (Abramowitz and Stegun 26.2.14), within a few ulp.
fn distribution(x: f64) -> f64 {
    let a = x.abs();
    if x.is_nan() {
        return f64::NAN;
    }
    if a < 0.7 {
        return 0.5 + 0.5 * super::erf::erf(x * std::f64::consts::FRAC_1_SQRT_2);
    }
    let value = if a < 39.0 { tail(a) } else { 0.0 };
    if x < 0.0 { value } else { 1.0 - value }
}

/// The distribution below `-a` for `a` from 0.7 on: the density by `a + 1 / (a + 2 / (a + 3 / ...))`, which takes some 500 / a^2 terms to converge.
fn tail(a: f64) -> f64 {
    let depth = ((500.0 / (a * a)) as i32).max(30);
    let quotient = (1..=depth).rev().fold(a, |quotient, k| a + f64::from(k) / quotient);
    let square = a * a;
    let lost = a.mul_add(a, -square);
    // In two steps: the density alone may be denormal where the tail has more digits than that leaves.
    let half = (-square / 4.0).exp();
    half * (1.0 - lost / 2.0) / (quotient * (2.0 * std::f64::consts::PI).sqrt()) * half
}

#[cfg(test)]
mod tests {
    use super::distribution;

    #[test]
    fn the_reference_matches_tabulated_values() {
        // 50-digit arithmetic.
        for (x, want) in [
            (-0.25, 0.401_293_674_317_076_3),
            (-0.7, 0.241_963_652_223_073_03),
            (-1.0, 0.158_655_253_931_457_05),
            (-2.0, 0.022_750_131_948_179_21),
            (-5.0, 2.866_515_718_791_939e-7),
            (-13.0, 6.117_164_399_549_88e-39),
            (-37.0, 5.725_571_222_524_577e-300),
        ] {
            assert!((distribution(x) / want - 1.0).abs() < 2e-15, "at {x}: {:e}", distribution(x));
            assert!((distribution(-x) - (1.0 - want)).abs() < 3e-16);
        }
        assert_eq!([f64::NEG_INFINITY, 0.0, f64::INFINITY].map(distribution), [0.0, 0.5, 1.0]);
        assert!(distribution(f64::NAN).is_nan());
    }
}
