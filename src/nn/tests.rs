//! Tests of activations, losses and metrics against closed forms in `f64`, with their gradients, at ordinary and extreme arguments.

mod kinks;

use super::*;
use crate::dsl::{GraphBuilder, Tensor, f32, f64, i32, i64};
use crate::testing::{Runner, assert_close, constant, eval, value, with_gradient};
use ir::DType;

const POINTS: [f64; 9] = [-1e4, -30.0, -2.5, -0.5, 1e-9, 0.5, 2.5, 30.0, 1e4];

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The normal distribution function, by Simpson's rule from 0: independent of the error function that is tested.
pub(super) fn phi(x: f64) -> f64 {
    let (x, n) = (x.clamp(-40.0, 40.0), 4000);
    let (h, pdf) = (x / n as f64, |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt());
    let sum: f64 =
        (0..=n).map(|i| pdf(i as f64 * h) * if i == 0 || i == n { 1.0 } else { f64::from(4 - 2 * (1 - i % 2)) }).sum();
    0.5 + sum * h / 3.0
}

/// Values by `want`, gradients by central differences of `want` where it is smooth and moderate, finite everywhere.
fn check(activation: Activation, want: impl Fn(f64) -> f64) {
    let (y, dy) = with_gradient(&POINTS, |x| activation.apply(x));
    assert_close(&y, &POINTS.map(&want), 1e-9);
    assert!(dy.iter().all(|d| d.is_finite()), "{}: gradients {dy:?}", activation.name());
    for (&x, &d) in POINTS.iter().zip(&dy).filter(|(x, _)| (0.1..3.0).contains(&x.abs())) {
        let h = 1e-4;
        let quotient = (want(x + h) - want(x - h)) / (2.0 * h);
        assert!((d - quotient).abs() < 1e-6, "{} at {x}: gradient {d}, not {quotient}", activation.name());
    }
}

#[test]
fn activations_are_their_formulas() {
    let exponential = |x: f64, alpha: f64| if x > 0.0 { x } else { alpha * x.exp_m1() };
    check(Activation::Linear, |x| x);
    check(Activation::Relu, |x| x.max(0.0));
    check(Activation::LeakyRelu(0.1), |x| if x > 0.0 { x } else { 0.1 * x });
    check(Activation::Elu(1.5), |x| exponential(x, 1.5));
    check(Activation::Selu, |x| 1.0507009873554805 * exponential(x, 1.6732632423543772));
    check(Activation::Gelu, |x| x * phi(x));
    check(Activation::GeluTanh, |x| {
        0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
    });
    check(Activation::Silu, |x| x * sigmoid(x));
    check(Activation::Sigmoid, sigmoid);
    check(Activation::Tanh, f64::tanh);
    check(Activation::Softplus, softplus);
    check(Activation::Softsign, |x| x / (1.0 + x.abs()));
    check(Activation::HardSigmoid, |x| (x / 6.0 + 0.5).clamp(0.0, 1.0));
    check(Activation::Mish, |x| x * softplus(x).tanh());
}

#[test]
fn sparse_cross_entropy_is_stable_and_its_gradient_is_softmax_minus_one_hot() {
    let g = GraphBuilder::new("test");
    let x = g.input("x", f64([2, 3]));
    let loss = sparse_cross_entropy(&x, g.input("y", i64([2])));
    g.output("loss", &loss);
    g.output("dx", &g.gradients(&loss.sum(), &[&x])[0]);
    let mut runner = Runner::new(&g.finish().unwrap());
    let labels = value(i64([2]), &[1.0, 2.0]);
    let out = runner.step(&[("x", value(f64([2, 3]), &[1.0, 2.0, 3.0, 1e4, 0.0, -1e4])), ("y", labels.clone())]);
    let e = [1f64.exp(), 2f64.exp(), 3f64.exp()];
    let z: f64 = e.iter().sum();
    assert_close(&out["loss"].to_f64_vec(), &[z.ln() - 2.0, 2e4], 1e-14);
    assert_close(&out["dx"].to_f64_vec(), &[e[0] / z, e[1] / z - 1.0, e[2] / z, 1.0, 0.0, -1.0], 1e-14);
    let wrong = value(i64([2]), &[1.0, -1.0]);
    let error = runner.try_step(&[("x", value(f64([2, 3]), &[0.0; 6])), ("y", wrong)]).unwrap_err();
    assert!(error.contains("index -1 is out of range"), "{error}");
}

#[test]
fn a_softmax_before_the_loss_is_recognised() {
    let logits = [1000.0, 0.0, -1000.0];
    let loss = |squash: fn(&Tensor) -> Tensor| {
        eval(move |g| {
            let labels = g.full(2.0, i32([1]));
            SparseCategoricalCrossEntropy.per_sample(&squash(&constant(g, &[1, 3], &logits)), &labels)
        })
    };
    assert_close(&loss(|x| x.softmax(-1)), &[2000.0], 1e-14);
    assert_close(&loss(Tensor::clone), &[2000.0], 1e-14);
    let p = eval(|g| {
        let p = constant(g, &[1, 3], &[0.2, 0.5, 0.3]);
        SparseCategoricalCrossEntropy.from_probabilities().per_sample(&p, &g.full(1.0, i32([1])))
    });
    assert_close(&p, &[-(0.5f64.ln())], 1e-12);
    let p = eval(|g| {
        let x = constant(g, &[1, 2], &[900.0, -900.0]).sigmoid();
        BinaryCrossEntropy.per_sample(&x, &constant(g, &[1, 2], &[0.0, 0.0]))
    });
    assert_close(&p, &[450.0], 1e-14);
    let p = eval(|g| {
        let p = constant(g, &[1, 1], &[0.25]);
        BinaryCrossEntropy.from_probabilities().per_sample(&p, &constant(g, &[1, 1], &[1.0]))
    });
    assert_close(&p, &[4f64.ln()], 1e-12);
}

#[test]
fn other_losses_are_their_formulas() {
    let pair = |f: fn(&Tensor, &Tensor) -> Tensor, x: &[f64], t: &[f64]| {
        eval(|g| f(&constant(g, &[x.len()], x), &constant(g, &[t.len()], t)))
    };
    let (x, t) = ([0.0, 1.0, -2.0], [0.5, 4.0, -2.0]);
    assert_eq!(pair(|x, t| squared_error(x, t), &x, &t), [0.25, 9.0, 0.0]);
    assert_eq!(pair(|x, t| absolute_error(x, t), &x, &t), [0.5, 3.0, 0.0]);
    assert_eq!(pair(|x, t| huber(x, t, 1.0), &x, &t), [0.125, 2.5, 0.0]);
    assert_eq!(pair(|x, t| hinge(x, t), &[0.3, 2.0, 2.0], &[1.0, 1.0, -1.0]), [0.7, 0.0, 3.0]);
    let binary = pair(|x, t| binary_cross_entropy(x, t), &[800.0, -800.0, 0.0], &[0.0, 0.0, 1.0]);
    assert_close(&binary, &[800.0, 0.0, 2f64.ln()], 1e-14);
    let z = (2f64.exp() + 1.0).ln();
    assert_close(&pair(|x, t| categorical_cross_entropy(x, t), &[2.0, 0.0], &[0.25, 0.75]), &[z - 0.5], 1e-14);
    let kl = 0.5 * (0.5f64 / 0.25).ln() + 0.5 * (0.5f64 / 0.75).ln();
    assert_close(&pair(|x, t| kl_divergence(x, t), &[0.25, 0.75], &[0.5, 0.5]), &[kl], 1e-14);
    assert!(pair(|x, t| kl_divergence(x, t), &[0.0, 1.0], &[1.0, 0.0])[0].is_finite());
    let image =
        eval(|g| MeanSquaredError.per_sample(&constant(g, &[2, 2], &[1.0, 3.0, 0.0, 2.0]), &g.zeros(f64([2, 2]))));
    assert_eq!(image, [5.0, 2.0]);
}

#[test]
fn reductions_leave_out_samples_of_weight_zero() {
    let reduce = |reduction: Reduction, weights: Option<&[f64]>| {
        eval(|g| {
            let weights = weights.map(|w| constant(g, &[3], w));
            reduce_loss(&constant(g, &[3], &[1.0, 2.0, 6.0]), reduction, weights.as_ref())
        })
    };
    assert_eq!(reduce(Reduction::Mean, None), [3.0]);
    assert_eq!(reduce(Reduction::Sum, None), [9.0]);
    assert_eq!(reduce(Reduction::None, Some(&[1.0, 0.5, 0.0])), [1.0, 1.0, 0.0]);
    assert_eq!(reduce(Reduction::Mean, Some(&[1.0, 1.0, 0.0])), [1.5]);
    assert_eq!(reduce(Reduction::Mean, Some(&[0.0; 3])), [0.0]);
    assert_eq!(reduce(Reduction::Sum, Some(&[2.0, 0.0, 1.0])), [8.0]);
}

#[test]
fn metrics_count_right_answers() {
    let x = [0.1, 0.7, 0.2, 0.5, 0.3, 0.2];
    let metric = |metric: &Metric, dims: &[usize], x: &[f64], target: &dyn Fn(&GraphBuilder) -> Tensor| {
        eval(|g| metric.statistics(&constant(g, dims, x), &target(g), None).remove(0))
    };
    let labels = |g: &GraphBuilder| constant(g, &[2], &[1.0, 2.0]).cast(DType::I32);
    let one_hot = |g: &GraphBuilder| labels(g).one_hot(3, DType::F64);
    let rows = [2, 3];
    assert_eq!(metric(&Metric::Accuracy, &rows, &x, &labels), [1.0, 0.0]);
    assert_eq!(metric(&Metric::SparseCategoricalAccuracy, &rows, &x, &labels), [1.0, 0.0]);
    assert_eq!(metric(&Metric::Accuracy, &rows, &x, &one_hot), [1.0, 0.0]);
    assert_eq!(metric(&Metric::TopK(2), &rows, &x, &labels), [1.0, 0.0]);
    assert_eq!(metric(&Metric::TopK(3), &rows, &x, &labels), [1.0, 1.0]);
    assert_eq!(metric(&Metric::TopK(3), &rows, &[f64::NAN; 6], &labels), [0.0, 0.0]);
    let yes = |g: &GraphBuilder| constant(g, &[2, 1], &[1.0, 1.0]);
    assert_eq!(metric(&Metric::Accuracy, &[2, 1], &[0.4, -0.4], &yes), [1.0, 0.0]);
    assert_eq!(metric(&Metric::BinaryAccuracy { threshold: 0.5 }, &[2, 1], &[0.4, 0.6], &yes), [0.0, 1.0]);
    let sigmoid = |g: &GraphBuilder| constant(g, &[2, 1], &[0.4, -0.4]).sigmoid();
    let sigmoid = eval(|g| Metric::Accuracy.statistics(&sigmoid(g), &yes(g), None).remove(0));
    assert_eq!(sigmoid, [1.0, 0.0]);
    assert_eq!(metric(&Metric::Mse, &[2, 1], &[3.0, 1.0], &yes), [4.0, 0.0]);
    assert_eq!(metric(&Metric::Mae, &[2, 1], &[3.0, 1.0], &yes), [2.0, 0.0]);
}

#[test]
fn losses_check_their_types() {
    let g = GraphBuilder::new("test");
    let logits = g.input("logits", f32([32, 10]));
    let _ = sparse_cross_entropy(&logits, g.input("float", f32([32])));
    let _ = sparse_cross_entropy(&logits, g.input("column", i32([32, 1])));
    let _ = squared_error(g.input("p", f32([32])), g.input("t", f32([32, 1])));
    let texts: Vec<String> = g.finish().unwrap_err().diagnostics.iter().map(ToString::to_string).collect();
    let wants = [
        "sparse_cross_entropy of f32[32,10] and f32[32]: labels must be i32 or i64, not f32: cast them",
        "sparse_cross_entropy of f32[32,10] and i32[32,1]: labels must have the logits' shape without the classes, [32], not [32,1]",
        "squared_error of f32[32] and f32[32,1]: output and target must have one shape, not [32] and [32,1]",
    ];
    assert_eq!(texts.len(), wants.len(), "{texts:#?}");
    for (text, want) in texts.iter().zip(wants) {
        assert!(text.starts_with("src/nn/tests.rs:") && text.ends_with(want), "{text}");
    }
}
