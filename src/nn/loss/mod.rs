//! Losses: functions of (output, target), reductions, and losses as values that a training graph is made with.

mod cross_entropy;
mod ctc;
mod embedding;
mod focal;
mod likelihood;
mod outputs;
mod regression;
mod smoothing;

pub use cross_entropy::{
    BinaryCrossEntropy, CategoricalCrossEntropy, Entropy, FromProbabilities, KlDivergence,
    SparseCategoricalCrossEntropy, binary_cross_entropy, categorical_cross_entropy, kl_divergence,
    sparse_cross_entropy,
};
pub use ctc::Ctc;
pub use embedding::{
    BatchHardTriplet, Contrastive, CosineEmbedding, CosineSimilarity, batch_hard_triplet, contrastive,
    cosine_embedding, cosine_similarity, triplet_margin,
};
pub use focal::{
    BinaryFocalCrossEntropy, CategoricalFocalCrossEntropy, SparseCategoricalFocalCrossEntropy,
    binary_focal_cross_entropy, categorical_focal_cross_entropy, sparse_focal_cross_entropy,
};
pub use likelihood::{NegativeLogLikelihood, PoissonNll, negative_log_likelihood, poisson_nll};
pub use outputs::{Losses, Objective, OutputLoss};
pub use regression::{Hinge, Huber, MeanAbsoluteError, MeanSquaredError, absolute_error, hinge, huber, squared_error};
pub use smoothing::{LabelSmoothing, SmoothedEntropy};

use crate::dsl::{Tensor, TypeSpec};
use crate::nn::mask::mean_where;
use ir::{DType, TensorType};

/// Losses of positions, each with its name, the type of its target and its function of (loss, output, target); a sample's is the mean over its positions.
macro_rules! losses {
    ($($ty:ident, $name:literal, $target:expr, |$loss:ident, $x:ident, $t:ident| $body:expr;)*) => { $(
        impl Loss for $ty {
            fn name(&self) -> &str {
                $name
            }

            fn target(&self, output: &TensorType) -> TypeSpec {
                $target(output)
            }

            #[track_caller]
            fn per_sample(&self, $x: &Tensor, $t: &Tensor) -> Tensor {
                let $loss = self;
                mean_per_sample(&$body, $x)
            }

            fn is_by_sample(&self) -> bool {
                true
            }
        }
    )* };
}
use losses;

/// A loss, as a training graph takes it.
pub trait Loss: Send + Sync {
    /// The name, for logs.
    fn name(&self) -> &str;

    /// The type of the target that goes with an output `[batch, ...]`.
    fn target(&self, output: &TensorType) -> TypeSpec;

    /// The loss of each sample, `[batch]`: the mean over the sample's positions, of which those that the output's mask leaves out don't count. A loss of the batch as a whole is a
    /// scalar, which weights of samples can't go into: with a column of them it is refused.
    fn per_sample(&self, output: &Tensor, target: &Tensor) -> Tensor;

    /// Whether a sample's loss depends on no other sample of its batch. Evaluation may then fill a last batch up with samples of weight 0, instead of compiling a program of its
    /// size; by default it doesn't.
    fn is_by_sample(&self) -> bool {
        false
    }
}

/// How the losses of samples become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reduction {
    /// The mean; with weights the sum of weighted losses over the sum of weights.
    #[default]
    Mean,
    /// The sum.
    Sum,
    /// No reduction.
    None,
}

/// Reduces the losses (or the metric) of samples. A weight of 0 leaves a sample out, so that a batch may be padded.
#[track_caller]
pub fn reduce_loss(losses: &Tensor, reduction: Reduction, weights: Option<&Tensor>) -> Tensor {
    let weighted = match weights {
        Some(w) => losses * w,
        None => losses.clone(),
    };
    match (reduction, weights) {
        (Reduction::None, _) => weighted,
        (Reduction::Sum, _) => weighted.sum(),
        (Reduction::Mean, None) => weighted.mean(),
        // The floor only matters where all weights are 0: the mean is then 0 instead of NaN.
        (Reduction::Mean, Some(w)) => weighted.sum() / w.sum().maximum(1e-12),
    }
}

/// The mean of `x` over all axes but the first, `[batch]`; over the steps that count, where the output that it was computed from has a mask.
#[track_caller]
pub(crate) fn mean_per_sample(x: &Tensor, output: &Tensor) -> Tensor {
    let Some(rank) = x.shape().map(|s| s.rank()).filter(|rank| *rank > 1) else { return x.clone() };
    let axes: Vec<isize> = (1..rank as isize).collect();
    match output.mask() {
        Some(mask) => mean_where(x, &mask, &axes),
        None => x.mean_axes(axes),
    }
}

/// The loss of a batch, of what a loss gave: one float for each sample, or a scalar of the batch as a whole, where samples have no weights.
#[track_caller]
pub(crate) fn batch_loss(name: &str, losses: &Tensor, batch: usize, weights: Option<&Tensor>) -> Tensor {
    let what = format!("the loss {name}");
    let is_scalar = losses.ty().is_some_and(|ty| ty.dtype.is_float() && ty.shape.rank() == 0);
    match weights {
        None if is_scalar => losses.clone(),
        Some(weights) if is_scalar => {
            let rule = "a scalar can't be weighted by sample: give one float for each sample, or no `sample_weight`";
            losses.builder().fail(&what, &[losses, weights], rule)
        }
        _ => {
            let losses = one_per_sample(&what, losses, batch);
            let weights = weights.zip(losses.dtype()).map(|(weights, dtype)| weights.cast(dtype));
            reduce_loss(&losses, Reduction::Mean, weights.as_ref())
        }
    }
}

/// What a user's loss or metric gave, if it is a float for each sample: anything else would be reduced to some number without a word.
#[track_caller]
pub(crate) fn one_per_sample(what: &str, values: &Tensor, batch: usize) -> Tensor {
    match values.ty() {
        Some(ty) if !ty.dtype.is_float() || ty.shape.dims() != [batch] => {
            let dtype = if ty.dtype.is_float() { ty.dtype } else { DType::F32 };
            let rule = format!("must be one float for each sample, {dtype}[{batch}], not {ty}");
            values.builder().fail(what, &[], rule)
        }
        _ => values.clone(),
    }
}

/// The poisoned result if the two don't have one shape and one element type: losses do not broadcast, because `[n]` against `[n,1]` would silently
/// give `[n,n]`.
#[track_caller]
fn same_types(op: &str, output: &Tensor, target: &Tensor) -> Option<Tensor> {
    let (a, b) = (output.ty()?, target.ty()?);
    if a.dtype != b.dtype {
        let rule = format!("output and target must have one element type, not {} and {}: cast one", a.dtype, b.dtype);
        return Some(output.builder().fail(op, &[output, target], rule));
    }
    if a.shape != b.shape {
        let rule = format!("output and target must have one shape, not {} and {}", a.shape, b.shape);
        return Some(output.builder().fail(op, &[output, target], rule));
    }
    None
}

/// The rule that labels of type `t` for logits of type `x` break, if any.
fn label_rule(x: &TensorType, t: &TensorType) -> Option<String> {
    if !matches!(t.dtype, DType::I32 | DType::I64) {
        return Some(format!("labels must be i32 or i64, not {}: cast them", t.dtype));
    }
    let Some((_, positions)) = x.shape.split_last() else {
        return Some("logits must have an axis of classes".into());
    };
    (positions != t.shape.dims())
        .then(|| format!("labels must have the logits' shape without the classes, {positions:?}, not {}", t.shape))
}

/// Labels for an output: its shape without the classes.
fn labels(output: &TensorType) -> TypeSpec {
    let rank = output.shape.rank();
    TypeSpec::new(DType::I32, &output.shape[..rank.saturating_sub(1)])
}

#[cfg(test)]
mod tests;
