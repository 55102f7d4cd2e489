//! Losses, their gradients and metrics against values that PyTorch and scikit-learn computed in `f64` (`tools/reference_losses.py`), at extents that are multiples of nothing.

use crate::dsl::{GraphBuilder, Tensor};
use crate::nn::loss::SmoothedEntropy;
use crate::nn::metric::Reported;
use crate::nn::*;
use crate::testing::reference::{self, Case, cases};
use crate::testing::{NamedValues, Runner, assert_close};
use crate::train::accumulated;
use ir::DType;

/// Compares a loss and its gradients with all cases of a file.
fn check(file: &str, loss: impl Fn(&Case<'_>) -> Tensor) {
    reference::check(&format!("losses/{file}"), loss);
}

#[test]
fn focal_losses() {
    check("binary_focal", |c| {
        binary_focal_cross_entropy(c.tensor("x"), c.tensor("t"), c.setting("gamma"), Some(c.setting("alpha")))
    });
    check("sparse_focal", |c| sparse_focal_cross_entropy(c.tensor("x"), c.tensor("t"), c.setting("gamma")));
    check("categorical_focal", |c| categorical_focal_cross_entropy(c.tensor("x"), c.tensor("t"), c.setting("gamma")));
}

#[test]
fn smoothed_labels() {
    check("sparse_smoothing", |c| {
        SparseCategoricalCrossEntropy.smoothed(c.tensor("x"), c.tensor("t"), c.setting("rate"))
    });
    check("categorical_smoothing", |c| {
        CategoricalCrossEntropy.smoothed(c.tensor("x"), c.tensor("t"), c.setting("rate"))
    });
    check("binary_smoothing", |c| BinaryCrossEntropy.smoothed(c.tensor("x"), c.tensor("t"), c.setting("rate")));
}

#[test]
fn likelihoods() {
    check("nll", |c| negative_log_likelihood(c.tensor("x"), c.tensor("t")));
    check("poisson", |c| {
        let settings = PoissonNll { log_input: c.setting("log_input") != 0.0, full: c.setting("full") != 0.0 };
        poisson_nll(c.tensor("x"), c.tensor("t"), settings)
    });
    check("huber", |c| huber(c.tensor("x"), c.tensor("t"), c.setting("delta")));
}

#[test]
fn losses_of_embeddings() {
    check("contrastive", |c| contrastive(c.tensor("a"), c.tensor("b"), c.tensor("t"), c.setting("margin")));
    check("triplet", |c| triplet_margin(c.tensor("a"), c.tensor("p"), c.tensor("n"), c.setting("margin")));
    check("batch_hard", |c| batch_hard_triplet(c.tensor("x"), c.tensor("t"), c.setting("margin")));
    check("cosine_embedding", |c| cosine_embedding(c.tensor("a"), c.tensor("b"), c.tensor("t"), c.setting("margin")));
    check("cosine_similarity", |c| cosine_similarity(c.tensor("a"), c.tensor("b")));
}

#[test]
fn connectionist_temporal_classification() {
    check("ctc", |c| {
        let labels = c.tensor("t").shape().unwrap()[1];
        let ctc = Ctc::new(labels).blank(c.setting("blank") as usize).zero_infinity(true);
        ctc.losses(c.tensor("x"), c.tensor("t"), c.tensor("inputs"), c.tensor("lengths"))
    });
}

/// The metric of a case's samples, split into batches of these sizes, over and over.
fn measured(metric: &Metric, values: &NamedValues, sizes: &[usize]) -> f64 {
    let target = if values.contains_key("t") { "t" } else { "target" };
    let samples = values["x"].ty().shape[0];
    let mut batches: Vec<NamedValues> = vec![];
    let (mut start, mut turn) = (0, 0);
    while start < samples {
        let end = samples.min(start + sizes[turn % sizes.len()]);
        let g = GraphBuilder::new("batch");
        let part = |name: &str| g.constant(values[name].clone()).slice_axis(0, start..end);
        let (x, weights) = (part("x"), part("weights"));
        // A binary output's target has its shape.
        let is_binary = target == "t" && values["x"].ty().shape[1] == 1;
        let t = if is_binary { part(target).unsqueeze(-1).cast(DType::F64) } else { part(target) };
        metric.declare(&g, &x, &t, Some(&weights), Reported::Totals);
        batches.push(Runner::new(&g.finish().unwrap_or_else(|e| panic!("{e}"))).step(&[]));
        (start, turn) = (end, turn + 1);
    }
    accumulated(metric, &batches).value
}

/// Compares metrics by the names that the file has them under.
fn check_metrics(file: &str, metrics: &[(&str, Metric)]) {
    for (number, values) in cases(&format!("metrics/{file}")) {
        for (name, metric) in metrics {
            let want = values[*name].get(0).as_f64();
            for sizes in [&[1000][..], &[3, 1, 5]] {
                let found = measured(metric, &values, sizes);
                let near = (found - want).abs() <= 1e-12 * want.abs().max(1.0);
                assert!(near, "{file}, case {number}, {name} in batches of {sizes:?}: {found}, not {want}");
            }
        }
    }
}

#[test]
fn scores_of_classes() {
    let mut metrics = vec![
        ("accuracy", Metric::Accuracy),
        ("accuracy", Metric::ConfusionMatrix),
        ("perplexity", Metric::Perplexity),
        ("precision_class_1", Metric::Precision(Average::Class(1))),
        ("recall_class_1", Metric::Recall(Average::Class(1))),
        ("f1_class_1", Metric::F1(Average::Class(1))),
        ("iou_class_1", Metric::Iou(Average::Class(1))),
    ];
    for average in [Average::Macro, Average::Micro, Average::Weighted] {
        let all = [Metric::Precision(average), Metric::Recall(average), Metric::F1(average), Metric::Iou(average)];
        metrics.extend(all.map(|metric| (&*metric.name().leak(), metric)));
    }
    check_metrics("classification", &metrics);
}

#[test]
fn confusion_matrices() {
    for (_, values) in cases("metrics/classification") {
        let g = GraphBuilder::new("matrix");
        let [x, t, weights] = ["x", "t", "weights"].map(|name| g.constant(values[name].clone()));
        g.output("y", &Metric::ConfusionMatrix.statistics(&x, &t, Some(&weights))[0]);
        let found = Runner::new(&g.finish().unwrap()).step(&[])["y"].to_f64_vec();
        assert_close(&found, &values["confusion"].to_f64_vec(), 1e-14);
    }
}

#[test]
fn areas_under_curves() {
    let metrics = [("auc", Metric::Auc), ("average_precision", Metric::AveragePrecision)];
    check_metrics("ranking", &metrics);
    check_metrics("ranking_of_classes", &metrics);
}

#[test]
fn errors_of_numbers() {
    check_metrics("regression", &[("r2", Metric::R2), ("mae", Metric::Mae), ("mse", Metric::Mse)]);
}
