//! Products and convolutions of bytes, summed in `i32`: every pass keeps each integer, and so does machine code, whatever the processor has.

use crate::oracle::{Agreement, NamedValues, difference, evaluate};
use crate::pipeline::first_fault;
use gradc::compile::Target;
use gradc::dsl::Window;
use gradc::prelude::*;
use ir::{DType, Graph, Scalar, SplitMix64};
use kernel::InstructionSet;
use passes::{PassContext, RunOptions};

/// The target with quads, whatever the machine has.
fn with_quads() -> Target {
    Target::avx512().with_instruction_set(InstructionSet::Avx512Vnni).unwrap()
}

/// Bytes of all values, the extremes often.
fn bytes(graph: &Graph, seed: u64) -> NamedValues {
    let mut random = SplitMix64::new(seed);
    let mut byte = move || match random.bits() % 4 {
        0 => [0, 127, 128, 255][(random.bits() % 4) as usize],
        _ => random.bits() % 256,
    };
    let inputs = graph.inputs().map(|(_, input)| {
        let value = Value::from_fn(input.ty.clone(), |_| Scalar::from_bits(byte(), input.ty.dtype));
        (input.name.clone(), value)
    });
    inputs.collect()
}

/// Holds every pass on a graph and machine code for each instruction set to the interpreter, to the bit. `quads` says how many contractions are to be of quads.
#[track_caller]
fn agrees(name: &str, quads: usize, declare: impl Fn(&GraphBuilder)) {
    let g = GraphBuilder::new("quads");
    declare(&g);
    let step = g.finish().unwrap_or_else(|e| panic!("{name}: {e}"));
    let ports = bytes(&step.graph, 5);
    let same = |a: &NamedValues, b: &NamedValues| difference(a, b, Agreement::Bits);
    for target in [with_quads(), Target::avx2(), Target::baseline()] {
        first_fault(name, &step.graph, &ports, &target, &same).unwrap_or_else(|fault| panic!("{fault}"));
    }
    let options = RunOptions { stop: passes::Stop::AfterPass("quad".into()), ..RunOptions::default() };
    let text = passes::compile(step.graph.clone(), &PassContext::new(with_quads()), &options).unwrap().module.text();
    let found: usize = ["quad_dot ", "quad_conv "].iter().map(|op| text.matches(&format!("= {op}")).count()).sum();
    assert_eq!(found, quads, "{name}: {text}");
    let expected = evaluate(&step.graph, &ports).unwrap();
    for target in runtime::host_target().unwrap().limited_to_each() {
        for threads in [1, 2] {
            let options = CompileOptions { target: Some(target.clone()), ..CompileOptions::threads(threads) };
            let found = step.compile(&options).unwrap().run(&ports).unwrap();
            assert_eq!(
                difference(&expected, &found, Agreement::Bits),
                None,
                "{name} for {target} at {threads} threads"
            );
        }
    }
}

/// A product in `i32`.
fn product(x: &Tensor, w: &Tensor) -> Tensor {
    x.cast(DType::I32).matmul(w.cast(DType::I32))
}

#[test]
fn products_of_any_sizes() {
    for (m, k, n, quads) in [
        (64, 32, 48, 1),
        (33, 17, 19, 1),
        (1, 64, 10, 1),
        (5, 3, 2, 1),
        (1, 1601, 70, 1),
        (40, 96, 200, 1),
        (30, 1200, 90, 1),
        (300, 5, 33, 1),
        (50, 1, 40, 0),
        (9, 64, 1, 0),
    ] {
        agrees(&format!("{m}x{k}x{n}"), quads, |g| {
            let (x, w) = (g.input("x", u8([m, k])), g.input("w", i8([k, n])));
            g.output("y", &product(&x, &w));
        });
    }
}

#[test]
fn turned_factors_and_batches() {
    for (name, a, b, contract) in [
        ("both turned", [33, 70], [45, 33], [(0, 1)]),
        ("left turned", [34, 70], [34, 45], [(0, 0)]),
        ("right turned", [70, 36], [45, 36], [(1, 1)]),
    ] {
        agrees(name, 1, |g| {
            let (x, w) = (g.input("x", u8(a)).cast(DType::I32), g.input("w", i8(b)).cast(DType::I32));
            g.output("y", &x.dot_general(&w, [], contract));
        });
    }
    agrees("batches", 1, |g| {
        let (x, w) = (g.input("x", u8([3, 20, 21])), g.input("w", i8([3, 21, 18])));
        g.output("y", &product(&x, &w));
    });
}

/// Other factors stay as they are.
#[test]
fn factors_of_other_types_are_multiplied_one_by_one() {
    agrees("both signed", 0, |g| {
        let (x, w) = (g.input("x", i8([20, 21])), g.input("w", i8([21, 18])));
        g.output("y", &product(&x, &w));
    });
    agrees("exchanged", 0, |g| {
        let (x, w) = (g.input("x", i8([20, 21])), g.input("w", u8([21, 18])));
        g.output("y", &product(&x, &w));
    });
}

#[test]
fn what_was_in_quads_is_not_moved() {
    let g = GraphBuilder::new("quads");
    let (x, w) = (g.input("x", u8([9, 32])), g.input("w", i8([8, 20, 4])));
    g.output("y", &product(&x, &w.permute([0, 2, 1]).reshape([32, 20])));
    let (image, kernel) = (g.input("image", u8([2, 6, 6, 8])), g.input("kernel", i8([3, 3, 2, 20, 4])));
    let kernel = kernel.permute([0, 1, 2, 4, 3]).reshape([3, 3, 8, 20]);
    g.output("z", &image.cast(DType::I32).conv(kernel.cast(DType::I32), Window::new([3, 3]), 1));
    let step = g.finish().unwrap();
    let options = RunOptions { stop: passes::Stop::AfterPass("quad".into()), ..RunOptions::default() };
    let text = passes::compile(step.graph, &PassContext::new(with_quads()), &options).unwrap().module.text();
    for op in ["permute", "reshape", "pad", "cast"] {
        assert!(!text.contains(&format!("= {op} ")), "{text}");
    }
}

#[test]
fn what_follows_a_product_sees_its_integers() {
    agrees("epilogues", 2, |g| {
        let (x, w) = (g.input("x", u8([40, 30])), g.input("w", i8([30, 50])));
        let scale = g.iota(f32([50]), 0) * 1e-4;
        let hidden = (product(&x, &w).cast(DType::F32) * scale + 3.0).relu().round().cast(DType::U8);
        g.output("y", &product(&hidden, &g.input("v", i8([50, 24]))));
        g.output("hidden", &hidden);
    });
}

#[test]
fn convolutions() {
    let padded = Window { pad: vec![(1, 1); 2], ..Window::new([3, 3]) };
    let spread = Window { pad: vec![(2, 1), (0, 1)], dilation: vec![2, 1], ..Window::new([3, 2]) };
    let strided = Window { stride: vec![2, 2], pad: vec![(0, 1); 2], ..Window::new([3, 3]) };
    for (name, x, w, window, groups, quads) in [
        ("same", [9, 8, 7, 16], [3, 3, 16, 24], &padded, 1, 1),
        ("odd", [3, 9, 8, 17], [3, 3, 17, 19], &padded, 1, 1),
        ("one channel", [3, 9, 8, 1], [3, 3, 1, 19], &padded, 1, 1),
        ("one filter", [3, 9, 8, 8], [3, 3, 8, 1], &padded, 1, 0),
        ("dilated", [2, 11, 10, 18], [3, 2, 18, 20], &spread, 1, 1),
        ("strided", [2, 11, 10, 18], [3, 3, 18, 20], &strided, 1, 1),
        ("groups", [2, 8, 7, 32], [3, 3, 16, 48], &padded, 2, 1),
        ("odd groups", [2, 8, 7, 6], [3, 3, 3, 8], &padded, 2, 0),
        ("large", [1, 7, 7, 64], [3, 3, 64, 70], &padded, 1, 1),
    ] {
        agrees(name, quads, |g| {
            let (x, w) = (g.input("x", u8(x)).cast(DType::I32), g.input("w", i8(w)).cast(DType::I32));
            g.output("y", &x.conv(&w, window.clone(), groups));
        });
    }
}
