//! Type rules and reference evaluation of windows, contractions, indexing and random numbers: hand-worked cases, and formulations
//! that share nothing with the implementation (explicit padding, strided slices, sums of scalars).

#![allow(clippy::unwrap_used)] // A helper that fails fails its test.

mod contractions;
mod indexing;
mod random;
mod shapes;
mod windows;

use ir::op::window::Window;
use ir::{DType, Data, EvalError, Graph, Op, RuleError, Scalar, Shape, TensorType, Value};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A type.
fn ty(dtype: DType, dims: &[usize]) -> TensorType {
    TensorType::new(dtype, Shape::new(dims).unwrap())
}

/// A tensor of `f32`.
fn f32s(dims: &[usize], elements: &[f32]) -> Value {
    Value::new(ty(DType::F32, dims), Data::F32(elements.to_vec())).unwrap()
}

/// A tensor of `i64`.
fn i64s(dims: &[usize], elements: &[i64]) -> Value {
    Value::new(ty(DType::I64, dims), Data::I64(elements.to_vec())).unwrap()
}

/// Small integers without a pattern, from -9 to 9.
fn integers(dims: &[usize], seed: u64) -> Value {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    Value::from_fn(ty(DType::I64, dims), |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Scalar::I64((state >> 33) as i64 % 19 - 9)
    })
}

/// The type of an op's result.
fn infer(op: Op, operands: &[TensorType]) -> Result<TensorType, RuleError> {
    op.rules().infer(&operands.iter().collect::<Vec<_>>())
}

/// The sentence that an op refuses its operands with.
fn refusal(op: Op, operands: &[TensorType]) -> String {
    infer(op.clone(), operands).expect_err(&format!("{op} must refuse its operands")).to_string()
}

/// An op's result.
fn try_eval(op: Op, operands: &[&Value]) -> Result<Value, EvalError> {
    let types: Vec<&TensorType> = operands.iter().map(|v| v.ty()).collect();
    let ty = op.rules().infer(&types).unwrap_or_else(|e| panic!("{op}: {e}"));
    let value = op.rules().eval(operands, &ty)?;
    assert_eq!(value.ty(), &ty, "{op}: the value has the inferred type");
    Ok(value)
}

/// An op's result, which has one.
fn eval(op: Op, operands: &[&Value]) -> Value {
    try_eval(op, operands).unwrap()
}

/// The inner product.
fn inner(a: &Value, b: &Value) -> i64 {
    assert_eq!(a.ty(), b.ty());
    (0..a.data().len()).map(|i| a.get(i).as_i64() * b.get(i).as_i64()).sum()
}

/// The output "y" of a graph without inputs.
fn run(graph: &Graph) -> Value {
    let none = BTreeMap::new();
    ir::eval::run(graph, &none, &none).unwrap().outputs["y"].clone()
}

/// A window from its lists.
fn window(size: &[usize], stride: &[usize], pad: &[(usize, usize)], dilation: &[usize]) -> Window {
    Window { size: size.to_vec(), stride: stride.to_vec(), pad: pad.to_vec(), dilation: dilation.to_vec() }
}

/// Windows and the spatial extents they run over: strides, padding (unequal too), dilation, remainders, one to three axes, and
/// windows that meet nothing but padding.
fn geometries() -> Vec<(Vec<usize>, Window)> {
    vec![
        (vec![5], window(&[2], &[1], &[(0, 0)], &[1])),
        (vec![7], window(&[3], &[2], &[(2, 1)], &[2])),
        (vec![1], window(&[2], &[1], &[(2, 2)], &[3])),
        (vec![4, 5], window(&[2, 3], &[2, 1], &[(1, 0), (2, 2)], &[1, 2])),
        (vec![6, 3], window(&[1, 1], &[3, 2], &[(0, 0), (0, 0)], &[1, 1])),
        (vec![3, 3], window(&[3, 3], &[1, 1], &[(0, 0), (0, 0)], &[1, 1])),
        (vec![3, 4, 2], window(&[2, 2, 1], &[1, 2, 1], &[(1, 1), (0, 1), (0, 0)], &[2, 1, 5])),
    ]
}

/// Any window of up to three axes with the spatial extents of an input that it fits.
fn any_geometry() -> impl Strategy<Value = (Vec<usize>, Window)> {
    let axis = (1..=3usize, 1..=3usize, 1..=3usize).prop_flat_map(|(size, stride, dilation)| {
        let covered = (size - 1) * dilation + 1;
        (Just((size, stride, dilation, covered)), 0..covered, 0..covered, 0..=4usize)
    });
    let axis = axis.prop_map(|((size, stride, dilation, covered), before, after, more)| {
        let extent = covered.saturating_sub(before + after).max(1) + more;
        (extent, (size, stride, (before, after), dilation))
    });
    prop::collection::vec(axis, 1..=3).prop_map(|axes| {
        let (spatial, lists): (Vec<_>, Vec<_>) = axes.into_iter().unzip();
        let window = Window {
            size: lists.iter().map(|axis| axis.0).collect(),
            stride: lists.iter().map(|axis| axis.1).collect(),
            pad: lists.iter().map(|axis| axis.2).collect(),
            dilation: lists.iter().map(|axis| axis.3).collect(),
        };
        (spatial, window)
    })
}
