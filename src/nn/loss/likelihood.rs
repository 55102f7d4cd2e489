//! Negative log-likelihoods: of classes from log-probabilities, and of counts.

use super::{Loss, label_rule, labels, mean_per_sample, same_types};
use crate::dsl::{Tensor, TypeSpec};
use ir::TensorType;
use std::borrow::Borrow;

/// `-x[label]` along the last axis: `log_probabilities [..., classes]`, as [`Tensor::log_softmax`] makes them, `labels [...]` of `i32` or `i64`, result `[...]`. A label that is no
/// class ends the run with an error that names this call. Of logits, [`super::sparse_cross_entropy`] is the same in one.
#[track_caller]
pub fn negative_log_likelihood(log_probabilities: impl Borrow<Tensor>, labels: impl Borrow<Tensor>) -> Tensor {
    let (output, labels) = (log_probabilities.borrow(), labels.borrow());
    let (Some(x), Some(t)) = (output.ty(), labels.ty()) else {
        return if output.is_poisoned() { output.clone() } else { labels.clone() };
    };
    if let Some(rule) = label_rule(&x, &t) {
        return output.builder().fail("negative_log_likelihood", &[output, labels], rule);
    }
    -output.pick(labels)
}

/// The negative log-likelihood of counts under Poisson's distribution, elementwise, up to what doesn't depend on the output; equal types. The output is the logarithm of the rate,
/// `exp(x) - t x`, or with `log_input: false` the rate itself, `x - t log(x + 1e-8)`. With `full`, Stirling's approximation of `log t!` is added where `t` is
/// above 1. As PyTorch's `poisson_nll_loss`.
#[track_caller]
pub fn poisson_nll(output: impl Borrow<Tensor>, target: impl Borrow<Tensor>, settings: PoissonNll) -> Tensor {
    let (x, t) = (output.borrow(), target.borrow());
    if let Some(poisoned) = same_types("poisson_nll", x, t) {
        return poisoned;
    }
    let loss = if settings.log_input { x.exp() - t * x } else { x - t * (x + 1e-8).log() };
    if !settings.full {
        return loss;
    }
    let above = t.maximum(1.0);
    let stirling = &above * above.log() - &above + (&above * std::f64::consts::TAU).log() * 0.5;
    loss + t.gt(1.0).select(&stirling, 0)
}

/// [`negative_log_likelihood`], mean over a sample. The target is labels, `i32[batch, ...]`.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct NegativeLogLikelihood;

/// [`poisson_nll`], mean over a sample. The target is counts, of the output's type.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PoissonNll {
    /// Whether the output is the rate's logarithm, as by default; else it is the rate.
    pub log_input: bool,
    /// Whether the part that depends on the target alone is added, for its value; it isn't by default.
    pub full: bool,
}

impl Default for PoissonNll {
    fn default() -> Self {
        Self { log_input: true, full: false }
    }
}

super::losses! {
    NegativeLogLikelihood, "negative_log_likelihood", labels, |_loss, x, t| negative_log_likelihood(x, t);
    PoissonNll, "poisson_nll", TypeSpec::from, |loss, x, t| poisson_nll(x, t, *loss);
}
