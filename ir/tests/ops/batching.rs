//! The batching rule of every op against the interpreter: what is said of an axis holds for cut operands and for stacks of them, bit for bit.

use crate::cases::{self, Case};
use crate::tensors::{tensor, ty};
use ir::op::attr::AttrMap;
use ir::op::batch::Along;
use ir::op::movement::{Reshape, Slice};
use ir::op::source::{Full, Iota};
use ir::{DType, Graph, Op, Scalar, ScalarOp, TensorType, Value};
use proptest::prelude::*;
use random_graphs::{Limits, random_graph, random_values};
use std::collections::{BTreeMap, BTreeSet};

fn infer(op: &Op, operands: &[Value]) -> TensorType {
    let types: Vec<&TensorType> = operands.iter().map(Value::ty).collect();
    op.rules().infer(&types).unwrap_or_else(|e| panic!("{op} of {types:?}: {e}"))
}

fn eval(op: &Op, operands: &[Value]) -> Option<Value> {
    let ty = infer(op, operands);
    op.rules().eval(&operands.iter().collect::<Vec<_>>(), &ty).ok()
}

/// The elements from `from` to `to` along an axis.
fn cut(x: &Value, axis: usize, from: usize, to: usize) -> Value {
    let shape = &x.ty().shape;
    let (mut start, mut limit) = (vec![0; shape.rank()], shape.to_vec());
    (start[axis], limit[axis]) = (from, to);
    eval(&Op::Slice(Slice { start, limit, stride: vec![1; shape.rank()] }), std::slice::from_ref(x)).unwrap()
}

/// Values one after the other along a new first axis.
fn stack(values: &[Value]) -> Value {
    let ty = values[0].ty().with_shape(values[0].ty().shape.stacked(values.len()).unwrap());
    let each = values[0].data().len();
    Value::from_fn(ty, |i| values[i / each].get(i % each))
}

/// One element of a stack, which goes along an axis.
fn element(x: &Value, axis: usize, at: usize) -> Value {
    let one = cut(x, axis, at, at + 1);
    let dims: Vec<usize> = one.ty().shape.iter().enumerate().filter(|(a, _)| *a != axis).map(|(_, &d)| d).collect();
    let shape = ir::Shape::new(dims).unwrap();
    eval(&Op::Reshape(Reshape { shape }), &[one]).unwrap()
}

fn same(a: &Value, b: &Value) -> bool {
    let bits = |x: &Value| (0..x.data().len()).map(|i| x.get(i).to_bits()).collect::<Vec<_>>();
    a.ty() == b.ty() && bits(a) == bits(b)
}

/// Checks an op with these operands: each axis that the rule tells of, cut in two, and at one coordinate.
fn check_axes(op: &Op, operands: &[Value]) -> Vec<Option<Along>> {
    let whole = eval(op, operands).unwrap();
    let types: Vec<&TensorType> = operands.iter().map(Value::ty).collect();
    let rules: Vec<Option<Along>> = (0..whole.ty().shape.rank()).map(|axis| op.along(axis, &types)).collect();
    for (axis, along) in rules.iter().enumerate() {
        let Some(along) = along else { continue };
        assert_eq!(along.len(), operands.len(), "{op}: axis {axis}");
        let extent = whole.ty().shape[axis];
        for (from, to) in [(0, extent), (0, extent.div_ceil(2)), (extent / 2, extent), (extent - 1, extent)] {
            let part = |(x, own): (&Value, &Option<usize>)| own.map_or(x.clone(), |own| cut(x, own, from, to));
            let parts: Vec<Value> = operands.iter().zip(along).map(part).collect();
            let resized = op.resized(axis, to - from).unwrap();
            let got = eval(&resized, &parts).unwrap();
            assert!(same(&got, &cut(&whole, axis, from, to)), "{op} of {types:?}: axis {axis}, {from}..{to}");
        }
    }
    rules
}

/// Checks an op on stacks of three, each operand differing or not; says whether there is one in which all differ.
fn check_stacks(op: &Op, draw: &mut dyn FnMut(usize) -> Vec<Value>) -> bool {
    let lots: Vec<Vec<Value>> = (0..3).map(&mut *draw).collect();
    let types: Vec<&TensorType> = lots[0].iter().map(Value::ty).collect();
    let count = types.len();
    let mut all = false;
    for choice in 1..1usize << count {
        let differs: Vec<bool> = (0..count).map(|i| choice >> i & 1 == 1).collect();
        let Some(stacked) = op.stacked(3, &differs, &types) else { continue };
        let of_step = |i: usize, step: usize| lots[if differs[i] { step } else { 0 }][i].clone();
        let operand = |i: usize| match stacked.operands[i] {
            true => stack(&[0, 1, 2].map(|step| of_step(i, step))),
            false => of_step(i, 0),
        };
        let operands: Vec<Value> = (0..count).map(operand).collect();
        let got = eval(&stacked.op, &operands).unwrap();
        for step in 0..3 {
            let want = eval(op, &(0..count).map(|i| of_step(i, step)).collect::<Vec<_>>()).unwrap();
            let one = element(&got, stacked.axis, step);
            assert!(same(&one, &want), "{op} of {types:?}: {differs:?}, step {step}");
        }
        all |= choice + 1 == 1 << count;
    }
    all
}

/// Other elements of the same types: those of floats in another order, so that what is smooth stays so; indices as they are, but for their order.
fn turned(case: &Case, by: usize) -> Vec<Value> {
    let turn = |x: &Value| {
        let n = x.data().len();
        Value::from_fn(x.ty().clone(), |i| x.get((i + by) % n))
    };
    case.operands.iter().map(turn).collect()
}

fn all_cases() -> Vec<Case> {
    let mut cases = cases::all();
    for op in ScalarOp::all() {
        let dtypes = [DType::F32, DType::I32, DType::Bool];
        let fits = |dtype: &DType| {
            let of = TensorType::new(*dtype, ir::Shape::new([2, 3]).unwrap());
            let types: Vec<&TensorType> = vec![&of; op.def().arity];
            Op::Elementwise(op).rules().infer(&types).is_ok()
        };
        if let Some(&dtype) = dtypes.iter().find(|d| fits(d)) {
            let of = TensorType::new(dtype, ir::Shape::new([2, 3]).unwrap());
            let value = |k: usize| Value::from_fn(of.clone(), |i| Scalar::from_i64((i * 5 + k) as i64 % 7 - 2, dtype));
            cases.push(Case::new(Op::Elementwise(op), (0..op.def().arity).map(value).collect()));
        }
    }
    cases.push(Case::new(Op::Full(Full { value: Scalar::F32(0.5), shape: ty("f32[3,4]").shape }), vec![]));
    cases.push(Case::new(Op::Iota(Iota { ty: ty("i32[3,4]"), axis: 1 }), vec![]));
    cases
}

#[test]
fn cutting_operands_cuts_the_result_along_the_axis_that_each_op_says() {
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    for case in all_cases() {
        let rules = check_axes(&case.op, &case.operands);
        *told.entry(case.op.name()).or_default() += rules.iter().flatten().count();
    }
    // What says nothing of any axis is no op for cutting; a new one is added here after thought alone.
    let silent: BTreeSet<&str> = told.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    assert_eq!(silent, BTreeSet::from(["constant", "random_normal", "random_uniform"]));
}

#[test]
fn an_op_on_stacks_computes_each_element_as_the_op_on_it() {
    let mut without: BTreeSet<&str> = BTreeSet::new();
    for case in all_cases().into_iter().filter(|case| !case.operands.is_empty()) {
        if !check_stacks(&case.op, &mut |step| turned(&case, step)) {
            without.insert(case.op.name());
        }
    }
    // Windows and convolutions have one axis for images; a table that differs from step to step is no table; the rest isn't there when scans are taken apart.
    let windows = ["pool_argmax", "pool_max", "pool_max_grad", "pool_max_take", "pool_sum", "pool_sum_grad", "unpool"];
    let others = ["conv", "conv_input_grad", "conv_weight_grad", "gather", "scatter_add", "weighted_mean"];
    let pairs = ["pair_conv", "pair_conv_weight_grad", "pair_dot", "quad_conv", "quad_dot"];
    let random = ["random_normal", "random_uniform"];
    assert_eq!(without, [&windows[..], &others, &pairs, &random].concat().into_iter().collect());
}

#[test]
fn a_reshape_runs_along_the_axes_that_it_leaves() {
    let along = |from: &str, to: &str| {
        let op = Op::Reshape(Reshape { shape: ty(to).shape });
        let axis = |axis| op.along(axis, &[&ty(from)]).map(|along| along[0]);
        (0..ty(to).shape.rank()).map(axis).collect::<Vec<_>>()
    };
    assert_eq!(along("f32[4,6]", "f32[4,2,3]"), [Some(Some(0)), None, None]);
    assert_eq!(along("f32[2,2,6]", "f32[4,6]"), [None, Some(Some(2))]);
    assert_eq!(along("f32[6,4]", "f32[4,6]"), [None, None]);
    // Of an extent of 1 more could not be made.
    assert_eq!(along("f32[4]", "f32[4,1]"), [Some(Some(0)), None]);
}

#[test]
fn nothing_is_said_of_ports() {
    let named = |op: &str| {
        let attrs = AttrMap(vec![("name".into(), ir::op::attr::Attr::Str("x".into()))]);
        ir::op::parse::parse_op(op, attrs, &ty("f32[2]")).unwrap()
    };
    assert!(["input", "state"].iter().all(|op| named(op).along(0, &[]).is_none()));
    let x = tensor("f32[2]", &[1.0, 2.0]);
    assert!(Op::Gradient(ir::op::control::Gradient).along(0, &[&ty("f32[]"), x.ty()]).is_none());
}

/// The values of all nodes of a graph, as far as they can be computed.
fn values(graph: &Graph, seed: u64) -> BTreeMap<ir::NodeId, Value> {
    let (inputs, states) = random_values(graph, seed);
    let mut values: BTreeMap<ir::NodeId, Value> = BTreeMap::new();
    for id in graph.topological() {
        let operands: Option<Vec<Value>> = graph.operands(id).iter().map(|o| values.get(o).cloned()).collect();
        let value = match graph.op(id) {
            Op::Input(input) => inputs.get(&input.name).cloned(),
            Op::State(state) => states.get(&state.name).cloned(),
            op => operands.and_then(|operands| eval(op, &operands)),
        };
        values.extend(value.map(|value| (id, value)));
    }
    values
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn axes_of_ops_in_random_graphs_run_as_they_say(seed in any::<u64>()) {
        let dtypes = vec![DType::F32, DType::F16, DType::I64, DType::Bool];
        let graph = random_graph(seed, &Limits { steps: 30, wild: true, dtypes, ..Limits::default() });
        let values = values(&graph, seed);
        for id in values.keys() {
            let operands: Option<Vec<Value>> = graph.operands(*id).iter().map(|o| values.get(o).cloned()).collect();
            let Some(operands) = operands else { continue };
            if matches!(graph.op(*id), Op::Input(_) | Op::State(_)) {
                continue;
            }
            check_axes(graph.op(*id), &operands);
            if !operands.is_empty() {
                check_stacks(graph.op(*id), &mut |_| operands.clone());
            }
        }
    }
}
