//! Statements: loops of every shape, bindings, accumulators, branches, locals, indices.

use crate::support::{edge_values, load, load_for, machines, program, read, same, write};
use kernel::{DType, Scalar};
use runtime::Backend;

fn f32s(values: &[f32]) -> Vec<Scalar> {
    values.iter().map(|&x| Scalar::F32(x)).collect()
}

fn run_f32(text: &str, x: &[f32]) -> Vec<f32> {
    let program = program(text);
    let results: Vec<Vec<f32>> = machines()
        .iter()
        .map(|target| {
            let mut executable = load_for(&program, target);
            write(&mut executable, "x", &f32s(x));
            executable.step().unwrap();
            executable.output::<f32>("y").unwrap().to_vec()
        })
        .collect();
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert!(results.iter().all(|values| bits(values) == bits(&results[0])), "{results:?}");
    results[0].clone()
}

fn ramp(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32 * 0.5 - 7.0).collect()
}

#[test]
fn a_transposition_moves_by_two_strides() {
    let text = "program \"t\" b0: f32[15] input \"x\" b1: f32[15] output \"y\"
        kernel t(p0: read f32[15], p1: write f32[15]) {
          for i0 in 0..3 { for i1 in 0..5 { store p1[i1*3 + i0] = load p0[i0*5 + i1] } }
        } launch t(b0, b1)";
    let x = ramp(15);
    let expected: Vec<f32> = (0..15).map(|o| x[(o % 3) * 5 + o / 3]).collect();
    assert_eq!(run_f32(text, &x), expected);
}

#[test]
fn a_loop_uses_its_variable_as_value_and_by_many_strides() {
    // Strides of 12, 20, 28, 36 and 44 bytes are more counters than a loop keeps; the index itself is used as well.
    let text = "program \"s\" b0: f32[60] input \"x\" b1: f32[5] output \"y\"
        kernel s(p0: read f32[60], p1: write f32[5]) {
          for i0 in 0..5 {
            let v0 = add(load p0[i0*3], add(load p0[i0*5 + 1], load p0[i0*7 + 2]))
            let v1 = add(load p0[i0*9 + 3], load p0[i0*11 + 4])
            store p1[i0] = add(add(v0, v1), cast(index i0*2 + 1 : i32 : f32))
          }
        } launch s(b0, b1)";
    let x = ramp(60);
    let expected: Vec<f32> = (0..5)
        .map(|i| {
            let sum = x[i * 3] + (x[i * 5 + 1] + x[i * 7 + 2]) + (x[i * 9 + 3] + x[i * 11 + 4]);
            sum + (2 * i + 1) as f32
        })
        .collect();
    assert_eq!(run_f32(text, &x), expected);
}

#[test]
fn a_stride_may_be_negative_and_an_extent_one() {
    let text = "program \"r\" b0: f32[12] input \"x\" b1: f32[12] output \"y\"
        kernel r(p0: read f32[12], p1: write f32[12]) {
          for i0 in 0..1 { for i1 in 0..3 { for i2 in 0..4 {
            store p1[i0*12 + i1*4 + i2] = load p0[i1*-4 + i2*-1 + 11]
          } } }
        } launch r(b0, b1)";
    let x = ramp(12);
    let expected: Vec<f32> = x.iter().rev().copied().collect();
    assert_eq!(run_f32(text, &x), expected);
}

#[test]
fn accumulators_live_through_nested_loops_and_branches() {
    let text = "program \"a\" b0: f32[24] input \"x\" b1: f32[2] output \"y\"
        kernel a(p0: read f32[24], p1: write f32[2]) {
          var v0 = 0.0f32
          var v1 = -inf:f32
          for i0 in 0..4 { for i1 in 0..6 {
            let v2 = load p0[i0*6 + i1]
            if gt(v2, 0.0f32) { v0 add= v2 } else { v0 = sub(v0, 1.0f32) }
            v1 max= v2
          } }
          store p1[0] = v0
          store p1[1] = v1
        } launch a(b0, b1)";
    let x = ramp(24);
    let sum = x.iter().fold(0.0, |s, &v| if v > 0.0 { s + v } else { s - 1.0 });
    assert_eq!(run_f32(text, &x), [sum, 4.5]);
}

#[test]
fn locals_keep_what_an_iteration_stores() {
    let text = "program \"l\" b0: f32[16] input \"x\" b1: f32[16] output \"y\"
        kernel l(p0: read f32[16], p1: write f32[16]) {
          local l0: u8[3]
          local l1: f32[4]
          for i0 in 0..4 {
            for i1 in 0..4 { store l1[i1] = mul(load p0[i0*4 + i1], 2.0f32) }
            for i2 in 0..4 { store p1[i0*4 + i2] = load l1[i2*-1 + 3] }
          }
        } launch l(b0, b1)";
    let x = ramp(16);
    let expected: Vec<f32> = (0..16).map(|o| 2.0 * x[o / 4 * 4 + 3 - o % 4]).collect();
    assert_eq!(run_f32(text, &x), expected);
}

#[test]
fn folds_take_halves_onto_each_other() {
    // Values whose sum depends on the order.
    let x = [1e8f32, 1.0, -1e8, 3.0, 5e7, -2.5, 0.25, 7.0];
    for (lanes, n) in [(4usize, 4usize), (8, 8), (2, 2)] {
        let text = format!(
            "program \"f\" b0: f32[{n}] input \"x\" b1: f32[1] output \"y\"
            kernel f(p0: read f32[{n}], p1: write f32[1]) {{ store p1[0] = fold add(load.x{lanes} p0[0]) }}
            launch f(b0, b1)"
        );
        let mut values = x[..n].to_vec();
        while values.len() > 1 {
            let half = values.len() / 2;
            values = (0..half).map(|l| values[l] + values[l + half]).collect();
        }
        assert_eq!(run_f32(&text, &x[..n]), values);
    }
}

#[test]
fn strided_loads_and_vector_indices_give_each_lane_its_own() {
    let text = "program \"v\" b0: f32[32] input \"x\" b1: f32[8] output \"y\"
        kernel v(p0: read f32[32], p1: write f32[8]) {
          vector i0 in 0..2 {
            let v0 = index i0*10 + 1 : i32x4 stride 3
            store p1[i0*4] = add(load.x4 p0[i0*16 + 1] stride 4, cast(v0 : f32))
          }
        } launch v(b0, b1)";
    let x = ramp(32);
    let expected: Vec<f32> =
        (0..8).map(|o| x[o / 4 * 16 + 1 + o % 4 * 4] + (o / 4 * 10 + 1 + o % 4 * 3) as f32).collect();
    assert_eq!(run_f32(text, &x), expected);
}

/// Those of 16-bit floats were left to the portable emitter.
#[test]
fn strided_loads_of_every_type_are_vector_code() {
    for dtype in DType::ALL {
        let edges = edge_values(dtype);
        let values: Vec<Scalar> = (0..160).map(|i| edges[i * 7 % edges.len()]).collect();
        for (lanes, stride) in [(2, 3), (5, 2), (8, 5), (8, -1), (16, 4), (16, -3), (30, 2), (48, 3)] {
            let first = if stride < 0 { 150 } else { 1 };
            let text = format!(
                "program \"s\" b0: {dtype}[160] input \"x\" b1: {dtype}[{lanes}] output \"y\"
                kernel s(p0: read {dtype}[160], p1: write {dtype}[{lanes}]) {{
                  store p1[0] = load.x{lanes} p0[{first}] stride {stride}
                }} launch s(b0, b1)"
            );
            let program = program(&text);
            for target in machines() {
                let mut executable = load_for(&program, &target);
                write(&mut executable, "x", &values);
                executable.step().unwrap();
                for (lane, found) in (0..).zip(read(&executable, "y")) {
                    let expected = values[(first + lane * stride) as usize];
                    assert!(same(found, expected), "{found:?} instead of {expected:?} in {text} on {target}");
                }
                let emitter = &executable.loaded().kernels()[0].emitter;
                assert!(!target.is_wide() || *emitter == Backend::X86, "{emitter:?} of {text}");
            }
        }
    }
}

#[test]
fn masks_of_one_width_select_elements_of_another() {
    let text = "program \"m\" b0: f32[8] input \"x\" b1: i64[8] output \"y\" b2: bool[8] output \"z\"
        kernel m(p0: read f32[8], p1: write i64[8], p2: write bool[8]) {
          vector i0 in 0..2 {
            let v0 = gt(load.x4 p0[i0*4], splat.x4(0.0f32))
            let v1 = lt(index i0*4 : i64x4 stride 1, splat.x4(6i64))
            let v2 = and(v0, not(v1))
            store p2[i0*4] = or(v2, not(v0))
            store p1[i0*4] = select(v0, index i0*4 : i64x4 stride 1, splat.x4(-1i64))
          }
        } launch m(b0, b1, b2)";
    let x = [1.0f32, -1.0, 2.0, f32::NAN, 0.0, 5.0, 6.0, -7.0];
    let mut executable = load(program(text));
    write(&mut executable, "x", &f32s(&x));
    executable.step().unwrap();
    let positions: Vec<i64> = (0..8).map(|i| if x[i as usize] > 0.0 { i } else { -1 }).collect();
    assert_eq!(executable.output::<i64>("y").unwrap(), positions);
    let truths: Vec<Scalar> = (0..8)
        .map(|i| {
            Scalar::Bool((x[i] > 0.0 && i >= 6) || !matches!(x[i].partial_cmp(&0.0), Some(std::cmp::Ordering::Greater)))
        })
        .collect();
    assert_eq!(read(&executable, "z"), truths);
}

#[test]
fn index_arithmetic_divides_takes_remainders_and_clamps() {
    let text = "program \"i\" b0: f32[12] input \"x\" b1: f32[12] output \"y\"
        kernel i(p0: read f32[12], p1: write f32[12]) {
          for i0 in 0..12 {
            let i1 = (i0 + 1) / 4
            let i2 = (i0 + 1) % 4
            let i3 = clamp(i0 + -3, 0, 5)
            store p1[i0] = add(load p0[i1*2 + i2], load p0[i3])
          }
        } launch i(b0, b1)";
    let x = ramp(12);
    let expected: Vec<f32> =
        (0..12).map(|i: usize| x[(i + 1) / 4 * 2 + (i + 1) % 4] + x[(i as i64 - 3).clamp(0, 5) as usize]).collect();
    assert_eq!(run_f32(text, &x), expected);
}
