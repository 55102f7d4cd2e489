//! Gradient clipping.

use super::setting::positive;
use super::{Optimizer, Schedule, Update};
use crate::dsl::Tensor;

/// How gradients are restricted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Clip {
    /// Every element to `[-limit, limit]`.
    Value(f64),
    /// All gradients times `limit / max(norm, limit)`, where the norm is that of all their elements together
    /// (Pascanu, Mikolov and Bengio, arXiv 1211.5063).
    GlobalNorm(f64),
}

impl Clip {
    /// The clipped gradients.
    #[track_caller]
    pub fn apply(self, gradients: &[Tensor]) -> Vec<Tensor> {
        let mut clipped = Vec::with_capacity(gradients.len());
        match self {
            Self::Value(limit) => {
                for gradient in gradients {
                    clipped.push(gradient.clamp(-limit, limit));
                }
            }
            Self::GlobalNorm(limit) => {
                let Some(scale) = global_scale(gradients, limit) else { return gradients.to_vec() };
                for gradient in gradients {
                    let Some(dtype) = gradient.dtype() else { return gradients.to_vec() };
                    clipped.push(gradient * scale.cast(dtype));
                }
            }
        }
        clipped
    }
}

/// `limit / max(norm of all gradients, limit)`.
#[track_caller]
fn global_scale(gradients: &[Tensor], limit: f64) -> Option<Tensor> {
    let first = gradients.first()?;
    let dtype = first.dtype()?;
    let mut squares = first.square().sum();
    for gradient in &gradients[1..] {
        squares = squares + gradient.square().sum().cast(dtype);
    }
    Some(limit / squares.sqrt().maximum(limit))
}

/// An optimizer whose gradients are clipped first.
#[derive(Clone, PartialEq, Debug)]
pub struct Clipped<O> {
    optimizer: O,
    clip: Clip,
}

impl<O> Clipped<O> {
    pub(super) fn new(optimizer: O, clip: Clip) -> Self {
        Self { optimizer, clip }
    }
}

impl<O: Optimizer> Optimizer for Clipped<O> {
    fn name(&self) -> &str {
        self.optimizer.name()
    }

    fn schedule(&self) -> &Schedule {
        self.optimizer.schedule()
    }

    fn check(&self) -> Result<(), String> {
        self.optimizer.check()?;
        let (Clip::Value(limit) | Clip::GlobalNorm(limit)) = self.clip;
        positive("the limit of clipping", limit)
    }

    /// The inner optimizer's own first, so that clippings in a row act in the order in which they were added.
    #[track_caller]
    fn prepare(&self, gradients: Vec<Tensor>) -> Vec<Tensor> {
        self.clip.apply(&self.optimizer.prepare(gradients))
    }

    #[track_caller]
    fn update(&self, cx: &Update<'_>, parameter: &Tensor, gradient: &Tensor) -> Tensor {
        self.optimizer.update(cx, parameter, gradient)
    }
}
