//! Metrics: what is watched besides the loss. A step measures statistics of its batch as graph expressions; the host accumulates them over all batches in `f64` and makes
//! the metric's number of the totals, so that it is the number of the whole data set, whatever the sizes of batches.

mod classification;
mod confusion;
mod declare;
mod host;
mod mean;
mod output;
mod ranking;
mod regression;

pub use confusion::{Average, ConfusionMatrix};
pub use host::Evaluated;

use crate::dsl::Tensor;
use ir::{TensorType, Value};
use std::fmt;
use std::sync::Arc;

pub(crate) use declare::Reported;

/// Which way is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Down: a loss, an error.
    Min,
    /// Up: an accuracy.
    Max,
}

/// How a statistic of batches becomes one of a data set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accumulate {
    /// A float for each sample, `[batch]`: what is accumulated is `f64[2]`, their sum, each times the sample's weight, and the sum of weights. A step of
    /// [`crate::model::Model::training_graph`] has their mean as an output of the metric's name.
    Mean,
    /// Numbers of one shape whatever the batch, which add up over batches, in `f64`. Its name is that of the step's output, after the metric's: `f1/confusion`.
    Sum(&'static str),
    /// Rows along the first axis, all of which are kept until the end, at the cost of their memory. Named as a sum.
    Rows(&'static str),
}

/// A metric that is computed of statistics accumulated over batches, as Keras's and torchmetrics' are. Weights of samples and masks of steps (see [`Tensor::mask`])
/// are for it to honour.
///
/// ```
/// use gradc::data::Value;
/// use gradc::dsl::{DType, Tensor};
/// use gradc::nn::metric::{Accumulate, Metric, Mode, StatefulMetric};
/// /// The largest error of all samples.
/// struct LargestError;
/// impl StatefulMetric for LargestError {
///     fn name(&self) -> String {
///         "largest_error".into()
///     }
///     fn mode(&self) -> Option<Mode> {
///         Some(Mode::Min)
///     }
///     fn accumulate(&self) -> &'static [Accumulate] {
///         &[Accumulate::Rows("largest")]
///     }
///     fn statistics(&self, output: &Tensor, target: &Tensor, _weights: Option<&Tensor>) -> Vec<Tensor> {
///         vec![(output - target).abs().max().reshape([1])]
///     }
///     fn value(&self, statistics: &[Value]) -> f64 {
///         statistics[0].to_f64_vec().into_iter().fold(0.0, f64::max)
///     }
/// }
/// let metrics = [Metric::Mae, Metric::own(LargestError)];
/// ```
pub trait StatefulMetric: Send + Sync {
    /// The name: of the graph's output, in logs, for callbacks. No other metric of the model has it, and it is none of `loss`, `lr`, `val_...`.
    fn name(&self) -> String;

    /// Which output of a model with several it measures; see [`Metric::on`].
    fn output(&self) -> Option<&str> {
        None
    }

    /// Which way is better, for callbacks; `None` if that depends.
    fn mode(&self) -> Option<Mode>;

    /// Whether people read it in percent: a share of 1, as accuracies are.
    fn in_percent(&self) -> bool {
        false
    }

    /// How each of the statistics is accumulated, in their order.
    fn accumulate(&self) -> &'static [Accumulate];

    /// The statistics of a batch: expressions of the output `[batch, ...]`, the target, and the weights of samples, `[batch]`, if they have some.
    fn statistics(&self, output: &Tensor, target: &Tensor, weights: Option<&Tensor>) -> Vec<Tensor>;

    /// Whether samples of weight 0 change nothing in the metric's number. Evaluation may then fill a last batch up with such samples, instead of compiling a program of its size; by
    /// default it doesn't.
    fn leaves_weightless_out(&self) -> bool {
        false
    }

    /// The metric's number, of the accumulated statistics: sums as `f64`, rows in the element type that they were measured in, in the order of samples.
    fn value(&self, statistics: &[Value]) -> f64;

    /// The confusion matrix among the statistics, if there is one.
    fn confusion_matrix(&self, _statistics: &[Value]) -> Option<ConfusionMatrix> {
        None
    }
}

/// A metric. Several of any kinds stand in one list: `[Accuracy, F1(Average::Macro), Auc]`.
///
/// Outputs are read by their shape and the target's. Integer targets of the output's shape without its last axis are classes, and the largest output of the last axis
/// is the prediction (sparse categorical). Else the target has the output's shape. An output that a sigmoid made, one of a single axis, or one whose last
/// extent is 1 is binary: each element is a prediction, yes above 1/2 if a sigmoid made it, else (of logits) above 0. Any other is categorical: the class is where
/// the last axis is largest. Steps that the output's mask leaves out don't count, and samples count by their weights.
///
/// ```
/// use gradc::prelude::*;
/// use gradc::nn::metric::{Average, Mode};
/// let model = Sequential::new([4]).dense(3);
/// let spread = Metric::mean("spread", Mode::Min, |x, _| x.max_axes([-1]) - x.min_axes([-1]));
/// let metrics = [Accuracy, Metric::F1(Average::Macro), Metric::Auc, Metric::ConfusionMatrix, spread];
/// let trainer = model.compile(Adam::default(), SparseCategoricalCrossEntropy, metrics)?;
/// # Ok::<(), ModelErrors>(())
/// ```
#[derive(Clone)]
pub enum Metric {
    /// The share of right answers: sparse categorical, categorical or binary, by the shapes of output and target.
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
    /// The coefficient of determination, `1 - Σ(t - x)² / Σ(t - mean t)²`, for each element of the last axis (for the whole, where there is one axis only), averaged; each step of a
    /// sequence is a sample of its own. Where targets don't differ: 1 if all are met, else 0. As `r2_score` of scikit-learn.
    R2,
    /// `exp` of the mean of `-log softmax(output)[label]` over all positions; targets are integer labels.
    Perplexity,
    /// The share of right answers among the predictions of a class.
    Precision(Average),
    /// The share of a class that is predicted as such.
    Recall(Average),
    /// The harmonic mean of precision and recall.
    F1(Average),
    /// Intersection over union, Jaccard's index: positions of a class that are predicted as such, of those that are one or the other.
    Iou(Average),
    /// How often each class is predicted as each: [`crate::train::Evaluation::confusion_matrix`] has it. Its number is the share of right answers.
    ConfusionMatrix,
    /// The area under the receiver operating characteristic, exact, by all scores: the probability that a positive sample scores above a negative one, ties counting one half. Of
    /// more than two classes: the mean of each class's against all others, by softmax. NaN where there are no samples of one kind. As `roc_auc_score` of scikit-learn.
    Auc,
    /// The area under the curve of precision over recall as scikit-learn's `average_precision_score` has it: the mean of precisions at each score, weighted with the recall that it
    /// adds. Several classes as with [`Metric::Auc`].
    AveragePrecision,
    /// One's own, made by [`Metric::mean`], [`Metric::host`] or [`Metric::own`].
    Custom(Arc<dyn StatefulMetric>),
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Metric {
    /// One's own as a function of tensors: of output and target one float per sample, `[batch]`, whose mean over samples is the metric.
    pub fn mean(name: &str, mode: Mode, f: impl Fn(&Tensor, &Tensor) -> Tensor + Send + Sync + 'static) -> Self {
        Self::own(mean::OwnMean::new(name, mode, f))
    }

    /// One's own as a function of host values: outputs and targets of the whole evaluation, or of an epoch's training. They are kept in memory until its end.
    ///
    /// ```
    /// use gradc::nn::metric::{Evaluated, Metric, Mode};
    /// let median_error = Metric::host("median_error", Mode::Min, |all: &Evaluated| {
    ///     let (x, t) = (all.outputs.to_f64_vec(), all.targets.to_f64_vec());
    ///     let mut errors: Vec<f64> = x.iter().zip(&t).map(|(x, t)| (x - t).abs()).collect();
    ///     errors.sort_by(f64::total_cmp);
    ///     errors[errors.len() / 2]
    /// });
    /// ```
    pub fn host(name: &str, mode: Mode, f: impl Fn(&Evaluated) -> f64 + Send + Sync + 'static) -> Self {
        Self::own(host::HostMetric::new(name, mode, f))
    }

    /// One's own with statistics of its own.
    pub fn own(metric: impl StatefulMetric + 'static) -> Self {
        Self::Custom(Arc::new(metric))
    }

    /// This metric of one output, of a model with several, by the output's name, which comes before the metric's: `class_accuracy`.
    pub fn on(self, output: &str) -> Self {
        Self::own(output::OfOutput { output: output.into(), metric: self })
    }

    /// What computes it.
    pub(crate) fn kind(&self) -> Arc<dyn StatefulMetric> {
        use classification::{ClassScore, ScoreKind};
        use ranking::{Area, Ranking};
        let score = |kind, average: &Average| Arc::new(ClassScore { kind, average: *average });
        match self {
            Self::Accuracy => Arc::new(mean::MeanMetric::Accuracy),
            Self::SparseCategoricalAccuracy => Arc::new(mean::MeanMetric::SparseCategorical),
            Self::CategoricalAccuracy => Arc::new(mean::MeanMetric::Categorical),
            Self::BinaryAccuracy { threshold } => Arc::new(mean::MeanMetric::Binary { threshold: *threshold }),
            Self::TopK(k) => Arc::new(mean::MeanMetric::TopK(*k)),
            Self::Mse => Arc::new(mean::MeanMetric::Mse),
            Self::Mae => Arc::new(mean::MeanMetric::Mae),
            Self::R2 => Arc::new(regression::Determination),
            Self::Perplexity => Arc::new(classification::TokenPerplexity),
            Self::Precision(average) => score(ScoreKind::Precision, average),
            Self::Recall(average) => score(ScoreKind::Recall, average),
            Self::F1(average) => score(ScoreKind::F1, average),
            Self::Iou(average) => score(ScoreKind::Iou, average),
            Self::ConfusionMatrix => score(ScoreKind::Accuracy, &Average::Micro),
            Self::Auc => Arc::new(Ranking(Area::Roc)),
            Self::AveragePrecision => Arc::new(Ranking(Area::PrecisionRecall)),
            Self::Custom(metric) => metric.clone(),
        }
    }
}

impl StatefulMetric for Metric {
    fn name(&self) -> String {
        self.kind().name()
    }

    fn output(&self) -> Option<&str> {
        match self {
            Self::Custom(metric) => metric.output(),
            _ => None,
        }
    }

    fn mode(&self) -> Option<Mode> {
        self.kind().mode()
    }

    fn in_percent(&self) -> bool {
        self.kind().in_percent()
    }

    fn accumulate(&self) -> &'static [Accumulate] {
        self.kind().accumulate()
    }

    #[track_caller]
    fn statistics(&self, output: &Tensor, target: &Tensor, weights: Option<&Tensor>) -> Vec<Tensor> {
        self.kind().statistics(output, target, weights)
    }

    fn leaves_weightless_out(&self) -> bool {
        self.kind().leaves_weightless_out()
    }

    fn value(&self, statistics: &[Value]) -> f64 {
        self.kind().value(statistics)
    }

    fn confusion_matrix(&self, statistics: &[Value]) -> Option<ConfusionMatrix> {
        self.kind().confusion_matrix(statistics)
    }
}

/// How predictions are read from outputs.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Reading {
    /// Integer labels, and the largest output of the last axis.
    Sparse,
    /// The largest of the last axis of both.
    Categorical,
    /// Each element: whether it is above a threshold.
    Binary { threshold: f64 },
}

/// How predictions are read from an output of type `x` for targets of type `t`.
fn reading(output: &Tensor, x: &TensorType, t: &TensorType) -> Reading {
    let squashed = output.logits(crate::dsl::Squash::Sigmoid).is_some();
    if t.dtype.is_int() && t.shape.rank() + 1 == x.shape.rank() {
        Reading::Sparse
    } else if !squashed && x.shape.rank() > 1 && x.shape.last().is_some_and(|&classes| classes > 1) {
        Reading::Categorical
    } else {
        Reading::Binary { threshold: if squashed { 0.5 } else { 0.0 } }
    }
}

/// What each position of an output counts, in `f64` under the extents `dims`, which begin with the batch, and with the time where the output has a mask: the weight of its
/// sample, 0 at steps that the mask leaves out.
#[track_caller]
fn position_weights(output: &Tensor, dims: &[usize], weights: Option<&Tensor>) -> Tensor {
    let g = output.builder();
    let ones = g.ones(crate::dsl::f64(dims));
    let ahead = |x: &Tensor, axes: usize| (axes..dims.len()).fold(x.clone(), |x, _| x.unsqueeze(-1));
    let weighted = match weights {
        Some(weights) => ones * ahead(&weights.cast(ir::DType::F64), 1),
        None => ones,
    };
    match output.mask() {
        Some(mask) if dims.len() > 1 => ahead(&mask, 2).select(&weighted, 0),
        _ => weighted,
    }
}

#[cfg(test)]
mod tests;
