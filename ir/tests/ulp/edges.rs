//! The arguments at which something changes: results there are listed, not sampled.

use crate::lanes::{self, LaneValues};
use crate::measure::ulps_f32;
use ir::scalar::{Instr, Reg, ScalarProgram};
use ir::{DType, Scalar, ScalarOp};

/// The largest float below `x > 0`.
fn below(x: f32) -> f32 {
    f32::from_bits(x.to_bits() - 1)
}

pub(crate) fn eval_f32(op: ScalarOp, x: f32) -> f32 {
    let program = (op.def().expand)(DType::F32).expect("an expansion");
    program.eval(&[Scalar::F32(x)]).as_f64() as f32
}

/// Arguments at which something changes, for every unary op: zeros, infinities, NaN, the ends of the denormals, 1 and its
/// neighbours, and the overflow and underflow points of the exponential.
pub(crate) fn edges() -> Vec<f32> {
    let tiny = f32::from_bits(1);
    let mut all =
        vec![0.0, tiny, below(f32::MIN_POSITIVE), f32::MIN_POSITIVE, 1e-20, 0.5, below(1.0), 1.0, 1.0 + f32::EPSILON];
    all.extend([
        2.0, 9.0, 9.1, 17.0, 18.0, 87.33, 88.722_83, 88.722_84, 89.0, 103.97, 103.98, 104.0, 150.0, 175.9, 176.0,
        200.0, 1e30,
    ]);
    all.extend([f32::MAX, f32::INFINITY, f32::NAN]);
    let negated: Vec<f32> = all.iter().map(|x| -x).collect();
    all.extend(negated);
    all
}

/// The ops of one operand that this file sweeps.
pub(crate) const UNARY: [ScalarOp; 11] = [
    ScalarOp::EXP,
    ScalarOp::EXPM1,
    ScalarOp::LOG,
    ScalarOp::LOG1P,
    ScalarOp::TANH,
    ScalarOp::SIGMOID,
    ScalarOp::SOFTPLUS,
    ScalarOp::ERF,
    ScalarOp::ERFC,
    ScalarOp::NORMAL_CDF,
    ScalarOp::RSQRT,
];

#[test]
fn edges_are_right() {
    for op in UNARY {
        for x in edges() {
            let (got, exact) = (eval_f32(op, x), op.eval(&[Scalar::F64(f64::from(x))]).as_f64());
            let error = ulps_f32(got, exact);
            assert!(error <= f64::from(op.def().max_ulp), "{op}({x:e}) = {got:e}, not {exact:e}");
            // What is exactly representable at the edges is exact: zeros, infinities and NaN.
            let rounded = exact as f32;
            if rounded.is_infinite() || exact == 0.0 {
                assert_eq!(got.to_bits(), rounded.to_bits(), "{op}({x:e})");
            }
        }
    }
}

#[test]
fn overflow_and_underflow_happen_where_they_should() {
    // ln of the largest f32 is 88.72283905...; of half the least denormal, -103.97207...
    assert!(eval_f32(ScalarOp::EXP, 88.722_83).is_finite());
    assert_eq!(eval_f32(ScalarOp::EXP, 88.722_84), f32::INFINITY);
    assert!(eval_f32(ScalarOp::EXPM1, 88.722_83).is_finite());
    assert_eq!(eval_f32(ScalarOp::EXPM1, 88.722_84), f32::INFINITY);
    assert_eq!(eval_f32(ScalarOp::EXP, -100.0).to_bits(), 27, "exp(-100) is a denormal");
    assert_eq!(eval_f32(ScalarOp::EXP, -103.97).to_bits(), 1);
    assert_eq!(eval_f32(ScalarOp::EXP, -103.98), 0.0);
    assert_eq!(eval_f32(ScalarOp::SIGMOID, -100.0).to_bits(), 27);
    assert_eq!(eval_f32(ScalarOp::EXPM1, -0.0).to_bits(), (-0.0f32).to_bits());
    assert_eq!(eval_f32(ScalarOp::TANH, -0.0).to_bits(), (-0.0f32).to_bits());
    assert_eq!(eval_f32(ScalarOp::LOG1P, -0.0).to_bits(), (-0.0f32).to_bits());
}

/// A product of numbers that is below the normal range takes processors many times as long; scores that a mask hides from a softmax are exponents
/// far below.
#[test]
fn exponentials_of_hidden_scores_lose_no_product_below_the_denormals() {
    for (dtype, xs) in [(DType::F32, [-176.0, -1e30]), (DType::F64, [-1418.0, -1e30])] {
        let program = (ScalarOp::EXP.def().expand)(dtype).expect("an expansion");
        let types = program.types(&[dtype]).expect("types");
        let least = if dtype == DType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
        for x in xs {
            let value = |i: usize| {
                let upto = ScalarProgram { body: program.body[..=i].to_vec(), result: Reg(i as u32) };
                upto.eval(&[Scalar::F64(x).cast(dtype)]).as_f64()
            };
            for (i, instr) in program.body.iter().enumerate().filter(|(i, _)| types[*i] == dtype) {
                let Instr::Apply(op, operands) = instr else { continue };
                let is_lost = *op == ScalarOp::MUL && operands.iter().all(|o| value(o.0 as usize) != 0.0);
                assert!(
                    !is_lost || value(i).abs() >= least,
                    "exp({x}) of {dtype}: instruction {i} gives {:e}",
                    value(i)
                );
            }
            assert_eq!(value(program.result.0 as usize), 0.0);
        }
    }
}

#[test]
fn lanes_agree_with_eval() {
    for op in UNARY {
        for dtype in [DType::F32, DType::F64] {
            let program = (op.def().expand)(dtype).expect("an expansion");
            let xs = edges();
            let column = match dtype {
                DType::F32 => LaneValues::F32(xs.clone()),
                _ => LaneValues::F64(xs.iter().map(|x| f64::from(*x)).collect()),
            };
            let got = lanes::run(&program, std::slice::from_ref(&column), xs.len());
            for (i, x) in xs.iter().enumerate() {
                let (lane, scalar) = (got.get(i), program.eval(&[column.get(i)]));
                assert!(lane == scalar || (lane.is_nan() && scalar.is_nan()), "{op} at {x}: {lane} and {scalar}");
            }
        }
    }
}

/// `count` neighbouring floats around `centre`, ascending.
fn neighbours(centre: f32, count: u32) -> Vec<f32> {
    let start = centre.to_bits() - count / 2;
    (start..start + count).map(f32::from_bits).collect()
}

/// Where a program changes from one formula to another, or saturates: results stay in bounds, and don't fall by more than one
/// unit where the function rises.
#[test]
fn formulas_meet_in_order() {
    for (op, points) in [
        (ScalarOp::TANH, vec![0.5625, 9.0, 9.011, 9.1]),
        (ScalarOp::ERF, vec![1.0, 3.8, 3.92, 4.0]),
        (ScalarOp::SOFTPLUS, vec![1e-30, 0.881, 17.0, 104.0]),
        (ScalarOp::SIGMOID, vec![1e-3, 16.6, 17.3, 0.3466]),
        (ScalarOp::EXP, vec![0.3466, 88.72, 1.04]),
        (ScalarOp::EXPM1, vec![1.5e-8, 0.3466, 17.3, 88.72]),
        (ScalarOp::LOG, vec![std::f32::consts::FRAC_1_SQRT_2, 1.0, std::f32::consts::SQRT_2, 2e-38]),
        (ScalarOp::LOG1P, vec![0.4142, 1e-8, 3e38]),
    ] {
        let program = (op.def().expand)(DType::F32).expect("an expansion");
        for centre in points {
            let xs = neighbours(centre, 20_000);
            let negated: Vec<f32> = xs.iter().rev().map(|x| -x).collect();
            for xs in [xs, negated] {
                let LaneValues::F32(ys) = lanes::run(&program, &[LaneValues::F32(xs.clone())], xs.len()) else {
                    panic!("not f32")
                };
                for (i, pair) in ys.windows(2).enumerate() {
                    let fell = pair[1] < pair[0] && ulps_f32(pair[1], f64::from(pair[0])) > 1.0;
                    assert!(!fell, "{op} falls from {:e} to {:e} after {:e}", pair[0], pair[1], xs[i]);
                }
                let bounds = match op.name() {
                    "tanh" | "erf" => -1.0..=1.0,
                    "sigmoid" => 0.0..=1.0,
                    "exp" => 0.0..=f32::INFINITY,
                    _ => f32::NEG_INFINITY..=f32::INFINITY,
                };
                assert!(ys.iter().all(|y| y.is_nan() || bounds.contains(y)), "{op} leaves its bounds near {centre}");
            }
        }
    }
}
