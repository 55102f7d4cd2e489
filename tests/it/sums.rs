//! Sums: no accumulator takes more than a bounded number of terms, one after the other, so that errors grow with the logarithm of a sum's length.

use gradc::prelude::*;
use ir::Scalar;
use kernel::{Kernel, Reg, ScalarOp, Stmt};
use passes::{Module, PassContext, RunOptions};
use std::collections::BTreeMap;

/// Terms that an accumulator of floats may take in a row.
const LONGEST: usize = 8192;

/// The most terms that statements add to each accumulator from outside of them.
fn chains(body: &[Stmt], longest: &mut usize) -> BTreeMap<Reg, usize> {
    let mut terms: BTreeMap<Reg, usize> = BTreeMap::new();
    for stmt in body {
        match stmt {
            Stmt::Accumulate { reg, op, .. } if *op == ScalarOp::ADD => *terms.entry(*reg).or_default() += 1,
            Stmt::Assign { reg, .. } => *terms.entry(*reg).or_default() += 1,
            Stmt::For { extent, body, .. } => {
                let inner = chains(body, longest);
                inner.into_iter().for_each(|(reg, n)| *terms.entry(reg).or_default() += n * extent);
            }
            _ => {}
        }
    }
    for stmt in body {
        if let Stmt::Decl { reg, .. } = stmt {
            *longest = terms.remove(reg).unwrap_or(0).max(*longest);
        }
    }
    terms
}

fn longest_chain(kernel: &Kernel) -> usize {
    let mut longest = 0;
    chains(&kernel.body, &mut longest);
    longest
}

/// Panics if a kernel of the compiled graph has a chain that is too long.
#[track_caller]
fn is_bounded(name: &str, declare: impl Fn(&GraphBuilder)) {
    let g = GraphBuilder::new("sums");
    declare(&g);
    let graph = g.finish().unwrap_or_else(|e| panic!("{name}: {e}")).graph;
    for target in [kernel::Target::baseline(), kernel::Target::avx512()] {
        let done = passes::compile(graph.clone(), &PassContext::new(target), &RunOptions::default()).unwrap();
        let Module::Program(program) = done.module else { panic!("{name} stayed a graph") };
        for kernel in &program.kernels {
            let longest = longest_chain(kernel);
            assert!(longest <= LONGEST, "{name}: {longest} terms in one accumulator:\n{kernel}");
        }
    }
}

/// How far the means are from those of inputs that are 0.1 everywhere, relative to them, at most: each term rounds alike, so that errors add up.
fn error_of_mean(declare: impl Fn(&GraphBuilder) -> Tensor, mean: f64) -> f64 {
    let run = |threads: usize| {
        let g = GraphBuilder::new("means");
        g.output("y", &declare(&g));
        let step = g.finish().unwrap_or_else(|e| panic!("{e}"));
        let value = |(_, input): (ir::NodeId, &ir::op::source::Input)| {
            (input.name.clone(), Value::from_fn(input.ty.clone(), |_| Scalar::F32(0.1)))
        };
        let inputs: BTreeMap<String, Value> = step.graph.inputs().map(value).collect();
        let mut program = step.compile(&CompileOptions::threads(threads)).unwrap();
        program.run(inputs.iter()).unwrap()["y"].to_f64_vec()
    };
    let one = run(1);
    (2..=4).for_each(|threads| assert_eq!(one, run(threads), "{threads} threads"));
    one.into_iter().map(|y| (y / mean - 1.0).abs()).fold(0.0, f64::max)
}

/// The shapes whose every axis and pair of axes is summed.
const SHAPES: [[usize; 3]; 4] = [[300, 211, 129], [2, 250_000, 2], [100_003, 7, 3], [3, 7, 100_003]];

#[test]
fn sums_over_any_axes_were_one_chain_each() {
    for shape in SHAPES {
        for axes in [&[0][..], &[1], &[2], &[0, 1], &[1, 2], &[0, 2], &[0, 1, 2]] {
            is_bounded(&format!("sum of {shape:?} over {axes:?}"), |g| {
                g.output("y", &g.input("x", f32(shape)).sum_axes(axes));
            });
            is_bounded(&format!("variance of {shape:?} over {axes:?}"), |g| {
                g.output("y", &g.input("x", f32(shape)).var_axes(axes));
            });
        }
    }
}

#[test]
fn means_were_off_by_the_number_of_their_terms() {
    let (x, square) = (f64::from(0.1f32), f64::from(0.1f32 * 0.1f32));
    let errors = [
        ("middle axis", error_of_mean(|g| g.input("x", f32([2, 2_000_000, 2])).mean_axes([1]), x)),
        ("pixels", error_of_mean(|g| g.input("x", f32([8, 512, 512, 3])).mean_axes([1, 2]), x)),
        ("squares", error_of_mean(|g| g.input("x", f32([1 << 21, 2])).transpose().square().mean(), square)),
        ("all", error_of_mean(|g| g.input("x", f32([4_000_000])).mean(), x)),
    ];
    // Rounding that always errs to one side: half a unit in the last place for each term of a block of 512, on two levels, would be 6e-5 at most.
    let wrong: Vec<_> = errors.into_iter().filter(|(_, error)| *error > 1e-5).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
