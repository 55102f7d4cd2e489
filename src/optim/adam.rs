//! Adam, and AdamW with decoupled weight decay.

use super::decay::WeightDecay;
use super::{Optimizer, Schedule, Update};
use crate::dsl::setting::{decay, not_negative};
use crate::dsl::{Select, Tensor, zeros};

/// `m = b1 m + (1-b1) g`, `v = b2 v + (1-b2) g²`, `p -= lr/(1-b1^t) m / (sqrt(v)/sqrt(1-b2^t) + eps)` (Kingma and Ba, arXiv 1412.6980).
#[derive(Clone, Debug)]
pub struct Adam {
    lr: Schedule,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
}

impl Default for Adam {
    /// A learning rate of 0.001, betas 0.9 and 0.999, epsilon 1e-8.
    fn default() -> Self {
        Self::new(1e-3)
    }
}

impl Adam {
    /// With a learning rate, or a schedule of it; betas 0.9 and 0.999, epsilon 1e-8.
    pub fn new(lr: impl Into<Schedule>) -> Self {
        Self { lr: lr.into(), beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }

    /// With other decay rates of the two moments.
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        (self.beta1, self.beta2) = (beta1, beta2);
        self
    }

    /// With another number added to the root.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// How far the parameter moves: what is subtracted from it.
    #[track_caller]
    fn stride(&self, cx: &Update<'_>, p: &Tensor, g: &Tensor) -> Tensor {
        let m = cx.slot("m", p, zeros()) * self.beta1 + g * (1.0 - self.beta1);
        let v = cx.slot("v", p, zeros()) * self.beta2 + g.square() * (1.0 - self.beta2);
        cx.set_slot("m", &m);
        cx.set_slot("v", &v);
        let lr = &cx.lr / cx.bias_correction(self.beta1);
        // The scalar root is inverted once, so that no element pays for a second division.
        let root = v.sqrt() * (1.0 / cx.bias_correction(self.beta2).sqrt());
        lr * m / (root + self.epsilon)
    }
}

impl Optimizer for Adam {
    fn name(&self) -> &str {
        "adam"
    }

    fn schedule(&self) -> Option<&Schedule> {
        Some(&self.lr)
    }

    fn check(&self) -> Result<(), String> {
        self.lr.check()?;
        decay("beta1", self.beta1)?;
        decay("beta2", self.beta2)?;
        not_negative("epsilon", self.epsilon)
    }

    #[track_caller]
    fn update(&self, cx: &Update<'_>, p: &Tensor, gradient: &Tensor) -> Tensor {
        p - self.stride(cx, p, gradient)
    }
}

/// [`Adam`] that first scales every parameter by `1 - lr decay` (Loshchilov and Hutter, arXiv 1711.05101).
#[derive(Clone, Debug)]
pub struct AdamW {
    adam: Adam,
    weight_decay: WeightDecay,
}

impl Default for AdamW {
    /// A learning rate of 0.001, a decay of 0.01.
    fn default() -> Self {
        Self::new(1e-3)
    }
}

impl AdamW {
    /// With a learning rate, or a schedule of it; betas 0.9 and 0.999, epsilon 1e-8, decay 0.01.
    pub fn new(lr: impl Into<Schedule>) -> Self {
        Self { adam: Adam::new(lr), weight_decay: WeightDecay::new(0.01) }
    }

    /// With other decay rates of the two moments.
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.adam = self.adam.betas(beta1, beta2);
        self
    }

    /// With another number added to the root.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.adam = self.adam.epsilon(epsilon);
        self
    }

    /// With another decay of the weights.
    pub fn weight_decay(mut self, decay: f64) -> Self {
        self.weight_decay.rate = decay;
        self
    }

    /// Without decay of these parameters; [`Select::biases_and_norms`] is the usual choice.
    pub fn exclude_from_weight_decay(mut self, select: Select) -> Self {
        self.weight_decay.exclude(select);
        self
    }
}

impl Optimizer for AdamW {
    fn name(&self) -> &str {
        "adamw"
    }

    fn schedule(&self) -> Option<&Schedule> {
        Some(&self.adam.lr)
    }

    fn check(&self) -> Result<(), String> {
        self.adam.check()?;
        self.weight_decay.check()
    }

    #[track_caller]
    fn update(&self, cx: &Update<'_>, p: &Tensor, gradient: &Tensor) -> Tensor {
        let kept = match self.weight_decay.of(cx.parameter()) {
            0.0 => p.clone(),
            decay => p * (1 - &cx.lr * decay),
        };
        kept - self.adam.stride(cx, p, gradient)
    }
}
