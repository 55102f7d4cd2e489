//! Dot products and convolution.

use crate::windows::{places, taps};
use crate::{any_geometry, eval, f32s, geometries, i64s, inner, integers, run, ty, window};
use ir::op::contraction::{Conv, ConvInputGrad, ConvWeightGrad, Dot};
use ir::op::movement::{Concat, Slice};
use ir::op::source::Constant;
use ir::op::window::Window;
use ir::{Builder, DType, Data, Graph, NodeId, Op, Scalar, ScalarOp, Shape, Value};
use proptest::prelude::*;

fn dot(batch: &[(usize, usize)], contract: &[(usize, usize)], a: &Value, b: &Value) -> Value {
    eval(Op::Dot(Dot { batch: batch.to_vec(), contract: contract.to_vec() }), &[a, b])
}

#[test]
fn multiplies_matrices() {
    let a = f32s(&[2, 3], &[1., 2., 3., 4., 5., 6.]);
    let b = f32s(&[3, 2], &[7., 8., 9., 10., 11., 12.]);
    assert_eq!(dot(&[], &[(1, 0)], &a, &b), f32s(&[2, 2], &[58., 64., 139., 154.]));
    assert_eq!(
        dot(&[], &[(0, 1), (1, 0)], &a, &b),
        f32s(&[], &[1. * 7. + 4. * 8. + 2. * 9. + 5. * 10. + 3. * 11. + 6. * 12.])
    );
    let outer = dot(&[], &[], &f32s(&[2], &[2., 3.]), &f32s(&[2], &[5., 7.]));
    assert_eq!(outer, f32s(&[2, 2], &[10., 14., 15., 21.]));
}

/// The sum of products with every axis named by a letter, as in Einstein's notation.
fn einsum(left: &str, right: &str, out: &str, a: &Value, b: &Value) -> Value {
    let mut extents = std::collections::BTreeMap::new();
    for (names, value) in [(left, a), (right, b)] {
        extents.extend(names.chars().zip(value.ty().shape.iter().copied()));
    }
    let summed: String = extents.keys().filter(|name| !out.contains(**name)).collect();
    let dims = |names: &str| names.chars().map(|name| extents[&name]).collect::<Vec<_>>();
    let at = |value: &Value, names: &str, place: &dyn Fn(char) -> usize| {
        let position = names.chars().fold(0, |p, name| p * extents[&name] + place(name));
        value.get(position).as_i64()
    };
    let mut elements = Vec::new();
    for o in places(&dims(out)) {
        let mut sum = 0;
        for s in places(&dims(&summed)) {
            let place = |name: char| match out.find(name) {
                Some(i) => o[i],
                None => s[summed.find(name).unwrap()],
            };
            sum += at(a, left, &place) * at(b, right, &place);
        }
        elements.push(sum);
    }
    i64s(&dims(out), &elements)
}

#[test]
fn pairs_any_axes() {
    type Pairs = &'static [(usize, usize)];
    let cases: [(&str, &str, &str, Pairs, Pairs); 5] = [
        ("bik", "bkj", "bij", &[(0, 0)], &[(2, 1)]),
        ("kbi", "jkb", "bij", &[(1, 2)], &[(0, 1)]),
        ("bkich", "hjckb", "bhij", &[(0, 4), (4, 0)], &[(1, 3), (3, 2)]),
        ("bkich", "hjckb", "hbij", &[(4, 0), (0, 4)], &[(3, 2), (1, 3)]),
        ("bi", "ib", "bi", &[(0, 1), (1, 0)], &[]),
    ];
    let extent = |name: char| match name {
        'b' => 2,
        'h' | 'k' => 3,
        'c' => 1,
        _ => 4,
    };
    for (left, right, out, batch, contract) in cases {
        let operand = |names: &str, seed| integers(&names.chars().map(extent).collect::<Vec<_>>(), seed);
        let (a, b) = (operand(left, 1), operand(right, 2));
        assert_eq!(dot(batch, contract, &a, &b), einsum(left, right, out, &a, &b), "{left},{right}->{out}");
    }
}

#[test]
fn integers_wrap_and_sixteen_bits_round_once() {
    let a = Value::new(ty(DType::I32, &[2]), Data::I32(vec![i32::MAX, 2])).unwrap();
    let b = Value::new(ty(DType::I32, &[2]), Data::I32(vec![2, 3])).unwrap();
    assert_eq!(dot(&[], &[(0, 0)], &a, &b).get(0), Scalar::I32(4));
    let bf16 = |v: &[f64]| Value::from_fn(ty(DType::Bf16, &[v.len()]), |i| Scalar::from_f64(v[i], DType::Bf16));
    let (a, b) = (bf16(&[256., 1., 1., 1., 1., 1., 1., 1., 1.]), bf16(&[1.0; 9]));
    assert_eq!(dot(&[], &[(0, 0)], &a, &b).get(0), Scalar::from_f64(264.0, DType::Bf16));
}

#[test]
fn products_are_fused() {
    // (1 + 2^-13)^2 - (1 + 2^-12) is 2^-26: rounding the square to f32 first would lose it.
    let (a, b) = (1.0 + 2f32.powi(-13), 1.0 + 2f32.powi(-12));
    let got = dot(&[], &[(0, 0)], &f32s(&[2], &[-b, a]), &f32s(&[2], &[1.0, a]));
    assert_eq!(got.get(0), Scalar::F32(2f32.powi(-26)));
}

fn conv(window: &Window, groups: usize, x: &Value, w: &Value) -> Value {
    eval(Op::Conv(Conv { window: window.clone(), groups }), &[x, w])
}

#[test]
fn convolves_by_hand() {
    // A 3x3 image with a 2x2 kernel, one row of padding above and below, every second column.
    let x = f32s(&[1, 3, 3, 1], &[1., 2., 3., 4., 5., 6., 7., 8., 9.]);
    let k = f32s(&[2, 2, 1, 1], &[1., 10., 100., 1000.]);
    let w = window(&[2, 2], &[1, 2], &[(1, 1), (0, 0)], &[1, 1]);
    assert_eq!(conv(&w, 1, &x, &k), f32s(&[1, 4, 1, 1], &[2100., 5421., 8754., 87.]));
    // Two groups of one channel each: the second input channel reaches outputs 2 and 3 only.
    let x = f32s(&[1, 2, 2], &[1., 10., 2., 20.]);
    let k = f32s(&[1, 1, 4], &[1., 2., 3., 4.]);
    assert_eq!(conv(&Window::new([1]), 2, &x, &k), f32s(&[1, 2, 4], &[1., 2., 30., 40., 2., 4., 60., 80.]));
}

fn part(build: &mut Builder<'_>, x: NodeId, axis: usize, from: usize, len: usize) -> NodeId {
    let mut limit = build.ty(x).shape.dims().to_vec();
    let (mut start, stride) = (vec![0; limit.len()], vec![1; limit.len()]);
    (start[axis], limit[axis]) = (from, from + len);
    build.add(Op::Slice(Slice { start, limit, stride }), &[x]).unwrap()
}

/// Convolution by explicit padding, slices, and one dot product per tap and group.
fn conv_by_dots(window: &Window, groups: usize, x: &Value, w: &Value) -> Value {
    let dims = x.ty().shape.dims().to_vec();
    let (rank, ci) = (dims.len(), dims[dims.len() - 1]);
    let co = w.ty().shape[rank - 1];
    let output = window.output(&dims[1..rank - 1]).unwrap();
    let mut graph = Graph::new("dots");
    let mut build = Builder::new(&mut graph, None);
    let x = build.add(Op::Constant(Constant { value: x.clone() }), &[]).unwrap();
    let w = build.add(Op::Constant(Constant { value: w.clone() }), &[]).unwrap();
    let w = build.reshape(w, Shape::new([window.taps(), ci / groups, co]).unwrap()).unwrap();
    let slices = taps(&mut build, x, window, &output, Scalar::I64(0));
    let mut parts = Vec::new();
    for g in 0..groups {
        let mut sum = None;
        for (tap, &slice) in slices.iter().enumerate() {
            let x = part(&mut build, slice, rank - 1, g * (ci / groups), ci / groups);
            let w = part(&mut build, w, 2, g * (co / groups), co / groups);
            let w = part(&mut build, w, 0, tap, 1);
            let w = build.reshape(w, Shape::new([ci / groups, co / groups]).unwrap()).unwrap();
            let y = build.add(Op::Dot(Dot { batch: vec![], contract: vec![(rank - 1, 0)] }), &[x, w]).unwrap();
            sum = Some(sum.map_or(y, |sum| build.binary(ScalarOp::ADD, sum, y).unwrap()));
        }
        parts.push(sum.unwrap());
    }
    let y = build.add(Op::Concat(Concat { axis: rank - 1 }), &parts).unwrap();
    graph.set_output("y", y);
    run(&graph)
}

/// An image and a kernel for a geometry: two images, `2 * groups` input and `3 * groups` output channels.
fn operands(spatial: &[usize], window: &Window, groups: usize, seed: u64) -> (Value, Value) {
    let x = integers(&[&[2], spatial, &[2 * groups]].concat(), seed);
    let w = integers(&[&window.size[..], &[2, 3 * groups]].concat(), seed + 100);
    (x, w)
}

/// Convolution equals its other formulation, and its gradients are its adjoints, exactly:
/// `dy · conv(x, w) = x · conv_input_grad(dy, w) = w · conv_weight_grad(x, dy)`.
fn check(spatial: &[usize], window: &Window, groups: usize, seed: u64) {
    let (x, w) = operands(spatial, window, groups, seed);
    let y = conv(window, groups, &x, &w);
    assert_eq!(y, conv_by_dots(window, groups, &x, &w), "{window:?}, groups {groups}");
    let dy = integers(y.ty().shape.dims(), seed + 50);
    let by_x = ConvInputGrad { window: window.clone(), groups, input: spatial.to_vec() };
    let dx = eval(Op::ConvInputGrad(by_x), &[&dy, &w]);
    let by_w = ConvWeightGrad { window: window.clone(), groups };
    let dw = eval(Op::ConvWeightGrad(by_w), &[&x, &dy]);
    let want = inner(&dy, &y);
    assert_eq!((inner(&x, &dx), inner(&w, &dw)), (want, want), "{window:?}, groups {groups}");
}

#[test]
fn convolution_is_a_sum_of_dots_of_padded_slices() {
    for (i, (spatial, window)) in geometries().into_iter().enumerate() {
        for groups in 1..=3 {
            check(&spatial, &window, groups, i as u64);
        }
    }
}

proptest! {
    #[test]
    fn any_convolution_is_a_sum_of_dots((spatial, window) in any_geometry(), groups in 1..=3usize, seed in 0..1000u64) {
        check(&spatial, &window, groups, seed);
    }
}
