//! Attention in blocks of queries, compiled: what it computes, and what memory a training step of a long context takes.

use gradc::compile::{CompileOptions, run_passes};
use gradc::dsl::{GraphBuilder, Step, f32, uniform};
use gradc::model::{LanguageModel, Model};
use gradc::nn::{Layer, MultiHeadAttention, SparseCategoricalCrossEntropy};
use gradc::optim::Adam;
use passes::Stop;
use std::collections::BTreeMap;

/// Causal attention of 6 samples of 150 positions by 3 heads, with its gradients: enough that tiles above the diagonal are left out.
fn step(layer: &MultiHeadAttention) -> Step {
    let g = GraphBuilder::new("attention");
    let x = g.param("x", f32([6, 150, 24]), uniform(-1.0, 1.0));
    let y = layer.clone().causal(true).apply(&x);
    let loss = (&y * &x).sum();
    g.output("y", &y);
    for (name, parameter) in g.parameters() {
        g.output(&format!("d {name}"), &g.gradients(&loss, &[&parameter])[0]);
    }
    g.finish().unwrap()
}

fn results(step: &Step, threads: usize) -> BTreeMap<String, Vec<f64>> {
    let mut program = step.compile(&CompileOptions::threads(threads)).unwrap();
    program.step().unwrap();
    let value = |name: &String| (name.clone(), program.output_value(name).unwrap().to_f64_vec());
    program.outputs().keys().map(value).collect()
}

#[test]
fn blocks_compute_what_all_scores_at_once_do() {
    let layer = MultiHeadAttention::new(3, 8);
    let plain = results(&step(&layer), 1);
    // 64 doesn't divide 150, 50 does.
    for rows in [64, 50] {
        let blocked = step(&layer.clone().block(rows));
        let found = results(&blocked, 1);
        assert_eq!(found, results(&blocked, 2), "threads change bits");
        for (name, want) in &plain {
            let size = want.iter().fold(0.0f64, |size, v| size.max(v.abs()));
            for (got, want) in found[name].iter().zip(want) {
                assert!((got - want).abs() <= 1e-5 * size, "{name}, blocks of {rows}: {got}, not {want}");
            }
        }
    }
}

#[test]
fn a_long_context_trains_without_the_matrix_of_all_scores() {
    let (context, heads) = (4096, 4);
    let model = LanguageModel::new(65, context).width(64).heads(heads).layers(2);
    let step = model.training_graph(1, &SparseCategoricalCrossEntropy, &[], &Adam::new(1e-3)).unwrap();
    let outcome = run_passes(step.graph, &CompileOptions::default(), Stop::End).unwrap();
    let program = outcome.module.program().unwrap();
    let scores = context * context * 4;
    let largest = program.buffers.iter().map(kernel::Buffer::size_bytes).max().unwrap();
    let local = |k: &kernel::Kernel| k.locals.iter().map(|l| l.len * l.dtype.size_bytes()).sum::<usize>();
    let scratch = program.kernels.iter().map(local).max().unwrap();
    assert!(largest <= scores / 16, "a buffer takes {largest} bytes");
    assert!(scratch <= scores / 8, "a thread's scratch memory takes {scratch} bytes");
    // All scores of one head take 64 MiB, all of the step 512.
    let arena = program.arena_bytes.unwrap();
    assert!(arena <= scores, "the arena takes {arena} bytes");
}
