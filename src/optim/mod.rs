//! Optimizers, gradient clipping and learning-rate schedules.
//!
//! An update is part of the step's graph: the moments are states, the learning rate is a state that the host writes when a schedule
//! says so, which needs no new compilation. The number of the step is counted in the graph.
//!
//! ```
//! use gradc::optim::{AdamW, Optimizer, Schedule, Sgd};
//! let warm = AdamW::new(Schedule::cosine(1e-3, 10_000).warmup(500)).weight_decay(0.05).clip_global_norm(1.0);
//! assert_eq!(warm.schedule().at(500), 1e-3);
//! let plain = Sgd::new(0.01).momentum(0.9).nesterov(true);
//! assert!(plain.schedule().is_constant());
//! ```

mod adagrad;
mod adam;
mod clip;
mod minimize;
mod rmsprop;
mod schedule;
mod setting;
mod sgd;

pub use adagrad::Adagrad;
pub use adam::{Adam, AdamW};
pub use clip::{Clip, Clipped};
pub use rmsprop::RmsProp;
pub use schedule::Schedule;
pub(crate) use schedule::check_rate;
pub use sgd::Sgd;

use crate::dsl::{Initializer, StateRole, Tensor, TypeSpec};

/// A rule that moves parameters along their gradients.
pub trait Optimizer {
    /// The name, and the first part of its states' names: `adam/m/dense/kernel`.
    fn name(&self) -> &str;

    /// The learning rate as a function of the number of steps taken.
    fn schedule(&self) -> &Schedule;

    /// Checks the settings: a rate or a decay that is negative or no number would spoil every weight at the first step. Asked once for each graph.
    ///
    /// # Errors
    /// The rule that a setting breaks.
    fn check(&self) -> Result<(), String> {
        self.schedule().check()
    }

    /// What happens to all gradients before the updates, as clipping does.
    #[track_caller]
    fn prepare(&self, gradients: Vec<Tensor>) -> Vec<Tensor> {
        gradients
    }

    /// The new value of a parameter.
    fn update(&self, cx: &Update<'_>, parameter: &Tensor, gradient: &Tensor) -> Tensor;

    /// The new value of a parameter of which only the rows at `indices [i...]` were used, each with its own gradient, `gradient [i..., r...]`; `None` if the update is not a
    /// sum over rows that leaves the others alone.
    fn update_rows(
        &self,
        _: &Update<'_>,
        _parameter: &Tensor,
        _indices: &Tensor,
        _gradient: &Tensor,
    ) -> Option<Tensor> {
        None
    }

    /// This optimizer with every element of the gradients restricted to `[-limit, limit]`.
    fn clip_value(self, limit: f64) -> Clipped<Self>
    where
        Self: Sized,
    {
        Clipped::new(self, Clip::Value(limit))
    }

    /// This optimizer with all gradients scaled down together where their common norm is over `limit`.
    fn clip_global_norm(self, limit: f64) -> Clipped<Self>
    where
        Self: Sized,
    {
        Clipped::new(self, Clip::GlobalNorm(limit))
    }
}

/// What an update rule sees besides the parameter and its gradient. All tensors are in the parameter's element type.
pub struct Update<'a> {
    /// The optimizer's name.
    optimizer: &'a str,
    /// The parameter's name.
    parameter: &'a str,
    /// The learning rate, a scalar.
    pub lr: Tensor,
    /// The number of this step, from 1, a scalar.
    pub t: Tensor,
}

impl Update<'_> {
    fn slot_name(&self, slot: &str) -> String {
        format!("{}/{slot}/{}", self.optimizer, self.parameter)
    }

    /// The optimizer's memory of this parameter under the name `slot`: a state of the parameter's type, as it was before the step.
    #[track_caller]
    pub fn slot(&self, slot: &str, parameter: &Tensor, init: Initializer) -> Tensor {
        let Some(ty) = parameter.ty() else { return parameter.clone() };
        parameter.builder().port(&self.slot_name(slot), TypeSpec::from(ty), init, StateRole::Slot)
    }

    /// Says what the memory is after the step.
    #[track_caller]
    pub fn set_slot(&self, slot: &str, new: &Tensor) {
        new.builder().set_update(&self.slot_name(slot), new);
    }

    /// `1 - beta^t`, as `-expm1(t ln beta)`: precise in `f32` too, where `1 - 0.999` would lose half its digits.
    #[track_caller]
    pub fn bias_correction(&self, beta: f64) -> Tensor {
        -(&self.t * beta.ln()).expm1()
    }
}

#[cfg(test)]
mod tests;
