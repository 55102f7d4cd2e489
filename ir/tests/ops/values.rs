//! The reference evaluation on small tensors, worked out by hand.

use crate::tensors::{shape, tensor, ty};
use ir::op::argsort::ArgSort;
use ir::op::contraction::{Dot, Pair, PairContraction, PairProduct, QuadContraction, QuadProduct};
use ir::op::control::{Gradient, StopGradient};
use ir::op::cumsum::CumSum;
use ir::op::elementwise::Cast;
use ir::op::movement::{Broadcast, Concat, Pad, Permute, Reshape, Reverse, Slice};
use ir::op::reduce::{ArgKind, ArgReduce, Reduce, ReduceKind};
use ir::op::source::{Constant, Full, Input, Iota, State};
use ir::{DType, EvalError, Op, Scalar, ScalarOp, TensorType, Value};

fn eval(op: &Op, operands: &[&Value]) -> Result<Value, EvalError> {
    let types: Vec<&TensorType> = operands.iter().map(|v| v.ty()).collect();
    let result = op.rules().infer(&types).unwrap_or_else(|e| panic!("{op}: {e}"));
    let value = op.rules().eval(operands, &result)?;
    assert_eq!(value.ty(), &result, "{op}");
    Ok(value)
}

#[track_caller]
fn gives(op: Op, operands: &[Value], result: &str, elements: &[f64]) {
    let got = eval(&op, &operands.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(got, tensor(result, elements), "{op}");
}

/// 0, 1, 2... in a type.
fn count(text: &str) -> Value {
    let ty = ty(text);
    Value::from_fn(ty.clone(), |i| Scalar::from_i64(i as i64, ty.dtype))
}

const NAN: f64 = f64::NAN;

#[test]
fn sources() {
    gives(Op::Full(Full { value: Scalar::F32(0.5), shape: shape("[2]") }), &[], "f32[2]", &[0.5, 0.5]);
    let value = tensor("u8[2]", &[3.0, 4.0]);
    gives(Op::Constant(Constant { value }), &[], "u8[2]", &[3.0, 4.0]);
    gives(Op::Iota(Iota { ty: ty("i32[2,3]"), axis: 1 }), &[], "i32[2,3]", &[0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
    gives(Op::Iota(Iota { ty: ty("f32[2,3]"), axis: 0 }), &[], "f32[2,3]", &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
}

#[test]
fn ports_and_gradients_have_no_value_of_their_own() {
    let input = Op::Input(Input { name: "x".into(), ty: ty("f32[]") });
    let state = Op::State(State { name: "w".into(), ty: ty("f32[]") });
    assert!(matches!(eval(&input, &[]), Err(EvalError::NotEvaluable { op: "input", .. })));
    assert!(matches!(eval(&state, &[]), Err(EvalError::NotEvaluable { op: "state", .. })));
    let x = count("f32[]");
    let gradient = eval(&Op::Gradient(Gradient), &[&x, &x]);
    assert!(matches!(gradient, Err(EvalError::NotEvaluable { op: "gradient", .. })));
    gives(Op::StopGradient(StopGradient), &[count("i32[3]")], "i32[3]", &[0.0, 1.0, 2.0]);
}

#[test]
fn pairs_of_bf16() {
    let halves = |elements: &[f64]| tensor(&format!("bf16[{}]", elements.len()), elements);
    let pair = |first: &[f64], second: &[f64]| eval(&Op::Pair(Pair), &[&halves(first), &halves(second)]).unwrap();
    let x = pair(&[1.0, -2.0, NAN], &[0.5, 1.5, 1.0]);
    assert_eq!(x.get(0), Scalar::I32(0x3f00_3f80));
    assert_eq!(x.get(1), Scalar::I32(0x3fc0_c000));
    let dot = |a: &Value, b: &Value| {
        let dot = PairContraction::Dot(Dot { batch: vec![], contract: vec![(0, 0)] });
        eval(&Op::PairProduct(PairProduct { of: dot }), &[a, b]).unwrap().to_f64_vec()[0]
    };
    let ones = |count: usize| pair(&vec![1.0; count], &vec![1.0; count]);
    assert!(dot(&x, &ones(3)).is_nan());
    assert_eq!(dot(&pair(&[1.0, -2.0], &[0.5, 1.5]), &pair(&[3.0, 1.0], &[4.0, -8.0])), 3.0 + 2.0 - 2.0 - 12.0);
    assert_eq!(dot(&pair(&[f64::INFINITY], &[1.0]), &ones(1)), f64::INFINITY);
    let tiny = pair(&[1e-39], &[0.0]);
    assert_eq!(dot(&tiny, &pair(&[1e38], &[0.0])), 0.0, "denormals are taken for zeros");
}

#[test]
fn quads_of_bytes() {
    let dot = QuadContraction::Dot(Dot { batch: vec![], contract: vec![(1, 0)] });
    let (x, w) = (tensor("u8[1,8]", &[255.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 255.0]), count("i8[2,3,4]"));
    let lowest = tensor("i8[2,1,4]", &[-128.0; 8]);
    let product = |w: &Value| eval(&Op::QuadProduct(QuadProduct { of: dot.clone() }), &[&x, w]).unwrap().to_f64_vec();
    // Columns start at 0, 4 and 8, the second half of the sum at 12, 16 and 20.
    let column = |first: f64, second: f64| {
        let sum = |from: f64, of: [f64; 4]| of.iter().zip(0..).map(|(x, i)| x * (from + f64::from(i))).sum::<f64>();
        sum(first, [255.0, 1.0, 2.0, 3.0]) + sum(second, [4.0, 5.0, 6.0, 255.0])
    };
    assert_eq!(product(&w), [column(0.0, 12.0), column(4.0, 16.0), column(8.0, 20.0)]);
    assert_eq!(product(&lowest), [-128.0 * 531.0]);
}

#[test]
fn running_sums() {
    let sums = |axis, exclusive, reverse| Op::CumSum(CumSum { axis, exclusive, reverse });
    let x = count("f64[2,3]");
    gives(sums(1, false, false), std::slice::from_ref(&x), "f64[2,3]", &[0.0, 1.0, 3.0, 3.0, 7.0, 12.0]);
    gives(sums(0, false, false), std::slice::from_ref(&x), "f64[2,3]", &[0.0, 1.0, 2.0, 3.0, 5.0, 7.0]);
    gives(sums(1, true, false), std::slice::from_ref(&x), "f64[2,3]", &[0.0, 0.0, 1.0, 0.0, 3.0, 7.0]);
    gives(sums(1, false, true), std::slice::from_ref(&x), "f64[2,3]", &[3.0, 3.0, 2.0, 12.0, 9.0, 5.0]);
    gives(sums(1, true, true), std::slice::from_ref(&x), "f64[2,3]", &[3.0, 2.0, 0.0, 9.0, 5.0, 0.0]);
    gives(sums(0, false, false), &[tensor("u8[3]", &[200.0, 100.0, 3.0])], "u8[3]", &[200.0, 44.0, 47.0]);
    // In `bf16` a sum of ones would stop at 256.
    let ones = Value::from_fn(ty("bf16[600]"), |_| Scalar::from_f64(1.0, DType::Bf16));
    assert_eq!(eval(&sums(0, false, false), &[&ones]).unwrap().to_f64_vec()[599], 600.0);
    let edges = tensor("f32[4]", &[1.0, f64::INFINITY, 2.0, f64::NEG_INFINITY]);
    let sums_of_edges = eval(&sums(0, false, false), &[&edges]).unwrap().to_f64_vec();
    assert_eq!(sums_of_edges[..3], [1.0, f64::INFINITY, f64::INFINITY]);
    assert!(sums_of_edges[3].is_nan());
    let far = Value::from_fn(ty("f32[400]"), |i| Scalar::F32(if i == 100 { f32::INFINITY } else { 1.0 }));
    let sums_of_far = eval(&sums(0, false, false), &[&far]).unwrap().to_f64_vec();
    assert!(sums_of_far[100..].iter().all(|&sum| sum == f64::INFINITY), "an infinity stays in the blocks that follow");
}

#[test]
fn elementwise() {
    let op = Op::Elementwise;
    let (a, b) = (tensor("f32[3]", &[1.0, 2.0, NAN]), tensor("f32[3]", &[0.5, 4.0, 1.0]));
    gives(op(ScalarOp::ADD), &[a.clone(), b.clone()], "f32[3]", &[1.5, 6.0, NAN]);
    gives(op(ScalarOp::LT), &[a.clone(), b.clone()], "bool[3]", &[0.0, 1.0, 0.0]);
    let on = tensor("bool[3]", &[1.0, 0.0, 1.0]);
    gives(op(ScalarOp::SELECT), &[on, a.clone(), b], "f32[3]", &[1.0, 4.0, NAN]);
    gives(Op::Cast(Cast { dtype: DType::I32 }), &[a], "i32[3]", &[1.0, 2.0, 0.0]);
    gives(Op::Cast(Cast { dtype: DType::U8 }), &[tensor("i32[3]", &[-1.0, 256.0, 7.0])], "u8[3]", &[255.0, 0.0, 7.0]);
    gives(Op::Cast(Cast { dtype: DType::U8 }), &[tensor("f32[2]", &[-1.0, 256.0])], "u8[2]", &[0.0, 255.0]);
}

#[test]
fn reductions() {
    let reduce = |kind, axes: &[usize]| Op::Reduce(Reduce { kind, axes: axes.to_vec() });
    for dtype in ["f32", "f64", "bf16", "f16", "i64", "i32", "u8"] {
        // [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [10, 11]]]
        let x = || [count(&format!("{dtype}[2,3,2]"))];
        let ty = |dims: &str| format!("{dtype}{dims}");
        gives(reduce(ReduceKind::Sum, &[0, 2]), &x(), &ty("[3]"), &[14.0, 22.0, 30.0]);
        gives(reduce(ReduceKind::Sum, &[1]), &x(), &ty("[2,2]"), &[6.0, 9.0, 24.0, 27.0]);
        gives(reduce(ReduceKind::Sum, &[0, 1, 2]), &x(), &ty("[]"), &[66.0]);
        gives(reduce(ReduceKind::Max, &[1]), &x(), &ty("[2,2]"), &[4.0, 5.0, 10.0, 11.0]);
        gives(reduce(ReduceKind::Min, &[0]), &x(), &ty("[3,2]"), &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        gives(reduce(ReduceKind::Prod, &[2]), &x(), &ty("[2,3]"), &[0.0, 6.0, 20.0, 42.0, 72.0, 110.0]);
    }
    gives(reduce(ReduceKind::Sum, &[0]), &[tensor("u8[2]", &[200.0, 100.0])], "u8[]", &[44.0]);
    for kind in [ReduceKind::Max, ReduceKind::Min] {
        gives(reduce(kind, &[0]), &[tensor("f32[3]", &[1.0, NAN, 2.0])], "f32[]", &[NAN]);
    }
    let infinite = tensor("f32[2]", &[f64::NEG_INFINITY; 2]);
    gives(reduce(ReduceKind::Max, &[0]), &[infinite], "f32[]", &[f64::NEG_INFINITY]);
    gives(reduce(ReduceKind::Max, &[0]), &[tensor("i32[2]", &[-5.0, -3.0])], "i32[]", &[-3.0]);
}

#[test]
fn sixteen_bit_floats_are_summed_in_f32() {
    // In bf16 the sum would stop at 256: the next bf16 is 258, and 257 rounds to even.
    for dtype in ["bf16", "f16"] {
        let ones = tensor(&format!("{dtype}[512]"), &[1.0; 512]);
        let sum = Op::Reduce(Reduce { kind: ReduceKind::Sum, axes: vec![0] });
        gives(sum, &[ones], &format!("{dtype}[]"), &[512.0]);
    }
}

#[test]
fn positions() {
    let arg = |kind, axis| Op::ArgReduce(ArgReduce { kind, axis });
    let x = tensor("f32[2,3]", &[1.0, 5.0, 5.0, 4.0, -2.0, -2.0]);
    gives(arg(ArgKind::Max, 1), std::slice::from_ref(&x), "i32[2]", &[1.0, 0.0]);
    gives(arg(ArgKind::Min, 1), std::slice::from_ref(&x), "i32[2]", &[0.0, 1.0]);
    gives(arg(ArgKind::Max, 0), &[x], "i32[3]", &[1.0, 0.0, 0.0]);
    for kind in [ArgKind::Max, ArgKind::Min] {
        gives(arg(kind, 0), &[tensor("f64[4]", &[9.0, NAN, 1.0, NAN])], "i32[]", &[1.0]);
        // Zeros of either sign are equal.
        gives(arg(kind, 0), &[tensor("f64[2]", &[-0.0, 0.0])], "i32[]", &[0.0]);
    }
    gives(arg(ArgKind::Max, 0), &[tensor("i64[2]", &[-3.0, -2.0])], "i32[]", &[1.0]);
}

#[test]
fn orders() {
    let order = |axis, descending| Op::ArgSort(ArgSort { axis, descending });
    let x = tensor("f32[2,3]", &[1.0, 5.0, 5.0, 4.0, -2.0, -2.0]);
    gives(order(1, false), std::slice::from_ref(&x), "i32[2,3]", &[0.0, 1.0, 2.0, 1.0, 2.0, 0.0]);
    gives(order(1, true), std::slice::from_ref(&x), "i32[2,3]", &[1.0, 2.0, 0.0, 0.0, 1.0, 2.0]);
    gives(order(0, false), &[x], "i32[2,3]", &[0.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
    // NaNs are above infinity, zeros of either sign are equal, and what is equal keeps its order.
    let edges = tensor("f64[6]", &[NAN, 0.0, f64::INFINITY, -0.0, NAN, f64::NEG_INFINITY]);
    gives(order(0, false), std::slice::from_ref(&edges), "i32[6]", &[5.0, 1.0, 3.0, 2.0, 0.0, 4.0]);
    gives(order(0, true), &[edges], "i32[6]", &[0.0, 4.0, 2.0, 1.0, 3.0, 5.0]);
    gives(order(0, false), &[tensor("i64[3]", &[7.0, -3.0, -2.0])], "i32[3]", &[1.0, 2.0, 0.0]);
    gives(order(0, true), &[tensor("u8[3]", &[7.0, 200.0, 7.0])], "i32[3]", &[1.0, 0.0, 2.0]);
}

#[test]
fn movement() {
    let x = || [count("i32[2,3]")];
    gives(Op::Reshape(Reshape { shape: shape("[3,2]") }), &x(), "i32[3,2]", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    gives(Op::Permute(Permute { perm: vec![1, 0] }), &x(), "i32[3,2]", &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    // result[i,j,k] = x[j,k,i], where x[a,b,c] is 4a + 2b + c.
    let rotated = [0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0];
    gives(Op::Permute(Permute { perm: vec![2, 0, 1] }), &[count("u8[2,2,2]")], "u8[2,2,2]", &rotated);
    let column = Op::Broadcast(Broadcast { shape: shape("[2,3]"), axes: vec![0] });
    gives(column, &[count("f32[2]")], "f32[2,3]", &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    let row = Op::Broadcast(Broadcast { shape: shape("[2,3]"), axes: vec![1] });
    gives(row, &[count("f32[3]")], "f32[2,3]", &[0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
    gives(Op::Reverse(Reverse { axes: vec![1] }), &x(), "i32[2,3]", &[2.0, 1.0, 0.0, 5.0, 4.0, 3.0]);
    gives(Op::Reverse(Reverse { axes: vec![0, 1] }), &x(), "i32[2,3]", &[5.0, 4.0, 3.0, 2.0, 1.0, 0.0]);
}

#[test]
fn extents() {
    let slice = |start: &[usize], limit: &[usize], stride: &[usize]| {
        Op::Slice(Slice { start: start.to_vec(), limit: limit.to_vec(), stride: stride.to_vec() })
    };
    // Rows 0, 4, 8.
    let x = || [count("i32[3,4]")];
    gives(slice(&[1, 1], &[3, 4], &[1, 2]), &x(), "i32[2,2]", &[5.0, 7.0, 9.0, 11.0]);
    gives(slice(&[2, 3], &[3, 4], &[usize::MAX, usize::MAX / 2]), &x(), "i32[1,1]", &[11.0]);
    let pad = Pad { value: Scalar::I32(-1), low: vec![1, 0], high: vec![0, 1], interior: vec![0, 2] };
    let padded = [-1.0, -1.0, -1.0, -1.0, -1.0, 0.0, -1.0, -1.0, 1.0, -1.0, 2.0, -1.0, -1.0, 3.0, -1.0];
    gives(Op::Pad(pad), &[count("i32[2,2]")], "i32[3,5]", &padded);
    let one = Pad { value: Scalar::F32(7.0), low: vec![1], high: vec![0], interior: vec![usize::MAX / 2] };
    gives(Op::Pad(one), &[count("f32[1]")], "f32[2]", &[7.0, 0.0]);
    let joined = [0.0, 1.0, 0.0, 2.0, 3.0, 1.0];
    gives(Op::Concat(Concat { axis: 1 }), &[count("i32[2,2]"), count("i32[2,1]")], "i32[2,3]", &joined);
    gives(Op::Concat(Concat { axis: 0 }), &[count("i32[2]"), count("i32[1]")], "i32[3]", &[0.0, 1.0, 0.0]);
}

#[test]
fn folds_start_from_what_changes_no_element() {
    let foldable: Vec<ScalarOp> = ScalarOp::all().filter(|op| op.fold_start(DType::F32).is_some()).collect();
    let kinds = [ReduceKind::Sum, ReduceKind::Prod, ReduceKind::Max, ReduceKind::Min];
    assert_eq!(foldable.len(), kinds.len());
    for op in kinds.map(ReduceKind::op) {
        for dtype in DType::ALL.into_iter().filter(|dtype| dtype.is_number()) {
            let start = op.fold_start(dtype).unwrap();
            for x in [0.0, -0.0, 1.0, -3.0, 250.0, 1e30, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
                let x = Scalar::from_f64(x, dtype);
                let folded = op.eval(&[start, x]);
                let zero_of_a_sum = op == ScalarOp::ADD && x.as_f64() == 0.0;
                let same = folded.to_bits() == x.to_bits() || folded.is_nan() && x.is_nan();
                assert!(same || zero_of_a_sum && folded.as_f64() == 0.0, "{op:?} {start} {x}: {folded}");
            }
        }
    }
}

/// They went by way of the nearest `f32`, which is the tie itself.
#[test]
fn doubles_beside_a_tie_become_the_nearer_number_of_16_bits() {
    for (dtype, greatest) in [(DType::F16, 0x7bff), (DType::Bf16, 0x7f7f)] {
        for bits in 0..greatest {
            let [low, high] = [bits, bits + 1].map(|bits| Scalar::from_bits(bits, dtype));
            let tie = f64::midpoint(low.as_f64(), high.as_f64());
            let even = if bits % 2 == 0 { low } else { high };
            for (value, expected) in [(tie.next_down(), low), (tie, even), (tie.next_up(), high)] {
                assert_eq!(Scalar::F64(value).cast(dtype), expected, "{value:e} to {dtype}");
                let negated = Scalar::F64(-value).cast(dtype).to_bits();
                assert_eq!(negated, expected.to_bits() | 0x8000, "{:e} to {dtype}", -value);
            }
        }
        assert_eq!(Scalar::F64(1e300).cast(dtype), Scalar::highest(dtype));
        assert!(Scalar::F64(f64::from_bits(0x7ff0_0000_0000_0001)).cast(dtype).is_nan());
    }
}
