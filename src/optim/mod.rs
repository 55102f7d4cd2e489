//! Optimizers, gradient clipping and learning-rate schedules.
//!
//! An update is part of the step's graph: the moments are states, the learning rate is a state that the host writes when a schedule
//! says so, which needs no new compilation. The number of the step is counted in the graph.
//!
//! ```
//! use gradc::optim::{AdamW, Groups, Optimizer, Schedule, Select, Sgd};
//! let schedule = Schedule::cosine(1e-3, 10_000).warmup(500);
//! assert_eq!(schedule.at(500), 1e-3);
//! let warm = AdamW::new(schedule).weight_decay(0.05).exclude_from_weight_decay(Select::biases_and_norms()).clip_global_norm(1.0);
//! let plain = Sgd::new(0.01).momentum(0.9).nesterov(true);
//! let both = Groups::new().group(Select::layer("head"), plain).rest(warm);
//! ```

mod adagrad;
mod adam;
mod clip;
mod decay;
mod groups;
mod loss_scale;
mod minimize;
mod rates;
mod rmsprop;
mod schedule;
mod sgd;
mod tuned;
mod update;

pub use crate::dsl::{Parameter, Select};
pub use adagrad::Adagrad;
pub use adam::{Adam, AdamW};
pub use clip::Clip;
pub use groups::Groups;
pub use loss_scale::LossScale;
pub(crate) use rates::{LearningRate, learning_rates, steps_per_update};
pub use rmsprop::RmsProp;
pub use schedule::Schedule;
pub(crate) use schedule::check_rate;
pub use sgd::Sgd;
pub(crate) use tuned::AVERAGE;
pub use tuned::Tuned;
pub use update::Update;

use crate::dsl::Tensor;
use tuned::Setting;

/// A rule that moves parameters along their gradients.
pub trait Optimizer: Send + Sync {
    /// The name, and the first part of its states' names: `adam/m/dense/kernel`.
    fn name(&self) -> &str;

    /// The learning rate as a function of the number of updates made; `None` for an optimizer that has no rate.
    fn schedule(&self) -> Option<&Schedule>;

    /// Checks the settings: a rate or a decay that is negative or no number would spoil every weight at the first step. Asked once for each graph.
    ///
    /// # Errors
    /// The rule that a setting breaks.
    fn check(&self) -> Result<(), String> {
        self.schedule().map_or(Ok(()), Schedule::check)
    }

    /// The groups, of an optimizer that is made of others.
    fn groups(&self) -> Option<&Groups> {
        None
    }

    /// How many steps' gradients an update is made of.
    fn steps_per_update(&self) -> u64 {
        1
    }

    /// How the loss is scaled whose gradients it gets: see [`Optimizer::loss_scale`].
    fn scaling(&self) -> Option<&LossScale> {
        None
    }

    /// Which batch normalizations of a model use their moving statistics in training, and leave them as they are.
    fn frozen_statistics(&self) -> Vec<Select> {
        vec![]
    }

    /// The names of outputs that it adds to a step: statistics of gradients.
    fn statistics(&self) -> Vec<String> {
        vec![]
    }

    /// What happens to the gradients of all parameters that it updates before the updates, as clipping does; `updates` has one for each gradient.
    #[track_caller]
    fn prepare(&self, updates: &[Update<'_>], gradients: Vec<Tensor>) -> Vec<Tensor> {
        let _ = updates;
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
    fn clip_value(self, limit: f64) -> Tuned<Self>
    where
        Self: Sized,
    {
        Tuned::new(self, Setting::Clip(Clip::Value(limit)))
    }

    /// This optimizer with all gradients of its parameters scaled down together where their common norm is over `limit`.
    fn clip_global_norm(self, limit: f64) -> Tuned<Self>
    where
        Self: Sized,
    {
        Tuned::new(self, Setting::Clip(Clip::GlobalNorm(limit)))
    }

    /// This optimizer with an update in each `steps`th step only, by the mean of the gradients of that many steps: four batches of 32 do what one of 128 does, whatever the
    /// optimizer, since moments, their number and the schedule count updates. Where batches differ in size, each counts alike. Clipping is of the mean, whether it is added
    /// before or after. The sums are states of each parameter's shape; a step takes
    /// from 2 to 23 % longer than one that updates at once (decision 0082), least where there is much to compute for each parameter. Steps are counted over epochs: gradients that are left at the end of one are part of the next one's first update.
    ///
    /// Other states than an optimizer's, running statistics for instance, change in each step.
    ///
    /// ```
    /// use gradc::optim::{AdamW, Optimizer};
    /// let optimizer = AdamW::default().clip_global_norm(1.0).accumulate(4).ema(0.999);
    /// assert_eq!(optimizer.steps_per_update(), 4);
    /// ```
    fn accumulate(self, steps: u64) -> Tuned<Self>
    where
        Self: Sized,
    {
        Tuned::new(self, Setting::Accumulate(steps))
    }

    /// This optimizer with a moving average of each parameter: `average = decay average + (1 - decay) parameter` after each update, and the parameter itself after the first
    /// one, as Keras's `use_ema` with `ema_momentum`. The averages are states; [`crate::train::Trainer::with_averages`] and [`crate::train::Trainer::use_averages`] put
    /// them in place of the weights.
    fn ema(self, decay: f64) -> Tuned<Self>
    where
        Self: Sized,
    {
        Tuned::new(self, Setting::Average(decay))
    }

    /// This optimizer with the norm of all gradients of its parameters together as an output of the step of that name. It is the norm before clipping, and that of the step's
    /// own gradients if [`Optimizer::accumulate`] is added before this. A [`crate::train::Trainer`] has the mean over an epoch's steps in its history.
    fn output_gradient_norm(self, name: &str) -> Tuned<Self>
    where
        Self: Sized,
    {
        Tuned::new(self, Setting::Norm(name.into()))
    }

    /// This optimizer with gradients of the scaled loss, divided by the scale, and without an update in steps in which one of them isn't finite: what models in `f16`
    /// ([`crate::dsl::Policy::mixed_f16`]) need, since smaller gradients than 6e-8 are 0 there. Clipping, accumulation and statistics see gradients of the loss itself, whatever the order of
    /// the settings. The scale is the state `NAME/loss_scale`, by the optimizer's name, or that of the first in groups.
    ///
    /// ```
    /// use gradc::prelude::*;
    /// let model = Sequential::new([784]).dense(128).relu().dense(10).with_policy(Policy::mixed_f16());
    /// let optimizer = Adam::default().loss_scale(LossScale::dynamic());
    /// let step = model.training_graph(32, &SparseCategoricalCrossEntropy, &[], &optimizer)?;
    /// assert!(step.state("adam/loss_scale").is_some());
    /// # Ok::<(), ModelErrors>(())
    /// ```
    fn loss_scale(self, scale: LossScale) -> Tuned<Self>
    where
        Self: Sized,
    {
        Tuned::new(self, Setting::LossScale(scale))
    }

    /// This optimizer under another name, which its states begin with. Without a name of its own, a second Adam in a graph is called `adam_1`.
    fn named(self, name: &str) -> Tuned<Self>
    where
        Self: Sized,
    {
        Tuned::new(self, Setting::Name(name.into()))
    }
}

#[cfg(test)]
mod tests;
