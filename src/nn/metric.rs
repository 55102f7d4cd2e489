//! Metrics: what is watched besides the loss, as graph expressions that run in the step.

use super::loss::mean_per_sample;
use super::{absolute_error, squared_error};
use crate::dsl::{Squash, Tensor};
use ir::TensorType;
use std::fmt;
use std::rc::Rc;

/// A function of (output, target) that gives one number per sample, `[batch]`.
pub type MetricFn = Rc<dyn Fn(&Tensor, &Tensor) -> Tensor>;

/// A metric; the step reports its mean over the batch.
#[derive(Clone)]
pub enum Metric {
    /// The share of right answers: sparse categorical, categorical or binary, by the shapes of output and target. A binary output
    /// counts as yes above 0, or above 1/2 if a sigmoid made it.
    Accuracy,
    /// How often the largest output of the last axis is the labelled one; targets are integer labels.
    SparseCategoricalAccuracy,
    /// How often the largest output of the last axis is where the target is largest.
    CategoricalAccuracy,
    /// How often output and target lie on the same side: the output of the threshold, the target of 1/2.
    BinaryAccuracy {
        /// Outputs above it count as yes.
        threshold: f64,
    },
    /// How often fewer than `k` outputs are larger than the labelled one; targets are integer labels.
    TopK(usize),
    /// The mean squared error.
    Mse,
    /// The mean absolute error.
    Mae,
    /// One's own: a name and a function.
    Custom(String, MetricFn),
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Metric {
    /// The name: of the graph's output, and in logs.
    pub fn name(&self) -> String {
        match self {
            Self::Accuracy => "accuracy".into(),
            Self::SparseCategoricalAccuracy => "sparse_categorical_accuracy".into(),
            Self::CategoricalAccuracy => "categorical_accuracy".into(),
            Self::BinaryAccuracy { .. } => "binary_accuracy".into(),
            Self::TopK(k) => format!("top_{k}_accuracy"),
            Self::Mse => "mse".into(),
            Self::Mae => "mae".into(),
            Self::Custom(name, _) => name.clone(),
        }
    }

    /// The metric of each sample, `[batch]`, in the output's element type: the mean over its positions, of which those that the output's mask leaves out don't count.
    #[track_caller]
    pub fn per_sample(&self, output: &Tensor, target: &Tensor) -> Tensor {
        let (Some(x), Some(t)) = (output.ty(), target.ty()) else {
            return if output.is_poisoned() { output.clone() } else { target.clone() };
        };
        let hits = match self {
            Self::Accuracy => return accuracy(output, &x, &t).per_sample(output, target),
            Self::Mse => return mean_per_sample(&squared_error(output, target), output),
            Self::Mae => return mean_per_sample(&absolute_error(output, target), output),
            Self::Custom(_, f) => return f(output, target),
            Self::SparseCategoricalAccuracy => output.argmax(-1).cast(t.dtype).eq(target),
            Self::CategoricalAccuracy => output.argmax(-1).eq(target.argmax(-1)),
            Self::BinaryAccuracy { threshold } => output.gt(*threshold).eq(target.gt(0.5)),
            Self::TopK(k) => top_k(output, target, *k),
        };
        mean_per_sample(&hits.cast(x.dtype), output)
    }
}

/// Which accuracy fits the types.
fn accuracy(output: &Tensor, x: &TensorType, t: &TensorType) -> Metric {
    if t.dtype.is_int() && t.shape.rank() + 1 == x.shape.rank() {
        Metric::SparseCategoricalAccuracy
    } else if x.shape.last().is_some_and(|&classes| classes > 1) && x.shape.rank() > 1 {
        Metric::CategoricalAccuracy
    } else {
        let squashed = output.logits(Squash::Sigmoid).is_some();
        Metric::BinaryAccuracy { threshold: if squashed { 0.5 } else { 0.0 } }
    }
}

/// Whether fewer than `k` outputs are larger than the labelled one. A labelled output that is NaN is no hit.
#[track_caller]
fn top_k(output: &Tensor, labels: &Tensor, k: usize) -> Tensor {
    let Some(ty) = output.ty() else { return output.clone() };
    let labelled = output.pick(labels);
    let larger = output.gt(labelled.unsqueeze(-1)).cast(ty.dtype).sum_axes([-1]);
    larger.lt(k as f64).and(labelled.eq(&labelled))
}
