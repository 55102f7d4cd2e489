//! Products and convolutions of `bf16` in pairs: every pass keeps what they compute, and so does machine code, where the processor has the instruction.

use crate::halves::differentiate;
use crate::oracle::{Agreement, NamedValues, difference, evaluate, random_ports};
use crate::pipeline::first_fault;
use crate::seeds::check_most;
use gradc::dsl::Window;
use gradc::prelude::*;
use ir::{DType, Graph, Scalar, Shape, TensorType, Value};
use kernel::{InstructionSet, Target};
use passes::{PassContext, RunOptions};
use random_graphs::{Rng, random_values};

/// Declares a graph, holds every pass on it and machine code to the interpreter, and machine code to itself at any number of threads.
/// `pairs` says how many of its contractions are to be of pairs.
#[track_caller]
fn agrees(name: &str, pairs: usize, declare: impl Fn(&GraphBuilder)) {
    let g = GraphBuilder::new("pairs");
    declare(&g);
    let step = g.finish().unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut graph = step.graph.clone();
    let target = with_pairs();
    passes::autodiff::run(&mut graph, &PassContext::new(target.clone())).unwrap();
    let ports = random_ports(&graph, 11);
    let same = |a: &NamedValues, b: &NamedValues| difference(a, b, Agreement::Within(0.04));
    first_fault(name, &graph, &ports, &target, &same).unwrap_or_else(|fault| panic!("{fault}"));
    let text = graph_with_pairs(&graph);
    let found =
        ["pair_dot ", "pair_conv ", "pair_conv_weight_grad "].map(|op| text.matches(&format!("= {op}")).count());
    assert_eq!(found.iter().sum::<usize>(), pairs, "{name}: {text}");
    let run = |threads: usize| step.compile(&CompileOptions::threads(threads)).unwrap().run(&ports).unwrap();
    let one = run(1);
    let expected = evaluate(&graph, &ports).unwrap();
    assert_eq!(difference(&expected, &one, Agreement::Within(0.04)), None, "{name}");
    for threads in 2..=4 {
        assert_eq!(difference(&one, &run(threads), Agreement::Bits), None, "{name} at {threads} threads");
    }
}

#[test]
fn products_of_any_sizes_and_their_gradients() {
    for (m, k, n, pairs) in
        [(64, 32, 48, 3), (33, 17, 19, 3), (16, 8, 16, 1), (130, 96, 200, 3), (50, 1, 40, 0), (1, 64, 64, 0)]
    {
        agrees(&format!("{m}x{k}x{n}"), pairs, |g| {
            let (x, w) = (g.input("x", bf16([m, k])), g.input("w", bf16([k, n])));
            differentiate(g, &x.matmul(&w), &[&x, &w]);
        });
    }
}

#[test]
fn turned_factors_and_batches() {
    for (name, a, b, contract) in [
        ("both turned", [33, 70], [45, 33], [(0, 1)]),
        ("left turned", [34, 70], [34, 45], [(0, 0)]),
        ("right turned", [70, 35], [45, 35], [(1, 1)]),
    ] {
        agrees(name, 1, |g| {
            let (x, w) = (g.input("x", bf16(a)), g.input("w", bf16(b)));
            g.output("y", &x.dot_general(&w, [], contract));
        });
    }
    agrees("batches", 3, |g| {
        let (x, w) = (g.input("x", bf16([3, 20, 21])), g.input("w", bf16([3, 21, 18])));
        differentiate(g, &x.matmul(&w), &[&x, &w]);
    });
}

#[test]
fn what_follows_a_product_sees_its_sum_rounded_once() {
    agrees("epilogues", 2, |g| {
        let (x, w) = (g.input("x", bf16([40, 30])), g.input("w", bf16([30, 50])));
        let (b, v) = (g.input("b", bf16([50])), g.input("v", bf16([50, 24])));
        let hidden = (x.matmul(&w) + b).relu();
        g.output("wide", &hidden.matmul(&v).cast(DType::F32));
        g.output("hidden", &hidden);
    });
}

#[test]
fn convolutions_and_their_gradients() {
    let padded = Window { pad: vec![(1, 1); 2], ..Window::new([3, 3]) };
    let spread = Window { pad: vec![(2, 1), (0, 1)], dilation: vec![2, 1], ..Window::new([3, 2]) };
    let strided = Window { stride: vec![2, 2], pad: vec![(0, 1); 2], ..Window::new([3, 3]) };
    for (name, x, w, window, groups, pairs) in [
        ("same", [9, 8, 7, 16], [3, 3, 16, 24], &padded, 1, 3),
        ("odd", [3, 9, 8, 17], [3, 3, 17, 19], &padded, 1, 3),
        ("dilated", [2, 11, 10, 18], [3, 2, 18, 20], &spread, 1, 3),
        ("strided", [2, 11, 10, 18], [3, 3, 18, 20], &strided, 1, 2),
        ("groups", [2, 8, 7, 32], [3, 3, 16, 48], &padded, 2, 3),
    ] {
        agrees(name, pairs, |g| {
            let (x, w) = (g.input("x", bf16(x)), g.input("w", bf16(w)));
            differentiate(g, &x.conv(&w, window.clone(), groups), &[&x, &w]);
        });
    }
}

/// The target with pairs, whatever the machine has.
fn with_pairs() -> Target {
    Target::avx512().with_instruction_set(InstructionSet::Avx512Bf16).unwrap()
}

/// Something else on the way to a contraction, or from it to an output.
fn touched(random: &mut Rng, x: Tensor) -> Tensor {
    match random.between(0, 4) {
        0 => x.relu(),
        1 => x * 0.5,
        _ => x,
    }
}

/// A product of any rank with its axes in any order.
fn random_dot(g: &GraphBuilder, random: &mut Rng) -> [Tensor; 3] {
    let axes = |random: &mut Rng, most: usize, largest: usize| -> Vec<usize> {
        (0..random.between(usize::from(most > 1), most)).map(|_| random.between(1, largest)).collect()
    };
    let (batch, summed) = (axes(random, 1, 3), axes(random, 2, 24));
    let (rows, columns) = (axes(random, 2, 24), axes(random, 2, 24));
    let mut shuffled = |free: &[usize]| {
        let dims: Vec<usize> = batch.iter().chain(&summed).chain(free).copied().collect();
        let mut order: Vec<usize> = (0..dims.len()).collect();
        (1..order.len()).for_each(|i| order.swap(i, random.between(0, i)));
        let place = |axis: usize| order.iter().position(|&o| o == axis).unwrap();
        let places: Vec<usize> = (0..dims.len()).map(place).collect();
        (order.iter().map(|&axis| dims[axis]).collect::<Vec<_>>(), places)
    };
    let ((a, of_a), (b, of_b)) = (shuffled(&rows), shuffled(&columns));
    let (a, b) = (g.input("a", bf16(a)), g.input("b", bf16(b)));
    let pairs: Vec<(usize, usize)> = (0..batch.len() + summed.len()).map(|axis| (of_a[axis], of_b[axis])).collect();
    let (batch, summed) = pairs.split_at(batch.len());
    let y = touched(random, a.clone()).dot_general(touched(random, b.clone()), batch, summed);
    [a, b, y]
}

/// A convolution with any window.
fn random_conv(g: &GraphBuilder, random: &mut Rng) -> [Tensor; 3] {
    let (rank, groups) = (random.between(1, 2), random.pick(&[1, 1, 1, 2, 3]));
    let size: Vec<usize> = (0..rank).map(|_| random.between(1, 3)).collect();
    let window = Window {
        stride: (0..rank).map(|_| random.pick(&[1, 1, 2, 3])).collect(),
        dilation: (0..rank).map(|_| random.pick(&[1, 1, 2])).collect(),
        pad: size.iter().map(|&size| (random.between(0, size - 1), random.between(0, size - 1))).collect(),
        ..Window::new(size.clone())
    };
    let (channels, filters) = (random.between(1, 20), random.pick(&[5, 16, 17, 24, 33]));
    let mut x = vec![random.between(1, 5)];
    x.extend((0..rank).map(|_| random.between(6, 11)));
    x.push(channels * groups);
    let kernel: Vec<usize> = size.into_iter().chain([channels, filters * groups]).collect();
    let (x, kernel) = (g.input("x", bf16(x)), g.input("kernel", bf16(kernel)));
    let y = touched(random, x.clone()).conv(touched(random, kernel.clone()), window, groups);
    [x, kernel, y]
}

/// Where all products and sums are exact there is one result: no pass may change a bit, nor machine code. Says whether there are pairs.
fn is_exact(seed: u64) -> bool {
    let random = &mut Rng::new(seed);
    let g = GraphBuilder::new("exact");
    let [a, b, y] = if seed.is_multiple_of(2) { random_dot(&g, random) } else { random_conv(&g, random) };
    let y = touched(random, y);
    differentiate(&g, &y, &[&a, &b]);
    let step = g.finish().unwrap();
    let mut graph = step.graph.clone();
    passes::autodiff::run(&mut graph, &PassContext::new(with_pairs())).unwrap();
    let ports: NamedValues = random_values(&graph, seed).0.into_iter().collect();
    let same = |a: &NamedValues, b: &NamedValues| difference(a, b, Agreement::Bits);
    first_fault(&format!("seed {seed}"), &graph, &ports, &with_pairs(), &same)
        .unwrap_or_else(|fault| panic!("{fault}"));
    let expected = evaluate(&graph, &ports).unwrap();
    let found = step.compile(&CompileOptions::threads(2)).unwrap().run(&ports).unwrap();
    assert_eq!(difference(&expected, &found, Agreement::Bits), None, "seed {seed}\n{graph}");
    graph_with_pairs(&graph).contains("= pair")
}

/// The text of a graph after the pass.
fn graph_with_pairs(graph: &Graph) -> String {
    let options = RunOptions { stop: passes::Stop::AfterPass("pair".into()), ..RunOptions::default() };
    passes::compile(graph.clone(), &PassContext::new(with_pairs()), &options).unwrap().module.text()
}

/// An infinity or NaN reaches its row, whichever half of a pair it is, and nothing else; the zero that fills up an odd number meets a zero.
#[test]
fn infinity_and_nan_reach_their_row_alone() {
    let (m, k, n) = (20, 33, 40);
    let g = GraphBuilder::new("edges");
    let (x, w) = (g.input("x", bf16([m, k])), g.input("w", bf16([k, n])));
    g.output("y", &(x.relu().matmul(&w)));
    let step = g.finish().unwrap();
    let bf16 = |x: f64| Scalar::from_f64(x, DType::Bf16);
    let (row, ty) = (|i: usize| i / k, |dims: [usize; 2]| TensorType::new(DType::Bf16, Shape::new(dims).unwrap()));
    for (step_of, edge) in [(0, f64::INFINITY), (1, f64::INFINITY), (6, f64::NAN), (7, f64::NAN), (32, f64::NAN)] {
        let at = |i: usize| if row(i) == 3 && i % k == step_of { edge } else { 0.5 };
        let ports = NamedValues::from([
            ("x".to_string(), Value::from_fn(ty([m, k]), |i| bf16(at(i)))),
            ("w".to_string(), Value::from_fn(ty([k, n]), |_| bf16(2.0))),
        ]);
        let found = step.compile(&CompileOptions::threads(1)).unwrap().run(&ports).unwrap();
        let expected = Value::from_fn(ty([m, n]), |i| bf16(if i / n == 3 { edge } else { k as f64 }));
        assert_eq!(difference(&NamedValues::from([("y".to_string(), expected)]), &found, Agreement::Bits), None);
    }
}

#[test]
fn exact_products_and_convolutions_of_any_shape_keep_every_bit() {
    check_most(0, 60, 30, is_exact);
}
