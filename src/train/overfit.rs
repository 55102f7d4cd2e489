//! Learning one batch by heart: what every model that can learn at all can do.

use super::weights::SampleWeights;
use super::{TrainError, Trainer};
use crate::data::Samples;

/// What came of learning one batch by heart.
#[derive(Clone, PartialEq, Debug)]
pub struct OverfitReport {
    /// The loss before each step, and after the last one.
    pub losses: Vec<f64>,
}

impl OverfitReport {
    /// The loss before the first step.
    pub fn first(&self) -> f64 {
        self.losses.first().copied().unwrap_or(f64::NAN)
    }

    /// The least loss.
    pub fn least(&self) -> f64 {
        self.losses.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// Whether the loss has come down to that part of what it was at first, 0.01 for instance.
    pub fn is_learnt(&self, part: f64) -> bool {
        self.least() <= self.first() * part
    }
}

impl std::fmt::Display for OverfitReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "loss {:.4} at first, {:.4} at least, in {} steps", self.first(), self.least(), self.losses.len() - 1)
    }
}

impl Trainer {
    /// Trains on one batch alone, so many steps: a model whose loss doesn't go to nearly nothing then has a fault that no amount of data mends (a target that doesn't belong to its sample,
    /// an activation before a loss that wants logits, a rate that is far off, a layer without a gradient). All states are as they were afterwards.
    ///
    /// ```
    /// use gradc::data::array;
    /// use gradc::prelude::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let batch = Dataset::new(array([4, 2], vec![0.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?, array([4], vec![0i32, 1, 1, 0])?)?;
    /// let model = Sequential::new([2]).dense(16).tanh().dense(2);
    /// let mut trainer = model.compile(Adam::new(0.05), SparseCategoricalCrossEntropy, [])?;
    /// let report = trainer.overfit_batch(&batch, 200)?;
    /// assert!(report.is_learnt(0.01), "{report}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Trainer::train_step`].
    pub fn overfit_batch<'b>(
        &mut self,
        samples: impl Into<Samples<'b>>,
        steps: usize,
    ) -> Result<OverfitReport, TrainError> {
        let samples = samples.into();
        let weights = self.own_weights(&samples);
        let before = self.programs.copy_of_all()?;
        let losses = self.losses_of(&samples, &weights, steps);
        self.programs.copy_from(&before)?;
        self.reset_metrics();
        Ok(OverfitReport { losses: losses? })
    }

    /// The losses before each of so many steps, and after the last one, which is a step like the others.
    fn losses_of(
        &mut self,
        samples: &Samples<'_>,
        weights: &SampleWeights,
        steps: usize,
    ) -> Result<Vec<f64>, TrainError> {
        (0..=steps).map(|_| self.take_step(samples, weights)).collect()
    }
}
