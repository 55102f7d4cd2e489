//! Type rules: what each op refuses, in which words, and the types it gives.

use crate::cases;
use crate::tensors::{shape, ty};
use ir::op::argsort::ArgSort;
use ir::op::control::{Gradient, StopGradient};
use ir::op::elementwise::Cast;
use ir::op::movement::{Broadcast, Concat, Pad, Permute, Reshape, Reverse, Slice};
use ir::op::reduce::{ArgKind, ArgReduce, Reduce, ReduceKind};
use ir::op::source::{Input, Iota};
use ir::scalar::Typing;
use ir::{Arity, DType, Graph, Op, Scalar, ScalarOp, TensorType};

fn infer(op: &Op, operands: &[&str]) -> Result<TensorType, String> {
    let operands: Vec<TensorType> = operands.iter().map(|t| ty(t)).collect();
    op.rules().infer(&operands.iter().collect::<Vec<_>>()).map_err(|e| e.to_string())
}

#[track_caller]
fn gives(op: Op, operands: &[&str], result: &str) {
    assert_eq!(infer(&op, operands), Ok(ty(result)), "{op}");
}

#[track_caller]
fn refuses(op: Op, operands: &[&str], message: &str) {
    assert_eq!(infer(&op, operands), Err(message.into()), "{op}");
}

fn reduce(kind: ReduceKind, axes: &[usize]) -> Op {
    Op::Reduce(Reduce { kind, axes: axes.to_vec() })
}

fn slice(start: &[usize], limit: &[usize], stride: &[usize]) -> Op {
    Op::Slice(Slice { start: start.to_vec(), limit: limit.to_vec(), stride: stride.to_vec() })
}

fn pad(low: &[usize], high: &[usize], interior: &[usize]) -> Op {
    let value = Scalar::F32(0.0);
    Op::Pad(Pad { value, low: low.to_vec(), high: high.to_vec(), interior: interior.to_vec() })
}

#[test]
fn every_op_says_what_it_computes() {
    for op in cases::all().into_iter().map(|case| case.op).chain(ScalarOp::all().map(Op::Elementwise)) {
        let doc = op.def().doc;
        assert!(!doc.is_empty() && !doc.contains('\n') && !doc.ends_with('.'), "{op}: `{doc}`");
    }
}

#[test]
fn iota() {
    let iota = |result: &str, axis| Op::Iota(Iota { ty: ty(result), axis });
    gives(iota("i32[4,10]", 1), &[], "i32[4,10]");
    gives(iota("u8[256]", 0), &[], "u8[256]");
    refuses(iota("i32[4,10]", 2), &[], "axis 2 is out of range for rank 2");
    refuses(iota("bool[4]", 0), &[], "coordinates need a float or integer type, not bool");
    refuses(iota("u8[257]", 0), &[], "u8 does not hold the coordinate 256 of axis 0");
}

#[test]
fn scalar_ops() {
    for op in ScalarOp::all() {
        let (typing, op) = (op.def().typing, Op::Elementwise(op));
        let Arity::Exactly(arity) = op.def().arity else { panic!("{op}") };
        let (class, results) = match typing {
            Typing::Same(class) => (class, None),
            Typing::Compare(class) => (class, Some(DType::Bool)),
            Typing::Select => continue,
        };
        for dtype in DType::ALL {
            let operand = format!("{dtype}[2,3]");
            let got = infer(&op, &vec![&operand[..]; arity]);
            let want = TensorType::new(results.unwrap_or(dtype), shape("[2,3]"));
            match class.contains(dtype) {
                true => assert_eq!(got, Ok(want), "{op} of {dtype}"),
                false => assert_eq!(got, Err(format!("operands must have {}, not {dtype}", class.describe()))),
            }
        }
    }
}

#[test]
fn elementwise() {
    let add = || Op::Elementwise(ScalarOp::ADD);
    refuses(
        add(),
        &["f32[2,3]", "f32[3]"],
        "shapes [2,3] and [3] differ: an elementwise op takes operands of equal shapes: broadcast one of them",
    );
    refuses(add(), &["f32[2]", "f64[2]"], "operands must have one element type, not f32 and f64: cast one of them");
    let select = || Op::Elementwise(ScalarOp::SELECT);
    gives(select(), &["bool[2]", "i32[2]", "i32[2]"], "i32[2]");
    refuses(select(), &["f32[2]", "i32[2]", "i32[2]"], "the condition must be bool, not f32");
    gives(Op::Cast(Cast { dtype: DType::U8 }), &["f32[2,3]"], "u8[2,3]");
}

#[test]
fn reductions() {
    for kind in [ReduceKind::Sum, ReduceKind::Prod, ReduceKind::Max, ReduceKind::Min] {
        gives(reduce(kind, &[0, 2]), &["i32[2,3,4]"], "i32[3]");
        gives(reduce(kind, &[0]), &["f16[2]"], "f16[]");
        refuses(reduce(kind, &[3]), &["f32[2,3]"], "reduced axis 3 is out of range for rank 2");
        refuses(reduce(kind, &[1, 0]), &["f32[2,3]"], "reduced axis 0 stands after 1: they must ascend");
        refuses(reduce(kind, &[1, 1]), &["f32[2,3]"], "reduced axis 1 is given twice");
        refuses(reduce(kind, &[]), &["f32[2,3]"], "a reduction needs at least one axis");
        refuses(reduce(kind, &[0]), &["bool[2]"], "a reduction takes a float or integer type, not bool: cast it");
    }
    for kind in [ArgKind::Max, ArgKind::Min] {
        let arg = |axis| Op::ArgReduce(ArgReduce { kind, axis });
        gives(arg(0), &["f32[2,3]"], "i32[3]");
        refuses(arg(2), &["f32[2,3]"], "axis 2 is out of range for rank 2");
        refuses(arg(0), &["bool[2]"], "an order needs a float or integer type, not bool: cast it");
        gives(arg(0), &["u8[2147483648]"], "i32[]");
        refuses(arg(0), &["u8[2147483649]"], "positions on axis 0 of [2147483649] do not fit i32");
    }
    let order = |axis| Op::ArgSort(ArgSort { axis, descending: false });
    gives(order(1), &["f16[2,3]"], "i32[2,3]");
    refuses(order(2), &["f32[2,3]"], "axis 2 is out of range for rank 2");
    refuses(order(0), &["bool[2]"], "the operand must hold numbers, it is bool[2]");
    gives(order(0), &["u8[2147483647]"], "i32[2147483647]");
    refuses(order(0), &["u8[2147483648]"], "positions on axis 0 of [2147483648] do not fit i32");
}

#[test]
fn movement() {
    let reshape = |to: &str| Op::Reshape(Reshape { shape: shape(to) });
    gives(reshape("[6]"), &["f32[2,3]"], "f32[6]");
    gives(reshape("[]"), &["f32[1,1]"], "f32[]");
    refuses(reshape("[4]"), &["f32[2,3]"], "[2,3] has 6 elements, [4] has 4: a reshape keeps the number");
    let permute = |perm: &[usize]| Op::Permute(Permute { perm: perm.to_vec() });
    gives(permute(&[2, 0, 1]), &["f32[2,3,4]"], "f32[4,2,3]");
    refuses(permute(&[0]), &["f32[2,3]"], "`perm` has 1 entries, the operand has rank 2: one per axis is needed");
    refuses(permute(&[0, 2]), &["f32[2,3]"], "permuted axis 2 is out of range for rank 2");
    refuses(permute(&[1, 1]), &["f32[2,3]"], "axis 1 stands twice in the permutation");
    let reverse = |axes: &[usize]| Op::Reverse(Reverse { axes: axes.to_vec() });
    gives(reverse(&[1]), &["bool[2,3]"], "bool[2,3]");
    refuses(reverse(&[2]), &["f32[2,3]"], "reversed axis 2 is out of range for rank 2");
    refuses(reverse(&[1, 0]), &["f32[2,3]"], "reversed axis 0 stands after 1: they must ascend");
}

#[test]
fn broadcasts() {
    let broadcast = |to: &str, axes: &[usize]| Op::Broadcast(Broadcast { shape: shape(to), axes: axes.to_vec() });
    gives(broadcast("[2,3,4]", &[1]), &["i64[3]"], "i64[2,3,4]");
    gives(broadcast("[2]", &[]), &["f32[]"], "f32[2]");
    refuses(
        broadcast("[2,3]", &[]),
        &["f32[3]"],
        "`axes` has 0 entries, the operand has rank 1: one per axis is needed",
    );
    refuses(broadcast("[2,3]", &[2]), &["f32[3]"], "axis 2 is out of range for rank 2");
    refuses(broadcast("[3,2]", &[1, 0]), &["f32[2,3]"], "axis 0 stands after 1: they must ascend");
    refuses(
        broadcast("[2,3]", &[0]),
        &["f32[3]"],
        "axis 0 of [3] has extent 3, axis 0 of [2,3] has 2: they must be equal, only new axes repeat",
    );
    refuses(
        broadcast("[2,3]", &[1]),
        &["f32[1]"],
        "axis 0 of [1] has extent 1, axis 1 of [2,3] has 3: they must be equal, only new axes repeat",
    );
}

#[test]
fn slices() {
    gives(slice(&[0, 1], &[4, 9], &[1, 2]), &["f32[4,9]"], "f32[4,4]");
    gives(slice(&[3], &[4], &[usize::MAX]), &["f32[4]"], "f32[1]");
    refuses(slice(&[0], &[5], &[1]), &["f32[4]"], "limit 5 of axis 0 is over its extent 4");
    refuses(slice(&[2], &[2], &[1]), &["f32[4]"], "start 2 of axis 0 is not below its limit 2");
    refuses(slice(&[0], &[2], &[0]), &["f32[4]"], "the stride of axis 0 is 0: it must be at least 1");
    for (start, limit, stride, name) in
        [(vec![], vec![1], vec![1], "start"), (vec![0], vec![], vec![1], "limit"), (vec![0], vec![1], vec![], "stride")]
    {
        let message = format!("`{name}` has 0 entries, the operand has rank 1: one per axis is needed");
        refuses(slice(&start, &limit, &stride), &["f32[4]"], &message);
    }
}

#[test]
fn pads() {
    gives(pad(&[1, 0], &[2, 0], &[0, 3]), &["f32[2,3]"], "f32[5,9]");
    refuses(pad(&[1], &[0], &[0]), &["f64[2]"], "the padding is of type f32, the operand of f64");
    let huge = usize::MAX;
    for (low, high, interior) in [([huge], [0], [0]), ([0], [huge], [0]), ([0], [0], [huge])] {
        refuses(pad(&low, &high, &interior), &["f32[3]"], "the padded extent of axis 0 overflows");
    }
    refuses(
        pad(&[huge / 2], &[0], &[0]),
        &["f32[3]"],
        &format!("[{}] has more elements than memory can hold", huge / 2 + 3),
    );
    for (low, high, interior, name) in
        [(vec![], vec![1], vec![1], "low"), (vec![0], vec![], vec![1], "high"), (vec![0], vec![1], vec![], "interior")]
    {
        let message = format!("`{name}` has 0 entries, the operand has rank 1: one per axis is needed");
        refuses(pad(&low, &high, &interior), &["f32[4]"], &message);
    }
}

#[test]
fn concats() {
    let concat = |axis| Op::Concat(Concat { axis });
    gives(concat(1), &["f32[2,3]", "f32[2,1]", "f32[2,4]"], "f32[2,8]");
    refuses(concat(0), &["f32[]"], "axis 0 is out of range for rank 0");
    for other in ["f32[3,3]", "f64[2,3]", "f32[2]"] {
        let rule = "all operands have one type but for the extent of axis 1";
        refuses(concat(1), &["f32[2,3]", other], &format!("operand 1 is {other}, operand 0 is f32[2,3]: {rule}"));
    }
}

#[test]
fn control() {
    let gradient = || Op::Gradient(Gradient);
    gives(gradient(), &["f64[]", "f32[2,3]"], "f32[2,3]");
    for loss in ["f32[2]", "i32[]", "f32[1]"] {
        let message = format!("the loss must be a float scalar, not {loss}: reduce it to one");
        refuses(gradient(), &[loss, "f32[2]"], &message);
    }
    refuses(gradient(), &["f32[]", "i32[2]"], "a gradient is taken with respect to a float tensor, not i32[2]");
    gives(Op::StopGradient(StopGradient), &["i32[2]"], "i32[2]");
}

#[test]
fn a_wrong_number_of_operands_is_refused_before_the_rule() {
    let mut graph = Graph::new("arity");
    let x = graph.add(Op::Input(Input { name: "x".into(), ty: ty("f32[2]") }), &[], None).unwrap();
    let error = graph.add(Op::Concat(Concat { axis: 0 }), &[], None).unwrap_err().to_string();
    assert!(error.contains("0 operands"), "{error}");
    let error = graph.add(Op::Elementwise(ScalarOp::ADD), &[x], None).unwrap_err().to_string();
    assert!(error.contains("1 operands"), "{error}");
}
