//! Indexing, with an index that repeats and rows that none names; random numbers.

use super::{Case, random, shape, ty};
use ir::op::index::{CheckIndex, Gather, ScatterAdd};
use ir::op::random::{Random, RandomKind};
use ir::op::take::TakeAlongAxis;
use ir::{DType, Data, Op, Scalar, Shape, TensorType, Value};

pub(super) fn cases() -> Vec<Case> {
    let indices = Value::new(TensorType::new(DType::I32, shape([2, 2])), Data::I32(vec![3, 0, 3, 1])).unwrap();
    let along = |dims: &[usize], axis, indices: &[i32]| {
        let ty = TensorType::new(DType::I32, Shape::new(dims).unwrap());
        let indices = Value::new(ty, Data::I32(indices.to_vec())).unwrap();
        Case::new(Op::TakeAlongAxis(TakeAlongAxis { axis }), vec![random([2, 4, 3]), indices])
    };
    let draw = |kind| {
        let operands = [7, 1].map(|v| Value::splat(Scalar::I64(v), shape([])));
        Case::new(Op::Random(Random { kind, stream: 3, ty: ty([2, 3]) }), operands.to_vec())
    };
    vec![
        Case::new(Op::Gather(Gather), vec![random([4, 3]), indices.clone()]),
        along(&[2, 4, 1], 2, &[2, 0, 1, 1, 0, 2, 2, 1]),
        along(&[2, 3], 1, &[3, 0, 3, 1, 1, 2]),
        along(&[2, 1, 3], 1, &[3, 0, 3, 1, 1, 2]),
        along(&[2, 4, 2], 2, &[1, 1, 0, 2, 2, 2, 0, 1, 1, 0, 0, 0, 2, 1, 1, 2]),
        along(&[1, 4, 3], 0, &[0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1]),
        Case::new(Op::ScatterAdd(ScatterAdd), vec![random([4, 3]), indices.clone(), random([2, 2, 3])]),
        Case::new(Op::CheckIndex(CheckIndex { bound: 4 }), vec![indices]),
        draw(RandomKind::Uniform),
        draw(RandomKind::Normal),
    ]
}
