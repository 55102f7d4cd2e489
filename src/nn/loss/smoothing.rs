//! Label smoothing: cross-entropies of targets that are moved towards all classes alike (Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception architecture for
//! computer vision", CVPR 2016).

use super::{
    BinaryCrossEntropy, CategoricalCrossEntropy, Entropy, FromProbabilities, Loss, SparseCategoricalCrossEntropy,
    binary_cross_entropy, categorical_cross_entropy, mean_per_sample, sparse_cross_entropy,
};
use crate::dsl::setting::decay;
use crate::dsl::{Squash, Tensor, TypeSpec};
use ir::TensorType;

/// A cross-entropy whose targets can be smoothed.
pub trait SmoothedEntropy: Loss {
    /// The loss of each position, where targets keep `1 - rate` of what they are, and `rate` is shared out among all classes.
    fn smoothed(&self, output: &Tensor, target: &Tensor, rate: f64) -> Tensor;
}

impl SmoothedEntropy for SparseCategoricalCrossEntropy {
    #[track_caller]
    fn smoothed(&self, output: &Tensor, target: &Tensor, rate: f64) -> Tensor {
        let logits = output.logits(Squash::Softmax).unwrap_or_else(|| output.clone());
        let of_all = -logits.log_softmax(-1).mean_axes([-1]);
        sparse_cross_entropy(&logits, target) * (1.0 - rate) + of_all * rate
    }
}

impl SmoothedEntropy for CategoricalCrossEntropy {
    #[track_caller]
    fn smoothed(&self, output: &Tensor, target: &Tensor, rate: f64) -> Tensor {
        let classes = target.shape().and_then(|shape| shape.last().copied()).unwrap_or(1);
        categorical_cross_entropy(output, target * (1.0 - rate) + rate / classes as f64)
    }
}

impl SmoothedEntropy for BinaryCrossEntropy {
    #[track_caller]
    fn smoothed(&self, output: &Tensor, target: &Tensor, rate: f64) -> Tensor {
        binary_cross_entropy(output, target * (1.0 - rate) + rate / 2.0)
    }
}

impl<L: Entropy + SmoothedEntropy> SmoothedEntropy for FromProbabilities<L> {
    #[track_caller]
    fn smoothed(&self, output: &Tensor, target: &Tensor, rate: f64) -> Tensor {
        self.loss().smoothed(&self.loss().logits(output), target, rate)
    }
}

/// A cross-entropy with smoothed targets, mean over a sample. Made by `label_smoothing` of one:
///
/// ```
/// use gradc::prelude::*;
/// let loss = SparseCategoricalCrossEntropy.label_smoothing(0.1);
/// let trainer = Sequential::new([4]).dense(3).compile(Adam::default(), loss, [Accuracy])?;
/// # Ok::<(), ModelErrors>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LabelSmoothing<L> {
    loss: L,
    rate: f64,
}

impl<L: SmoothedEntropy> Loss for LabelSmoothing<L> {
    fn name(&self) -> &str {
        self.loss.name()
    }

    fn target(&self, output: &TensorType) -> TypeSpec {
        self.loss.target(output)
    }

    #[track_caller]
    fn per_sample(&self, output: &Tensor, target: &Tensor) -> Tensor {
        match decay("the rate of label smoothing", self.rate) {
            Ok(()) => mean_per_sample(&self.loss.smoothed(output, target, self.rate), output),
            Err(rule) => output.builder().fail(self.name(), &[output, target], rule),
        }
    }

    fn is_by_sample(&self) -> bool {
        self.loss.is_by_sample()
    }
}

macro_rules! smoothing {
    ($($ty:ty $(, $bound:ident)?;)*) => { $(
        impl$(<L: $bound + SmoothedEntropy>)? $ty {
            /// With targets that keep `1 - rate` of what they are, `rate` being shared out among all classes (yes and no of a binary output); from 0 up to, but not
            /// including, 1.
            pub fn label_smoothing(self, rate: f64) -> LabelSmoothing<Self> {
                LabelSmoothing { loss: self, rate }
            }
        }
    )* };
}

smoothing! {
    SparseCategoricalCrossEntropy;
    CategoricalCrossEntropy;
    BinaryCrossEntropy;
    FromProbabilities<L>, Entropy;
}
