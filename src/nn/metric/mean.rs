//! Metrics that are means over samples: accuracies, errors, and one's own.

use super::{Accumulate, Mode, Reading, StatefulMetric, reading};
use crate::dsl::Tensor;
use crate::nn::loss::mean_per_sample;
use crate::nn::{absolute_error, squared_error};
use ir::Value;

/// A function of (output, target) that gives one number per sample, `[batch]`.
type MetricFn = dyn Fn(&Tensor, &Tensor) -> Tensor + Send + Sync;

/// One's own metric as a function of tensors.
pub(super) struct OwnMean {
    name: String,
    mode: Mode,
    f: Box<MetricFn>,
}

impl OwnMean {
    pub(super) fn new(name: &str, mode: Mode, f: impl Fn(&Tensor, &Tensor) -> Tensor + Send + Sync + 'static) -> Self {
        Self { name: name.into(), mode, f: Box::new(f) }
    }
}

/// The total of the samples over what they count; 0 where nothing counts.
fn mean_value(statistics: &[Value]) -> f64 {
    let [total, count] = [0, 1].map(|i| statistics[0].get(i).as_f64());
    // A total that is no number stays one.
    if count == 0.0 && !total.is_nan() { 0.0 } else { total / count }
}

impl StatefulMetric for OwnMean {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn mode(&self) -> Option<Mode> {
        Some(self.mode)
    }

    fn accumulate(&self) -> &'static [Accumulate] {
        &[Accumulate::Mean]
    }

    fn statistics(&self, output: &Tensor, target: &Tensor, _: Option<&Tensor>) -> Vec<Tensor> {
        vec![(self.f)(output, target)]
    }

    fn value(&self, statistics: &[Value]) -> f64 {
        mean_value(statistics)
    }
}

/// The library's means: of each sample the mean over its positions, of which those that the output's mask leaves out don't count.
#[derive(Clone, Copy)]
pub(super) enum MeanMetric {
    Accuracy,
    SparseCategorical,
    Categorical,
    Binary { threshold: f64 },
    TopK(usize),
    Mse,
    Mae,
}

impl MeanMetric {
    fn is_error(self) -> bool {
        matches!(self, Self::Mse | Self::Mae)
    }

    /// One number per sample, in the output's element type.
    #[track_caller]
    fn per_sample(self, output: &Tensor, target: &Tensor) -> Tensor {
        let (Some(x), Some(t)) = (output.ty(), target.ty()) else {
            return if output.is_poisoned() { output.clone() } else { target.clone() };
        };
        let hits = match self {
            Self::Accuracy => {
                let kind = match reading(output, &x, &t) {
                    Reading::Sparse => Self::SparseCategorical,
                    Reading::Categorical => Self::Categorical,
                    Reading::Binary { threshold } => Self::Binary { threshold },
                };
                return kind.per_sample(output, target);
            }
            Self::Mse => return mean_per_sample(&squared_error(output, target), output),
            Self::Mae => return mean_per_sample(&absolute_error(output, target), output),
            Self::SparseCategorical => output.argmax(-1).cast(t.dtype).eq(target),
            Self::Categorical => output.argmax(-1).eq(target.argmax(-1)),
            Self::Binary { threshold } => output.gt(threshold).eq(target.gt(0.5)),
            Self::TopK(k) => top_k(output, target, k),
        };
        mean_per_sample(&hits.cast(x.dtype), output)
    }
}

impl StatefulMetric for MeanMetric {
    fn name(&self) -> String {
        match self {
            Self::Accuracy => "accuracy".into(),
            Self::SparseCategorical => "sparse_categorical_accuracy".into(),
            Self::Categorical => "categorical_accuracy".into(),
            Self::Binary { .. } => "binary_accuracy".into(),
            Self::TopK(k) => format!("top_{k}_accuracy"),
            Self::Mse => "mse".into(),
            Self::Mae => "mae".into(),
        }
    }

    fn mode(&self) -> Option<Mode> {
        Some(if self.is_error() { Mode::Min } else { Mode::Max })
    }

    fn in_percent(&self) -> bool {
        !self.is_error()
    }

    fn accumulate(&self) -> &'static [Accumulate] {
        &[Accumulate::Mean]
    }

    #[track_caller]
    fn statistics(&self, output: &Tensor, target: &Tensor, _: Option<&Tensor>) -> Vec<Tensor> {
        vec![self.per_sample(output, target)]
    }

    fn leaves_weightless_out(&self) -> bool {
        true
    }

    fn value(&self, statistics: &[Value]) -> f64 {
        mean_value(statistics)
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
