//! Transpositions in compiled code, which are cut into blocks, and reversals, which turn vectors around: what the interpreter computes, to the bit, for every type and odd sizes, alone and
//! within arithmetic.

use crate::machine;
use crate::oracle::{Agreement, TypeOf, difference, evaluate, random_ports};
use gradc::data::array;
use gradc::dsl::{GraphBuilder, Tensor, bf16, bool_, f16, f32, f64, i32, i64, u8};
use ir::Graph;
use passes::{PassContext, RunOptions};
use runtime::{Executable, LoadOptions};

/// What is done with a tensor in another order of its axes.
type TransposeUse = fn(&GraphBuilder, &Tensor, &[isize]) -> Tensor;

const TYPES: [TypeOf; 8] = [f32, f64, bf16, f16, i32, i64, u8, bool_];

/// Blocks that are whole in both directions, in one, in none; axes with others around and between.
const CASES: [(&[usize], &[isize]); 9] = [
    (&[128, 64], &[1, 0]),
    (&[129, 37], &[1, 0]),
    (&[9, 127], &[1, 0]),
    (&[250, 9], &[1, 0]),
    (&[1000, 8], &[1, 0]),
    (&[3, 70, 33], &[0, 2, 1]),
    (&[40, 3, 70], &[2, 1, 0]),
    (&[17, 5, 65], &[1, 2, 0]),
    (&[2, 9, 3, 67], &[0, 3, 2, 1]),
];

fn check(graph: &Graph, case: &str) {
    let ports = random_ports(graph, 11);
    let want = evaluate(graph, &ports).unwrap();
    for target in machine::machines() {
        let context = PassContext::new(target.clone());
        let program = passes::compile(graph.clone(), &context, &RunOptions::default()).unwrap().module;
        for threads in [1, 3] {
            let options = LoadOptions { threads, target: Some(target.clone()), verify_code: true, dump: false };
            let mut executable = Executable::load(program.program().unwrap().clone(), &options).unwrap();
            let found = machine::step(&mut executable, graph, &ports).unwrap();
            let difference = difference(&want, &found, Agreement::Bits);
            assert_eq!(difference, None, "{case} on {} with {threads} threads\n{graph}", target);
        }
    }
}

fn graph(ty: TypeOf, shape: &[usize], perm: &[isize], used: TransposeUse) -> Graph {
    let g = GraphBuilder::new("transpose");
    let x = g.input("x", ty(shape.to_vec()));
    g.output("y", &used(&g, &x, perm));
    g.finish().unwrap().graph
}

#[test]
fn every_type_and_size_is_transposed_to_the_bit() {
    for (shape, perm) in CASES {
        for (number, ty) in TYPES.into_iter().enumerate() {
            let graph = graph(ty, shape, perm, |_, x, perm| x.permute(perm));
            check(&graph, &format!("{shape:?} as {perm:?}, type {number}"));
        }
    }
}

#[test]
fn transposed_operands_of_arithmetic_are_read_in_blocks() {
    let uses: [(&str, TransposeUse); 3] = [
        ("with another operand", |g, x, perm| {
            let turned = x.permute(perm);
            let other = g.input("other", turned.ty().unwrap());
            &turned * 2.0 + other
        }),
        ("two transposed ones", |g, x, perm| {
            let other = g.input("other", x.ty().unwrap());
            x.permute(perm) - other.permute(perm)
        }),
        ("backwards", |_, x, perm| x.reverse([0]).permute(perm).reverse([0])),
    ];
    for (shape, perm) in CASES {
        for (name, used) in uses {
            for ty in [f32 as TypeOf, f64] {
                check(&graph(ty, shape, perm, used), &format!("{shape:?} as {perm:?}, {name}"));
            }
        }
    }
}

#[test]
fn every_type_is_reversed_to_the_bit_along_each_axis() {
    for shape in [[3, 1024], [5, 37], [64, 16], [7, 8], [1, 3]] {
        for (number, ty) in TYPES.into_iter().enumerate() {
            for axes in [&[0][..], &[1], &[0, 1]] {
                let graph = graph(ty, &shape, axes, |_, x, axes| x.reverse(axes));
                check(&graph, &format!("{shape:?} reversed along {axes:?}, type {number}"));
            }
        }
    }
}

/// Weights of imported models: turned, reshaped and cut before the step runs, however many they are; but a table isn't repeated, nor computed with.
#[test]
fn what_is_constant_is_turned_at_compile_time() {
    let g = GraphBuilder::new("weights");
    let w = g.constant(array([100, 50], (0..5000).map(|i| i as f32).collect()).unwrap());
    g.output("turned", &w.permute([1, 0]).reshape([5000]).slice_axis(0, 99..101));
    g.output("computed", &w.exp());
    g.output("repeated", &(w.unsqueeze(0).broadcast_to([2, 100, 50]) + g.input("x", f32([2, 100, 50]))));
    let mut graph = g.finish().unwrap().graph;
    let ports = random_ports(&graph, 3);
    let want = evaluate(&graph, &ports).unwrap();
    passes::fold::run(&mut graph, &PassContext::new(machine::machines()[0].clone())).unwrap();
    assert_eq!(difference(&want, &evaluate(&graph, &ports).unwrap(), Agreement::Bits), None);
    let count = |name: &str| graph.ids().filter(|&id| graph.op(id).name() == name).count();
    assert_eq!(["permute", "slice", "exp", "broadcast"].map(count), [0, 0, 1, 1], "{graph}");
}
