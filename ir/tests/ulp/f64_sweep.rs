//! The errors of the `f64` programs, against the standard library's functions (`erf`: the reference's series). Those are themselves
//! off by up to about one unit (`erf`, `tanh` and `sigmoid` two), which the bound includes.

use crate::LANES;
use crate::lanes::{self, LaneValues};
use crate::measure::{Worst, random_bits, report, ulps_in};
use ir::{DType, Scalar, ScalarOp};

/// How far the `f64` results may be from the reference.
const MAX_ULP: f64 = 3.0;

/// Numbers of either sign with exponents drawn evenly from `exponents`.
fn draw(seed: u64, exponents: std::ops::Range<i32>) -> impl Iterator<Item = f64> {
    let mut bits = random_bits(seed);
    let mut next = move || u64::from(bits.next().expect("endless"));
    std::iter::repeat_with(move || {
        let fraction = (next() << 20) ^ next();
        let sign = (next() & 1) << 63;
        let exponent = exponents.start + (next() % (exponents.end - exponents.start) as u64) as i32;
        f64::from_bits(sign | ((exponent + 1023) as u64) << 52 | (fraction & ((1 << 52) - 1)))
    })
}

fn sweep(op: ScalarOp, exponents: std::ops::Range<i32>, count: usize) -> Worst {
    let program = (op.def().expand)(DType::F64).expect("an expansion");
    let mut worst = Worst::default();
    let mut numbers = draw(7, exponents);
    for _ in 0..count.div_ceil(LANES) {
        let xs: Vec<f64> = numbers.by_ref().take(LANES).collect();
        let LaneValues::F64(got) = lanes::run(&program, &[LaneValues::F64(xs.clone())], LANES) else {
            panic!("not f64")
        };
        for (x, got) in xs.into_iter().zip(got) {
            let exact = op.eval(&[Scalar::F64(x)]).as_f64();
            worst.see(ulps_in(DType::F64, got, exact), x);
        }
    }
    worst
}

#[test]
fn f64_programs_are_close_to_the_standard_library() {
    use ScalarOp as Op;
    // Where the functions have their variety, and for the others every exponent.
    for (op, exponents) in [
        (Op::EXP, -60..11),
        (Op::EXPM1, -60..11),
        (Op::LOG, -1022..1024),
        (Op::LOG, -3..3),
        (Op::LOG1P, -60..1024),
        (Op::LOG1P, -8..4),
        (Op::TANH, -60..6),
        (Op::SIGMOID, -60..11),
        (Op::SOFTPLUS, -60..11),
        (Op::ERF, -60..4),
        (Op::ERFC, -60..5),
        (Op::NORMAL_CDF, -60..6),
        (Op::NORMAL_CDF_SHORT, -60..6),
        (Op::SIN, -60..40),
        (Op::COS, -60..40),
        (Op::RSQRT, -1022..1024),
    ] {
        let worst = sweep(op, exponents, 100_000);
        report(op, DType::F64, worst);
        // The product of an exponential, a polynomial and a quotient, against a reference that is one too.
        let is_tail = [Op::ERFC, Op::NORMAL_CDF, Op::NORMAL_CDF_SHORT].contains(&op);
        let limit = if is_tail { 2.0 * MAX_ULP } else { MAX_ULP };
        assert!(worst.ulps <= limit, "{op} in f64: {worst:?}");
    }
}

#[test]
fn pow_in_f64_is_close_to_the_standard_library() {
    let op = ScalarOp::POW;
    let program = (op.def().expand)(DType::F64).expect("an expansion");
    let (mut worst, mut near_one, mut any) = (Worst::default(), draw(11, -30..-1), draw(12, -1022..1024));
    let mut unit = draw(13, -6..0);
    for _ in 0..25 {
        let xs: Vec<f64> = (0..LANES)
            .map(|i| {
                let (near, far) = (near_one.next().expect("endless"), any.next().expect("endless"));
                if i % 2 == 0 { 1.0 + near } else { far.abs() }
            })
            .collect();
        let ys: Vec<f64> = xs.iter().map(|x| unit.next().expect("endless") * 1020.0 / x.log2()).collect();
        let columns = [LaneValues::F64(xs.clone()), LaneValues::F64(ys.clone())];
        let LaneValues::F64(got) = lanes::run(&program, &columns, LANES) else { panic!("not f64") };
        for i in 0..LANES {
            worst.see(ulps_in(DType::F64, got[i], xs[i].powf(ys[i])), xs[i]);
        }
    }
    report(op, DType::F64, worst);
    assert!(worst.ulps <= MAX_ULP, "{worst:?}");
}
