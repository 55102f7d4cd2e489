//! Register tiles against the loops that define them, to the bit.

use crate::support::{fusing_machines, load_for, program, write};
use kernel::Scalar;

/// Deterministic values between -1 and 1 with full mantissas.
fn noise(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect()
}

/// The sum that the tile's meaning prescribes: fused, ascending.
fn dot32(terms: impl Iterator<Item = (f32, f32)>) -> f32 {
    terms.fold(0.0f32, |acc, (a, b)| a.mul_add(b, acc))
}

#[test]
fn tiles_of_every_shape_equal_the_defining_loops() {
    for (m, n, k) in
        [(6, 8, 256), (4, 8, 37), (1, 1, 3), (6, 9, 17), (3, 5, 8), (5, 12, 9), (8, 4, 1), (2, 3, 30), (1, 16, 5)]
    {
        let (rows, cols) = (2 * m, 3 * n);
        let (an, bn, cn) = (rows * k, k * cols, rows * cols);
        let text = format!(
            "program \"g\" b0: f32[{an}] input \"a\" b1: f32[{bn}] input \"b\" b2: f32[{cols}] input \"bias\"
            b3: f32[{cn}] output \"c\"
            kernel g(p0: read f32[{an}], p1: read f32[{bn}], p2: read f32[{cols}], p3: write f32[{cn}]) {{
              local l0: f32[{}]
              for i0 in 0..2 {{ for i1 in 0..3 {{
                micro {m}x{n} a=p0[i0*{}] stride {k}, b=p1[i1*{n}], reduce=[({k}, 1, {cols})], c=l0[0] stride {n}
                for i2 in 0..{m} {{ for i3 in 0..{n} {{
                  let v0 = add(load p2[i1*{n} + i3], load l0[i2*{n} + i3])
                  let v1 = mul(v0, cast(index i0*{m} + i2 : i32 : f32))
                  store p3[i0*{} + i1*{n} + i2*{cols} + i3] = select(lt(index i3 : i32, 2i32), v0, max(v1, 0.0f32))
                }} }}
              }} }}
            }} launch g(b0, b1, b2, b3)",
            m * n,
            m * k,
            m * cols
        );
        let (a, b, bias): (Vec<f32>, Vec<f32>, Vec<f32>) = (
            noise(an, 1).iter().map(|&x| x as f32).collect(),
            noise(bn, 2).iter().map(|&x| x as f32).collect(),
            noise(cols, 3).iter().map(|&x| x as f32).collect(),
        );
        for target in fusing_machines() {
            let mut executable = load_for(&program(&text), &target);
            executable.write_input("a", &a).unwrap();
            executable.write_input("b", &b).unwrap();
            executable.write_input("bias", &bias).unwrap();
            executable.step().unwrap();
            let c = executable.output::<f32>("c").unwrap();
            for row in 0..rows {
                for col in 0..cols {
                    let acc = bias[col] + dot32((0..k).map(|r| (a[row * k + r], b[r * cols + col])));
                    let expected = if col % n < 2 { acc } else { (acc * row as f32).max(0.0) };
                    let found = c[row * cols + col];
                    let case = || format!("{m}x{n}x{k} at {row}, {col}, {target}");
                    assert_eq!(found.to_bits(), expected.to_bits(), "{}: {found} for {expected}", case());
                }
            }
        }
    }
}

#[test]
fn a_tile_in_f64_reduces_over_several_loops_into_a_partial_sum() {
    // A convolution's reduction: 3 x 3 taps of 10 channels, on rows of 7 positions.
    let (m, n, an, bn) = (3, 5, 7 * 7 * 10, 9 * 10 * 5);
    let text = format!(
        "program \"c\" b0: f64[{an}] input \"a\" b1: f64[{bn}] input \"b\" b2: f64[15] input \"before\"
        b3: f64[15] output \"after\"
        kernel c(p0: read f64[{an}], p1: read f64[{bn}], p2: read f64[15], p3: readwrite f64[15]) {{
          for i0 in 0..15 {{ store p3[i0] = load p2[i0] }}
          micro {m}x{n} a=p0[80] stride 10, b=p1[0], reduce=[(3, 70, 150), (3, 10, 50), (10, 1, 5)], c add=p3[0] stride 5
        }} launch c(b0, b1, b2, b3)"
    );
    let (a, b, before) = (noise(an, 4), noise(bn, 5), noise(15, 6));
    for target in fusing_machines() {
        let mut executable = load_for(&program(&text), &target);
        for (name, values) in [("a", &a), ("b", &b), ("before", &before)] {
            write(&mut executable, name, &values.iter().map(|&x| Scalar::F64(x)).collect::<Vec<_>>());
        }
        executable.step().unwrap();
        for (at, &found) in executable.output::<f64>("after").unwrap().iter().enumerate() {
            let (i, j) = (at / 5, at % 5);
            let mut acc = 0.0;
            for (r, s, c) in (0..90).map(|t| (t / 30, t / 10 % 3, t % 10)) {
                acc = a[80 + i * 10 + r * 70 + s * 10 + c].mul_add(b[r * 150 + s * 50 + c * 5 + j], acc);
            }
            assert_eq!(found.to_bits(), (before[at] + acc).to_bits(), "at {i}, {j}, {target}");
        }
    }
}
