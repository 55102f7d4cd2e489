//! The 16-bit floats, exhaustively: a result is the `f32` program's, rounded once more, so it is within half a unit and a little.

use crate::TRIG_LIMIT;
use crate::edges::UNARY;
use crate::lanes::{self, LaneValues};
use crate::measure::{Worst, report, ulps_in};
use ir::{DType, Scalar, ScalarOp};

/// Half a unit, and two units of `f32` for the rounding of a result that is nearly in the middle.
fn bound(dtype: DType) -> f64 {
    let fraction_bits = if dtype == DType::F16 { 10 } else { 7 };
    0.5 + 2.0 * 2f64.powi(fraction_bits - 23)
}

fn check(op: ScalarOp, dtype: DType) {
    let program = (op.def().expand)(dtype).expect("an expansion");
    let every: Vec<Scalar> = (0..1 << 16).map(|bits| Scalar::from_bits(bits, dtype)).collect();
    let mut worst = Worst::default();
    let got = lanes::run(&program, &[LaneValues::Other(every.clone())], every.len());
    for (i, x) in every.iter().enumerate() {
        let x = x.as_f64();
        if ["sin", "cos"].contains(&op.name()) && x.abs() > f64::from(TRIG_LIMIT) {
            continue;
        }
        let exact = op.eval(&[Scalar::F64(x)]).as_f64();
        worst.see(ulps_in(dtype, got.get(i).as_f64(), exact), x);
    }
    report(op, dtype, worst);
    assert!(worst.ulps <= bound(dtype), "{op} in {dtype}: {worst:?}");
}

#[test]
fn every_bf16_and_f16() {
    for op in UNARY.into_iter().chain([ScalarOp::SIN, ScalarOp::COS]) {
        for dtype in [DType::Bf16, DType::F16] {
            check(op, dtype);
        }
    }
}
