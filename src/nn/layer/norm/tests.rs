//! Normalizations against formulas of one pass, and their gradients.

use super::*;
use crate::dsl::{GraphBuilder, constant, f64};
use crate::nn::Layer;
use crate::testing::{assert_close, check_gradients, random_runner};

/// The parameter `x` of these extents, normalized.
fn normalized<'a>(layer: &'a impl Layer, dims: &'a [usize]) -> impl Fn(&GraphBuilder) -> Tensor + 'a {
    move |g| layer.apply(&g.param("x", f64(dims), constant(0.0)))
}

/// `(x - mean) / sqrt(variance + epsilon)` over the elements at `members`, by sums of elements and of squares.
fn standardized(x: &[f64], members: &[usize], epsilon: f64) -> Vec<(usize, f64)> {
    let n = members.len() as f64;
    let mean = members.iter().map(|&i| x[i]).sum::<f64>() / n;
    let variance = members.iter().map(|&i| x[i] * x[i]).sum::<f64>() / n - mean * mean;
    members.iter().map(|&i| (i, (x[i] - mean) / (variance + epsilon).sqrt())).collect()
}

/// The result of the layer at random numbers, and the parameters `x`, `gamma`, `beta` (if it has them).
fn run(layer: &impl Layer, dims: &[usize]) -> (Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>) {
    let mut runner = random_runner(&normalized(layer, dims));
    let state = |part: &str| {
        let name = format!("{}/{part}", layer.base());
        runner.states.get(&name).map(|v| v.to_f64_vec()).unwrap_or_default()
    };
    let (gamma, beta, x) = (state("gamma"), state("beta"), runner.state("x"));
    (runner.step(&[])["y"].to_f64_vec(), x, gamma, beta)
}

#[test]
fn layer_normalization_standardizes_each_position() {
    let (y, x, gamma, beta) = run(&LayerNorm::new().epsilon(1e-5), &[2, 3, 5]);
    let mut want = vec![0.0; 30];
    for row in 0..6 {
        let members: Vec<usize> = (row * 5..row * 5 + 5).collect();
        for (i, v) in standardized(&x, &members, 1e-5) {
            want[i] = v * gamma[i % 5] + beta[i % 5];
        }
    }
    assert_close(&y, &want, 1e-12);
}

#[test]
fn layer_normalization_of_large_numbers_does_not_cancel() {
    let layer = LayerNorm::new().epsilon(0.0).scale(false).center(false);
    let got = crate::testing::eval(|g| {
        layer.apply(&crate::testing::constant(g, &[1, 4], &[1e8, 1e8 + 1.0, 1e8 + 2.0, 1e8 + 3.0]))
    });
    let root = 1.25f64.sqrt();
    assert_close(&got, &[-1.5 / root, -0.5 / root, 0.5 / root, 1.5 / root], 1e-12);
}

#[test]
fn rms_normalization_divides_by_the_root_mean_square() {
    let (y, x, gamma, beta) = run(&RmsNorm::new().epsilon(1e-3), &[3, 4]);
    assert!(beta.is_empty());
    let want: Vec<f64> = (0..12)
        .map(|i| {
            let row = &x[i / 4 * 4..i / 4 * 4 + 4];
            let mean_square = row.iter().fold(0.0, |sum, v| sum + v * v) / 4.0;
            x[i] / (mean_square + 1e-3).powf(0.5) * gamma[i % 4]
        })
        .collect();
    assert_close(&y, &want, 1e-12);
}

#[test]
fn group_normalization_standardizes_groups_of_channels_of_a_sample() {
    let (y, x, gamma, beta) = run(&GroupNorm::new(3), &[2, 2, 2, 6]);
    let mut want = vec![0.0; 48];
    for (sample, group) in (0..6).map(|i| (i / 3, i % 3)) {
        let belongs = |i: &usize| i / 24 == sample && i % 6 / 2 == group;
        let members: Vec<usize> = (0..48).filter(belongs).collect();
        assert_eq!(members.len(), 8);
        for (i, v) in standardized(&x, &members, 1e-3) {
            want[i] = v * gamma[i % 6] + beta[i % 6];
        }
    }
    assert_close(&y, &want, 1e-12);
}

#[test]
fn gradients_are_difference_quotients() {
    check_gradients(normalized(&LayerNorm::new(), &[2, 2, 3]));
    check_gradients(normalized(&LayerNorm::new().scale(false).center(false), &[3, 4]));
    check_gradients(normalized(&RmsNorm::new(), &[2, 4]));
    check_gradients(normalized(&GroupNorm::new(2), &[2, 3, 4]));
}

/// In training, where the statistics are the batch's: first derivatives, and derivatives of these. The constant that batches are centred by has none, and must not be missed.
#[test]
fn batch_normalization_has_derivatives_of_first_and_second_order() {
    let layer = BatchNorm::new().epsilon(1e-2);
    let in_training = |g: &GraphBuilder, layer: &BatchNorm, dims: &[usize]| {
        g.set_training(true);
        normalized(layer, dims)(g)
    };
    check_gradients(|g| in_training(g, &layer, &[5, 3]));
    check_gradients(|g| in_training(g, &BatchNorm::new().scale(false).center(false), &[2, 3, 2]));
    check_gradients(|g| {
        g.set_training(true);
        let x = g.param("x", f64([5, 3]), constant(0.0));
        let weights = crate::testing::constant(g, &[5, 3], &crate::testing::random(3, 15));
        let loss = (layer.apply(&x).square() * weights).sum();
        g.gradients(&loss, &[&x]).remove(0)
    });
}
