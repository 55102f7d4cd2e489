//! Penalties on the size of weights, added to what training minimizes.

use crate::dsl::Tensor;

/// `l1 Σ|w| + l2 Σw²`, as in Keras.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Regularizer {
    /// The factor of the sum of magnitudes.
    pub l1: f64,
    /// The factor of the sum of squares.
    pub l2: f64,
}

impl Regularizer {
    /// `factor Σ|w|`.
    pub fn l1(factor: f64) -> Self {
        Self { l1: factor, l2: 0.0 }
    }

    /// `factor Σw²`.
    pub fn l2(factor: f64) -> Self {
        Self { l1: 0.0, l2: factor }
    }

    /// Adds the penalty on `weight` to what its graph minimizes: of a weight of a layer that is applied several times, once.
    #[track_caller]
    pub fn apply(&self, weight: &Tensor) {
        let weight = &weight.master();
        for (name, factor) in [("l1", self.l1), ("l2", self.l2)] {
            if !(factor >= 0.0 && factor.is_finite()) {
                weight.fail("regularizer", format!("{name} must be finite and at least 0, not {factor}"));
                return;
            }
        }
        if weight.builder().is_state_asked_for_again(weight) {
            return;
        }
        if self.l1 != 0.0 {
            weight.builder().add_penalty(&(weight.abs().sum() * self.l1));
        }
        if self.l2 != 0.0 {
            weight.builder().add_penalty(&(weight.square().sum() * self.l2));
        }
    }
}
