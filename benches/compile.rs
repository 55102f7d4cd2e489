//! What compiling takes: each pass on what the passes before it made, and the whole way from a graph to a runnable step.

mod support;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use gradc::compile::CompileOptions;
use gradc::dsl::{Step, i32};
use gradc::model::{Model, Sequential};
use gradc::nn::SparseCategoricalCrossEntropy;
use gradc::optim::Adam;
use gradc_cli::bench::Workload;
use passes::pipeline::PIPELINE;
use passes::simplify::Rewrites;
use passes::{Module, Pass, PassContext, RunOptions};
use std::hint::black_box;

const WORKLOADS: [&str; 3] = ["mlp_small", "cnn_mnist_b32", "transformer_lm"];
/// Words in the texts of a recurrent network: what compiling takes must not depend on it.
const LENGTHS: [usize; 2] = [100, 1000];

/// Runs a pass without verification.
fn apply(pass: &Pass, module: Module, cx: &PassContext) -> Module {
    pass.apply(module, cx, &mut Rewrites::default()).expect("the pass succeeds")
}

fn each_pass(c: &mut Criterion) {
    let cx =
        PassContext::new(CompileOptions::default().target_or_host().expect("a machine that code is generated for"));
    for name in WORKLOADS {
        let step = Workload::named(name).and_then(Workload::step).expect("the workload exists");
        let mut module = Module::Graph(step.graph);
        let mut group = c.benchmark_group(format!("pass/{name}"));
        for (at, pass) in PIPELINE.iter().enumerate() {
            group.bench_function(format!("{at:02}_{}", pass.name), |b| {
                b.iter_batched(|| module.clone(), |module| apply(pass, module, &cx), BatchSize::SmallInput);
            });
            module = apply(pass, module, &cx);
        }
    }
}

fn whole(c: &mut Criterion) {
    let mut group = c.benchmark_group("compile");
    group.sample_size(20);
    for name in WORKLOADS {
        let step = Workload::named(name).and_then(Workload::step).expect("the workload exists");
        group.bench_function(name, |b| b.iter(|| black_box(support::load(&step))));
    }
}

/// The training step of the workload `lstm_text` on texts of another length.
fn recurrent(length: usize) -> Step {
    let model = Sequential::of(i32([length])).embedding(10_000, 64).lstm(64).dense(10);
    let step = model.training_graph(32, &SparseCategoricalCrossEntropy, &[], &Adam::new(0.001));
    step.expect("the model obeys the rules")
}

/// From a recurrent step to code, and further to a program with memory and initial values.
fn lengths(c: &mut Criterion) {
    let cx =
        PassContext::new(CompileOptions::default().target_or_host().expect("a machine that code is generated for"));
    let mut group = c.benchmark_group("length");
    group.sample_size(50);
    for length in LENGTHS {
        let step = recurrent(length);
        group.bench_function(format!("passes/{length}"), |b| {
            let run = |graph| passes::compile(graph, &cx, &RunOptions::default()).expect("the passes succeed");
            b.iter_batched(|| step.graph.clone(), run, BatchSize::SmallInput);
        });
        group.bench_function(format!("whole/{length}"), |b| b.iter(|| black_box(support::load(&step))));
    }
}

criterion_group!(benches, each_pass, whole, lengths);
criterion_main!(benches);
