//! Metrics against numbers worked out by hand: how outputs are read, what masks and weights leave out, where a score isn't defined.

use super::*;
use crate::dsl::{GraphBuilder, bool_, f64, i32};
use crate::testing::{Runner, assert_close, constant, value};
use ir::DType;

/// The metric of one batch.
fn of(metric: &Metric, declare: impl Fn(&GraphBuilder) -> [Tensor; 2], weights: Option<&[f64]>) -> f64 {
    let g = GraphBuilder::new("test");
    let [output, target] = declare(&g);
    let weights = weights.map(|w| constant(&g, &[w.len()], w));
    metric.declare(&g, &output, &target, weights.as_ref(), Reported::Totals);
    let out = Runner::new(&g.finish().unwrap_or_else(|e| panic!("{e}"))).step(&[]);
    let statistics: Vec<Value> = metric.ports().into_iter().map(|(name, _)| out[&name].clone()).collect();
    metric.value(&statistics)
}

fn labels(g: &GraphBuilder, dims: &[usize], labels: &[f64]) -> Tensor {
    constant(g, dims, labels).cast(DType::I32)
}

#[test]
fn scores_of_classes_are_read_from_any_kind_of_output() {
    let rows = [0.9, 0.1, 0.2, 0.8, 0.6, 0.4, 0.3, 0.7];
    let (f1, precision) = (Metric::F1(Average::Binary), Metric::Precision(Average::Binary));
    // Predicted 0 1 0 1, actually 0 1 1 0.
    let sparse = |g: &GraphBuilder| [constant(g, &[4, 2], &rows), labels(g, &[4], &[0.0, 1.0, 1.0, 0.0])];
    let one_hot =
        |g: &GraphBuilder| sparse(g).map(|t| if t.dtype() == Some(DType::I32) { t.one_hot(2, DType::F64) } else { t });
    let yes = |g: &GraphBuilder| constant(g, &[4, 1], &[0.0, 1.0, 1.0, 0.0]);
    let binary = |g: &GraphBuilder| [constant(g, &[4, 1], &[-1.0, 2.0, -0.1, 0.1]), yes(g)];
    let sigmoid = |g: &GraphBuilder| [binary(g)[0].sigmoid(), yes(g)];
    for declare in [&sparse as &dyn Fn(&GraphBuilder) -> [Tensor; 2], &one_hot, &binary, &sigmoid] {
        assert_eq!(of(&f1, declare, None), 0.5);
        assert_eq!(of(&precision, declare, Some(&[1.0, 3.0, 1.0, 1.0])), 0.75);
        assert_eq!(of(&Metric::Auc, declare, Some(&[1.0, 1.0, 1.0, 0.0])), 1.0);
        assert_eq!(of(&Metric::Auc, declare, None), 0.75);
    }
    // Each element of what sigmoids made is a decision of its own.
    let several = |g: &GraphBuilder| {
        [
            constant(g, &[2, 3], &[1.0, -1.0, 1.0, 1.0, -1.0, -1.0]).sigmoid(),
            constant(g, &[2, 3], &[1.0, 0.0, 0.0, 1.0, 1.0, 0.0]),
        ]
    };
    assert_close(&[of(&f1, several, None)], &[2.0 / 3.0], 1e-15);
}

#[test]
fn steps_that_a_mask_leaves_out_count_nowhere() {
    let mask = [1.0, 1.0, 0.0, 1.0, 0.0, 0.0];
    let masked = |g: &GraphBuilder| {
        let output = constant(g, &[2, 3, 2], &[1.0, 0.0, 2.0, 5.0, 9.0, f64::NAN, 0.0, 3.0, 9.0, 9.0, f64::NAN, 9.0]);
        let output = output.with_mask(&g.constant(value(bool_([2, 3]), &mask)));
        // What stands at other steps is no class.
        [output, labels(g, &[2, 3], &[0.0, 0.0, 7.0, 1.0, -1.0, 7.0])]
    };
    let plain =
        |g: &GraphBuilder| [constant(g, &[3, 2], &[1.0, 0.0, 2.0, 5.0, 0.0, 3.0]), labels(g, &[3], &[0.0, 0.0, 1.0])];
    for metric in [
        Metric::Perplexity,
        Metric::F1(Average::Macro),
        Metric::Iou(Average::Weighted),
        Metric::Auc,
        Metric::AveragePrecision,
        Metric::ConfusionMatrix,
    ] {
        for (of_sequences, of_steps) in [(None, None), (Some([2.0, 0.5]), Some([2.0, 2.0, 0.5]))] {
            let found = of(&metric, masked, of_sequences.as_ref().map(|w| w.as_slice()));
            let want = of(&metric, plain, of_steps.as_ref().map(|w| w.as_slice()));
            assert_close(&[found], &[want], 1e-14);
        }
    }
    let r2 = |g: &GraphBuilder| {
        let output = constant(g, &[1, 3, 1], &[1.0, 3.0, f64::NAN]);
        [
            output.with_mask(&g.constant(value(bool_([1, 3]), &mask[..3]))),
            constant(g, &[1, 3, 1], &[1.0, 2.0, f64::NAN]),
        ]
    };
    assert_close(&[of(&Metric::R2, r2, None)], &[1.0 - 1.0 / 0.5], 1e-14);
}

#[test]
fn scores_that_are_not_defined_are_no_numbers_and_empty_classes_are_left_out() {
    let one_kind = |g: &GraphBuilder| [constant(g, &[2, 1], &[1.0, 2.0]), g.ones(f64([2, 1]))];
    assert!(of(&Metric::Auc, one_kind, None).is_nan());
    assert_eq!(of(&Metric::AveragePrecision, one_kind, None), 1.0);
    let nan = |g: &GraphBuilder| [constant(g, &[2, 1], &[1.0, f64::NAN]), constant(g, &[2, 1], &[1.0, 0.0])];
    assert!(of(&Metric::Auc, nan, None).is_nan());
    // Class 2 is nowhere; class 1 is predicted only.
    let classes =
        |g: &GraphBuilder| [labels(g, &[2], &[0.0, 1.0]).one_hot(3, DType::F64), labels(g, &[2], &[0.0, 0.0])];
    assert_eq!(of(&Metric::Recall(Average::Macro), classes, None), 0.25);
    assert_eq!(of(&Metric::Recall(Average::Class(2)), classes, None), 0.0);
    assert_eq!(of(&Metric::Mae, |g| [g.ones(f64([2, 1])), g.zeros(f64([2, 1]))], Some(&[0.0, 0.0])), 0.0);
}

#[test]
fn r2_of_targets_far_from_zero_keeps_its_digits() {
    let targets = [1e9, 1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0];
    let shifted = |g: &GraphBuilder| [constant(g, &[4, 1], &targets.map(|t| t + 0.5)), constant(g, &[4, 1], &targets)];
    assert_close(&[of(&Metric::R2, shifted, None)], &[1.0 - 4.0 * 0.25 / 5.0], 1e-14);
}

#[test]
fn what_is_no_score_of_an_output_is_refused() {
    let refused = |metric: Metric, output: &[usize], target: crate::dsl::TypeSpec| {
        let g = GraphBuilder::new("test");
        metric.declare(&g, &g.zeros(f64(output)), &g.zeros(target), None, Reported::Totals);
        g.finish().unwrap_err().to_string()
    };
    let error = refused(Metric::F1(Average::Binary), &[4, 3], i32([4]));
    assert!(error.contains("there are 3 classes: choose how they are averaged"), "{error}");
    let error = refused(Metric::Recall(Average::Class(3)), &[4, 3], i32([4]));
    assert!(error.contains("there is no class 3"), "{error}");
    for metric in [Metric::ConfusionMatrix, Metric::Auc] {
        let error = refused(metric, &[4, 3], f64([4, 2]));
        assert!(error.contains("targets must have the shape [4, 3], not [4,2]"), "{error}");
    }
}
