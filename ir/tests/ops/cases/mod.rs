//! One case or more for each op that is not a scalar op: the op, and operands at which it is smooth.

mod contraction;
mod index;
mod window;

use crate::derivatives::harness::RandomWeights;
use ir::op::argsort::ArgSort;
use ir::op::cumsum::CumSum;
use ir::op::elementwise::Cast;
use ir::op::movement::{Broadcast, Concat, Pad, Permute, Reshape, Reverse, Slice};
use ir::op::reduce::{ArgKind, ArgReduce, Reduce, ReduceKind};
use ir::op::source::{Constant, Full, Iota};
use ir::{DType, Data, Op, Scalar, Shape, TensorType, Value};

/// An op and operands to differentiate it at.
pub(crate) struct Case {
    pub(crate) op: Op,
    pub(crate) operands: Vec<Value>,
}

impl Case {
    pub(crate) fn new(op: Op, operands: Vec<Value>) -> Self {
        Self { op, operands }
    }
}

fn shape<const N: usize>(dims: [usize; N]) -> Shape {
    Shape::new(dims).unwrap()
}

fn ty<const N: usize>(dims: [usize; N]) -> TensorType {
    TensorType::new(DType::F64, shape(dims))
}

/// Random elements; no two are so close that a difference step could change their order.
fn random<const N: usize>(dims: [usize; N]) -> Value {
    let apart = |value: &Value| {
        let mut sorted = value.to_f64_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.windows(2).all(|w| w[1] - w[0] > 1e-4)
    };
    let seed = dims.iter().fold(3, |seed, &d| seed * 31 + d as u64);
    let draws = (seed..).map(|seed| RandomWeights::new(seed).tensor(ty(dims)));
    draws.take(100).find(apart).expect("one draw of a hundred has its elements apart")
}

fn given<const N: usize>(dims: [usize; N], elements: Vec<f64>) -> Value {
    Value::new(ty(dims), Data::F64(elements)).unwrap()
}

/// All cases.
pub(crate) fn all() -> Vec<Case> {
    let own = [sources(), conversions(), reductions(), movement(), extents()];
    let others = [window::cases(), contraction::cases(), index::cases()];
    own.into_iter().chain(others).flatten().collect()
}

fn sources() -> Vec<Case> {
    vec![
        Case::new(Op::Full(Full { value: Scalar::F64(0.5), shape: shape([2]) }), vec![]),
        Case::new(Op::Constant(Constant { value: random([3]) }), vec![]),
        Case::new(Op::Iota(Iota { ty: ty([3]), axis: 0 }), vec![]),
    ]
}

fn conversions() -> Vec<Case> {
    let cast = |dtype| Op::Cast(Cast { dtype });
    let integers = Value::from_fn(ty([3]).with_dtype(DType::I32), |i| Scalar::I32(i as i32));
    vec![
        Case::new(cast(DType::F64), vec![random([3])]),
        // Piecewise constant, and from a type that has no gradient.
        Case::new(cast(DType::I32), vec![random([3])]),
        Case::new(cast(DType::F64), vec![integers]),
    ]
}

fn reductions() -> Vec<Case> {
    let reduce = |kind, axes: &[usize], x| Case::new(Op::Reduce(Reduce { kind, axes: axes.to_vec() }), vec![x]);
    let mut cases = Vec::new();
    for kind in [ReduceKind::Sum, ReduceKind::Prod, ReduceKind::Max, ReduceKind::Min] {
        for axes in [&[0, 2][..], &[1], &[2], &[0, 1, 2]] {
            cases.push(reduce(kind, axes, random([2, 3, 2])));
        }
        cases.push(reduce(kind, &[0], random([1])));
    }
    // The product at none, one, two and three zeros in a row.
    let zeros = vec![0.5, 2.0, -3.0, 0.0, 2.0, -3.0, 0.0, 0.0, -3.0, 0.0, 0.0, 0.0];
    cases.push(reduce(ReduceKind::Prod, &[1], given([4, 3], zeros)));
    cases.push(reduce(ReduceKind::Prod, &[0], random([9])));
    for kind in [ArgKind::Max, ArgKind::Min] {
        cases.push(Case::new(Op::ArgReduce(ArgReduce { kind, axis: 1 }), vec![random([2, 3])]));
    }
    for (axis, descending) in [(0, false), (1, true)] {
        cases.push(Case::new(Op::ArgSort(ArgSort { axis, descending }), vec![random([3, 4])]));
    }
    for (axis, exclusive, reverse) in [(0, false, false), (1, true, false), (2, false, true), (1, true, true)] {
        cases.push(Case::new(Op::CumSum(CumSum { axis, exclusive, reverse }), vec![random([2, 4, 3])]));
    }
    cases
}

fn movement() -> Vec<Case> {
    vec![
        Case::new(Op::Reshape(Reshape { shape: shape([3, 2]) }), vec![random([2, 3])]),
        // One axis is left as it is.
        Case::new(Op::Reshape(Reshape { shape: shape([2, 6]) }), vec![random([2, 3, 2])]),
        Case::new(Op::Permute(Permute { perm: vec![2, 0, 1] }), vec![random([2, 3, 4])]),
        Case::new(Op::Broadcast(Broadcast { shape: shape([2, 3, 4, 2]), axes: vec![1, 3] }), vec![random([3, 2])]),
        Case::new(Op::Broadcast(Broadcast { shape: shape([3]), axes: vec![] }), vec![random([])]),
        Case::new(Op::Broadcast(Broadcast { shape: shape([3]), axes: vec![0] }), vec![random([3])]),
        Case::new(Op::Reverse(Reverse { axes: vec![0, 2] }), vec![random([2, 2, 3])]),
    ]
}

fn extents() -> Vec<Case> {
    let slice = |start: [usize; 2], limit: [usize; 2], stride: [usize; 2]| {
        let [start, limit, stride] = [start, limit, stride].map(|v| v.to_vec());
        Case::new(Op::Slice(Slice { start, limit, stride }), vec![random([5, 7])])
    };
    let pad = |low: [usize; 2], high: [usize; 2], interior: [usize; 2], x| {
        let [low, high, interior] = [low, high, interior].map(|v| v.to_vec());
        Case::new(Op::Pad(Pad { value: Scalar::F64(1.5), low, high, interior }), vec![x])
    };
    vec![
        slice([1, 0], [4, 7], [1, 3]),
        slice([0, 2], [5, 6], [2, 2]),
        slice([0, 2], [5, 6], [1, 1]),
        // One element, and a step past the end.
        slice([3, 4], [4, 7], [9, 9]),
        pad([1, 0], [0, 2], [0, 1], random([2, 3])),
        pad([0, 3], [1, 0], [2, 4], random([3, 1])),
        pad([0, 1], [0, 2], [0, 1], random([3, 2])),
        Case::new(Op::Concat(Concat { axis: 1 }), vec![random([2, 3]), random([2, 1]), random([2, 4])]),
        Case::new(Op::Concat(Concat { axis: 0 }), vec![random([3])]),
    ]
}
