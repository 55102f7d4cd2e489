//! Stochastic gradient descent.

use super::decay::WeightDecay;
use super::{Optimizer, Schedule, Update};
use crate::dsl::setting::share;
use crate::dsl::{Select, Tensor, zeros};

/// `p -= lr g`; with momentum `v = momentum v + g`, `p -= lr v`, or `p -= lr (g + momentum v)` for Nesterov's. Weight decay adds
/// `decay p` to the gradient first.
#[derive(Clone, Debug)]
pub struct Sgd {
    lr: Schedule,
    momentum: f64,
    nesterov: bool,
    weight_decay: WeightDecay,
}

impl Default for Sgd {
    /// A learning rate of 0.01, no momentum.
    fn default() -> Self {
        Self::new(0.01)
    }
}

impl Sgd {
    /// With a learning rate, or a schedule of it.
    pub fn new(lr: impl Into<Schedule>) -> Self {
        Self { lr: lr.into(), momentum: 0.0, nesterov: false, weight_decay: WeightDecay::new(0.0) }
    }

    /// With momentum.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// With Nesterov's momentum: the step looks ahead.
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.nesterov = nesterov;
        self
    }

    /// With `decay` times the parameter added to its gradient.
    pub fn weight_decay(mut self, decay: f64) -> Self {
        self.weight_decay.rate = decay;
        self
    }

    /// Without weight decay of these parameters; [`Select::biases_and_norms`] is the usual choice.
    pub fn exclude_from_weight_decay(mut self, select: Select) -> Self {
        self.weight_decay.exclude(select);
        self
    }
}

impl Optimizer for Sgd {
    fn name(&self) -> &str {
        "sgd"
    }

    fn schedule(&self) -> Option<&Schedule> {
        Some(&self.lr)
    }

    fn check(&self) -> Result<(), String> {
        self.lr.check()?;
        share("the momentum", self.momentum)?;
        self.weight_decay.check()
    }

    #[track_caller]
    fn update(&self, cx: &Update<'_>, p: &Tensor, gradient: &Tensor) -> Tensor {
        let decay = self.weight_decay.of(cx.parameter());
        let g = if decay == 0.0 { gradient.clone() } else { gradient + p * decay };
        if self.momentum == 0.0 {
            return p - &cx.lr * g;
        }
        let velocity = cx.slot("momentum", p, zeros()) * self.momentum + &g;
        cx.set_slot("momentum", &velocity);
        let direction = if self.nesterov { g + &velocity * self.momentum } else { velocity };
        p - &cx.lr * direction
    }

    /// Without momentum and decay, rows that weren't used stay as they are.
    #[track_caller]
    fn update_rows(&self, cx: &Update<'_>, p: &Tensor, indices: &Tensor, gradient: &Tensor) -> Option<Tensor> {
        let plain = self.momentum == 0.0 && self.weight_decay.of(cx.parameter()) == 0.0;
        plain.then(|| p.scatter_add(indices, -(&cx.lr * gradient)))
    }
}
