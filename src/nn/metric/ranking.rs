//! Metrics of how scores rank samples: areas under curves, exact, by all scores.

use super::{Accumulate, Mode, Reading, StatefulMetric, position_weights, reading};
use crate::dsl::{Squash, Tensor};
use ir::{DType, Value};

/// Which area.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Area {
    Roc,
    PrecisionRecall,
}

/// The area under a curve of all thresholds.
pub(super) struct Ranking(pub(super) Area);

impl StatefulMetric for Ranking {
    fn name(&self) -> String {
        match self.0 {
            Area::Roc => "auc".into(),
            Area::PrecisionRecall => "average_precision".into(),
        }
    }

    fn mode(&self) -> Option<Mode> {
        Some(Mode::Max)
    }

    fn accumulate(&self) -> &'static [Accumulate] {
        &[Accumulate::Rows("scores"), Accumulate::Rows("positive"), Accumulate::Rows("weights")]
    }

    #[track_caller]
    fn statistics(&self, output: &Tensor, target: &Tensor, weights: Option<&Tensor>) -> Vec<Tensor> {
        let (Some(x), Some(t)) = (output.ty(), target.ty()) else { return vec![output.poisoned(); 3] };
        let reading = reading(output, &x, &t);
        let expected = match reading {
            Reading::Sparse => &x.shape[..x.shape.rank() - 1],
            _ => x.shape.dims(),
        };
        if t.shape.dims() != expected || expected.is_empty() {
            let rule = format!("targets must have the shape {expected:?}, not {}", t.shape);
            return vec![output.builder().fail(&self.name(), &[output, target], rule); 3];
        }
        let classes = x.shape.last().copied().unwrap_or(1);
        let (scores, positive, columns) = match reading {
            Reading::Binary { .. } => (output.clone(), super::classification::is_yes(target), 1),
            Reading::Sparse | Reading::Categorical => {
                let actual = match reading {
                    Reading::Sparse => super::classification::labels(output, target),
                    _ => target.argmax(-1),
                };
                let (scores, columns) = class_scores(output, classes);
                let actual = actual.cast(DType::I32).check_index(classes);
                let positive = if columns == 1 { actual } else { actual.one_hot(classes, DType::I32) };
                (scores, positive, columns)
            }
        };
        let positions =
            if matches!(reading, Reading::Binary { .. }) { x.shape.dims() } else { &x.shape[..x.shape.rank() - 1] };
        let weights = position_weights(output, positions, weights);
        let rows = [-1, columns as isize];
        vec![scores.reshape(rows), positive.reshape(rows), weights.reshape([-1])]
    }

    fn leaves_weightless_out(&self) -> bool {
        true
    }

    fn value(&self, statistics: &[Value]) -> f64 {
        let [scores, positive, weights] = [0, 1, 2].map(|i| statistics[i].to_f64_vec());
        let columns = scores.len() / weights.len().max(1);
        let of_column = |column: usize| {
            let places = (column..scores.len()).step_by(columns);
            let samples = places.zip(&weights).map(|(i, &weight)| Scored {
                score: scores[i],
                positive: positive[i] > 0.0,
                weight,
            });
            area(self.0, samples.filter(|sample| sample.weight > 0.0).collect())
        };
        let areas: Vec<f64> = (0..columns).map(of_column).collect();
        // A class that no sample has, or all have, has no area.
        let defined: Vec<f64> = if columns == 1 { areas } else { areas.into_iter().filter(|a| !a.is_nan()).collect() };
        defined.iter().sum::<f64>() / defined.len() as f64
    }
}

/// Scores of classes that samples can be compared by, and how many columns they are: of two classes the second one's before the first, else probabilities.
#[track_caller]
fn class_scores(output: &Tensor, classes: usize) -> (Tensor, usize) {
    let logits = output.logits(Squash::Softmax);
    if classes == 2 {
        let logits = logits.unwrap_or_else(|| output.clone());
        return (logits.slice_axis(-1, 1..2) - logits.slice_axis(-1, 0..1), 1);
    }
    (if logits.is_some() { output.clone() } else { output.softmax(-1) }, classes)
}

/// A sample's score, what it is, and what it counts.
#[derive(Clone, Copy)]
struct Scored {
    score: f64,
    positive: bool,
    weight: f64,
}

/// The area under a curve; NaN if it has none, or a score is no number.
fn area(area: Area, mut samples: Vec<Scored>) -> f64 {
    let total = |positive: bool| samples.iter().filter(|s| s.positive == positive).map(|s| s.weight).sum::<f64>();
    let (positives, negatives) = (total(true), total(false));
    let undefined = positives == 0.0 || area == Area::Roc && negatives == 0.0;
    if undefined || samples.iter().any(|s| s.score.is_nan()) {
        return f64::NAN;
    }
    // From the highest score down; -0 and 0 are one score.
    samples.sort_by(|a, b| (b.score + 0.0).total_cmp(&(a.score + 0.0)));
    let (mut sum, mut hits, mut misses) = (0.0, 0.0, 0.0);
    for tied in samples.chunk_by(|a, b| a.score == b.score) {
        let of = |positive: bool| tied.iter().filter(|s| s.positive == positive).map(|s| s.weight).sum::<f64>();
        let (up, right) = (of(true), of(false));
        match area {
            Area::Roc => sum += right * (hits + up / 2.0),
            Area::PrecisionRecall => sum += up * (hits + up) / (hits + up + misses + right),
        }
        (hits, misses) = (hits + up, misses + right);
    }
    match area {
        Area::Roc => sum / (positives * negatives),
        Area::PrecisionRecall => sum / positives,
    }
}
