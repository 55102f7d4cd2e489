//! Metrics of classes: a confusion matrix in the step, and the scores made of it; perplexity.

use super::{Accumulate, Average, ConfusionMatrix, Mode, Reading, StatefulMetric, position_weights, reading};
use crate::dsl::{Tensor, TypeSpec};
use crate::nn::sparse_cross_entropy;
use ir::{DType, Value};

/// Which number is made of a confusion matrix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ScoreKind {
    Precision,
    Recall,
    F1,
    Iou,
    /// The matrix itself is what is asked for.
    Accuracy,
}

/// A score of classes.
pub(super) struct ClassScore {
    pub(super) kind: ScoreKind,
    pub(super) average: Average,
}

impl StatefulMetric for ClassScore {
    fn name(&self) -> String {
        let base = match self.kind {
            ScoreKind::Precision => "precision",
            ScoreKind::Recall => "recall",
            ScoreKind::F1 => "f1",
            ScoreKind::Iou => "iou",
            ScoreKind::Accuracy => return "confusion_matrix".into(),
        };
        match self.average {
            Average::Binary => base.into(),
            Average::Macro => format!("{base}_macro"),
            Average::Micro => format!("{base}_micro"),
            Average::Weighted => format!("{base}_weighted"),
            Average::Class(class) => format!("{base}_class_{class}"),
        }
    }

    fn mode(&self) -> Option<Mode> {
        Some(Mode::Max)
    }

    fn in_percent(&self) -> bool {
        self.kind == ScoreKind::Accuracy
    }

    fn accumulate(&self) -> &'static [Accumulate] {
        &[Accumulate::Sum("confusion")]
    }

    #[track_caller]
    fn statistics(&self, output: &Tensor, target: &Tensor, weights: Option<&Tensor>) -> Vec<Tensor> {
        vec![self.confusion(output, target, weights)]
    }

    fn leaves_weightless_out(&self) -> bool {
        true
    }

    fn value(&self, statistics: &[Value]) -> f64 {
        let Some(matrix) = matrix(statistics) else { return f64::NAN };
        match self.kind {
            ScoreKind::Precision => matrix.precision(self.average),
            ScoreKind::Recall => matrix.recall(self.average),
            ScoreKind::F1 => matrix.f1(self.average),
            ScoreKind::Iou => matrix.iou(self.average),
            ScoreKind::Accuracy => matrix.accuracy(),
        }
    }

    fn confusion_matrix(&self, statistics: &[Value]) -> Option<ConfusionMatrix> {
        matrix(statistics).filter(|_| self.kind == ScoreKind::Accuracy)
    }
}

fn matrix(statistics: &[Value]) -> Option<ConfusionMatrix> {
    let counts = statistics.first()?;
    ConfusionMatrix::new(*counts.ty().shape.first()?, counts.to_f64_vec())
}

impl ClassScore {
    /// The confusion matrix of a batch, `f64[classes, classes]`.
    #[track_caller]
    fn confusion(&self, output: &Tensor, target: &Tensor, weights: Option<&Tensor>) -> Tensor {
        let (Some(x), Some(t)) = (output.ty(), target.ty()) else {
            return if output.is_poisoned() { output.clone() } else { target.clone() };
        };
        let g = output.builder();
        let reading = reading(output, &x, &t);
        let Some((&last, positions)) = x.shape.split_last() else {
            return g.fail(&self.name(), &[output, target], "the output has no axis of samples");
        };
        let expected = if reading == Reading::Sparse { positions } else { x.shape.dims() };
        if t.shape.dims() != expected {
            let rule = format!("targets must have the shape {expected:?}, not {}", t.shape);
            return g.fail(&self.name(), &[output, target], rule);
        }
        let (dims, classes) = match reading {
            Reading::Binary { .. } => (x.shape.dims(), 2),
            Reading::Sparse | Reading::Categorical => (positions, last),
        };
        if let Err(rule) = self.check(classes) {
            return g.fail(&self.name(), &[output, target], rule);
        }
        let (predicted, actual) = match reading {
            Reading::Sparse => (output.argmax(-1), labels(output, target)),
            Reading::Categorical => (output.argmax(-1), target.argmax(-1)),
            Reading::Binary { threshold } => (output.gt(threshold).cast(DType::I32), is_yes(target)),
        };
        let (predicted, actual) = (predicted.cast(DType::I64), actual.cast(DType::I64).check_index(classes));
        let weights = position_weights(output, dims, weights);
        let places = (actual * classes as i64 + predicted).reshape([-1]);
        let counts = g.zeros(TypeSpec::new(DType::F64, [classes * classes]));
        counts.scatter_add(places, weights.reshape([-1])).reshape([classes as isize; 2])
    }

    /// Whether there is such a score of that many classes.
    fn check(&self, classes: usize) -> Result<(), String> {
        match self.average {
            Average::Binary if classes != 2 => {
                Err(format!("there are {classes} classes: choose how they are averaged, `Average::Macro` for instance"))
            }
            Average::Class(class) if class >= classes => Err(format!("there is no class {class}: there are {classes}")),
            _ => Ok(()),
        }
    }
}

/// Labels at steps that count, elsewhere class 0: what stands there need not be a class.
#[track_caller]
pub(super) fn labels(output: &Tensor, target: &Tensor) -> Tensor {
    match (output.mask(), target.shape()) {
        (Some(mask), Some(shape)) if shape.rank() > 1 => {
            let mask = (2..shape.rank()).fold(mask, |mask, _| mask.unsqueeze(-1));
            mask.select(target, 0)
        }
        _ => target.clone(),
    }
}

/// Whether targets are yes, as `i32`.
#[track_caller]
pub(super) fn is_yes(target: &Tensor) -> Tensor {
    let yes = match target.dtype() {
        Some(DType::Bool) | None => target.clone(),
        Some(dtype) if dtype.is_float() => target.gt(0.5),
        Some(_) => target.gt(0),
    };
    yes.cast(DType::I32)
}

/// `exp` of the mean negative log-likelihood of labels.
pub(super) struct TokenPerplexity;

impl StatefulMetric for TokenPerplexity {
    fn name(&self) -> String {
        "perplexity".into()
    }

    fn mode(&self) -> Option<Mode> {
        Some(Mode::Min)
    }

    fn accumulate(&self) -> &'static [Accumulate] {
        &[Accumulate::Sum("total"), Accumulate::Sum("count")]
    }

    #[track_caller]
    fn statistics(&self, output: &Tensor, target: &Tensor, weights: Option<&Tensor>) -> Vec<Tensor> {
        let nll = sparse_cross_entropy(output, labels(output, target));
        let Some(shape) = nll.shape() else { return vec![nll.clone(), nll] };
        let weights = position_weights(output, shape.dims(), weights);
        // A position that doesn't count may hold anything.
        let counted = weights.gt(0).select(&(nll.cast(DType::F64) * &weights), 0);
        vec![counted.sum(), weights.sum()]
    }

    fn leaves_weightless_out(&self) -> bool {
        true
    }

    fn value(&self, statistics: &[Value]) -> f64 {
        let [total, count] = [0, 1].map(|i| statistics[i].get(0).as_f64());
        (total / count).exp()
    }
}
