//! Settings that every optimizer may have: clipping, accumulation, averages of weights, statistics, a scaled loss, a name.

use super::clip::global_norm;
use super::rates::steps_per_update;
use super::{Clip, Groups, LossScale, Optimizer, Schedule, Update};
use crate::dsl::setting::decay;
use crate::dsl::{Select, Tensor};

/// A setting.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Setting {
    Clip(Clip),
    /// Steps of which gradients are summed.
    Accumulate(u64),
    /// The decay of averages of the weights.
    Average(f64),
    /// The output that the gradients' norm is.
    Norm(String),
    LossScale(LossScale),
    Name(String),
}

/// An optimizer with a setting more: what [`Optimizer::clip_value`], [`Optimizer::accumulate`] and their like give.
#[derive(Clone, PartialEq, Debug)]
pub struct Tuned<O> {
    optimizer: O,
    setting: Setting,
}

impl<O> Tuned<O> {
    pub(super) fn new(optimizer: O, setting: Setting) -> Self {
        Self { optimizer, setting }
    }
}

impl<O: Optimizer> Optimizer for Tuned<O> {
    fn name(&self) -> &str {
        if let Setting::Name(name) = &self.setting { name } else { self.optimizer.name() }
    }

    fn schedule(&self) -> Option<&Schedule> {
        self.optimizer.schedule()
    }

    fn check(&self) -> Result<(), String> {
        self.optimizer.check()?;
        match &self.setting {
            Setting::Clip(clip) => clip.check(),
            Setting::Accumulate(0) => Err("an update needs the gradients of at least 1 step".into()),
            Setting::LossScale(scale) => scale.check(),
            Setting::Average(rate) => decay("the decay of averages", *rate),
            Setting::Name(_) if self.groups().is_some() => Err("groups have no name: name their optimizers".into()),
            Setting::Name(name) if name.is_empty() || name.contains('/') => {
                Err(format!("an optimizer's name must have characters, and none of them `/`, not {name:?}"))
            }
            Setting::Accumulate(_) | Setting::Norm(_) | Setting::Name(_) => Ok(()),
        }
    }

    fn groups(&self) -> Option<&Groups> {
        self.optimizer.groups()
    }

    fn steps_per_update(&self) -> u64 {
        let steps = if let Setting::Accumulate(steps) = self.setting { steps } else { 1 };
        steps * self.optimizer.steps_per_update()
    }

    fn scaling(&self) -> Option<&LossScale> {
        if let Setting::LossScale(scale) = &self.setting { Some(scale) } else { self.optimizer.scaling() }
    }

    fn frozen_statistics(&self) -> Vec<Select> {
        self.optimizer.frozen_statistics()
    }

    fn statistics(&self) -> Vec<String> {
        let own = if let Setting::Norm(name) = &self.setting { Some(name.clone()) } else { None };
        own.into_iter().chain(self.optimizer.statistics()).collect()
    }

    /// Sums come first, as clipping restricts what updates are made of. Else the inner optimizer's own, so that clippings in a row act in the order in which they were
    /// added.
    #[track_caller]
    fn prepare(&self, updates: &[Update<'_>], gradients: Vec<Tensor>) -> Vec<Tensor> {
        match &self.setting {
            Setting::Accumulate(steps @ 2..) => {
                let updates: Vec<_> = updates.iter().map(|cx| cx.every(*steps)).collect();
                let means = updates.iter().zip(&gradients).map(|(cx, gradient)| mean(cx, gradient, *steps)).collect();
                self.optimizer.prepare(&updates, means)
            }
            Setting::Norm(name) => {
                if let Some(norm) = global_norm(&gradients) {
                    norm.builder().output(name, &norm);
                }
                self.optimizer.prepare(updates, gradients)
            }
            Setting::Clip(clip) => clip.apply(&self.optimizer.prepare(updates, gradients)),
            Setting::Accumulate(_) | Setting::Average(_) | Setting::LossScale(_) | Setting::Name(_) => {
                self.optimizer.prepare(updates, gradients)
            }
        }
    }

    #[track_caller]
    fn update(&self, cx: &Update<'_>, parameter: &Tensor, gradient: &Tensor) -> Tensor {
        match self.setting {
            Setting::Accumulate(steps) => {
                let cx = cx.every(steps);
                cx.when_due(&self.optimizer.update(&cx, parameter, gradient), parameter)
            }
            Setting::Average(decay) => {
                let new = self.optimizer.update(cx, parameter, gradient);
                follow(&cx.every(steps_per_update(&self.optimizer, cx.parameter())), &new, decay);
                new
            }
            Setting::Clip(_) | Setting::Norm(_) | Setting::LossScale(_) | Setting::Name(_) => {
                self.optimizer.update(cx, parameter, gradient)
            }
        }
    }

    /// Not where the gradients are needed as a whole.
    #[track_caller]
    fn update_rows(&self, cx: &Update<'_>, p: &Tensor, indices: &Tensor, gradient: &Tensor) -> Option<Tensor> {
        match self.setting {
            Setting::Clip(_) | Setting::Accumulate(_) | Setting::Norm(_) | Setting::LossScale(_) => None,
            Setting::Average(decay) => {
                let new = self.optimizer.update_rows(cx, p, indices, gradient)?;
                follow(cx, &new, decay);
                Some(new)
            }
            Setting::Name(_) => self.optimizer.update_rows(cx, p, indices, gradient),
        }
    }
}

/// The slot of a parameter's sum of gradients.
const SUM: &str = "accumulated";
/// The slot of a parameter's moving average.
pub(crate) const AVERAGE: &str = "average";

/// The mean of the gradients of as many steps, in a step that makes an update, summed in `f32` at least.
#[track_caller]
fn mean(cx: &Update<'_>, gradient: &Tensor, steps: u64) -> Tensor {
    let before = cx.wide_slot(SUM, gradient);
    let (Some(wide), Some(dtype)) = (before.dtype(), gradient.dtype()) else { return gradient.clone() };
    let sum = before + gradient.cast(wide);
    cx.keep_between(SUM, &sum);
    (sum / steps as f64).cast(dtype)
}

/// The moving average of a parameter: after the first update what the parameter is then, as with Keras's `use_ema`.
#[track_caller]
fn follow(cx: &Update<'_>, new: &Tensor, decay: f64) {
    let average = cx.wide_slot(AVERAGE, new);
    let Some(wide) = average.dtype() else { return };
    let (first, g) = (cx.made.eq(0), new.builder());
    let share = |later: f64, at_first: f64| first.select(&g.scalar(at_first, wide), later);
    let next = average * share(decay, 0.0) + new.cast(wide) * share(1.0 - decay, 1.0);
    cx.set_slot(AVERAGE, &next);
}
