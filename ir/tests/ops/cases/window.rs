//! Pooling: overlapping and skipping windows, padding, dilation, one and two spatial axes.

use super::{Case, random};
use ir::Op;
use ir::op::window::{Pool, PoolKind, PoolMaxGrad, PoolMaxTake, PoolSumGrad, Window};

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
    cases
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
