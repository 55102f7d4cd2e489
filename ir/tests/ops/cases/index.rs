//! Indexing, with an index that repeats and rows that none names; random numbers.

use super::{Case, random, shape, ty};
use ir::op::index::{CheckIndex, Gather, ScatterAdd};
use ir::op::random::{Random, RandomKind};
use ir::{DType, Data, Op, Scalar, TensorType, Value};

pub(super) fn cases() -> Vec<Case> {
    let indices = Value::new(TensorType::new(DType::I32, shape([2, 2])), Data::I32(vec![3, 0, 3, 1])).unwrap();
    let draw = |kind| {
        let operands = [7, 1].map(|v| Value::splat(Scalar::I64(v), shape([])));
        Case::new(Op::Random(Random { kind, stream: 3, ty: ty([2, 3]) }), operands.to_vec())
    };
    vec![
        Case::new(Op::Gather(Gather), vec![random([4, 3]), indices.clone()]),
        Case::new(Op::ScatterAdd(ScatterAdd), vec![random([4, 3]), indices.clone(), random([2, 2, 3])]),
        Case::new(Op::CheckIndex(CheckIndex { bound: 4 }), vec![indices]),
        draw(RandomKind::Uniform),
        draw(RandomKind::Normal),
    ]
}
