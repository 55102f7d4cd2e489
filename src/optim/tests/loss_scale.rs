//! Scaled losses: what updates see, which steps make none, how the scale changes.

use super::*;
use crate::dsl::{DType, Policy};
use crate::testing::NamedValues;

/// The states after steps by these gradients of three parameters.
fn states(optimizer: &dyn Optimizer, gradients: &[[f64; 3]]) -> NamedValues {
    let g = GraphBuilder::new("test");
    let p = g.param("p", f32([3]), Initializer::Given(value(f32([3]), &START)));
    let step = g.minimize((p * g.input("g", f32([3]))).sum(), optimizer).unwrap();
    let mut runner = Runner::new(&step);
    for gradient in gradients {
        runner.step(&[("g", value(f32([3]), gradient))]);
    }
    runner.states
}

/// As [`GRADIENTS`], with steps between that aren't finite.
const BROKEN: [[f64; 3]; 5] =
    [GRADIENTS[0], [1.0, f64::INFINITY, 1.0], GRADIENTS[1], [f64::NAN, 1.0, 1.0], GRADIENTS[2]];

#[test]
fn steps_whose_gradients_are_not_finite_leave_no_trace() {
    let same = |optimizer: &dyn Fn() -> Box<dyn Optimizer>, scaled: &dyn Optimizer| {
        let (want, found) = (states(&*optimizer(), &GRADIENTS), states(scaled, &BROKEN));
        for (name, want) in want.iter().filter(|(name, _)| *name != STEP) {
            assert_eq!(found[name], *want, "{name}");
        }
        found
    };
    // Powers of two divide without rounding.
    let scale = || LossScale::fixed(1024.0);
    let found = same(&|| Box::new(Adam::new(0.1)), &Adam::new(0.1).loss_scale(scale()));
    assert_eq!(found["adam/updates"].to_f64_vec(), [3.0]);
    assert_eq!(found["adam/loss_scale"].to_f64_vec(), [1024.0]);
    let sgd = || Sgd::new(0.1).momentum(0.9).clip_global_norm(0.5).ema(0.9);
    same(&|| Box::new(sgd()), &sgd().loss_scale(scale()));
    let sums = || AdamW::new(0.1).accumulate(3);
    same(&|| Box::new(sums()), &sums().loss_scale(scale()));
    same(&|| Box::new(sums()), &AdamW::new(0.1).loss_scale(scale()).accumulate(3));
    let groups = || Groups::new().rest(Sgd::new(0.1).momentum(0.9));
    same(&|| Box::new(groups()), &groups().loss_scale(scale()));
}

#[test]
fn a_dynamic_scale_is_doubled_after_updates_in_a_row_and_halved_after_none() {
    let optimizer = Sgd::new(0.1).loss_scale(LossScale::dynamic().initial(4.0).growth_steps(2));
    let (good, bad) = (GRADIENTS[0], BROKEN[1]);
    let scale = |gradients: &[[f64; 3]]| states(&optimizer, gradients)["sgd/loss_scale"].to_f64_vec()[0];
    assert_eq!(scale(&[good]), 4.0);
    assert_eq!(scale(&[good, good]), 8.0);
    assert_eq!(scale(&[good, good, good]), 8.0);
    assert_eq!(scale(&[good; 4]), 16.0);
    assert_eq!(scale(&[good, bad]), 2.0);
    assert_eq!(scale(&[good, bad, good]), 2.0);
    assert_eq!(scale(&[good, bad, good, good]), 4.0);
    assert_eq!(scale(&[bad; 5]), 1.0);
}

#[test]
fn gradients_that_f16_has_no_number_for_arrive_by_a_scaled_loss() {
    // The gradient, 2 y x = 2^-33, is far below the least number of f16, 2^-24.
    let x = 2f64.powi(-12);
    let train = |optimizer: &dyn Optimizer| {
        let g = GraphBuilder::new("test");
        let input = g.input("x", f32([1, 1]));
        let y = g.with_policy(Policy::mixed_f16(), || Dense::new(1).use_bias(false).apply(&input));
        let step = g.minimize(y.cast(DType::F32).square().mean(), optimizer).unwrap();
        let mut runner = Runner::new(&step);
        runner.states.insert("dense/kernel".into(), value(f32([1, 1]), &[2f64.powi(-10)]));
        runner.step(&[("x", value(f32([1, 1]), &[x]))]);
        runner.state("dense/kernel")[0] - 2f64.powi(-10)
    };
    let rate = 2f64.powi(12);
    assert_eq!(train(&Sgd::new(rate)), 0.0);
    let moved = train(&Sgd::new(rate).loss_scale(LossScale::fixed(2f64.powi(14))));
    assert_eq!(moved, -rate * 2.0 * 2f64.powi(-22) * x);
}

#[test]
fn scales_that_make_no_sense_are_refused() {
    let refused = |optimizer: &dyn Optimizer, rule: &str| {
        let g = GraphBuilder::new("test");
        let loss = g.param("p", f32([3]), Initializer::Given(value(f32([3]), &START))).sum();
        let error = g.minimize(loss, optimizer).unwrap_err().to_string();
        assert!(error.contains(rule), "{error}");
    };
    let scaled = |scale: LossScale| Sgd::new(0.1).loss_scale(scale);
    refused(&scaled(LossScale::fixed(0.0)), "above 0");
    refused(&scaled(LossScale::fixed(f64::INFINITY)), "finite");
    refused(&scaled(LossScale::dynamic().growth_steps(0)), "at least 1 update");
    refused(&Groups::new().rest(scaled(LossScale::dynamic())), "one loss");
}
