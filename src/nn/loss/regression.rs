//! Losses of numbers against numbers, and the hinge.

use super::{Loss, mean_per_sample, same_types};
use crate::dsl::setting::positive;
use crate::dsl::{Tensor, TypeSpec};
use ir::TensorType;
use std::borrow::Borrow;

/// `(output - target)²`, elementwise; equal types.
#[track_caller]
pub fn squared_error(output: impl Borrow<Tensor>, target: impl Borrow<Tensor>) -> Tensor {
    let (x, t) = (output.borrow(), target.borrow());
    if let Some(poisoned) = same_types("squared_error", x, t) {
        return poisoned;
    }
    (x - t).square()
}

/// `|output - target|`, elementwise; equal types.
#[track_caller]
pub fn absolute_error(output: impl Borrow<Tensor>, target: impl Borrow<Tensor>) -> Tensor {
    let (x, t) = (output.borrow(), target.borrow());
    if let Some(poisoned) = same_types("absolute_error", x, t) {
        return poisoned;
    }
    (x - t).abs()
}

/// `e²/2` for errors `e` up to `delta`, beyond it `delta (|e| - delta/2)`; elementwise, equal types (Huber, 1964).
#[track_caller]
pub fn huber(output: impl Borrow<Tensor>, target: impl Borrow<Tensor>, delta: f64) -> Tensor {
    let (x, t) = (output.borrow(), target.borrow());
    if let Some(poisoned) = same_types("huber", x, t) {
        return poisoned;
    }
    if let Err(rule) = positive("delta", delta) {
        return x.builder().fail("huber", &[x, t], rule);
    }
    // With the error up to delta as a factor: neither part is computed from an infinite one where the other one counts.
    let e = (x - t).abs();
    let limited = e.minimum(delta);
    &limited * (&e - &limited * 0.5)
}

/// `max(1 - target * output, 0)`, elementwise; targets are -1 or 1; equal types.
#[track_caller]
pub fn hinge(output: impl Borrow<Tensor>, target: impl Borrow<Tensor>) -> Tensor {
    let (x, t) = (output.borrow(), target.borrow());
    if let Some(poisoned) = same_types("hinge", x, t) {
        return poisoned;
    }
    (1 - x * t).relu()
}

/// [`squared_error`], mean over a sample.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct MeanSquaredError;

/// [`absolute_error`], mean over a sample.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct MeanAbsoluteError;

/// [`huber`], mean over a sample.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Huber {
    /// From which error on the loss grows linearly.
    pub delta: f64,
}

impl Default for Huber {
    fn default() -> Self {
        Self { delta: 1.0 }
    }
}

/// [`hinge`], mean over a sample.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Hinge;

super::losses! {
    MeanSquaredError, "mean_squared_error", TypeSpec::from, |_loss, x, t| squared_error(x, t);
    MeanAbsoluteError, "mean_absolute_error", TypeSpec::from, |_loss, x, t| absolute_error(x, t);
    Huber, "huber", TypeSpec::from, |loss, x, t| huber(x, t, loss.delta);
    Hinge, "hinge", TypeSpec::from, |_loss, x, t| hinge(x, t);
}
