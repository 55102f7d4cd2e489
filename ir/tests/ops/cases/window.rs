//! Pooling: overlapping and skipping windows, padding, dilation, one and two spatial axes.

use super::{Case, random};
use ir::op::window::{Pool, PoolArgMax, PoolKind, PoolMaxGrad, PoolMaxTake, PoolSumGrad, Unpool, Window};
use ir::{DType, Op, Scalar, TensorType, Value};

pub(super) fn window<const N: usize>(
    size: [usize; N],
    stride: [usize; N],
    pad: [(usize, usize); N],
    dilation: [usize; N],
) -> Window {
    Window { size: size.to_vec(), stride: stride.to_vec(), pad: pad.to_vec(), dilation: dilation.to_vec() }
}

pub(super) fn cases() -> Vec<Case> {
    let plane = window([2, 3], [2, 1], [(0, 1), (1, 1)], [1, 1]);
    let line = window([2], [3], [(1, 0)], [2]);
    let mut cases = Vec::new();
    for kind in [PoolKind::Sum, PoolKind::Max] {
        let pool = |window: &Window| Op::Pool(Pool { kind, window: window.clone() });
        cases.push(Case::new(pool(&plane), vec![random([2, 5, 4, 2])]));
        cases.push(Case::new(pool(&line), vec![random([1, 8, 2])]));
    }
    // Results: (5 + 1 - 2) / 2 + 1 = 3 by (4 + 2 - 3) / 1 + 1 = 4, and (8 + 1 - 3) / 3 + 1 = 3.
    let sum_grad = |window: &Window, input: &[usize]| {
        Op::PoolSumGrad(PoolSumGrad { window: window.clone(), input: input.to_vec() })
    };
    cases.push(Case::new(sum_grad(&plane, &[5, 4]), vec![random([2, 3, 4, 2])]));
    cases.push(Case::new(sum_grad(&line, &[8]), vec![random([1, 3, 2])]));
    let max_grad = Op::PoolMaxGrad(PoolMaxGrad { window: plane.clone() });
    cases.push(Case::new(max_grad, vec![random([2, 5, 4, 2]), random([2, 3, 4, 2])]));
    let max_take = Op::PoolMaxTake(PoolMaxTake { window: line });
    cases.push(Case::new(max_take, vec![random([1, 8, 2]), random([1, 8, 2])]));
    cases.extend(solid());
    cases.extend(places());
    cases
}

/// Positions of maxima, and elements put there: windows side by side, overlapping, and with gaps between them and between their taps.
fn places() -> Vec<Case> {
    let tiles = window([2, 2], [2, 2], [(0, 0), (0, 0)], [1, 1]);
    let gaps = window([2], [4], [(1, 0)], [2]);
    let overlapping = window([2, 3], [2, 1], [(0, 1), (1, 1)], [1, 1]);
    let argmax = |window: &Window| Op::PoolArgMax(PoolArgMax { window: window.clone(), dtype: DType::I32 });
    let unpool =
        |window: &Window, input: &[usize]| Op::Unpool(Unpool { window: window.clone(), input: input.to_vec() });
    // Every tap, and numbers that are no tap's.
    let taps = |dims: &[usize]| {
        let ty = TensorType::new(DType::I32, ir::Shape::new(dims).unwrap());
        Value::from_fn(ty, |i| Scalar::I32(i as i32 % 6 - 1))
    };
    vec![
        Case::new(argmax(&tiles), vec![random([2, 5, 4, 2])]),
        Case::new(argmax(&gaps), vec![random([1, 9, 2])]),
        Case::new(unpool(&tiles, &[5, 4]), vec![taps(&[2, 2, 2, 2]), random([2, 2, 2, 2])]),
        Case::new(unpool(&gaps, &[9]), vec![taps(&[1, 2, 2]), random([1, 2, 2])]),
        Case::new(unpool(&overlapping, &[5, 4]), vec![taps(&[2, 3, 4, 2]), random([2, 3, 4, 2])]),
    ]
}

/// Three spatial axes with dilation, stride and unequal padding; the first windows of the last axis meet nothing but padding.
/// Results: (3 + 2 - 3) / 1 + 1 = 3 by (4 + 1 - 2) / 2 + 1 = 2 by (1 + 2 + 3 - 4) / 1 + 1 = 3.
fn solid() -> Vec<Case> {
    let window = window([2, 2, 2], [1, 2, 1], [(1, 1), (0, 1), (2, 3)], [2, 1, 3]);
    let (x, t, y) = (random([1, 3, 4, 1, 2]), random([1, 3, 4, 1, 2]), random([1, 3, 2, 3, 2]));
    let pool = |kind| Op::Pool(Pool { kind, window: window.clone() });
    vec![
        Case::new(pool(PoolKind::Sum), vec![x.clone()]),
        Case::new(Op::PoolSumGrad(PoolSumGrad { window: window.clone(), input: vec![3, 4, 1] }), vec![y.clone()]),
        Case::new(Op::PoolMaxGrad(PoolMaxGrad { window: window.clone() }), vec![x.clone(), y]),
        Case::new(Op::PoolMaxTake(PoolMaxTake { window }), vec![x, t]),
    ]
}
