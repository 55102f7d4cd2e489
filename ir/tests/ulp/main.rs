//! How far the expansions of transcendental ops are from the correctly rounded result.
//!
//! The sweep takes every `GRADC_ULP_STRIDE`-th bit pattern of `f32` (by default some two thousand of every exponent and sign; 1 is exhaustive)
//! and compares with the op's reference in `f64`. To print the table of `docs/accuracy.md`:
//! `cargo test -p gradc-ir --release --test ulp -- --nocapture --test-threads 1`.

#![allow(clippy::print_stdout)]

mod edges;
mod f64_sweep;
mod lanes;
mod measure;
mod pow;
mod sixteen_bits;

use edges::eval_f32;
use ir::{DType, Scalar, ScalarOp};
use lanes::LaneValues;
use measure::{Worst, report, ulps_f32};

const LANES: usize = 4096;

fn stride() -> u64 {
    // A prime, so that the low bits of the mantissas vary too.
    std::env::var("GRADC_ULP_STRIDE").ok().and_then(|s| s.parse().ok()).unwrap_or(4001)
}

/// Sweeps the bit patterns of `f32` from `offset` by the stride.
fn sweep_f32(op: ScalarOp, domain: impl Fn(f32) -> bool) -> Worst {
    let program = (op.def().expand)(DType::F32).expect("an expansion");
    let mut worst = Worst::default();
    let mut bits =
        (0..=u64::from(u32::MAX)).step_by(stride() as usize).map(|b| f32::from_bits(b as u32)).filter(|x| domain(*x));
    loop {
        let xs: Vec<f32> = bits.by_ref().take(LANES).collect();
        if xs.is_empty() {
            return worst;
        }
        let LaneValues::F32(got) = lanes::run(&program, &[LaneValues::F32(xs.clone())], xs.len()) else {
            panic!("not f32")
        };
        for (&x, got) in xs.iter().zip(got) {
            let exact = op.eval(&[Scalar::F64(f64::from(x))]).as_f64();
            worst.see(ulps_f32(got, exact), f64::from(x));
        }
    }
}

fn check_f32(op: ScalarOp) {
    let worst = sweep_f32(op, |_| true);
    report(op, DType::F32, worst);
    assert!(worst.ulps <= f64::from(op.def().max_ulp), "{op}: {worst:?}");
}

macro_rules! f32_sweeps {
    ($($test:ident: $op:ident,)*) => {
        $(#[test]
        fn $test() {
            check_f32(ScalarOp::$op);
        })*
    };
}

f32_sweeps! {
    exp_f32: EXP,
    expm1_f32: EXPM1,
    log_f32: LOG,
    log1p_f32: LOG1P,
    tanh_f32: TANH,
    sigmoid_f32: SIGMOID,
    softplus_f32: SOFTPLUS,
    erf_f32: ERF,
    erfc_f32: ERFC,
    normal_cdf_f32: NORMAL_CDF,
    normal_cdf_short_f32: NORMAL_CDF_SHORT,
    rsqrt_f32: RSQRT,
}

/// Up to here `sin` and `cos` are reduced exactly enough; beyond they give NaN.
const TRIG_LIMIT: f32 = 4_194_304.0;

#[test]
fn sin_and_cos_f32() {
    for op in [ScalarOp::SIN, ScalarOp::COS] {
        let worst = sweep_f32(op, |x| x.is_nan() || x.abs() <= TRIG_LIMIT);
        report(op, DType::F32, worst);
        assert!(worst.ulps <= f64::from(op.def().max_ulp), "{op}: {worst:?}");
        for x in [f32::INFINITY, f32::NAN, TRIG_LIMIT * 1.001, -f32::MAX] {
            assert!(eval_f32(op, x).is_nan(), "{op}({x})");
        }
    }
    assert_eq!(eval_f32(ScalarOp::SIN, -0.0).to_bits(), (-0.0f32).to_bits());
    assert_eq!(eval_f32(ScalarOp::COS, -0.0), 1.0);
}

/// The arguments nearest to multiples of pi/2, where the reduction cancels most.
#[test]
fn sin_and_cos_near_their_zeros() {
    for n in (1..2_670_000i64).step_by(7) {
        let near = (n as f64 * std::f64::consts::FRAC_PI_2) as f32;
        for (op, odd) in [(ScalarOp::SIN, 0), (ScalarOp::COS, 1)] {
            if n % 2 == odd {
                let exact = op.eval(&[Scalar::F64(f64::from(near))]).as_f64();
                let error = ulps_f32(eval_f32(op, near), exact);
                assert!(error <= f64::from(op.def().max_ulp), "{op}({near:e}): {error}");
            }
        }
    }
}
