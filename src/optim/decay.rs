//! Weight decay, and which parameters have none.

use crate::dsl::setting::not_negative;
use crate::dsl::{Parameter, Select};

/// A decay, of all parameters but some.
#[derive(Clone, Debug)]
pub(super) struct WeightDecay {
    pub(super) rate: f64,
    excluded: Option<Select>,
}

impl WeightDecay {
    pub(super) fn new(rate: f64) -> Self {
        Self { rate, excluded: None }
    }

    /// Not of these either.
    pub(super) fn exclude(&mut self, select: Select) {
        self.excluded = Some(match self.excluded.take() {
            Some(before) => before | select,
            None => select,
        });
    }

    pub(super) fn check(&self) -> Result<(), String> {
        not_negative("the weight decay", self.rate)
    }

    /// The decay of that parameter.
    pub(super) fn of(&self, parameter: &Parameter) -> f64 {
        let excluded = self.excluded.as_ref().is_some_and(|select| select.holds(parameter));
        if excluded { 0.0 } else { self.rate }
    }
}
