//! Pooling and its gradients.

use crate::{any_geometry, eval, f32s, geometries, i64s, inner, integers, run, window};
use ir::op::movement::{Pad, Slice};
use ir::op::source::Constant;
use ir::op::window::{Pool, PoolArgMax, PoolKind, PoolMaxGrad, PoolMaxTake, PoolSumGrad, Unpool, Window};
use ir::{Builder, DType, Graph, Op, Scalar, ScalarOp, Value};
use proptest::prelude::*;

fn pool(kind: PoolKind, window: &Window, x: &Value) -> Value {
    eval(Op::Pool(Pool { kind, window: window.clone() }), &[x])
}

/// Row-major coordinates of all places in a box.
pub(crate) fn places(dims: &[usize]) -> Vec<Vec<usize>> {
    let start = vec![vec![]];
    dims.iter().fold(start, |all, &d| all.iter().flat_map(|p| (0..d).map(|i| [&p[..], &[i]].concat())).collect())
}

/// One tensor `[n, o..., c]` per tap: the padded input, sliced with the window's stride from the tap's place.
pub(crate) fn taps(
    build: &mut Builder<'_>,
    x: ir::NodeId,
    window: &Window,
    output: &[usize],
    value: Scalar,
) -> Vec<ir::NodeId> {
    let around = |f: &dyn Fn(usize) -> usize| [&[0], &(0..window.rank()).map(f).collect::<Vec<_>>()[..], &[0]].concat();
    // More at the end than the window asks for, so that every slice finds its limit.
    let far = |axis: usize| window.pad[axis].1 + window.stride[axis];
    let (low, high) = (around(&|axis| window.pad[axis].0), around(&far));
    let interior = vec![0; low.len()];
    let padded = build.add(Op::Pad(Pad { value, low, high, interior }), &[x]).unwrap();
    let dims = build.ty(padded).shape.dims().to_vec();
    let (n, c) = (dims[0], dims[dims.len() - 1]);
    let mut slices = Vec::new();
    for tap in places(&window.size) {
        let first: Vec<usize> = tap.iter().zip(&window.dilation).map(|(k, d)| k * d).collect();
        let last = |axis: usize| first[axis] + (output[axis] - 1) * window.stride[axis] + 1;
        let start = [&[0], &first[..], &[0]].concat();
        let limit = [&[n], &(0..first.len()).map(last).collect::<Vec<_>>()[..], &[c]].concat();
        let stride = [&[1], &window.stride[..], &[1]].concat();
        slices.push(build.add(Op::Slice(Slice { start, limit, stride }), &[padded]).unwrap());
    }
    slices
}

/// Pooling by explicit padding and a chain of scalar ops over the taps.
fn pool_by_slices(kind: PoolKind, window: &Window, x: &Value) -> Value {
    let (value, op) = match kind {
        PoolKind::Sum => (Scalar::I64(0), ScalarOp::ADD),
        PoolKind::Max => (Scalar::lowest(DType::I64), ScalarOp::MAX),
    };
    let dims = x.ty().shape.dims();
    let output = window.output(&dims[1..dims.len() - 1]).unwrap();
    let mut graph = Graph::new("slices");
    let mut build = Builder::new(&mut graph, None);
    let x = build.add(Op::Constant(Constant { value: x.clone() }), &[]).unwrap();
    let slices = taps(&mut build, x, window, &output, value);
    let result = slices.into_iter().reduce(|a, b| build.binary(op, a, b).unwrap()).unwrap();
    graph.set_output("y", result);
    run(&graph)
}

/// Pooling equals its other formulation, and the sum's gradient is its adjoint.
fn check(spatial: &[usize], window: &Window, seed: u64) {
    let x = integers(&[&[2], spatial, &[3]].concat(), seed);
    for kind in [PoolKind::Sum, PoolKind::Max] {
        assert_eq!(pool(kind, window, &x), pool_by_slices(kind, window, &x), "{kind:?} {window:?}");
    }
    let y = pool(PoolKind::Sum, window, &x);
    let dy = integers(y.ty().shape.dims(), seed + 1);
    let dx = eval(Op::PoolSumGrad(PoolSumGrad { window: window.clone(), input: spatial.to_vec() }), &[&dy]);
    assert_eq!(inner(&x, &dx), inner(&y, &dy), "{window:?}");
    // Taking is pooling where both operands are one, and the gradient of the maximum is its adjoint in the second operand.
    let t = integers(x.ty().shape.dims(), seed + 2);
    let taken = eval(Op::PoolMaxTake(PoolMaxTake { window: window.clone() }), &[&x, &t]);
    let given = eval(Op::PoolMaxGrad(PoolMaxGrad { window: window.clone() }), &[&x, &dy]);
    assert_eq!(inner(&taken, &dy), inner(&t, &given), "{window:?}");
    let own = eval(Op::PoolMaxTake(PoolMaxTake { window: window.clone() }), &[&x, &x]);
    let max = pool(PoolKind::Max, window, &x);
    let met = |i: usize| max.get(i) != Scalar::lowest(DType::I64);
    assert!((0..own.data().len()).all(|i| own.get(i) == if met(i) { max.get(i) } else { Scalar::I64(0) }));
}

#[test]
fn pooling_is_a_fold_of_padded_slices() {
    for (i, (spatial, window)) in geometries().into_iter().enumerate() {
        check(&spatial, &window, i as u64);
    }
}

proptest! {
    #[test]
    fn any_pooling_is_a_fold_of_padded_slices((spatial, window) in any_geometry(), seed in 0..1000u64) {
        check(&spatial, &window, seed);
    }
}

#[test]
fn pools_by_hand() {
    // One image of 3x3, two channels: 1..9 and their negatives.
    let elements: Vec<f32> = (1..=9).flat_map(|v| [v as f32, -v as f32]).collect();
    let x = f32s(&[1, 3, 3, 2], &elements);
    let w = window(&[2, 2], &[2, 2], &[(0, 1), (0, 1)], &[1, 1]);
    assert_eq!(pool(PoolKind::Max, &w, &x), f32s(&[1, 2, 2, 2], &[5., -1., 6., -3., 8., -7., 9., -9.]));
    assert_eq!(pool(PoolKind::Sum, &w, &x), f32s(&[1, 2, 2, 2], &[12., -12., 9., -9., 15., -15., 9., -9.]));
}

#[test]
fn the_first_largest_place_takes_the_gradient_and_a_nan_wins() {
    let nan = f32::NAN;
    let x = f32s(&[1, 8, 1], &[3., 3., -0., 0., 7., nan, nan, 9.]);
    let (dy, t) = (f32s(&[1, 4, 1], &[1., 2., 4., 8.]), f32s(&[1, 8, 1], &[1., 2., 3., 4., 5., 6., 7., 8.]));
    let w = window(&[2], &[2], &[(0, 0)], &[1]);
    let max = pool(PoolKind::Max, &w, &x).to_f64_vec();
    assert!(max[0] == 3.0 && max[1] == 0.0 && max[2].is_nan() && max[3].is_nan());
    let grad = eval(Op::PoolMaxGrad(PoolMaxGrad { window: w.clone() }), &[&x, &dy]);
    assert_eq!(grad, f32s(&[1, 8, 1], &[1., 0., 2., 0., 0., 4., 8., 0.]));
    let taken = eval(Op::PoolMaxTake(PoolMaxTake { window: w.clone() }), &[&x, &t]);
    assert_eq!(taken, f32s(&[1, 4, 1], &[1., 3., 6., 7.]));
    let taps = eval(Op::PoolArgMax(PoolArgMax { window: w.clone(), dtype: DType::I64 }), &[&x]);
    assert_eq!(taps, i64s(&[1, 4, 1], &[0, 0, 1, 0]));
    assert_eq!(eval(Op::Unpool(Unpool { window: w, input: vec![8] }), &[&taps, &dy]), grad);
}

#[test]
fn overlapping_windows_add_their_gradients() {
    let x = i64s(&[1, 4, 1], &[1, 5, 2, 3]);
    let w = window(&[3], &[1], &[(1, 1)], &[1]);
    let dy = i64s(&[1, 4, 1], &[1, 10, 100, 1000]);
    let max_grad = eval(Op::PoolMaxGrad(PoolMaxGrad { window: w.clone() }), &[&x, &dy]);
    assert_eq!(max_grad, i64s(&[1, 4, 1], &[0, 111, 0, 1000]));
    let sum_grad = eval(Op::PoolSumGrad(PoolSumGrad { window: w, input: vec![4] }), &[&dy]);
    assert_eq!(sum_grad, i64s(&[1, 4, 1], &[11, 111, 1110, 1100]));
}

#[test]
fn a_window_of_padding_alone_has_no_place() {
    // Taps at -2 and 1, then -1 and 2, then 0 and 3, on an input of one element: only the third window meets it.
    let w = window(&[2], &[1], &[(2, 3)], &[3]);
    let x = f32s(&[1, 1, 1], &[-4.0]);
    let none = f32::NEG_INFINITY;
    assert_eq!(pool(PoolKind::Max, &w, &x), f32s(&[1, 3, 1], &[none, none, -4.0]));
    assert_eq!(pool(PoolKind::Sum, &w, &x), f32s(&[1, 3, 1], &[0., 0., -4.]));
    let dy = f32s(&[1, 3, 1], &[1., 2., 4.]);
    let grad = eval(Op::PoolMaxGrad(PoolMaxGrad { window: w.clone() }), &[&x, &dy]);
    assert_eq!(grad, f32s(&[1, 1, 1], &[4.0]));
    let taken = eval(Op::PoolMaxTake(PoolMaxTake { window: w.clone() }), &[&x, &f32s(&[1, 1, 1], &[8.0])]);
    let taps = eval(Op::PoolArgMax(PoolArgMax { window: w, dtype: DType::I64 }), &[&x]);
    assert_eq!(taps, i64s(&[1, 3, 1], &[-1, -1, 0]));
    assert_eq!(taken, f32s(&[1, 3, 1], &[0., 0., 8.]));
}

#[test]
fn sixteen_bit_sums_are_rounded_once() {
    // 256 + 8 * 1: a running sum in bf16 would stay at 256.
    let elements: Vec<f32> = std::iter::once(256.0).chain([1.0; 8]).collect();
    let ones = f32s(&[1, 9, 1], &elements);
    let x = Value::from_fn(ones.ty().with_dtype(DType::Bf16), |i| ones.get(i).cast(DType::Bf16));
    let sum = pool(PoolKind::Sum, &Window::new([9]), &x);
    assert_eq!(sum.get(0), Scalar::from_f64(264.0, DType::Bf16));
}
