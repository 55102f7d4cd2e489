//! How far the expansions of transcendental ops are from the correctly rounded result.
//!
//! The sweep takes every `GRADC_ULP_STRIDE`-th bit pattern of `f32` (by default some two thousand of every exponent and sign; 1 is exhaustive)
//! and compares with the op's reference in `f64`. To print the table of `docs/accuracy.md`:
//! `cargo test -p gradc-ir --release --test ulp -- --nocapture --test-threads 1`.

#![allow(clippy::print_stdout)]

mod lanes;

use ir::{DType, Scalar, ScalarOp};
use lanes::Column;

const LANES: usize = 4096;

fn stride() -> u64 {
    // A prime, so that the low bits of the mantissas vary too.
    std::env::var("GRADC_ULP_STRIDE").ok().and_then(|s| s.parse().ok()).unwrap_or(4001)
}

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

fn ulps_f32(got: f32, exact: f64) -> f64 {
    ulps(f64::from(got), exact, 23, -126)
}

/// The largest error met and where.
#[derive(Clone, Copy, Default, Debug)]
struct Worst {
    ulps: f64,
    at: f64,
}

impl Worst {
    fn see(&mut self, ulps: f64, at: f64) {
        if ulps > self.ulps {
            *self = Self { ulps, at };
        }
    }
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
        let Column::F32(got) = lanes::run(&program, &[Column::F32(xs.clone())], xs.len()) else { panic!("not f32") };
        for (&x, got) in xs.iter().zip(got) {
            let exact = op.eval(&[Scalar::F64(f64::from(x))]).as_f64();
            worst.see(ulps_f32(got, exact), f64::from(x));
        }
    }
}

fn report(op: ScalarOp, dtype: DType, worst: Worst) {
    let program = (op.def().expand)(dtype).expect("an expansion");
    println!("| {op} | {dtype} | {:.2} | {:e} | {} |", worst.ulps, worst.at, program.op_count());
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
    erf_f32: ERF,
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

/// Pseudorandom bit patterns, the same on every run (a 64-bit congruential generator's upper half).
fn random_bits(seed: u64) -> impl Iterator<Item = u32> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    })
}

/// Bases of every exponent with powers that keep the result in range, and bases near 1 with large ones.
#[test]
fn pow_f32() {
    let op = ScalarOp::POW;
    let program = (op.def().expand)(DType::F32).expect("an expansion");
    let mut bits = random_bits(1);
    let mut next = || bits.next().expect("endless");
    let (mut worst, rounds) = (Worst::default(), (1 << 32) / stride() as usize / LANES);
    for _ in 0..rounds {
        let (mut xs, mut ys) = (Vec::new(), Vec::new());
        for i in 0..LANES {
            let unit = f64::from(next()) / 4_294_967_296.0;
            let x = match i % 4 {
                0 => f32::from_bits(next() >> 1),
                1 => f32::from_bits(0x3f00_0000 + (next() >> 8)),
                2 => f32::from_bits(0x3f7f_0000 + (next() >> 15)),
                _ => -(f64::from(next() >> 28) as f32),
            };
            // A result between 2^-155 and 2^130, with the ends.
            let y =
                if i % 4 == 3 { (next() >> 29) as f32 } else { ((unit * 285.0 - 155.0) / f64::from(x).log2()) as f32 };
            xs.push(x);
            ys.push(y);
        }
        let columns = [Column::F32(xs.clone()), Column::F32(ys.clone())];
        let Column::F32(got) = lanes::run(&program, &columns, LANES) else { panic!("not f32") };
        for i in 0..LANES {
            let exact = f64::from(xs[i]).powf(f64::from(ys[i]));
            let error = ulps_f32(got[i], exact);
            assert!(
                error <= f64::from(op.def().max_ulp),
                "pow({:e}, {:e}) = {:e}, not {exact:e}",
                xs[i],
                ys[i],
                got[i]
            );
            worst.see(error, f64::from(xs[i]));
        }
    }
    report(op, DType::F32, worst);
}

/// Every pair of special operands: IEEE 754-2019, 9.2.1, which `f64::powf` follows.
#[test]
fn pow_at_its_edges() {
    for dtype in [DType::F32, DType::F64] {
        let program = (ScalarOp::POW.def().expand)(dtype).expect("an expansion");
        let powers = [0.5, 1.0, 2.0, 3.0, 0.1, 16_777_215.0, 16_777_216.0, 1e-40, 1e38].map(|y| y as f32);
        let mut all = edges();
        all.extend(powers.iter().flat_map(|y| [*y, -y]));
        for (x, y) in all.iter().flat_map(|x| all.iter().map(move |y| (f64::from(*x), f64::from(*y)))) {
            let got = program.eval(&[Scalar::from_f64(x, dtype), Scalar::from_f64(y, dtype)]).as_f64();
            let exact = x.powf(y);
            let error = if dtype == DType::F32 { ulps(got, exact, 23, -126) } else { ulps(got, exact, 52, -1022) };
            let allowed = if dtype == DType::F32 { 2.0 } else { 4.0 };
            assert!(error <= allowed, "pow({x:e}, {y:e}) = {got:e}, not {exact:e} in {dtype}: {error}");
        }
    }
}

/// The largest float below `x > 0`.
fn below(x: f32) -> f32 {
    f32::from_bits(x.to_bits() - 1)
}

fn eval_f32(op: ScalarOp, x: f32) -> f32 {
    let program = (op.def().expand)(DType::F32).expect("an expansion");
    program.eval(&[Scalar::F32(x)]).as_f64() as f32
}

/// Arguments at which something changes, for every unary op: zeros, infinities, NaN, the ends of the denormals, 1 and its
/// neighbours, and the overflow and underflow points of the exponential.
fn edges() -> Vec<f32> {
    let tiny = f32::from_bits(1);
    let mut all =
        vec![0.0, tiny, below(f32::MIN_POSITIVE), f32::MIN_POSITIVE, 1e-20, 0.5, below(1.0), 1.0, 1.0 + f32::EPSILON];
    all.extend([2.0, 9.0, 9.1, 17.0, 18.0, 87.33, 88.722_83, 88.722_84, 89.0, 103.97, 103.98, 104.0, 150.0, 1e30]);
    all.extend([f32::MAX, f32::INFINITY, f32::NAN]);
    let negated: Vec<f32> = all.iter().map(|x| -x).collect();
    all.extend(negated);
    all
}

/// The ops of one operand that this file sweeps.
const UNARY: [ScalarOp; 8] = [
    ScalarOp::EXP,
    ScalarOp::EXPM1,
    ScalarOp::LOG,
    ScalarOp::LOG1P,
    ScalarOp::TANH,
    ScalarOp::SIGMOID,
    ScalarOp::ERF,
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

#[test]
fn lanes_agree_with_eval() {
    for op in UNARY {
        for dtype in [DType::F32, DType::F64] {
            let program = (op.def().expand)(dtype).expect("an expansion");
            let xs = edges();
            let column = match dtype {
                DType::F32 => Column::F32(xs.clone()),
                _ => Column::F64(xs.iter().map(|x| f64::from(*x)).collect()),
            };
            let got = lanes::run(&program, std::slice::from_ref(&column), xs.len());
            for (i, x) in xs.iter().enumerate() {
                let (lane, scalar) = (got.get(i), program.eval(&[column.get(i)]));
                assert!(lane == scalar || (lane.is_nan() && scalar.is_nan()), "{op} at {x}: {lane} and {scalar}");
            }
        }
    }
}
