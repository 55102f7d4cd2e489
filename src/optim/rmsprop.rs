//! RMSprop.

use super::{Optimizer, Schedule, Update};
use crate::dsl::setting::{not_negative, share};
use crate::dsl::{Tensor, zeros};

/// `v = rho v + (1-rho) g²`, `p -= lr g / (sqrt(v) + eps)` (Tieleman and Hinton, 2012). Centered: the variance `v - m²` under the
/// root, `m = rho m + (1-rho) g`. With momentum: `b = momentum b + g / (..)`, `p -= lr b`.
#[derive(Clone, Debug)]
pub struct RmsProp {
    lr: Schedule,
    rho: f64,
    epsilon: f64,
    momentum: f64,
    centered: bool,
}

impl Default for RmsProp {
    /// A learning rate of 0.001.
    fn default() -> Self {
        Self::new(1e-3)
    }
}

impl RmsProp {
    /// With a learning rate, or a schedule of it; rho 0.9, epsilon 1e-8, no momentum, not centered.
    pub fn new(lr: impl Into<Schedule>) -> Self {
        Self { lr: lr.into(), rho: 0.9, epsilon: 1e-8, momentum: 0.0, centered: false }
    }

    /// With another decay of the mean square.
    pub fn rho(mut self, rho: f64) -> Self {
        self.rho = rho;
        self
    }

    /// With another number added to the root.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// With momentum.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// With the variance instead of the mean square.
    pub fn centered(mut self, centered: bool) -> Self {
        self.centered = centered;
        self
    }
}

impl Optimizer for RmsProp {
    fn name(&self) -> &str {
        "rmsprop"
    }

    fn schedule(&self) -> Option<&Schedule> {
        Some(&self.lr)
    }

    fn check(&self) -> Result<(), String> {
        self.lr.check()?;
        share("rho", self.rho)?;
        share("the momentum", self.momentum)?;
        not_negative("epsilon", self.epsilon)
    }

    #[track_caller]
    fn update(&self, cx: &Update<'_>, p: &Tensor, g: &Tensor) -> Tensor {
        let v = cx.slot("v", p, zeros()) * self.rho + g.square() * (1.0 - self.rho);
        cx.set_slot("v", &v);
        let mut square = v;
        if self.centered {
            let m = cx.slot("m", p, zeros()) * self.rho + g * (1.0 - self.rho);
            cx.set_slot("m", &m);
            // Rounding may take the difference below 0.
            square = (square - m.square()).relu();
        }
        let scaled = g / (square.sqrt() + self.epsilon);
        if self.momentum == 0.0 {
            return p - &cx.lr * scaled;
        }
        let velocity = cx.slot("momentum", p, zeros()) * self.momentum + scaled;
        cx.set_slot("momentum", &velocity);
        p - &cx.lr * velocity
    }
}
