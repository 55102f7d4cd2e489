//! What compiling takes: each pass on what the passes before it made, and the whole way from a graph to a runnable step.

mod support;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use gradc::bench::Workload;
use passes::pipeline::PIPELINE;
use passes::{Module, Pass, PassContext, PassFn};
use std::hint::black_box;

const WORKLOADS: [&str; 2] = ["mlp_small", "cnn_mnist_b32"];

/// Runs a pass without verification.
fn apply(pass: &Pass, module: Module, cx: &PassContext) -> Module {
    match (pass.run, module) {
        (PassFn::Graph(f), Module::Graph(mut graph)) => {
            f(&mut graph, cx).expect("the pass succeeds");
            Module::Graph(graph)
        }
        (PassFn::Lower(f), Module::Graph(graph)) => Module::Program(f(&graph, cx).expect("the pass succeeds")),
        (PassFn::Program(f), Module::Program(mut program)) => {
            f(&mut program, cx).expect("the pass succeeds");
            Module::Program(program)
        }
        _ => panic!("pass `{}` stands at the wrong place", pass.name),
    }
}

fn each_pass(c: &mut Criterion) {
    let cx = PassContext::new(codegen::host_target());
    for name in WORKLOADS {
        let step = Workload::named(name).and_then(|w| Ok(w.step()?)).expect("the workload exists");
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
        let step = Workload::named(name).and_then(|w| Ok(w.step()?)).expect("the workload exists");
        group.bench_function(name, |b| b.iter(|| black_box(support::load(&step))));
    }
}

criterion_group!(benches, each_pass, whole);
criterion_main!(benches);
