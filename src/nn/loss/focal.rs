//! Focal losses: cross-entropies in which what is predicted well counts less (Lin, Goyal, Girshick, He, Dollár, "Focal loss for dense object detection", ICCV 2017).

use super::{Loss, labels, mean_per_sample, same_types, sparse_cross_entropy};
use crate::dsl::setting::{not_negative, share};
use crate::dsl::{Squash, Tensor, TypeSpec};
use ir::TensorType;
use std::borrow::Borrow;

/// `-(1 - p)^gamma log p`, elementwise, `p` the probability that the logits give to what the target says: yes where it is 1, no where it is 0; in between both, by their shares. With
/// `alpha`, yes counts `alpha` and no `1 - alpha`. Equal types. Whatever the logits, neither power nor logarithm overflows.
#[track_caller]
pub fn binary_focal_cross_entropy(
    logits: impl Borrow<Tensor>,
    target: impl Borrow<Tensor>,
    gamma: f64,
    alpha: Option<f64>,
) -> Tensor {
    const NAME: &str = "binary_focal_cross_entropy";
    let (output, target) = (logits.borrow(), target.borrow());
    if let Some(poisoned) = same_types(NAME, output, target) {
        return poisoned;
    }
    if let Err(rule) = not_negative("gamma", gamma).and_then(|()| share("alpha", alpha.unwrap_or(0.0))) {
        return output.builder().fail(NAME, &[output, target], rule);
    }
    let x = output.logits(Squash::Sigmoid).unwrap_or_else(|| output.clone());
    // Of logits for what the target says: 1 - p is exp(-softplus), with all digits where p is near 1.
    let focal = |x: &Tensor| (x.softplus() * -gamma).exp() * (-x).softplus();
    let (yes, no) = alpha.map_or((1.0, 1.0), |alpha| (alpha, 1.0 - alpha));
    target * focal(&x) * yes + (1 - target) * focal(&-&x) * no
}

/// `-(1 - p)^gamma log p` along the last axis, `p` the softmax of `logits [..., classes]` at `labels [...]` (`i32` or `i64`); result `[...]`. A label that is no class ends the run
/// with an error that names this call.
#[track_caller]
pub fn sparse_focal_cross_entropy(logits: impl Borrow<Tensor>, labels: impl Borrow<Tensor>, gamma: f64) -> Tensor {
    let logits = logits.borrow();
    if let Err(rule) = not_negative("gamma", gamma) {
        return logits.fail("sparse_focal_cross_entropy", rule);
    }
    let entropy = sparse_cross_entropy(logits, labels).in_f32();
    (modulation(&-&entropy, gamma) * entropy).rounded_like(logits)
}

/// `-Σ target (1 - p)^gamma log p` along the last axis, `p` the softmax of the logits; equal types, targets are probabilities.
#[track_caller]
pub fn categorical_focal_cross_entropy(logits: impl Borrow<Tensor>, target: impl Borrow<Tensor>, gamma: f64) -> Tensor {
    const NAME: &str = "categorical_focal_cross_entropy";
    let (output, target) = (logits.borrow(), target.borrow());
    if let Some(poisoned) = same_types(NAME, output, target) {
        return poisoned;
    }
    if let Err(rule) = not_negative("gamma", gamma) {
        return output.builder().fail(NAME, &[output, target], rule);
    }
    let logits = output.logits(Squash::Softmax).unwrap_or_else(|| output.clone());
    let log_p = logits.in_f32().log_softmax(-1);
    let terms = target.in_f32() * modulation(&log_p, gamma) * &log_p;
    (-terms.sum_axes([-1])).rounded_like(output)
}

/// `(1 - p)^gamma` of `log p`.
#[track_caller]
fn modulation(log_p: &Tensor, gamma: f64) -> Tensor {
    // The floor keeps the slope of a power below 1 finite where p is 1, and the loss 0.
    (-log_p.expm1()).maximum(1e-30).pow(gamma)
}

/// [`binary_focal_cross_entropy`], mean over a sample. The target is 0 or 1, of the output's type.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BinaryFocalCrossEntropy {
    /// The exponent: 0 is [`super::BinaryCrossEntropy`], larger ones attend to what is predicted badly. 2 by default.
    pub gamma: f64,
    /// What yes counts, from 0 to 1, no counting the rest; `None`, the default, for both the same.
    pub alpha: Option<f64>,
}

/// [`sparse_focal_cross_entropy`], mean over a sample. The target is labels, `i32[batch, ...]`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SparseCategoricalFocalCrossEntropy {
    /// The exponent, 2 by default.
    pub gamma: f64,
}

/// [`categorical_focal_cross_entropy`], mean over a sample. The target is probabilities of the output's type.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CategoricalFocalCrossEntropy {
    /// The exponent, 2 by default.
    pub gamma: f64,
}

impl Default for BinaryFocalCrossEntropy {
    fn default() -> Self {
        Self { gamma: 2.0, alpha: None }
    }
}

impl Default for SparseCategoricalFocalCrossEntropy {
    fn default() -> Self {
        Self { gamma: 2.0 }
    }
}

impl Default for CategoricalFocalCrossEntropy {
    fn default() -> Self {
        Self { gamma: 2.0 }
    }
}

super::losses! {
    BinaryFocalCrossEntropy, "binary_focal_cross_entropy", TypeSpec::from, |loss, x, t| {
        binary_focal_cross_entropy(x, t, loss.gamma, loss.alpha)
    };
    SparseCategoricalFocalCrossEntropy, "sparse_categorical_focal_cross_entropy", labels, |loss, x, t| {
        sparse_focal_cross_entropy(x, t, loss.gamma)
    };
    CategoricalFocalCrossEntropy, "categorical_focal_cross_entropy", TypeSpec::from, |loss, x, t| {
        categorical_focal_cross_entropy(x, t, loss.gamma)
    };
}
