//! Errors in units of the last place, and what is drawn to find them.

use ir::scalar::Instr;
use ir::{DType, ScalarOp};

/// The distance from `got` to `exact` in units of the last place that `exact` has in the format: `fraction_bits` wide, least normal
/// exponent `min_exponent`. Infinite where one is NaN and the other not, or where a zero has the wrong sign.
fn ulps(got: f64, exact: f64, fraction_bits: i32, min_exponent: i32) -> f64 {
    if got.is_nan() && exact.is_nan() {
        return 0.0;
    }
    // An infinity stands for the first number too large, so that overflowing one number early or late counts as one ulp.
    if got == exact && got.is_infinite() {
        return 0.0;
    }
    let top = 2f64.powi(-min_exponent + 2).min(f64::MAX);
    let (near, far) = (got.clamp(-top, top), exact.clamp(-top, top));
    if near.is_nan() || far.is_nan() || (got == 0.0 && got.is_sign_negative() != exact.is_sign_negative()) {
        return f64::INFINITY;
    }
    let exponent =
        if far == 0.0 { min_exponent } else { ((far.abs().to_bits() >> 52) as i32 - 1023).max(min_exponent) };
    let exponent = exponent.min(-min_exponent + 1);
    // In two steps: the unit itself may be below the range of f64.
    (near - far).abs() * 2f64.powi(-exponent) * 2f64.powi(fraction_bits)
}

/// [`ulps`] in a format.
pub(crate) fn ulps_in(dtype: DType, got: f64, exact: f64) -> f64 {
    match dtype {
        DType::F64 => ulps(got, exact, 52, -1022),
        DType::F32 => ulps(got, exact, 23, -126),
        DType::Bf16 => ulps(got, exact, 7, -126),
        DType::F16 => ulps(got, exact, 10, -14),
        other => panic!("{other} is not a float type"),
    }
}

/// [`ulps`] in `f32`.
pub(crate) fn ulps_f32(got: f32, exact: f64) -> f64 {
    ulps_in(DType::F32, f64::from(got), exact)
}

/// The largest error met and where.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Worst {
    pub(crate) ulps: f64,
    pub(crate) at: f64,
}

impl Worst {
    pub(crate) fn see(&mut self, ulps: f64, at: f64) {
        if ulps > self.ulps {
            *self = Self { ulps, at };
        }
    }
}

/// A line of the table.
pub(crate) fn report(op: ScalarOp, dtype: DType, worst: Worst) {
    let program = (op.def().expand)(dtype).expect("an expansion");
    // Constants, parameters and reinterpretations of bits are free.
    let ops = program.body.iter().filter(|i| matches!(i, Instr::Apply(..) | Instr::Cast(..))).count();
    println!("| {op} | {dtype} | {:.2} | {:e} | {ops} |", worst.ulps, worst.at);
}

/// Pseudorandom bit patterns, the same on every run (a 64-bit congruential generator's upper half).
pub(crate) fn random_bits(seed: u64) -> impl Iterator<Item = u32> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    })
}
