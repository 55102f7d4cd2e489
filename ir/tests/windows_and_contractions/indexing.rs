//! Gather, scatter-add and checked indices.

use crate::{eval, f32s, i64s, try_eval, ty};
use ir::op::index::{CheckIndex, Gather, ScatterAdd};
use ir::op::take::TakeAlongAxis;
use ir::{DType, Data, EvalError, Op, Value};

fn i32s(dims: &[usize], elements: &[i32]) -> Value {
    Value::new(ty(DType::I32, dims), Data::I32(elements.to_vec())).unwrap()
}

fn table() -> Value {
    f32s(&[3, 2], &[1., 2., 3., 4., 5., 6.])
}

#[test]
fn gathers_rows() {
    let rows = eval(Op::Gather(Gather), &[&table(), &i64s(&[2, 2], &[2, 0, 1, 2])]);
    assert_eq!(rows, f32s(&[2, 2, 2], &[5., 6., 1., 2., 3., 4., 5., 6.]));
    // A scalar index of a vector of truth values.
    let flags = Value::new(ty(DType::Bool, &[2]), Data::Bool(vec![false, true])).unwrap();
    let flag = eval(Op::Gather(Gather), &[&flags, &i32s(&[], &[1])]);
    assert_eq!(flag, Value::new(ty(DType::Bool, &[]), Data::Bool(vec![true])).unwrap());
}

#[test]
fn takes_elements_along_any_axis() {
    let take = |axis| Op::TakeAlongAxis(TakeAlongAxis { axis });
    assert_eq!(eval(take(1), &[&table(), &i64s(&[3, 1], &[1, 0, 1])]), f32s(&[3, 1], &[2., 3., 6.]));
    assert_eq!(eval(take(1), &[&table(), &i64s(&[3], &[1, 0, 1])]), f32s(&[3], &[2., 3., 6.]));
    let pairs = eval(take(0), &[&table(), &i32s(&[2, 2], &[2, 0, 0, 1])]);
    assert_eq!(pairs, f32s(&[2, 2], &[5., 2., 1., 4.]));
    let block = f32s(&[2, 3, 2], &[0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11.]);
    let middle = eval(take(1), &[&block, &i32s(&[2, 1, 2], &[2, 0, 1, 1])]);
    assert_eq!(middle, f32s(&[2, 1, 2], &[4., 1., 8., 9.]));
    let flags = Value::new(ty(DType::Bool, &[2]), Data::Bool(vec![false, true])).unwrap();
    let want = Value::new(ty(DType::Bool, &[3]), Data::Bool(vec![true, false, true])).unwrap();
    assert_eq!(eval(take(0), &[&flags, &i32s(&[3], &[1, 0, 1])]), want);
}

#[test]
fn scatters_every_update() {
    let updates = f32s(&[3, 2], &[10., 20., 30., 40., 50., 60.]);
    let sum = eval(Op::ScatterAdd(ScatterAdd), &[&table(), &i32s(&[3], &[2, 0, 2]), &updates]);
    assert_eq!(sum, f32s(&[3, 2], &[31., 42., 3., 4., 65., 86.]));
    let bytes = |v: &[u8]| Value::new(ty(DType::U8, &[v.len()]), Data::U8(v.to_vec())).unwrap();
    let wrapped = eval(Op::ScatterAdd(ScatterAdd), &[&bytes(&[250, 1]), &i32s(&[2], &[0, 0]), &bytes(&[5, 3])]);
    assert_eq!(wrapped, bytes(&[2, 1]));
}

#[test]
fn an_index_out_of_range_is_an_error() {
    for bad in [3, -1, i32::MIN] {
        let indices = i32s(&[2], &[1, bad]);
        let want = EvalError::Index { index: i64::from(bad), bound: 3 };
        assert_eq!(try_eval(Op::Gather(Gather), &[&table(), &indices]), Err(want.clone()));
        let take = Op::TakeAlongAxis(TakeAlongAxis { axis: 0 });
        assert_eq!(try_eval(take, &[&table(), &i32s(&[1, 2], &[0, bad])]), Err(want.clone()));
        let updates = f32s(&[2, 2], &[0.0; 4]);
        assert_eq!(try_eval(Op::ScatterAdd(ScatterAdd), &[&table(), &indices, &updates]), Err(want.clone()));
        assert_eq!(try_eval(Op::CheckIndex(CheckIndex { bound: 3 }), &[&indices]), Err(want));
    }
    let indices = i64s(&[2], &[0, 2]);
    assert_eq!(eval(Op::CheckIndex(CheckIndex { bound: 3 }), &[&indices]), indices);
}
