//! What an update rule sees besides the parameter and its gradient.

use crate::dsl::{DType, Initializer, Parameter, StateRole, Tensor, TypeSpec, zeros};

/// What an update rule sees besides the parameter and its gradient. All tensors are in the parameter's element type.
#[derive(Clone)]
pub struct Update<'a> {
    /// The optimizer's name in this graph.
    pub(super) optimizer: &'a str,
    pub(super) parameter: &'a Parameter,
    /// The learning rate, a scalar; 1 for an optimizer that has none.
    pub lr: Tensor,
    /// The number of this update, from 1, a scalar.
    pub t: Tensor,
    /// The number of updates made before, `i64[]`.
    pub(super) made: Tensor,
    /// Whether this step makes an update, if not every step does.
    pub(super) due: Option<Tensor>,
    /// Whether this step's gradients count at all, if not every step's do.
    pub(super) counts: Option<Tensor>,
}

impl<'a> Update<'a> {
    /// For an update that is made in each `steps`th step only. An update is made of the steps of one such call: states of sums exist once.
    #[track_caller]
    pub(super) fn every(&self, steps: u64) -> Self {
        let (Some(dtype), 2..) = (self.t.dtype(), steps) else { return self.clone() };
        let steps = i64::try_from(steps).unwrap_or(i64::MAX);
        let made = &self.made / steps;
        let last = self.made.remainder(steps).eq(steps - 1);
        let due = self.counts.as_ref().map_or_else(|| last.clone(), |counts| counts.and(&last));
        let (lr, counts) = (self.lr.clone(), self.counts.clone());
        Self { t: (&made + 1).cast(dtype), made, due: Some(due), lr, counts, ..*self }
    }

    /// The parameter: its name, its layer, its shape.
    pub fn parameter(&self) -> &Parameter {
        self.parameter
    }

    pub(super) fn slot_name(&self, slot: &str) -> String {
        format!("{}/{slot}/{}", self.optimizer, self.parameter.name)
    }

    /// The optimizer's memory of this parameter under the name `slot`: a state of the parameter's type, as it was before the step.
    #[track_caller]
    pub fn slot(&self, slot: &str, parameter: &Tensor, init: Initializer) -> Tensor {
        let Some(ty) = parameter.ty() else { return parameter.clone() };
        parameter.builder().port(&self.slot_name(slot), TypeSpec::from(ty), init, StateRole::Slot)
    }

    /// A memory of numbers that small ones are added to, from 0: of the tensor's shape, in `f32` for 16-bit floats.
    #[track_caller]
    pub(super) fn wide_slot(&self, slot: &str, like: &Tensor) -> Tensor {
        let Some(ty) = like.ty() else { return like.clone() };
        let dtype = if ty.dtype == DType::F64 { DType::F64 } else { DType::F32 };
        let ty = TypeSpec { dtype, ..ty.into() };
        like.builder().port(&self.slot_name(slot), ty, zeros(), StateRole::Slot)
    }

    /// Says what a memory is after a step that makes no update; one that does sets it to 0.
    #[track_caller]
    pub(super) fn keep_between(&self, slot: &str, between: &Tensor) {
        let (g, Some(due), Some(ty)) = (between.builder(), &self.due, between.ty()) else { return };
        let name = self.slot_name(slot);
        let kept = match (&self.counts, g.find_state(&name)) {
            (Some(counts), Some(before)) => counts.select(between, &before),
            _ => between.clone(),
        };
        g.set_update(&name, &due.select(&g.zeros(ty), &kept));
    }

    /// Says what the memory is after the update. In a step that only adds to the gradient (see [`super::Optimizer::accumulate`]) it stays as it is.
    #[track_caller]
    pub fn set_slot(&self, slot: &str, new: &Tensor) {
        let name = self.slot_name(slot);
        let old = new.builder().find_state(&name);
        let after = old.map_or_else(|| new.clone(), |old| self.when_due(new, &old));
        new.builder().set_update(&name, &after);
    }

    /// `new` in a step that makes an update, else `old`.
    #[track_caller]
    pub(super) fn when_due(&self, new: &Tensor, old: &Tensor) -> Tensor {
        self.due.as_ref().map_or_else(|| new.clone(), |due| due.select(new, old))
    }

    /// `1 - beta^t`, as `-expm1(t ln beta)`: precise in `f32` too, where `1 - 0.999` would lose half its digits.
    #[track_caller]
    pub fn bias_correction(&self, beta: f64) -> Tensor {
        -(&self.t * beta.ln()).expm1()
    }
}
