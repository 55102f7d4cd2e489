//! Cross-entropies and the divergence, from logits and from probabilities.
//!
//! From logits they are computed by the distance from the largest logit, so that no finite logit overflows. An output that was made
//! by [`Tensor::softmax`] or [`Tensor::sigmoid`] is recognised: its logits are used.

use super::{Loss, label_rule, labels, mean_per_sample, same_types};
use crate::dsl::{Squash, Tensor, TypeSpec};
use ir::TensorType;
use std::borrow::Borrow;

/// Probabilities are kept this far from 0 before a logarithm, as in Keras.
const EPSILON: f64 = 1e-7;

/// `-log softmax(logits)[label]` along the last axis: `logits [..., classes]`, `labels [...]` of `i32` or `i64`, result `[...]`.
/// A label that is no class ends the run with an error that names this call.
///
/// ```
/// use gradc::dsl::{f32, i32, GraphBuilder};
/// use gradc::nn::sparse_cross_entropy;
/// let g = GraphBuilder::new("loss");
/// let loss = sparse_cross_entropy(g.input("logits", f32([32, 10])), g.input("labels", i32([32]))).mean();
/// assert_eq!(loss.ty().unwrap().to_string(), "f32[]");
/// ```
#[track_caller]
pub fn sparse_cross_entropy(logits: impl Borrow<Tensor>, labels: impl Borrow<Tensor>) -> Tensor {
    let (output, labels) = (logits.borrow(), labels.borrow());
    let (Some(x), Some(t)) = (output.ty(), labels.ty()) else {
        return if output.is_poisoned() { output.clone() } else { labels.clone() };
    };
    if let Some(rule) = label_rule(&x, &t) {
        return output.builder().fail("sparse_cross_entropy", &[output, labels], rule);
    }
    let logits = output.logits(Squash::Softmax).unwrap_or_else(|| output.clone());
    let max = logits.max_axes([-1]).stop_gradient();
    let below_max = &logits - max.unsqueeze(-1);
    // Picked from the logits, which are in memory: what is below the maximum is made in passing.
    below_max.exp().sum_axes([-1]).log() - (logits.pick(labels) - max)
}

/// `-Σ target log softmax(logits)` along the last axis; equal types, targets are probabilities (one-hot rows, for instance).
#[track_caller]
pub fn categorical_cross_entropy(logits: impl Borrow<Tensor>, target: impl Borrow<Tensor>) -> Tensor {
    let (output, target) = (logits.borrow(), target.borrow());
    if let Some(poisoned) = same_types("categorical_cross_entropy", output, target) {
        return poisoned;
    }
    let logits = output.logits(Squash::Softmax).unwrap_or_else(|| output.clone());
    -(target * logits.log_softmax(-1)).sum_axes([-1])
}

/// `-t log sigmoid(x) - (1-t) log(1 - sigmoid(x))`, elementwise, as `max(x, 0) - x t + log(1 + exp(-|x|))`; equal types.
#[track_caller]
pub fn binary_cross_entropy(logits: impl Borrow<Tensor>, target: impl Borrow<Tensor>) -> Tensor {
    let (output, target) = (logits.borrow(), target.borrow());
    if let Some(poisoned) = same_types("binary_cross_entropy", output, target) {
        return poisoned;
    }
    let x = output.logits(Squash::Sigmoid).unwrap_or_else(|| output.clone());
    x.softplus() - &x * target
}

/// `Σ target log(target / output)` along the last axis, of probabilities kept within [1e-7, 1]; equal types.
#[track_caller]
pub fn kl_divergence(output: impl Borrow<Tensor>, target: impl Borrow<Tensor>) -> Tensor {
    let (output, target) = (output.borrow(), target.borrow());
    if let Some(poisoned) = same_types("kl_divergence", output, target) {
        return poisoned;
    }
    let (p, t) = (output.clamp(EPSILON, 1.0), target.clamp(EPSILON, 1.0));
    (&t * (&t / p).log()).sum_axes([-1])
}

/// A cross-entropy whose output may be given as probabilities.
pub trait Entropy: Loss {
    /// The logits behind probabilities: the ones they were made from if that is known, else by logarithms, with probabilities kept
    /// 1e-7 from 0 and 1.
    fn logits(&self, probabilities: &Tensor) -> Tensor;
}

#[track_caller]
fn categorical_logits(p: &Tensor) -> Tensor {
    match p.logits(Squash::Softmax) {
        Some(logits) => logits,
        None => p.clamp(EPSILON, 1.0).log(),
    }
}

#[track_caller]
fn binary_logits(p: &Tensor) -> Tensor {
    let p = match p.logits(Squash::Sigmoid) {
        Some(logits) => return logits,
        None => p.clamp(EPSILON, 1.0 - EPSILON),
    };
    p.log() - (1 - &p).log()
}

/// A cross-entropy of an output of probabilities.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FromProbabilities<L>(L);

impl<L> FromProbabilities<L> {
    /// The cross-entropy.
    pub(super) fn loss(&self) -> &L {
        &self.0
    }
}

impl<L: Entropy> Loss for FromProbabilities<L> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn target(&self, output: &TensorType) -> TypeSpec {
        self.0.target(output)
    }

    #[track_caller]
    fn per_sample(&self, output: &Tensor, target: &Tensor) -> Tensor {
        self.0.per_sample(&self.0.logits(output), target)
    }

    fn is_by_sample(&self) -> bool {
        self.0.is_by_sample()
    }
}

/// [`sparse_cross_entropy`], mean over a sample. The target is labels, `i32[batch, ...]`.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct SparseCategoricalCrossEntropy;

/// [`categorical_cross_entropy`], mean over a sample. The target is probabilities of the output's type.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct CategoricalCrossEntropy;

/// [`binary_cross_entropy`], mean over a sample. The target is 0 or 1, of the output's type.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct BinaryCrossEntropy;

/// [`kl_divergence`], mean over a sample. Output and target are probabilities.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct KlDivergence;

super::losses! {
    SparseCategoricalCrossEntropy, "sparse_categorical_cross_entropy", labels, |_loss, x, t| sparse_cross_entropy(x, t);
    CategoricalCrossEntropy, "categorical_cross_entropy", TypeSpec::from, |_loss, x, t| categorical_cross_entropy(x, t);
    BinaryCrossEntropy, "binary_cross_entropy", TypeSpec::from, |_loss, x, t| binary_cross_entropy(x, t);
    KlDivergence, "kl_divergence", TypeSpec::from, |_loss, x, t| kl_divergence(x, t);
}

macro_rules! entropies {
    ($($ty:ident, $logits:path;)*) => { $(
        impl Entropy for $ty {
            #[track_caller]
            fn logits(&self, probabilities: &Tensor) -> Tensor {
                $logits(probabilities)
            }
        }

        impl $ty {
            /// For an output of probabilities. One made by a softmax or a sigmoid needs no such call.
            pub fn from_probabilities(self) -> FromProbabilities<Self> {
                FromProbabilities(self)
            }
        }
    )* };
}

entropies! {
    SparseCategoricalCrossEntropy, categorical_logits;
    CategoricalCrossEntropy, categorical_logits;
    BinaryCrossEntropy, binary_logits;
}
