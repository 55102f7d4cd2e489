//! The coefficient of determination.

use super::{Accumulate, Mode, StatefulMetric, position_weights};
use crate::dsl::Tensor;
use crate::nn::squared_error;
use ir::{DType, Value};

/// R²: each batch measures what its targets scatter around their own mean, so that nothing cancels; merging batches adds the distances of means.
pub(super) struct Determination;

impl StatefulMetric for Determination {
    fn name(&self) -> String {
        "r2".into()
    }

    fn mode(&self) -> Option<Mode> {
        Some(Mode::Max)
    }

    fn accumulate(&self) -> &'static [Accumulate] {
        &[Accumulate::Rows("moments")]
    }

    /// `[1, 4, columns]`: the weight, the targets' mean and the sum of squares around it, the sum of squared errors.
    #[track_caller]
    fn statistics(&self, output: &Tensor, target: &Tensor, weights: Option<&Tensor>) -> Vec<Tensor> {
        let (output, target) = (output.cast(DType::F64).with_mask_of(output), target.cast(DType::F64));
        let errors = squared_error(&output, &target);
        let Some(shape) = errors.shape() else { return vec![errors] };
        let columns = if shape.rank() > 1 { shape[shape.rank() - 1] } else { 1 };
        let weights = position_weights(&output, shape.dims(), weights);
        // A position that doesn't count may hold anything.
        let rows = |x: &Tensor| weights.gt(0).select(x, 0).reshape([-1, columns as isize]);
        let (target, errors) = (rows(&target), rows(&errors));
        let weights = weights.reshape([-1, columns as isize]);
        let sum = |x: &Tensor| (&weights * x).sum_keepdims([0]);
        let weight = weights.sum_keepdims([0]);
        let mean = sum(&target) / weight.maximum(f64::MIN_POSITIVE);
        let scatter = sum(&(&target - &mean).square());
        vec![weight.concat(&[&mean, &scatter, &sum(&errors)], 0).unsqueeze(0)]
    }

    fn leaves_weightless_out(&self) -> bool {
        true
    }

    fn value(&self, statistics: &[Value]) -> f64 {
        let moments = statistics[0].to_f64_vec();
        let columns = statistics[0].ty().shape.last().copied().unwrap_or(1);
        let batches: Vec<&[f64]> = moments.chunks(4 * columns).collect();
        let of_column = |column: usize| {
            let part = |batch: &[f64], i: usize| batch[i * columns + column];
            let merged = batches.iter().fold(Moments::default(), |merged, batch| {
                let [weight, mean, scatter, errors] = [0, 1, 2, 3].map(|i| part(batch, i));
                merged.merge(Moments { weight, mean, scatter, errors })
            });
            merged.determination()
        };
        (0..columns).map(of_column).sum::<f64>() / columns as f64
    }
}

/// What is known of some samples.
#[derive(Clone, Copy, Default)]
struct Moments {
    weight: f64,
    mean: f64,
    scatter: f64,
    errors: f64,
}

impl Moments {
    /// Of both together (Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979).
    fn merge(self, other: Self) -> Self {
        let weight = self.weight + other.weight;
        if weight == 0.0 {
            return self;
        }
        let distance = other.mean - self.mean;
        Self {
            weight,
            mean: self.mean + distance * other.weight / weight,
            scatter: self.scatter + other.scatter + distance * distance * self.weight * other.weight / weight,
            errors: self.errors + other.errors,
        }
    }

    fn determination(self) -> f64 {
        match (self.errors == 0.0, self.scatter == 0.0) {
            (true, _) => 1.0,
            (false, true) => 0.0,
            (false, false) => 1.0 - self.errors / self.scatter,
        }
    }
}
