//! Every derivative rule against central finite differences in `f64`.
//!
//! The loss is the sum of the op's result with random weights. Scalar ops come from their table with operands made from their typing;
//! the other ops have one case or more in [`crate::cases`], and an op without a case fails the test. Where a rule says that no gradient flows,
//! the differences must be zero. The gradients are then differentiated once more, since they are graphs of ops like any other.

pub(crate) mod harness;
mod special;

use crate::cases::{self, Case};
use harness::{GradientCheck, RandomWeights};
use ir::op::parse::op_names;
use ir::scalar::{TypeClass, Typing};
use ir::{DType, Data, Family, Op, Scalar, ScalarOp, Shape, TensorType, Value};
use std::collections::BTreeSet;

/// Ops whose rule a test of its own checks, in [`special`], since their gradient is not that of their value; and `scan`, which the pass `autodiff`
/// differentiates (tests/it/scan.rs).
const SPECIAL: [&str; 3] = ["stop_gradient", "gradient", "scan"];
/// Ops that have no operands and no evaluation: the harness feeds them.
const FED: [&str; 2] = ["input", "state"];

/// What makes bits of floats, through which no gradient flows although the bits differ.
const BITS: [&str; 1] = ["pair"];

/// A point for each class of typing, away from the places where a scalar op has a kink (zero, integers, equal operands).
fn points(op: ScalarOp) -> Vec<Vec<Scalar>> {
    let floats = [-2.6, -1.7, -0.8, -0.3, 0.3, 0.8, 1.7, 2.6];
    let dtype = |operand: usize| match op.def().typing {
        Typing::Select if operand == 0 => DType::Bool,
        Typing::Same(TypeClass::Int | TypeClass::IntOrBool)
        | Typing::Compare(TypeClass::Int | TypeClass::IntOrBool) => DType::I64,
        Typing::Same(_) | Typing::Compare(_) | Typing::Select => DType::F64,
    };
    let mut tuples: Vec<Vec<Scalar>> = vec![vec![]];
    for operand in 0..op.arity() {
        // Shifted, so that no two operands are equal.
        let at = |x: f64| Scalar::from_f64(x + 0.05 * operand as f64, dtype(operand));
        let choices: Vec<Scalar> = match dtype(operand) {
            DType::Bool => vec![Scalar::Bool(false), Scalar::Bool(true)],
            _ => floats.iter().map(|&x| at(x)).collect(),
        };
        tuples = tuples.iter().flat_map(|t| choices.iter().map(|&c| [&t[..], &[c]].concat())).collect();
    }
    // Outside its domain an op gives NaN: no derivative to check.
    tuples.retain(|t| !op.eval(t).is_nan());
    tuples
}

fn scalar_case(op: ScalarOp) -> Case {
    let tuples = points(op);
    assert!(tuples.len() >= 2, "{op}: no points in the domain");
    let shape = Shape::new([tuples.len()]).unwrap();
    let operand = |k: usize| Value::from_fn(TensorType::new(tuples[0][k].dtype(), shape.clone()), |i| tuples[i][k]);
    Case::new(Op::Elementwise(op), (0..op.arity()).map(operand).collect())
}

#[test]
fn scalar_ops_match_finite_differences() {
    for op in ScalarOp::all() {
        GradientCheck::default().run(&scalar_case(op));
    }
}

#[test]
fn graph_ops_match_finite_differences() {
    for case in cases::all().into_iter().filter(|case| !BITS.contains(&case.op.name())) {
        GradientCheck::default().run(&case);
    }
}

#[test]
fn rules_type_in_every_float_type() {
    let reductions = cases::all().into_iter().filter(|case| case.op.family() == Family::Reduce);
    let cases: Vec<Case> = ScalarOp::all().map(scalar_case).chain(reductions).collect();
    for dtype in [DType::F32, DType::Bf16, DType::F16] {
        for Case { op, operands } in &cases {
            let convert = |x: &Value| match x.ty().dtype {
                DType::F64 => Value::from_fn(x.ty().with_dtype(dtype), |i| x.get(i).cast(dtype)),
                _ => x.clone(),
            };
            let (mut graph, inputs) = harness::graph_of(&operands.iter().map(convert).collect::<Vec<_>>());
            let y = graph.add(op.clone(), &inputs, None).unwrap();
            let loss = harness::weighted_sum(&mut graph, y, &mut RandomWeights::new(1));
            // The sweep compares the type of every gradient with its operand's.
            harness::gradients(&mut graph, loss, &inputs).unwrap_or_else(|e| panic!("{op} of {dtype}: {e}"));
        }
    }
}

#[test]
fn every_op_has_a_case() {
    let mut covered: BTreeSet<&str> = cases::all().iter().map(|case| case.op.name()).collect();
    covered.extend(ScalarOp::all().map(ScalarOp::name));
    covered.extend(SPECIAL);
    covered.extend(FED);
    let missing: Vec<&str> = op_names().filter(|name| !covered.contains(name)).collect();
    assert!(missing.is_empty(), "no derivative is checked for {missing:?}: add a case to tests/ops/cases");
}

#[test]
fn a_wrong_gradient_is_noticed() {
    // The harness itself: the derivative of x*x is not that of x*x*x.
    let x = Value::new(TensorType::new(DType::F64, Shape::new([2]).unwrap()), Data::F64(vec![0.5, -1.5])).unwrap();
    let mut source = RandomWeights::new(7);
    let (mut graph, inputs) = harness::graph_of(std::slice::from_ref(&x));
    let square = graph.add(Op::Elementwise(ScalarOp::MUL), &[inputs[0], inputs[0]], None).unwrap();
    let cube = graph.add(Op::Elementwise(ScalarOp::MUL), &[square, inputs[0]], None).unwrap();
    let loss = harness::weighted_sum(&mut graph, square, &mut source);
    let other = harness::weighted_sum(&mut graph, cube, &mut source);
    let gradient = harness::gradients(&mut graph, loss, &inputs).unwrap()[0].unwrap();
    let feeds = [(inputs[0], x)].into_iter().collect();
    let got = harness::evaluate(&graph, &feeds, &[gradient])[0].to_f64_vec();
    let close = |loss| {
        harness::differences(&graph, &feeds, loss, inputs[0]).iter().zip(&got).all(|(a, b)| (a - b).abs() < 1e-6)
    };
    assert!(close(loss) && !close(other));
}
