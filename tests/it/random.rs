//! Random numbers in compiled code: those of the interpreter wherever they are used, and a block of random words once for its four elements.

use crate::bounds::difference_beyond_rounding;
use crate::machine;
use crate::oracle::{Agreement, NamedValues, TypeOf, difference, evaluate, random_ports};
use crate::pipeline::first_fault;
use gradc::dsl::{GraphBuilder, Tensor, bf16, f16, f32, f64};
use gradc::nn::{Dropout, Layer, LayerNorm};
use ir::Graph;
use kernel::{Program, Target};
use passes::{PassContext, RunOptions, Stop};
use runtime::{Executable, LoadOptions};

/// What random numbers are used for.
type RandomUse = fn(&Tensor) -> Tensor;

fn dropped(x: &Tensor) -> Tensor {
    Dropout::new(0.25).apply(x)
}

fn normal(x: &Tensor) -> Tensor {
    x.builder().random_normal(x.ty().unwrap())
}

/// What random numbers are used for: in rows that are reduced before or after, along each axis, turned, repeated, in sums alone.
const USES: [(&str, RandomUse); 9] = [
    ("alone", dropped),
    ("after a softmax", |x| dropped(&x.softmax(-1))),
    ("after a softmax of columns", |x| dropped(&x.softmax(0))),
    ("after a layer norm", |x| dropped(&LayerNorm::new().apply(x))),
    ("before a softmax", |x| dropped(x).softmax(-1)),
    ("after a transposition", |x| dropped(&x.transpose()) * 2.0),
    ("before a transposition", |x| dropped(x).transpose() * x.transpose()),
    ("with noise on few", |x| x + normal(&x.sum_axes([0]))),
    ("with noise", |x| (x + normal(x) * 0.5).sum_axes([0])),
];

fn declared(ty: TypeOf, shape: &[usize], used: RandomUse, gradient: bool) -> Graph {
    let g = GraphBuilder::new("random");
    g.set_training(true);
    let x = g.input("x", ty(shape.to_vec()));
    let y = used(&x);
    g.output("y", &y);
    if gradient {
        g.output("dx", &g.gradients(&(&y * &y).sum(), &[&x])[0]);
    }
    g.finish().unwrap().graph
}

fn program(graph: &Graph, target: Target, until: Stop) -> Program {
    let options = RunOptions { stop: until, ..RunOptions::default() };
    passes::compile(graph.clone(), &PassContext::new(target), &options).unwrap().module.program().unwrap().clone()
}

/// What emitter and vectors make of a graph, with so many threads.
fn run(graph: &Graph, ports: &NamedValues, target: Target, threads: usize) -> NamedValues {
    let options = LoadOptions { threads, target: Some(target.clone()), verify_code: true, dump: false };
    let mut executable = Executable::load(program(graph, target, Stop::End), &options).unwrap();
    machine::step(&mut executable, graph, ports).unwrap()
}

/// Odd ones, rows of less than a group of words, and more than a chunk of them with a rest.
const SHAPES: [&[usize]; 5] = [&[1, 1], &[3, 5], &[7, 129], &[2, 64], &[9, 487]];

#[test]
fn random_numbers_are_the_interpreter_s_wherever_they_are_used() {
    for (name, used) in USES {
        for (shape, ty) in SHAPES.into_iter().flat_map(|s| [(s, f32 as TypeOf), (s, f64), (s, bf16), (s, f16)]) {
            let graph = crate::autodiff::transform(&declared(ty, shape, used, true), "autodiff");
            let ports = random_ports(&graph, 5);
            let want = evaluate(&graph, &ports).unwrap();
            for target in machine::machines() {
                let found = run(&graph, &ports, target.clone(), 1);
                if let Some(difference) = difference_beyond_rounding(&graph, &ports, &want, &found) {
                    panic!("{name}, {shape:?}, {target}: {difference}\n{graph}");
                }
            }
        }
    }
}

#[test]
fn uniform_numbers_are_the_same_bits_on_every_machine_at_any_number_of_threads() {
    for numel in [1, 15, 63, 64, 65, 2047, 2048, 2049, 20_011] {
        let g = GraphBuilder::new("uniform");
        for (name, ty) in [("a", f32 as TypeOf), ("b", f64), ("c", bf16), ("d", f16)] {
            g.output(name, &g.random_uniform(ty(vec![numel])));
        }
        let graph = g.finish().unwrap().graph;
        let ports = random_ports(&graph, 7);
        let want = evaluate(&graph, &ports).unwrap();
        for target in machine::machines() {
            for threads in [1, 3] {
                let found = run(&graph, &ports, target.clone(), threads);
                assert_eq!(difference(&want, &found, Agreement::Bits), None, "{numel} on {target}");
            }
        }
    }
}

/// It was computed once for each element beside sums of rows, and wherever a row wasn't made of whole blocks.
#[test]
fn a_block_of_random_words_serves_its_four_elements_wherever_they_are_used() {
    for (name, used) in USES {
        for shape in [[512, 256], [509, 257]] {
            let operations = |graph: &Graph| {
                let program = program(graph, Target::avx512(), Stop::AfterPass("lower".into()));
                program.launches.iter().map(|l| program.kernels[l.kernel as usize].work().operations).sum::<f64>()
            };
            let [with, without] = [true, false].map(|training| {
                let g = GraphBuilder::new("random");
                g.set_training(training);
                let x = g.input("x", f32(shape));
                let y = used(&x);
                g.output("dx", &g.gradients(&(&y * &y).sum(), &[&x])[0]);
                operations(&g.finish().unwrap().graph)
            });
            // Ten rounds are some hundred operations for four elements; a normal number is a logarithm, a root, a sine and a cosine beside.
            let rest = if name.starts_with("with noise") { 0.0 } else { without };
            let each = (with - rest) / (shape[0] * shape[1]) as f64;
            assert!(each < 60.0, "{name}, {shape:?}: {each} operations more for each element than without");
        }
    }
}

/// What a mask is a byte of: it is kept for the gradient, and random words are computed once.
#[test]
fn a_mask_is_drawn_once_for_results_and_gradients() {
    let graph = declared(f32, &[64, 96], |x| dropped(&x.softmax(-1)), true);
    let program = program(&graph, Target::avx512(), Stop::AfterPass("lower".into()));
    let drawing = program.kernels.iter().filter(|k| k.name.contains("random_uniform")).count();
    assert_eq!(drawing, 1, "{program}");
    let masks = program.buffers.iter().filter(|b| b.dtype == ir::DType::Bool && b.len == 64 * 96).count();
    assert_eq!(masks, 1, "{program}");
}

/// A key may be made of random numbers.
#[test]
fn random_numbers_may_be_the_key_of_others() {
    let text = r#"graph "keys" {
  %0 = input {name="key"} : i64[]
  %1 = input {name="step"} : i64[]
  %2 = random_uniform %0, %1 {stream=1} : f64[]
  %3 = full {value=(1000000.0)} : f64[]
  %4 = mul %2, %3 : f64[]
  %5 = cast %4 : i64[]
  %6 = random_uniform %5, %1 {stream=2} : f64[]
  %7 = add %6, %4 : f64[]
  %8 = random_normal %5, %1 {stream=3} : f64[33]
  output "y" = %7
  output "z" = %8
}"#;
    let graph = Graph::parse(text).unwrap();
    let ports = random_ports(&graph, 3);
    for target in [Target::baseline(), Target::avx2(), Target::avx512()] {
        let same = |a: &NamedValues, b: &NamedValues| difference(a, b, Agreement::Ulps(64.0));
        first_fault("keys", &graph, &ports, &target, &same).unwrap_or_else(|fault| panic!("{fault}"));
    }
}
