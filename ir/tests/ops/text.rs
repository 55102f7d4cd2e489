//! Attributes as text: what an op prints makes the same op again, and mistakes are named.

use crate::cases;
use crate::tensors::{shape, tensor, ty};
use ir::op::attr::{Attr, AttrMap};
use ir::op::control::{Gradient, StopGradient};
use ir::op::movement::{Broadcast, Pad, Slice};
use ir::op::parse::{op_names, parse_op};
use ir::op::scan::{Body, Scan};
use ir::op::source::{Constant, Full, Input, State};
use ir::{Graph, Op, Scalar, ScalarOp, TensorType, Value};
use std::collections::BTreeSet;

fn attrs_of(op: &Op) -> AttrMap {
    AttrMap(op.rules().attrs().into_iter().map(|(name, value)| (name.to_string(), value)).collect())
}

/// Every op with the type of its result.
fn samples() -> Vec<(Op, TensorType)> {
    let typed = |case: cases::Case| {
        let operands: Vec<&TensorType> = case.operands.iter().map(Value::ty).collect();
        let result = case.op.rules().infer(&operands).unwrap();
        (case.op, result)
    };
    let mut samples: Vec<_> = cases::all().into_iter().map(typed).collect();
    samples.extend(ScalarOp::all().map(|op| (Op::Elementwise(op), ty("f32[2]"))));
    let port = || ("x \"quoted\"".to_string(), ty("u8[2,3]"));
    let (name, result) = port();
    samples.push((Op::Input(Input { name, ty: result.clone() }), result));
    let (name, result) = port();
    samples.push((Op::State(State { name, ty: result.clone() }), result));
    samples.push(scan());
    samples.push((Op::Gradient(Gradient), ty("f32[2]")));
    samples.push((Op::StopGradient(StopGradient), ty("f32[2]")));
    samples.push((Op::Broadcast(Broadcast { shape: shape("[2]"), axes: vec![] }), ty("f32[2]")));
    samples
}

/// A running sum, as a scan.
fn scan() -> (Op, TensorType) {
    let text = r#"graph "sum" {
        %0 = input {name="carry0"} : f32[2]
        %1 = input {name="x0"} : f32[2]
        %2 = add %0, %1 : f32[2]
        output "carry0" = %2
    }"#;
    let body = Body::new(Graph::parse(text).unwrap()).unwrap();
    (Op::Scan(Scan { length: 3, reverse: true, recompute: false, select: 0, body }), ty("f32[2]"))
}

#[test]
fn what_an_op_prints_makes_it_again() {
    let mut seen = BTreeSet::new();
    for (op, result) in samples() {
        let again = parse_op(op.name(), attrs_of(&op), &result).unwrap_or_else(|e| panic!("{op}: {e}"));
        assert_eq!(again, op);
        seen.insert(op.name());
    }
    let missing: Vec<&str> = op_names().filter(|name| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "no sample of {missing:?}");
    assert_eq!(seen.len(), op_names().count(), "two ops have one name");
    let variant = |op: &Op| format!("{op:?}").split('(').next().unwrap_or_default().to_string();
    let variants: BTreeSet<String> = samples().iter().map(|(op, _)| variant(op)).collect();
    assert_eq!(variants, Op::VARIANTS.iter().map(ToString::to_string).collect(), "an op has no sample");
}

#[test]
fn literals_keep_their_bits() {
    let odd = [0.1, -0.0, f64::INFINITY, f64::NAN, 5e-324, 1e300];
    for dtype in ["f32", "f64", "bf16", "f16", "i64", "i32", "u8", "bool"] {
        let value = tensor(&format!("{dtype}[6]"), &odd);
        let result = value.ty().clone();
        let constant = Op::Constant(Constant { value });
        let again = parse_op("constant", attrs_of(&constant), &result).unwrap();
        // As bits: two NaNs are not equal as floats.
        match (&again, &constant) {
            (Op::Constant(a), Op::Constant(b)) => assert_eq!(a.value, b.value, "{dtype}"),
            _ => panic!("{again} is no constant"),
        }
    }
}

#[test]
fn ops_print_as_documented() {
    let op = Op::Full(Full { value: Scalar::F32(0.5), shape: shape("[2,3]") });
    assert_eq!(op.to_string(), "full {value=(0.5)}");
    let op = Op::Slice(Slice { start: vec![0, 1], limit: vec![4, 9], stride: vec![1, 2] });
    assert_eq!(op.to_string(), "slice {start=[0,1], limit=[4,9], stride=[1,2]}");
    let op = Op::Pad(Pad { value: Scalar::F32(0.0), low: vec![1], high: vec![2], interior: vec![0] });
    assert_eq!(op.to_string(), "pad {value=(0.0), low=[1], high=[2], interior=[0]}");
    assert_eq!(Op::Elementwise(ScalarOp::ADD).to_string(), "add");
}

#[test]
fn mistakes_are_named() {
    let parse = |name: &str, attrs: &[(&str, Attr)]| {
        let attrs = AttrMap(attrs.iter().map(|(n, a)| (n.to_string(), a.clone())).collect());
        parse_op(name, attrs, &ty("f32[2]")).unwrap_err().to_string()
    };
    let literals = |text: &[&str]| Attr::Literals(text.iter().map(ToString::to_string).collect());
    assert_eq!(parse("adds", &[]), "there is no op `adds`");
    assert_eq!(parse("reduce_sum", &[]), "attribute `axes` is missing");
    assert_eq!(parse("add", &[("axis", Attr::Int(1))]), "the op has no attribute `axis`");
    assert_eq!(parse("argmax", &[("axis", Attr::Int(-1))]), "attribute `axis` must be a non-negative integer, not -1");
    assert_eq!(
        parse("permute", &[("perm", Attr::Int(1))]),
        "attribute `perm` must be a list of non-negative integers, not 1"
    );
    assert_eq!(parse("full", &[("value", literals(&["true"]))]), "attribute `value`: `true` is no f32");
    assert_eq!(parse("full", &[("value", literals(&["1.0", "2.0"]))]), "attribute `value` must be one literal, not 2");
    assert_eq!(parse("constant", &[("values", literals(&["1.0"]))]), "attribute `values` has 1 elements, f32[2] has 2");
}
