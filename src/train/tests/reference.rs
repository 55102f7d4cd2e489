//! Losses, their gradients and metrics against values that PyTorch and scikit-learn computed in `f64` (`tools/reference_losses.py`), at extents that are multiples of nothing.

use crate::compile::CompileOptions;
use crate::dsl::{GraphBuilder, Step, Tensor};
use crate::io::load_tensors;
use crate::nn::loss::SmoothedEntropy;
use crate::nn::metric::Reported;
use crate::nn::*;
use crate::testing::{NamedValues, Runner, assert_close};
use crate::train::accumulated;
use ir::{DType, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// The cases of a file, by number: tensors by name.
fn cases(file: &str) -> BTreeMap<usize, NamedValues> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(format!("{file}.safetensors"));
    let mut cases: BTreeMap<usize, NamedValues> = BTreeMap::new();
    for (name, value) in load_tensors(path).unwrap() {
        let (case, name) = name.split_once('/').unwrap();
        cases.entry(case.parse().unwrap()).or_default().insert(name.into(), value);
    }
    assert!(cases.len() >= 20, "{file} has {} cases", cases.len());
    cases
}

/// What a loss is made of: tensors by name, and settings.
struct Case<'a> {
    tensors: &'a BTreeMap<String, Tensor>,
    values: &'a NamedValues,
}

impl Case<'_> {
    fn tensor(&self, name: &str) -> &Tensor {
        &self.tensors[name]
    }

    fn setting(&self, name: &str) -> f64 {
        self.values[name].get(0).as_f64()
    }
}

/// The step of a case: outputs `loss`, and `d...` of the sum of losses for each gradient that the case has.
fn declare(values: &NamedValues, loss: &dyn Fn(&Case<'_>) -> Tensor) -> Step {
    let g = GraphBuilder::new("case");
    let is_gradient = |name: &str| name.strip_prefix('d').is_some_and(|by| values.contains_key(by));
    let is_input = |name: &str, value: &Value| value.ty().shape.rank() > 0 && name != "loss" && !is_gradient(name);
    let inputs = values.iter().filter(|(name, value)| is_input(name, value));
    let tensors = inputs.map(|(name, value)| (name.clone(), g.input(name, value.ty()))).collect();
    let losses = loss(&Case { tensors: &tensors, values });
    g.output("loss", &losses);
    for (name, tensor) in &tensors {
        let gradient = format!("d{name}");
        if values.contains_key(&gradient) {
            g.output(&gradient, &g.gradients(&losses.sum(), &[tensor])[0]);
        }
    }
    g.finish().unwrap_or_else(|e| panic!("{e}"))
}

/// Compares values and gradients of all cases, interpreted and as machine code.
fn check(file: &str, loss: impl Fn(&Case<'_>) -> Tensor) {
    for (number, values) in cases(&format!("losses/{file}")) {
        let step = declare(&values, &loss);
        let inputs: Vec<(&str, Value)> =
            step.graph.inputs().map(|(_, input)| (input.name.as_str(), values[&input.name].clone())).collect();
        let mut program = step.compile(&CompileOptions::threads(1)).unwrap();
        let compiled = program.run(inputs.iter().map(|(name, value)| (*name, value))).unwrap();
        let interpreted = Runner::new(&step).step(&inputs);
        for (results, engine) in [(interpreted, "interpreter"), (compiled, "machine code")] {
            for (name, found) in results {
                let (found, want) = (found.to_f64_vec(), values[&name].to_f64_vec());
                assert_eq!(found.len(), want.len(), "{file} {number} {name}");
                for (i, (found, want)) in found.iter().zip(&want).enumerate() {
                    let near = (found - want).abs() <= 1e-10 * want.abs().max(1.0);
                    assert!(near, "{file}, case {number}, {name}[{i}] by {engine}: {found}, not {want}");
                }
            }
        }
    }
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
