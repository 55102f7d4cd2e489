//! What an optimizer says of gradients, over an epoch.

use super::TrainError;
use crate::compile::CompiledProgram;

/// Outputs that an optimizer adds to a step (see [`crate::optim::Optimizer::statistics`]), summed over the steps so far.
pub(super) struct Statistics {
    pub(super) sums: Vec<(String, f64)>,
    pub(super) steps: usize,
}

impl Statistics {
    /// Of these outputs.
    pub(super) fn new(names: &[String]) -> Self {
        Self { sums: names.iter().map(|name| (name.clone(), 0.0)).collect(), steps: 0 }
    }

    /// Adds those of the step that a program has just taken.
    pub(super) fn add(&mut self, program: &CompiledProgram) -> Result<(), TrainError> {
        for (name, sum) in &mut self.sums {
            *sum += program.scalar(name)?;
        }
        self.steps += 1;
        Ok(())
    }

    /// Begins anew.
    pub(super) fn reset(&mut self) {
        self.sums.iter_mut().for_each(|(_, sum)| *sum = 0.0);
        self.steps = 0;
    }

    /// The mean of that name, once there was a step.
    pub(super) fn mean(&self, name: &str) -> Option<f64> {
        let found = self.sums.iter().find(|(known, _)| known == name && self.steps > 0);
        found.map(|(_, sum)| sum / self.steps as f64)
    }

    /// The means over the steps, by name.
    pub(super) fn means(&self) -> impl Iterator<Item = (String, f64)> {
        let steps = self.steps.max(1) as f64;
        self.sums.iter().map(move |(name, sum)| (name.clone(), sum / steps))
    }
}
