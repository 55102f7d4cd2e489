//! The error of `pow`, whose two operands need a sampling of their own.

use crate::edges::edges;
use crate::lanes::{self, LaneValues};
use crate::measure::{Worst, random_bits, report, ulps_f32, ulps_in};
use crate::{LANES, stride};
use ir::{DType, Scalar, ScalarOp};

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
        let columns = [LaneValues::F32(xs.clone()), LaneValues::F32(ys.clone())];
        let LaneValues::F32(got) = lanes::run(&program, &columns, LANES) else { panic!("not f32") };
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
            let error = ulps_in(dtype, got, exact);
            let allowed = if dtype == DType::F32 { 2.0 } else { 4.0 };
            assert!(error <= allowed, "pow({x:e}, {y:e}) = {got:e}, not {exact:e} in {dtype}: {error}");
        }
    }
}
