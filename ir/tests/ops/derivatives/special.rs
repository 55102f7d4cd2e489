//! Rules that finite differences can't see: ties, barriers, conversions that round, and gradients to be derived.

use super::harness::{Feeds, evaluate, gradients, graph_of};
use ir::op::control::{Gradient, StopGradient};
use ir::op::elementwise::Cast;
use ir::op::reduce::{Reduce, ReduceKind};
use ir::{Builder, DType, Data, Op, ScalarOp, Shape, TensorType, Value};

fn vector(elements: Vec<f64>) -> Value {
    let ty = TensorType::new(DType::F64, Shape::new([elements.len()]).unwrap());
    Value::new(ty, Data::F64(elements)).unwrap()
}

/// The gradient of the sum of `op(x)` by `x`, if one flows.
fn gradient_of_sum(op: Op, x: Value) -> Option<Value> {
    let (mut graph, inputs) = graph_of(std::slice::from_ref(&x));
    let y = graph.add(op, &inputs, None).unwrap();
    let mut build = Builder::new(&mut graph, None);
    let axes: Vec<usize> = (0..build.ty(y).shape.rank()).collect();
    let loss = build.reduce_sum(y, &axes).unwrap();
    let gradient = gradients(&mut graph, loss, &inputs).unwrap()[0]?;
    Some(evaluate(&graph, &Feeds::from([(inputs[0], x)]), &[gradient])[0].clone())
}

#[test]
fn equal_extrema_share_the_gradient() {
    for (kind, want) in [(ReduceKind::Max, [0.0, 0.5, 0.0, 0.5]), (ReduceKind::Min, [0.5, 0.0, 0.5, 0.0])] {
        let op = Op::Reduce(Reduce { kind, axes: vec![0] });
        let got = gradient_of_sum(op, vector(vec![-1.0, 2.0, -1.0, 2.0])).unwrap();
        assert_eq!(got.to_f64_vec(), want, "{kind:?}");
    }
}

#[test]
fn no_gradient_passes_a_barrier() {
    assert_eq!(gradient_of_sum(Op::StopGradient(StopGradient), vector(vec![1.0, 2.0])), None);
}

#[test]
fn a_gradient_is_converted_back() {
    for dtype in [DType::F32, DType::Bf16, DType::F16] {
        let got = gradient_of_sum(Op::Cast(Cast { dtype }), vector(vec![1.0, 2.0])).unwrap();
        assert_eq!((got.ty().dtype, got.to_f64_vec()), (DType::F64, vec![1.0, 1.0]), "{dtype}");
    }
}

#[test]
fn a_product_that_overflows_has_a_finite_gradient_where_the_others_do() {
    let op = Op::Reduce(Reduce { kind: ReduceKind::Prod, axes: vec![0] });
    let got = gradient_of_sum(op, vector(vec![1e200, 1e200, 1e-200])).unwrap();
    let want = [1.0, 1.0, f64::INFINITY];
    assert!(got.to_f64_vec().iter().zip(want).all(|(g, w)| *g == w || (g - w).abs() < 1e-15), "{got:?}");
}

#[test]
fn powers_have_gradients_at_zero() {
    let (zero, exponents) = (vector(vec![0.0; 4]), vector(vec![0.0, 1.0, 2.0, 2.5]));
    let (mut graph, inputs) = graph_of(&[zero.clone(), exponents.clone()]);
    let mut build = Builder::new(&mut graph, None);
    let y = build.binary(ScalarOp::POW, inputs[0], inputs[1]).unwrap();
    let loss = build.reduce_sum(y, &[0]).unwrap();
    let found: Vec<_> = gradients(&mut graph, loss, &inputs).unwrap().into_iter().flatten().collect();
    let feeds = Feeds::from([(inputs[0], zero), (inputs[1], exponents)]);
    let got = evaluate(&graph, &feeds, &found);
    assert_eq!(got[0].to_f64_vec(), [0.0, 1.0, 0.0, 0.0]);
    assert_eq!(got[1].to_f64_vec(), [0.0; 4]);
}

#[test]
fn a_gradient_node_is_not_differentiated_by_rule() {
    let (mut graph, inputs) = graph_of(&[vector(vec![1.0, 2.0])]);
    let mut build = Builder::new(&mut graph, None);
    let square = build.binary(ScalarOp::MUL, inputs[0], inputs[0]).unwrap();
    let loss = build.reduce_sum(square, &[0]).unwrap();
    let gradient = build.add(Op::Gradient(Gradient), &[loss, inputs[0]]).unwrap();
    let outer = build.reduce_sum(gradient, &[0]).unwrap();
    let error = gradients(&mut graph, outer, &inputs).unwrap_err().to_string();
    assert!(error.contains("innermost first"), "{error}");
}
