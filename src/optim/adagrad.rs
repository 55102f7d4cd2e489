//! Adagrad.

use super::{Optimizer, Schedule, Update};
use crate::dsl::setting::not_negative;
use crate::dsl::{Tensor, constant};

/// `s += g²`, `p -= lr g / (sqrt(s) + eps)` (Duchi, Hazan and Singer, JMLR 12, 2011).
#[derive(Clone, Debug)]
pub struct Adagrad {
    lr: Schedule,
    initial: f64,
    epsilon: f64,
}

impl Default for Adagrad {
    /// A learning rate of 0.01.
    fn default() -> Self {
        Self::new(0.01)
    }
}

impl Adagrad {
    /// With a learning rate, or a schedule of it; the sum of squares starts at 0, epsilon is 1e-10.
    pub fn new(lr: impl Into<Schedule>) -> Self {
        Self { lr: lr.into(), initial: 0.0, epsilon: 1e-10 }
    }

    /// With another start of the sum of squares.
    pub fn initial_accumulator(mut self, initial: f64) -> Self {
        self.initial = initial;
        self
    }

    /// With another number added to the root.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }
}

impl Optimizer for Adagrad {
    fn name(&self) -> &str {
        "adagrad"
    }

    fn schedule(&self) -> Option<&Schedule> {
        Some(&self.lr)
    }

    fn check(&self) -> Result<(), String> {
        self.lr.check()?;
        not_negative("the start of the sum of squares", self.initial)?;
        not_negative("epsilon", self.epsilon)
    }

    #[track_caller]
    fn update(&self, cx: &Update<'_>, p: &Tensor, g: &Tensor) -> Tensor {
        let sum = cx.slot("sum", p, constant(self.initial)) + g.square();
        cx.set_slot("sum", &sum);
        p - &cx.lr * g / (sum.sqrt() + self.epsilon)
    }
}
