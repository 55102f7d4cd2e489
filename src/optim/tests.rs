//! Tests of optimizers against the formulas, computed step by step in `f64`. The loss `Σ p g` has the gradient `g`, an input.

mod groups;
mod loss_scale;
mod tuned;

use super::*;
use crate::dsl::{GraphBuilder, Initializer, LEARNING_RATE, STEP, f32, f64};
use crate::nn::{BatchNorm, Dense, Embedding, Layer, TiedHead};
use crate::testing::{Runner, assert_close, value};

const START: [f64; 3] = [1.0, -2.0, 0.5];
const GRADIENTS: [[f64; 3]; 3] = [[0.1, -2.0, 3e-6], [0.3, 1.0, 0.0], [-0.2, 4.0, -5.0]];

/// The parameter after each of three steps.
fn run(optimizer: &dyn Optimizer) -> Vec<Vec<f64>> {
    let g = GraphBuilder::new("test");
    let p = g.param("p", f64([3]), Initializer::Given(value(f64([3]), &START)));
    let step = g.minimize((p * g.input("g", f64([3]))).sum(), optimizer).unwrap();
    let mut runner = Runner::new(&step);
    let after = GRADIENTS.iter().map(|gradient| {
        runner.step(&[("g", value(f64([3]), gradient))]);
        runner.state("p")
    });
    after.collect()
}

/// Checks an optimizer against a rule for one element: (parameter, gradient, number of the step from 1, memory) to the new parameter.
fn check(optimizer: &dyn Optimizer, rule: impl Fn(f64, f64, i32, &mut [f64; 3]) -> f64) {
    let (mut p, mut memory) = (START, [[0.0; 3]; 3]);
    for (i, got) in run(optimizer).iter().enumerate() {
        for e in 0..3 {
            p[e] = rule(p[e], GRADIENTS[i][e], i as i32 + 1, &mut memory[e]);
        }
        assert_close(got, &p, 1e-13);
    }
}

#[test]
fn sgd_with_momentum_nesterov_and_decay() {
    check(&Sgd::new(0.1), |p, g, _, _| p - 0.1 * g);
    check(&Sgd::new(0.1).weight_decay(0.01), |p, g, _, _| p - 0.1 * (g + 0.01 * p));
    check(&Sgd::new(0.1).momentum(0.9), |p, g, _, m| {
        m[0] = 0.9 * m[0] + g;
        p - 0.1 * m[0]
    });
    check(&Sgd::new(0.1).momentum(0.9).nesterov(true), |p, g, _, m| {
        m[0] = 0.9 * m[0] + g;
        p - 0.1 * (g + 0.9 * m[0])
    });
}

fn adam(g: f64, t: i32, m: &mut [f64; 3]) -> f64 {
    let (b1, b2): (f64, f64) = (0.9, 0.999);
    m[0] = b1 * m[0] + (1.0 - b1) * g;
    m[1] = b2 * m[1] + (1.0 - b2) * g * g;
    1e-3 / (1.0 - b1.powi(t)) * m[0] / (m[1].sqrt() / (1.0 - b2.powi(t)).sqrt() + 1e-8)
}

#[test]
fn adam_and_adamw() {
    check(&Adam::default(), |p, g, t, m| p - adam(g, t, m));
    check(&AdamW::default().weight_decay(0.1), |p, g, t, m| p * (1.0 - 1e-3 * 0.1) - adam(g, t, m));
}

#[test]
fn rmsprop_and_adagrad() {
    check(&RmsProp::new(0.01), |p, g, _, m| {
        m[0] = 0.9 * m[0] + 0.1 * g * g;
        p - 0.01 * g / (m[0].sqrt() + 1e-8)
    });
    check(&RmsProp::new(0.01).centered(true).momentum(0.5).epsilon(1e-3), |p, g, _, m| {
        m[0] = 0.9 * m[0] + 0.1 * g * g;
        m[1] = 0.9 * m[1] + 0.1 * g;
        m[2] = 0.5 * m[2] + g / ((m[0] - m[1] * m[1]).sqrt() + 1e-3);
        p - 0.01 * m[2]
    });
    check(&Adagrad::new(0.1), |p, g, _, m| {
        m[0] += g * g;
        p - 0.1 * g / (m[0].sqrt() + 1e-10)
    });
}

#[test]
fn clipping_restricts_elements_or_the_norm_of_all() {
    check(&Sgd::new(1.0).clip_value(0.25), |p, g, _, _| p - g.clamp(-0.25, 0.25));
    let clipped = run(&Sgd::new(1.0).clip_global_norm(1.0));
    let norm = |g: &[f64; 3]| g.iter().map(|x| x * x).sum::<f64>().sqrt();
    let mut p = START;
    for (got, g) in clipped.iter().zip(&GRADIENTS) {
        (0..3).for_each(|e| p[e] -= g[e] / norm(g).max(1.0));
        assert_close(got, &p, 1e-14);
    }
    // The norm is that of all parameters together, and clippings in a row act in their order.
    let g = GraphBuilder::new("test");
    let (a, b) = (g.param("a", f64([]), crate::dsl::zeros()), g.param("b", f64([]), crate::dsl::zeros()));
    let step = g.minimize(a * 30.0 + b * 4.0, &Sgd::new(1.0).clip_value(3.0).clip_global_norm(2.5)).unwrap();
    let mut runner = Runner::new(&step);
    runner.step(&[]);
    let scale = 2.5 / 18f64.sqrt();
    assert_close(&[runner.state("a"), runner.state("b")].concat(), &[-3.0 * scale, -3.0 * scale], 1e-14);
}

#[test]
fn the_learning_rate_is_a_state_that_the_host_may_write() {
    let g = GraphBuilder::new("test");
    let p = g.param("p", f32([1]), crate::dsl::zeros());
    let step = g.minimize(p.sum(), &Sgd::new(Schedule::step(0.5, 1, 0.5))).unwrap();
    let mut runner = Runner::new(&step);
    assert_eq!(runner.state(LEARNING_RATE), [0.5]);
    runner.step(&[]);
    runner.states.insert(LEARNING_RATE.into(), value(f32([]), &[0.25]));
    let outputs = runner.step(&[]);
    assert_eq!(runner.state("p"), [-0.75]);
    assert_eq!(runner.state(STEP), [2.0]);
    assert_eq!(outputs["loss"].to_f64_vec(), [-0.5], "the loss before the update");
}

#[test]
fn minimize_checks_the_loss_at_the_caller() {
    let g = GraphBuilder::new("test");
    let p = g.param("p", f32([2]), crate::dsl::zeros());
    let (line, result) = (line!(), g.minimize(&p, &Sgd::default()));
    let text = result.unwrap_err().to_string();
    assert!(text.starts_with(&format!("src/optim/tests.rs:{line}:")), "{text}");
    assert!(text.ends_with(
        "minimize of f32[2]: the loss must be a float scalar, not f32[2]: reduce it, with `mean()` for instance"
    ));
    let g = GraphBuilder::new("test");
    let text = g.minimize(g.input("x", f32([])), &Sgd::default()).unwrap_err().to_string();
    assert!(text.ends_with("the graph has no parameter to train"), "{text}");
}

#[test]
fn gradients_from_elsewhere_update_as_a_loss_with_these_gradients_does() {
    let (p0, dp) = ([0.5, -1.0], [3.0, -0.25]);
    let declare = |by_loss: bool| {
        let g = GraphBuilder::new("test");
        let p = g.param("p", f64([2]), crate::dsl::zeros());
        let dp = g.input("dp", f64([2]));
        if by_loss {
            return g.minimize((p * dp).sum(), &Adam::new(0.1)).unwrap();
        }
        g.apply_gradients([(dp, p)], &Adam::new(0.1));
        g.finish().unwrap()
    };
    let after = |by_loss: bool| {
        let mut runner = Runner::new(&declare(by_loss));
        runner.states.insert("p".into(), value(f64([2]), &p0));
        for _ in 0..3 {
            runner.step(&[("dp", value(f64([2]), &dp))]);
        }
        runner.state("p")
    };
    let (direct, through_loss) = (after(false), after(true));
    assert_close(&direct, &through_loss, 1e-15);
    assert!((direct[0] - p0[0]).abs() > 0.1);
}

/// Gradients and parameters.
type Pairs = Vec<(Tensor, Tensor)>;

#[test]
fn apply_gradients_wants_a_parameter_and_its_type() {
    let error = |declare: &dyn Fn(&GraphBuilder, Tensor) -> Pairs| {
        let g = GraphBuilder::new("test");
        let p = g.param("p", f32([2]), crate::dsl::zeros());
        let pairs = declare(&g, p);
        g.apply_gradients(pairs, &Sgd::default());
        g.finish().unwrap_err().to_string()
    };
    let text = error(&|g, _| vec![(g.input("dp", f32([2])), g.input("q", f32([2])))]);
    assert!(text.ends_with("the second of a pair must be a parameter of the graph"), "{text}");
    let text = error(&|g, p| vec![(g.input("dp", f32([3])), p)]);
    assert!(text.ends_with("the gradient of \"p\" must have its type, f32[2]"), "{text}");
    let text = error(&|g, p| vec![(g.input("dp", f32([2])), p.clone()), (g.input("dq", f32([2])), p)]);
    assert!(text.ends_with("the parameter \"p\" has two gradients"), "{text}");
}

/// The loss, and the states after two steps, of a model whose embedding is sparse or not; words stand in it several times.
fn embedded(optimizer: &dyn Optimizer, sparse: bool, tied: bool) -> (Vec<f64>, crate::testing::NamedValues, String) {
    let g = GraphBuilder::new("test");
    let words = g.input("words", crate::dsl::i32([2, 3]));
    let x = Embedding::new(5, 2).dtype(ir::DType::F64).sparse(sparse).apply(&words);
    let y = if tied { TiedHead::new("embedding").apply(&x) } else { x };
    let step = g.minimize((y.tanh() - 0.5).square().mean(), optimizer).unwrap();
    let text = step.graph.to_string();
    let mut runner = Runner::new(&step);
    let words = value(crate::dsl::i32([2, 3]), &[4.0, 1.0, 4.0, 4.0, 0.0, 1.0]);
    let losses = (0..2).map(|_| runner.step(&[("words", words.clone())])["loss"].to_f64_vec()[0]).collect();
    (losses, runner.states, text)
}

#[test]
fn used_rows_alone_are_updated_to_what_the_whole_update_gives() {
    let plain = Sgd::new(0.3);
    let ((losses, states, _), (want, dense, before)) = (embedded(&plain, true, false), embedded(&plain, false, false));
    assert_close(&losses, &want, 1e-14);
    assert_close(&states["embedding/embeddings"].to_f64_vec(), &dense["embedding/embeddings"].to_f64_vec(), 1e-14);
    assert!(!before.contains("scatter_add"), "the gradient of the whole table is still to be derived");
    let text = embedded(&plain, true, false).2;
    assert!(text.contains("scatter_add"), "{text}");
    // Where rows that weren't used move too, or the table is used elsewhere, the option changes nothing.
    for (optimizer, tied) in [
        (&Sgd::new(0.3) as &dyn Optimizer, true),
        (&Sgd::new(0.3).momentum(0.9), false),
        (&Sgd::new(0.3).weight_decay(0.1), false),
        (&Sgd::new(0.3).clip_global_norm(0.1), false),
        (&Adam::new(0.1), false),
    ] {
        assert_eq!(embedded(optimizer, true, tied).1, embedded(optimizer, false, tied).1);
    }
}
