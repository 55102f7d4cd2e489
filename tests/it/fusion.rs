//! What fusion promises: elements are computed a small number of times, and what is made of parts is a loop for each part.

use crate::oracle::{Agreement, difference, random_ports};
use crate::pipeline::first_fault;
use gradc::dsl::{GraphBuilder, Tensor, TypeSpec, f32, f64, i32, u8};
use ir::Graph;
use kernel::walk::visit_stmts;
use kernel::{Program, Target};
use passes::{PassContext, RunOptions, Stop};

fn lowered(graph: &Graph) -> Program {
    let context = PassContext::new(Target::avx512());
    let options = RunOptions { stop: Stop::AfterPass("lower".into()), ..RunOptions::default() };
    passes::compile(graph.clone(), &context, &options).unwrap().module.program().unwrap().clone()
}

/// Operations of a step, and statements of its kernels.
fn size(program: &Program) -> (f64, usize) {
    let operations = program.launches.iter().map(|l| program.kernels[l.kernel as usize].work().operations).sum();
    let mut statements = 0;
    program.kernels.iter().for_each(|kernel| visit_stmts(&kernel.body, &mut |_| statements += 1));
    (operations, statements)
}

fn output(g: &GraphBuilder, x: &Tensor, y: &Tensor, gradient: bool) -> Graph {
    g.output("y", y);
    if gradient {
        g.output("d", &g.gradients(&(y * y).sum(), &[x])[0]);
    }
    g.finish().unwrap().graph
}

fn turned(y: &Tensor, axis: isize, n: usize) -> Tensor {
    y.slice_axis(axis, 1..n).concat(&[&y.slice_axis(axis, 0..1)], axis)
}

/// The mean of a value and its neighbour, on a ring, again and again.
fn means_on_a_ring(n: usize, rounds: usize, gradient: bool) -> Graph {
    let g = GraphBuilder::new("ring");
    let x = g.input("x", f32([n]));
    let y = (0..rounds).fold(x.clone(), |y, _| (&y + turned(&y, 0, n)) * 0.5);
    output(&g, &x, &y, gradient)
}

/// A step of diffusion in a padded square, again and again.
fn diffusion(n: usize, rounds: usize, gradient: bool) -> Graph {
    let g = GraphBuilder::new("diffusion");
    let x = g.input("x", f32([n, n]));
    let step = |u: Tensor, _| {
        let padded = u.pad(0.0, [(1, 1), (1, 1)]);
        let at = |a: usize, b: usize| padded.slice([a, b], [a + n, b + n]);
        &u + (at(0, 1) + at(2, 1) + at(1, 0) + at(1, 2) - &u * 4.0) * 0.1
    };
    let y = (0..rounds).fold(x.clone(), step);
    output(&g, &x, &y, gradient)
}

/// A costly value used twice, at two places, again and again.
fn doubled(n: usize, rounds: usize, gradient: bool) -> Graph {
    let g = GraphBuilder::new("doubled");
    let x = g.input("x", f32([3, n]));
    let y = (0..rounds).fold(x.clone(), |y, _| (turned(&y, 1, n) + &y).tanh());
    output(&g, &x, &y, gradient)
}

/// Rows divided by their sums, again and again.
fn normalized(n: usize, rounds: usize, gradient: bool) -> Graph {
    let g = GraphBuilder::new("normalized");
    let x = g.input("x", f32([5, n]));
    let y = (0..rounds).fold(x.clone(), |y, _| (&y - 0.1) / (y.abs().sum_keepdims([-1]) + 1.0));
    output(&g, &x, &y, gradient)
}

/// A cheap chain on a few numbers, spread over many.
fn spread(n: usize, rounds: usize, gradient: bool) -> Graph {
    let g = GraphBuilder::new("spread");
    let (x, z) = (g.input("x", f32([n])), g.input("z", f32([50, n])));
    let y = (0..rounds).fold(x.clone(), |y, _| (&y * 1.5 - &x).maximum(&x * 0.5));
    output(&g, &x, &(y + z), gradient)
}

type Rounds = fn(usize, usize, bool) -> Graph;
const ROUNDS: [Rounds; 5] = [means_on_a_ring, diffusion, doubled, normalized, spread];

#[test]
fn a_value_read_at_several_places_isn_t_computed_exponentially_often() {
    for (which, rounds) in ROUNDS.into_iter().enumerate() {
        for gradient in [false, true] {
            let [few, many] = [8, 32].map(|k| size(&lowered(&rounds(64, k, gradient))));
            let name = format!("graph {which}, gradient {gradient}");
            assert!(many.0 <= 5.0 * few.0, "{name}: {} operations of 8 rounds, {} of 32", few.0, many.0);
            assert!(many.1 <= 5 * few.1, "{name}: {} statements of 8 rounds, {} of 32", few.1, many.1);
        }
    }
}

#[test]
fn values_read_at_several_places_are_right() {
    for (which, rounds) in ROUNDS.into_iter().enumerate() {
        for gradient in [false, true] {
            check(&format!("graph {which}"), &rounds(9, 4, gradient), Agreement::Ulps(64.0));
        }
    }
}

fn check(name: &str, graph: &Graph, agreement: Agreement) {
    let ports = random_ports(graph, 5);
    let same = |a: &_, b: &_| difference(a, b, agreement);
    for target in [Target::baseline(), Target::avx512()] {
        first_fault(name, graph, &ports, &target, &same).unwrap_or_else(|fault| panic!("{fault}"));
    }
}

/// Parts of these extents along an axis, with something done to each before and to all after.
fn joined(of: fn([usize; 2]) -> TypeSpec, extents: &[usize], (other, axis): (usize, usize), busy: bool) -> Graph {
    let g = GraphBuilder::new("joined");
    let shape = |extent: usize| if axis == 0 { [extent, other] } else { [other, extent] };
    let part = |(i, &extent): (usize, &usize)| {
        let x = g.input(&format!("x{i}"), of(shape(extent)));
        if busy { &x * &x } else { x }
    };
    let parts: Vec<Tensor> = extents.iter().enumerate().map(part).collect();
    let whole = parts[0].concat(&parts[1..].iter().collect::<Vec<_>>(), axis as isize);
    g.output("y", &if busy { whole.maximum(&(&whole + &whole)) } else { whole });
    g.finish().unwrap().graph
}

/// Kernels ask nothing: neither which part an element is in nor whether it is padding.
fn assert_asks_nothing(name: &str, program: &Program) {
    let text = program.to_string();
    assert!(!text.contains("select(") && !text.contains("clamp("), "{name}:\n{text}");
}

#[test]
fn a_concatenation_is_a_loop_for_each_part_without_selections() {
    for busy in [false, true] {
        for axis in [0, 1] {
            let mut before = 0;
            for count in [2, 8, 64, 500] {
                let program = lowered(&joined(f32, &vec![4; count], (64, axis), busy));
                let name = format!("{count} parts on axis {axis}, busy {busy}");
                assert_asks_nothing(&name, &program);
                let (operations, statements) = size(&program);
                assert!(operations <= (count * 256 * 3) as f64, "{name}: {operations} operations");
                assert!(before == 0 || statements <= before * 8 + 100, "{name}: {statements} statements");
                before = statements;
            }
        }
    }
}

#[test]
fn concatenations_of_all_types_and_odd_sizes_are_right() {
    let types: [fn([usize; 2]) -> TypeSpec; 4] = [f32, f64, u8, i32];
    for of in types {
        for axis in [0, 1] {
            for extents in [&[3, 1, 17][..], &[1, 1], &[5, 5, 5, 5, 5, 5, 5], &[33, 2]] {
                check("joined", &joined(of, extents, (7, axis), true), Agreement::Bits);
            }
        }
    }
}

#[test]
fn padding_is_stored_beside_its_tensor_not_asked_for() {
    let g = GraphBuilder::new("padded");
    let (x, z) = (g.input("x", f32([6, 9, 5])), g.input("z", f32([8, 12, 5])));
    let padded = (&x * 2.0).pad(0.5, [(1, 1), (0, 3), (0, 0)]);
    let inner = x.slice([1, 2, 0], [5, 8, 5]);
    g.output("y", &(padded * &z));
    g.output("d", &g.gradients(&(&inner * &inner).sum(), &[&x])[0]);
    let graph = g.finish().unwrap().graph;
    assert_asks_nothing("padded", &lowered(&graph));
    check("padded", &graph, Agreement::Bits);
}

/// The gradient of many slices of one tensor is a sum of as many padded ones.
#[test]
fn a_sum_of_many_padded_tensors_stays_small() {
    let slices = |count: usize| {
        let g = GraphBuilder::new("slices");
        let x = g.input("x", f32([count, 8]));
        let row = |t: usize| x.slice_axis(0, t..t + 1).reshape([8]);
        let y = (1..count).fold(row(0), |sum, t| (sum + row(t)).tanh());
        output(&g, &x, &y, true)
    };
    let [few, many] = [50, 200].map(|count| size(&lowered(&slices(count))).1);
    assert!(many <= 5 * few, "{few} statements of 50 slices, {many} of 200");
    check("slices", &slices(40), Agreement::Ulps(64.0));
}
