//! Sums: no accumulator takes more than a bounded number of terms, one after the other, so that errors grow with the logarithm of a sum's length.

use gradc::dsl::{TypeSpec, Window};
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
        if let Stmt::Micro(tile) = stmt {
            *longest = tile.reduce.iter().map(|dim| dim.extent).product::<usize>().max(*longest);
        }
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
            let element = if input.ty.dtype.is_int() { Scalar::I32(7) } else { Scalar::F32(0.1) };
            (input.name.clone(), Value::from_fn(input.ty.clone(), |_| element))
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

type Declare = fn(&GraphBuilder) -> Tensor;

/// Contractions and windows, each with so many terms.
const LONG: [(&str, usize, Declare); 10] = [
    ("dot of 2^24", 1 << 24, |g| product(g, [1, 1 << 24], [1 << 24, 1])),
    ("few by few", 1 << 22, |g| product(g, [4, 1 << 22], [1 << 22, 4])),
    ("few by few of an odd length", 300_007, |g| product(g, [3, 300_007], [300_007, 5])),
    ("few rows of many", 1 << 17, |g| product(g, [2, 1 << 17], [1 << 17, 300])),
    ("many by many", 1 << 19, |g| {
        g.input("x", f32([1 << 19, 40])).transpose().matmul(g.input("y", f32([1 << 19, 64])))
    }),
    ("a column", 1 << 20, |g| g.input("x", f32([1 << 20, 3])).transpose().matmul(g.input("y", f32([1 << 20, 1])))),
    ("batches", 1 << 19, |g| g.input("x", f32([3, 5, 1 << 19])).matmul(g.input("y", f32([3, 1 << 19, 7])))),
    ("a window", 1 << 20, |g| g.input("x", f32([1, 1024, 1024, 3])).sum_pool(Window::new([1024, 1024])) * 0.1),
    ("a kernel", 1 << 18, |g| convolution(g, [1, 512, 512, 1], [512, 512, 1, 8])),
    ("a kernel's gradient", 2 * 400 * 400, |g| {
        let (x, k) = (g.input("x", f32([2, 400, 400, 2])), g.input("k", f32([1, 1, 2, 16])));
        let y = x.conv(&k, Window::new([1, 1]), 1);
        let weighted = (y * g.input("dy", f32([2, 400, 400, 16]))).sum();
        g.gradients(&weighted, &[&k]).remove(0)
    }),
];

fn product(g: &GraphBuilder, left: [usize; 2], right: [usize; 2]) -> Tensor {
    g.input("x", f32(left)).matmul(g.input("y", f32(right)))
}

fn convolution(g: &GraphBuilder, image: [usize; 4], kernel: [usize; 4]) -> Tensor {
    g.input("x", f32(image)).conv(g.input("k", f32(kernel)), Window::new([kernel[0], kernel[1]]), 1)
}

#[test]
fn long_contractions_were_one_chain() {
    let square = f64::from(0.1f32) * f64::from(0.1f32);
    LONG.iter().for_each(|(name, _, declare)| is_bounded(name, |g| g.output("y", &declare(g))));
    let errors = LONG.map(|(name, terms, declare)| (name, error_of_mean(declare, square * terms as f64)));
    println!("{errors:?}");
    // Three levels of at most 4096 terms each, of which each errs by half a unit at most, and always to one side.
    let wrong: Vec<_> = errors.into_iter().filter(|(_, error)| *error > 2e-4).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// The sizes at which sums were found to be wrong. They take 2 GB: `GRADC_LARGE=1` runs them.
#[test]
fn sums_were_wrong_at_these_sizes() {
    if std::env::var_os("GRADC_LARGE").is_none() {
        println!("skipped: GRADC_LARGE=1 runs it, in 2 GB of memory");
        return;
    }
    let (x, square) = (f64::from(0.1f32), f64::from(0.1f32 * 0.1f32));
    let gathered = |g: &GraphBuilder| g.input("x", f32([16])).gather(g.input("i", i32([1 << 26]))).mean();
    let errors = [
        ("middle axis", error_of_mean(|g| g.input("x", f32([2, 25_000_000, 2])).mean_axes([1]), x)),
        ("squares", error_of_mean(|g| g.input("x", f32([1 << 25, 2])).transpose().square().mean(), square)),
        ("gathered", error_of_mean(gathered, x)),
        ("pixels", error_of_mean(|g| g.input("x", f32([32, 512, 512, 3])).mean_axes([1, 2]), x)),
        ("all", error_of_mean(|g| g.input("x", f32([40_000_000])).mean(), x)),
    ];
    println!("{errors:?}");
    let wrong: Vec<_> = errors.into_iter().filter(|(_, error)| *error > 1e-5).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Variances of numbers around 3, relative to those in f64: of the columns of a table, and of a batch of images, as batch normalization takes them.
#[test]
fn variances_over_long_axes_were_off() {
    let error = |shape: &[usize], axes: &[isize]| {
        let g = GraphBuilder::new("variances");
        g.output("y", &g.input("x", TypeSpec::new(DType::F32, shape)).var_axes(axes));
        let step = g.finish().unwrap();
        let ty = step.graph.inputs().next().unwrap().1.ty.clone();
        let number = |i: usize| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let x = Value::from_fn(ty, |i| Scalar::F32(3.0 + number(i) as f32 / (1 << 24) as f32));
        let columns = *shape.last().unwrap();
        let inputs = BTreeMap::from([("x".to_string(), x)]);
        let y = step.compile(&CompileOptions::threads(2)).unwrap().run(inputs.iter()).unwrap()["y"].to_f64_vec();
        let all = inputs["x"].to_f64_vec();
        (0..columns)
            .map(|c| {
                let column = || all.iter().skip(c).step_by(columns);
                let n = column().count() as f64;
                let mean = column().sum::<f64>() / n;
                let variance = column().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
                (y[c] / variance - 1.0).abs()
            })
            .fold(0.0, f64::max)
    };
    let errors = [error(&[1_000_000, 4], &[0]), error(&[32, 112, 112, 16], &[0, 1, 2])];
    assert!(errors.iter().all(|&error| error < 1e-6), "{errors:?}");
}
