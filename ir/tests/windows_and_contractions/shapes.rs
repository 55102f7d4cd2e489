//! What the type rules give, and the sentences they refuse with.

use crate::{infer, refusal, ty, window};
use ir::DType::{Bool, F32, F64, I32, I64};
use ir::op::contraction::{Conv, ConvInputGrad, ConvWeightGrad, Dot};
use ir::op::cumsum::CumSum;
use ir::op::index::{CheckIndex, Gather, ScatterAdd};
use ir::op::random::{Random, RandomKind};
use ir::op::take::TakeAlongAxis;
use ir::op::window::{Pool, PoolKind, PoolMaxGrad, PoolMaxTake, PoolSumGrad, Window};
use ir::{Op, TensorType};

fn f32(dims: &[usize]) -> TensorType {
    ty(F32, dims)
}

fn pool(window: Window) -> Op {
    Op::Pool(Pool { kind: PoolKind::Max, window })
}

fn conv(size: usize, groups: usize) -> Op {
    Op::Conv(Conv { window: Window::new([size, size]), groups })
}

fn dot(batch: &[(usize, usize)], contract: &[(usize, usize)]) -> Op {
    Op::Dot(Dot { batch: batch.to_vec(), contract: contract.to_vec() })
}

#[test]
fn windows_give_their_extents() {
    let halves = window(&[2, 2], &[2, 2], &[(0, 0), (0, 0)], &[1, 1]);
    assert_eq!(infer(pool(halves), &[f32(&[32, 26, 27, 8])]).unwrap(), f32(&[32, 13, 13, 8]));
    // (10 + 1 + 2 - 2*(3-1) - 1) / 3 + 1 = 3
    let odd = window(&[3], &[3], &[(1, 2)], &[2]);
    assert_eq!(infer(pool(odd.clone()), &[f32(&[1, 10, 4])]).unwrap(), f32(&[1, 3, 4]));
    let back = Op::PoolSumGrad(PoolSumGrad { window: odd, input: vec![10] });
    assert_eq!(infer(back, &[f32(&[1, 3, 4])]).unwrap(), f32(&[1, 10, 4]));
}

#[test]
fn a_window_obeys_its_rules() {
    let x = [f32(&[1, 4, 4, 1])];
    let none = [(0, 0), (0, 0)];
    let cases = [
        (window(&[2, 2], &[0, 1], &none, &[1, 1]), "the window's `stride` on spatial axis 0 is 0"),
        (window(&[2, 2], &[1, 1], &none, &[1, 0]), "the window's `dilation` on spatial axis 1 is 0"),
        (window(&[2, 0], &[1, 1], &none, &[1, 1]), "the window's `size` on spatial axis 1 is 0"),
        (window(&[2, 2], &[1], &none, &[1, 1]), "the window's size has 2 axes, but `stride` has 1 entries"),
        (window(&[2], &[1], &[(0, 0)], &[1]), "the window has 1 spatial axes, the tensor 2"),
        (window(&[], &[], &[], &[]), "at least one spatial axis"),
        (
            window(&[2, 2], &[1, 1], &[(0, 0), (2, 0)], &[1, 1]),
            "padding (2,0) on spatial axis 1 must be below the window's dilated extent 2",
        ),
        (
            window(&[3, 3], &[1, 1], &none, &[1, 2]),
            "the window covers 5 (size 3, dilation 2) on spatial axis 1, more than the padded input's 4 (4 + 0 + 0)",
        ),
        (window(&[usize::MAX, 2], &[1, 1], &none, &[1, 1]), "the window's `size` on spatial axis 0"),
        (window(&[1 << 40, 1 << 40], &[1, 1], &none, &[1, 1]), "has more than"),
        (window(&[1 << 40, 2], &[1, 1], &none, &[1 << 40, 1]), "is no extent"),
    ];
    for (window, want) in cases {
        let got = refusal(pool(window), &x);
        assert!(got.contains(want), "{got}\n  lacks: {want}");
    }
}

#[test]
fn pooling_takes_images_of_numbers() {
    let w = Window::new([2]);
    assert!(refusal(pool(w.clone()), &[f32(&[4, 4])]).contains("must be [batch, spatial..., channels]"));
    assert!(refusal(pool(w.clone()), &[ty(Bool, &[1, 4, 4])]).contains("must hold numbers"));
    let grad = Op::PoolMaxGrad(PoolMaxGrad { window: w.clone() });
    let got = refusal(grad.clone(), &[f32(&[1, 4, 2]), f32(&[1, 4, 2])]);
    assert_eq!(got, "pooling f32[1,4,2] gives f32[1,3,2], the gradient is f32[1,4,2]");
    assert!(refusal(grad, &[f32(&[1, 4, 2]), ty(F64, &[1, 3, 2])]).contains("f32 and f64"));
    let take = Op::PoolMaxTake(PoolMaxTake { window: w.clone() });
    assert!(refusal(take, &[f32(&[1, 4, 2]), f32(&[1, 4, 3])]).contains("f32[1,4,2] and f32[1,4,3]"));
    let back = Op::PoolSumGrad(PoolSumGrad { window: w, input: vec![5] });
    assert!(refusal(back, &[f32(&[1, 3, 2])]).contains("gives [4], the operand has [3]"));
}

#[test]
fn dot_orders_its_axes_and_checks_pairs() {
    let (a, b) = (f32(&[8, 3, 5]), f32(&[5, 8, 7]));
    assert_eq!(infer(dot(&[(0, 1)], &[(2, 0)]), &[a.clone(), b.clone()]).unwrap(), f32(&[8, 3, 7]));
    assert_eq!(infer(dot(&[], &[]), &[f32(&[2]), f32(&[3])]).unwrap(), f32(&[2, 3]));
    let got = refusal(dot(&[], &[(1, 0)]), &[f32(&[32, 784]), f32(&[10, 784])]);
    assert!(got.contains("axis 1 of the left operand [32,784] has extent 784"), "{got}");
    assert!(got.contains("axis 0 of the right operand [10,784] has 10"), "{got}");
    assert!(refusal(dot(&[(0, 0)], &[(0, 1)]), &[a.clone(), b.clone()]).contains("axis 0 of the left operand"));
    assert!(refusal(dot(&[], &[(3, 0)]), &[a.clone(), b]).contains("has no axis 3"));
    assert!(refusal(dot(&[], &[]), &[a.clone(), ty(F64, &[2])]).contains("one element type"));
    assert!(refusal(dot(&[], &[]), &[ty(Bool, &[2]), ty(Bool, &[2])]).contains("must hold numbers"));
}

#[test]
fn convolution_checks_channels_and_groups() {
    let x = f32(&[32, 28, 28, 64]);
    assert_eq!(infer(conv(3, 4), &[x.clone(), f32(&[3, 3, 16, 8])]).unwrap(), f32(&[32, 26, 26, 8]));
    let got = refusal(conv(3, 1), &[x.clone(), f32(&[3, 3, 32, 8])]);
    assert_eq!(
        got,
        "the kernel [3,3,32,8] has 32 input channels per group, x [32,28,28,64] has 64 channels in 1 group"
    );
    assert_eq!(refusal(conv(3, 3), &[x.clone(), f32(&[3, 3, 16, 9])]), "3 groups do not divide 64 input channels");
    assert_eq!(refusal(conv(3, 4), &[x.clone(), f32(&[3, 3, 16, 9])]), "4 groups do not divide 9 output channels");
    assert!(refusal(conv(3, 0), &[x.clone(), f32(&[3, 3, 64, 9])]).contains("at least 1 group"));
    assert!(refusal(conv(3, 1), &[x.clone(), f32(&[3, 5, 64, 9])]).contains("its spatial extents are [3, 5]"));
    assert!(refusal(conv(3, 1), &[x.clone(), f32(&[3, 3, 64])]).contains("[size..., in/groups, out]"));
    assert!(refusal(conv(3, 1), &[x, ty(F64, &[3, 3, 64, 8])]).contains("one element type"));
}

#[test]
fn gradients_of_convolution_check_their_operands() {
    let window = Window::new([3]);
    let by_x = |input| Op::ConvInputGrad(ConvInputGrad { window: Window::new([3]), groups: 2, input: vec![input] });
    let (dy, w) = (f32(&[4, 6, 10]), f32(&[3, 2, 10]));
    assert_eq!(infer(by_x(8), &[dy.clone(), w.clone()]).unwrap(), f32(&[4, 8, 4]));
    assert!(refusal(by_x(9), &[dy.clone(), w]).contains("gives [7], dy [4,6,10] has [6]"));
    assert!(refusal(by_x(8), &[dy.clone(), f32(&[3, 2, 12])]).contains("has 12 output channels, dy [4,6,10] has 10"));
    let by_w = Op::ConvWeightGrad(ConvWeightGrad { window, groups: 2 });
    assert_eq!(infer(by_w.clone(), &[f32(&[4, 8, 4]), dy.clone()]).unwrap(), f32(&[3, 2, 10]));
    assert!(refusal(by_w.clone(), &[f32(&[5, 8, 4]), dy.clone()]).contains("batch size 5, dy [4,6,10] has 4"));
    assert!(refusal(by_w, &[f32(&[4, 8, 3]), dy]).contains("2 groups do not divide 3 input channels"));
}

#[test]
fn running_sums_take_numbers_along_an_axis() {
    let sums = |axis| Op::CumSum(CumSum { axis, exclusive: false, reverse: false });
    assert_eq!(infer(sums(1), &[ty(I32, &[4, 7])]).unwrap(), ty(I32, &[4, 7]));
    assert!(refusal(sums(2), &[f32(&[4, 7])]).contains("axis 2 is out of range for rank 2"));
    assert!(refusal(sums(0), &[ty(Bool, &[4])]).contains("must hold numbers"));
}

#[test]
fn indexing_checks_types_and_shapes() {
    let (table, indices) = (f32(&[100, 16]), ty(I32, &[4, 7]));
    assert_eq!(infer(Op::Gather(Gather), &[table.clone(), indices.clone()]).unwrap(), f32(&[4, 7, 16]));
    assert!(refusal(Op::Gather(Gather), &[table.clone(), f32(&[4])]).contains("must be i32 or i64, they are f32[4]"));
    assert!(refusal(Op::Gather(Gather), &[f32(&[]), indices.clone()]).contains("must be [rows, ...]"));
    let take = |axis| Op::TakeAlongAxis(TakeAlongAxis { axis });
    assert_eq!(infer(take(1), &[table.clone(), ty(I32, &[100, 3])]).unwrap(), f32(&[100, 3]));
    assert_eq!(infer(take(1), &[table.clone(), ty(I32, &[100])]).unwrap(), f32(&[100]));
    assert!(refusal(take(1), &[table.clone(), ty(I32, &[16])]).contains("or without the axis"));
    assert!(refusal(take(1), &[table.clone(), ty(I32, &[100, 1, 1])]).contains("or without the axis"));
    assert!(refusal(take(1), &[table.clone(), f32(&[100, 3])]).contains("must be i32 or i64"));
    assert!(refusal(take(2), &[table.clone(), ty(I32, &[100, 3])]).contains("axis 2 is out of range for rank 2"));
    assert!(refusal(take(0), &[f32(&[]), ty(I32, &[])]).contains("out of range for rank 0"));
    let got = refusal(take(0), &[table.clone(), ty(I32, &[4, 7])]);
    assert_eq!(
        got,
        "indices [4,7] must have the table's shape, but for the extent along the axis, or without the axis: table [100,16], axis 0"
    );
    let scatter = Op::ScatterAdd(ScatterAdd);
    let got = refusal(scatter.clone(), &[table.clone(), indices.clone(), f32(&[4, 16])]);
    assert_eq!(got, "updates of table [100,16] at indices [4,7] must be [4,7,16], they are [4,16]");
    assert!(refusal(scatter, &[table.clone(), indices.clone(), ty(F64, &[4, 7, 16])]).contains("f32 and f64"));
    let check = |bound| Op::CheckIndex(CheckIndex { bound });
    assert_eq!(infer(check(10), std::slice::from_ref(&indices)).unwrap(), indices);
    assert!(refusal(check(0), &[indices]).contains("the bound is 0"));
    assert!(refusal(check(10), &[table]).contains("must be i32 or i64"));
}

#[test]
fn random_numbers_are_floats_from_a_scalar_key() {
    let op = |kind, ty| Op::Random(Random { kind, stream: 1, ty });
    let (key, uniform) = (ty(I64, &[]), RandomKind::Uniform);
    assert_eq!(infer(op(uniform, f32(&[3])), &[key.clone(), key.clone()]).unwrap(), f32(&[3]));
    let got = refusal(op(uniform, f32(&[3])), &[key.clone(), ty(I32, &[])]);
    assert_eq!(got, "the step must be i64[], it is i32[]");
    assert!(refusal(op(uniform, f32(&[3])), &[ty(I64, &[1]), key.clone()]).contains("the key must be i64[]"));
    assert!(refusal(op(uniform, ty(I32, &[3])), &[key.clone(), key.clone()]).contains("random numbers are floats"));
    for kind in [uniform, RandomKind::Normal] {
        assert!(infer(op(kind, f32(&[1 << 34])), &[key.clone(), key.clone()]).is_ok());
        let long = f32(&[(1 << 34) + 1]);
        assert!(refusal(op(kind, long), &[key.clone(), key.clone()]).contains("all that one stream gives"));
    }
}
