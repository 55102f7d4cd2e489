//! Masks through layers: what fills a sequence changes no result, whatever stands between the layer that says so and the one that uses it.

use super::*;
use crate::dsl::{GraphBuilder, bool_, f64, i32};
use crate::model::{Model, Sequential};
use crate::nn::{
    Activation, ActivationLayer, BatchNorm, Bidirectional, Conv1d, Dense, Dropout, Embedding, GlobalAvgPool1d,
    GlobalMaxPool1d, GroupNorm, Gru, Layer, LayerNorm, LearnedPositions, Loss, Lstm, MeanSquaredError, Metric,
    MultiHeadAttention, RmsNorm, SparseCategoricalCrossEntropy, StatefulMetric, TiedHead, TransformerBlock,
};
use crate::optim::Sgd;
use crate::testing::{Runner, assert_close, check_gradients, constant, random_runner, value};

const WIDTH: usize = 4;

/// Words `[1, time]` as vectors; 0 is none.
fn embedded(g: &GraphBuilder, words: &[f64]) -> Tensor {
    let words = g.constant(value(i32([1, words.len()]), words));
    Embedding::new(9, WIDTH).dtype(ir::DType::F64).mask_zero(true).apply(&words)
}

/// Layers after which the sequence still is one.
fn between() -> Vec<Box<dyn Layer>> {
    vec![
        Box::new(Dense::new(WIDTH).activation(Activation::Gelu)),
        Box::new(Dropout::new(0.5)),
        Box::new(ActivationLayer(Activation::Softmax)),
        Box::new(LayerNorm::new()),
        Box::new(RmsNorm::new()),
        Box::new(BatchNorm::new()),
        Box::new(LearnedPositions::new(9)),
        Box::new(MultiHeadAttention::new(2, 2)),
        Box::new(TransformerBlock::new(2).dropout(0.1)),
        Box::new(TiedHead::new("embedding")),
        Box::new(Lstm::new(WIDTH).return_sequences(true)),
        Box::new(Bidirectional::new(Gru::new(2).return_sequences(true))),
    ]
}

/// Layers that give one row for a sequence.
fn after() -> Vec<Box<dyn Layer>> {
    vec![Box::new(GlobalAvgPool1d), Box::new(GlobalMaxPool1d), Box::new(Lstm::new(2).name("last"))]
}

#[test]
fn what_fills_a_sequence_changes_no_result() {
    for layer in between() {
        for last in after() {
            let of = |words: &[f64]| {
                let row = |g: &GraphBuilder| last.apply(&layer.apply(&embedded(g, words)));
                random_runner(&row).step(&[])["y"].to_f64_vec()
            };
            assert_close(&of(&[4.0, 7.0, 1.0, 0.0, 0.0]), &of(&[4.0, 7.0, 1.0]), 1e-12);
        }
    }
}

#[test]
fn masks_pass_in_training_and_through_operators() {
    let g = GraphBuilder::new("test");
    g.set_training(true);
    let x = embedded(&g, &[4.0, 0.0]);
    let mask = x.mask().unwrap().node();
    for layer in between().into_iter().chain([Box::new(GroupNorm::new(2)) as Box<dyn Layer>]) {
        assert_eq!(layer.apply(&x).mask().map(|m| m.node()), Some(mask), "{}", layer.kind());
    }
    let residual = (Dense::new(WIDTH).apply(&x).relu() * 2.0 + &x).cast(ir::DType::F32).stop_gradient();
    assert_eq!(residual.mask().map(|m| m.node()), Some(mask));
    // What may move or mix steps has none.
    assert!(Conv1d::new(2, 1).apply(&x).mask().is_none());
    assert!(x.reverse([1]).mask().is_none() && x.sum_axes([2]).mask().is_none());
    g.finish().unwrap();
}

#[test]
fn padding_of_a_memory_is_hidden() {
    let of = |words: &[f64]| {
        let layer = MultiHeadAttention::new(1, 3);
        let x = |g: &GraphBuilder| constant(g, &[1, 2, 3], &[0.3, -0.2, 0.9, 1.1, 0.4, -0.7]);
        random_runner(&|g| layer.apply((&x(g), &embedded(g, words)))).step(&[])["y"].to_f64_vec()
    };
    assert_close(&of(&[4.0, 0.0, 7.0, 0.0]), &of(&[4.0, 7.0]), 1e-12);
}

#[test]
fn losses_and_metrics_are_of_the_steps_that_count() {
    let mask = [1.0, 1.0, 0.0, 1.0, 0.0, 0.0];
    let of = |f: &dyn Fn(&Tensor, &Tensor) -> Tensor| {
        let g = GraphBuilder::new("test");
        let output = constant(&g, &[2, 3, 2], &[1.0, 0.0, 2.0, 5.0, 9.0, 9.0, 0.0, 3.0, 9.0, 9.0, 9.0, 9.0]);
        let output = output.with_mask(&g.constant(value(bool_([2, 3]), &mask)));
        g.output("y", &f(&output, &g.constant(value(i32([2, 3]), &[0.0, 0.0, 1.0, 1.0, 0.0, 1.0]))));
        Runner::new(&g.finish().unwrap()).step(&[])["y"].to_f64_vec()
    };
    let entropy = |x: f64, y: f64| (x.exp() + y.exp()).ln();
    let want = [(entropy(1.0, 0.0) - 1.0 + entropy(2.0, 5.0) - 2.0) / 2.0, entropy(0.0, 3.0) - 3.0];
    assert_close(&of(&|x, t| SparseCategoricalCrossEntropy.per_sample(x, t)), &want, 1e-14);
    assert_close(&of(&|x, t| Metric::Accuracy.statistics(x, t, None).remove(0)), &[0.5, 1.0], 1e-14);
    let squares = of(&|x, _| MeanSquaredError.per_sample(x, &x.builder().zeros(f64([2, 3, 2]))));
    assert_close(&squares, &[(1.0 + 4.0 + 25.0) / 4.0, 4.5], 1e-14);
}

#[test]
fn batch_statistics_are_of_the_steps_that_count() {
    let g = GraphBuilder::new("test");
    g.set_training(true);
    let x = constant(&g, &[1, 3, 2], &[1.0, 4.0, 3.0, 8.0, 100.0, 100.0]);
    let x = x.with_mask(&g.constant(value(bool_([1, 3]), &[1.0, 1.0, 0.0])));
    g.output("y", &BatchNorm::new().momentum(0.0).epsilon(0.0).apply(&x));
    let mut runner = Runner::new(&g.finish().unwrap());
    let y = runner.step(&[])["y"].to_f64_vec();
    assert_close(&y[..4], &[-1.0, -1.0, 1.0, 1.0], 1e-14);
    assert_close(&runner.state("batch_normalization/moving_mean"), &[2.0, 6.0], 1e-14);
    assert_close(&runner.state("batch_normalization/moving_variance"), &[1.0, 4.0], 1e-14);
}

#[test]
fn a_sequence_without_steps_gives_zeros_and_no_gradient() {
    let masked = |g: &GraphBuilder| {
        let x = g.param("x", f64([2, 3, 2]), crate::dsl::constant(0.0));
        x.with_mask(&g.constant(value(bool_([2, 3]), &[1.0, 0.0, 1.0, 0.0, 0.0, 0.0])))
    };
    for layer in [Box::new(GlobalAvgPool1d) as Box<dyn Layer>, Box::new(GlobalMaxPool1d)] {
        let y = random_runner(&|g| layer.apply(&masked(g))).step(&[])["y"].to_f64_vec();
        assert_eq!(y[2..], [0.0, 0.0]);
        check_gradients(|g| layer.apply(&masked(g)));
    }
}

#[test]
fn a_tagger_of_padded_texts_trains_on_the_words_alone() {
    let tagger = Sequential::of(i32([4])).add(Embedding::new(9, WIDTH).mask_zero(true)).add(Dropout::new(0.1)).dense(3);
    let loss = SparseCategoricalCrossEntropy;
    let step = tagger.training_graph(1, &loss, &[Metric::Accuracy], &Sgd::new(1.0)).unwrap();
    let tags = |last: f64| value(i32([1, 4]), &[2.0, 1.0, last, last]);
    let run = |last: f64| {
        let mut runner = Runner::new(&step);
        let out = runner.step(&[("x", value(i32([1, 4]), &[5.0, 3.0, 0.0, 0.0])), ("y", tags(last))]);
        (out["loss"].clone(), runner.states)
    };
    assert_eq!(run(0.0), run(2.0));
}
