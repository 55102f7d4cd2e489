//! Dot products with and without batch axes; convolutions with stride, padding, dilation and groups.

use super::window::window;
use super::{Case, given, random};
use ir::op::contraction::{
    Conv, ConvInputGrad, ConvWeightGrad, Dot, Pair, PairContraction, PairProduct, QuadContraction, QuadProduct,
    WeightedMean,
};
use ir::{DType, Op, Scalar, Value};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = dots();
    cases.extend(convolutions());
    cases.extend(means());
    cases.extend(pairs());
    cases.extend(quads());
    cases
}

fn dots() -> Vec<Case> {
    let dot = |batch: &[(usize, usize)], contract: &[(usize, usize)], a, b| {
        Case::new(Op::Dot(Dot { batch: batch.to_vec(), contract: contract.to_vec() }), vec![a, b])
    };
    vec![
        dot(&[], &[(1, 0)], random([2, 3]), random([3, 4])),
        dot(&[], &[(0, 1)], random([3, 2]), random([4, 3])),
        dot(&[(0, 0)], &[(2, 1)], random([2, 3, 4]), random([2, 4, 2])),
        // Batch and contracted axes in any place, more than one of each, none on the right.
        dot(&[(1, 2), (3, 0)], &[(0, 1)], random([3, 2, 2, 4]), random([4, 3, 2])),
        dot(&[], &[(2, 0), (0, 1)], random([2, 3, 4]), random([4, 2, 3])),
        dot(&[], &[], random([2]), random([3])),
        dot(&[], &[(0, 0)], random([5]), random([5])),
    ]
}

fn means() -> Vec<Case> {
    let mean = |batch: &[(usize, usize)], contract: &[(usize, usize)], a, b, whole| {
        let dot = Dot { batch: batch.to_vec(), contract: contract.to_vec() };
        Case::new(Op::WeightedMean(WeightedMean { dot }), vec![a, b, whole])
    };
    vec![
        mean(&[], &[(1, 0)], random([2, 3]), random([3, 4]), given([2], vec![1.5, -2.0])),
        mean(&[(0, 0)], &[(2, 1)], random([2, 2, 3]), random([2, 3, 2]), given([2, 2], vec![1.5, 2.5, 0.5, -1.0])),
        // Batch axes that cross, and more than one axis to sum over.
        mean(
            &[(2, 0), (0, 2)],
            &[(3, 1)],
            random([2, 1, 2, 3]),
            random([2, 3, 2, 2]),
            given([2, 2, 1], vec![1.5, 2.5, 0.5, 3.0]),
        ),
        mean(&[], &[(2, 0), (0, 1)], random([2, 3, 4]), random([4, 2, 3]), given([3], vec![1.0, 2.0, 4.0])),
    ]
}

/// Without a gradient: they are made after differentiation.
fn pairs() -> Vec<Case> {
    let halves = |x: Value| Value::from_fn(x.ty().with_dtype(DType::Bf16), |i| x.get(i).cast(DType::Bf16));
    let bits =
        |x: Value| Value::from_fn(x.ty().with_dtype(DType::I32), |i| Scalar::I32(0x3f80_4000 + i as i32 * 0x11_0007));
    let product = |of: PairContraction, a, b| Case::new(Op::PairProduct(PairProduct { of }), vec![bits(a), bits(b)]);
    let window = window([2], [1], [(1, 0)], [1]);
    let dot = Dot { batch: vec![], contract: vec![(1, 0)] };
    let conv = Conv { window: window.clone(), groups: 1 };
    let by_kernel = ConvWeightGrad { window, groups: 1 };
    vec![
        Case::new(Op::Pair(Pair), vec![halves(random([3])), halves(random([3]))]),
        product(PairContraction::Dot(dot), random([2, 3]), random([3, 2])),
        product(PairContraction::Conv(conv), random([1, 3, 2]), random([2, 2, 3])),
        product(PairContraction::ConvWeightGrad(by_kernel), random([1, 3, 2]), random([1, 3, 3])),
    ]
}

/// Without a gradient, too.
fn quads() -> Vec<Case> {
    let bytes = |x: Value, dtype: DType, first: i64| {
        Value::from_fn(x.ty().with_dtype(dtype), |i| Scalar::from_i64(first + 37 * i as i64, dtype))
    };
    let product = |of: QuadContraction, a, b| {
        Case::new(Op::QuadProduct(QuadProduct { of }), vec![bytes(a, DType::U8, 250), bytes(b, DType::I8, -128)])
    };
    let dot = Dot { batch: vec![], contract: vec![(1, 0)] };
    let conv = Conv { window: window([2], [1], [(1, 0)], [1]), groups: 1 };
    vec![
        product(QuadContraction::Dot(dot), random([2, 12]), random([3, 2, 4])),
        product(QuadContraction::Conv(conv), random([1, 3, 8]), random([2, 2, 3, 4])),
    ]
}

fn convolutions() -> Vec<Case> {
    let strided = window([2, 3], [2, 1], [(0, 1), (1, 1)], [1, 1]);
    let dilated = window([2], [1], [(1, 1)], [2]);
    // Results: (5 + 1 - 2) / 2 + 1 = 3 by (4 + 2 - 3) / 1 + 1 = 4, and (6 + 2 - 3) / 1 + 1 = 6.
    // Three groups of one channel each, (7 + 2 + 1 - 5) / 3 + 1 = 2; and three spatial axes of which one has the window's extent.
    let depthwise = window([3], [3], [(2, 1)], [2]);
    let solid = window([2, 2, 1], [1, 2, 1], [(1, 0), (0, 0), (0, 0)], [1, 1, 4]);
    let mut cases = Vec::new();
    for (window, groups, x, w, y) in [
        (&strided, 1, random([2, 5, 4, 3]), random([2, 3, 3, 2]), random([2, 3, 4, 2])),
        (&dilated, 2, random([2, 6, 4]), random([2, 2, 6]), random([2, 6, 6])),
        (&depthwise, 3, random([2, 7, 3]), random([3, 1, 3]), random([2, 2, 3])),
        (&solid, 1, random([1, 2, 2, 3, 2]), random([2, 2, 1, 2, 1]), random([1, 2, 1, 3, 1])),
    ] {
        let input = x.ty().shape[1..x.ty().shape.rank() - 1].to_vec();
        let window = window.clone();
        let mut push = |op: Op, operands: [&Value; 2]| cases.push(Case::new(op, operands.map(Value::clone).to_vec()));
        push(Op::Conv(Conv { window: window.clone(), groups }), [&x, &w]);
        push(Op::ConvInputGrad(ConvInputGrad { window: window.clone(), groups, input }), [&y, &w]);
        push(Op::ConvWeightGrad(ConvWeightGrad { window, groups }), [&x, &y]);
    }
    cases
}
