//! Loss scaling: gradients of 16-bit floats are kept away from 0 by a factor on the loss, which the updates don't see.

use super::{Optimizer, Update};
use crate::dsl::setting::positive;
use crate::dsl::{GraphBuilder, StateRole, Tensor, TypeSpec, constant, zeros};
use ir::DType;

/// How the loss is scaled (Micikevicius et al., "Mixed Precision Training", arXiv 1710.03740, section 3.2), as Keras's `LossScaleOptimizer` and PyTorch's `GradScaler`.
///
/// The gradients are those of `scale loss`, divided by the scale in the parameters' type. Where one of them isn't finite, the step makes no update: parameters, and all that an optimizer
/// keeps, stay as they are, and the number of the update isn't counted. Other states, running statistics for instance, change in each step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LossScale {
    initial: f64,
    /// After how many updates in a row the scale is doubled; `None` if it never changes.
    growth_steps: Option<u64>,
}

impl LossScale {
    /// The same scale in all steps.
    pub fn fixed(scale: f64) -> Self {
        Self { initial: scale, growth_steps: None }
    }

    /// A scale that is 2^15 at first, is doubled after 2,000 updates in a row, and halved in each step that makes none, down to 1: Keras's defaults.
    pub fn dynamic() -> Self {
        Self { initial: 32_768.0, growth_steps: Some(2_000) }
    }

    /// With another scale at first.
    pub fn initial(mut self, scale: f64) -> Self {
        self.initial = scale;
        self
    }

    /// With another number of updates in a row after which the scale is doubled; a fixed scale becomes a dynamic one.
    pub fn growth_steps(mut self, steps: u64) -> Self {
        self.growth_steps = Some(steps);
        self
    }

    pub(super) fn check(&self) -> Result<(), String> {
        positive("the scale of the loss", self.initial)?;
        if self.initial > LARGEST {
            return Err(format!("the scale of the loss must be finite in f32, not {}", self.initial));
        }
        match self.growth_steps {
            Some(0) => Err("the loss's scale must grow after at least 1 update".into()),
            _ => Ok(()),
        }
    }
}

/// The largest scale: twice as much has no number in `f32`.
const LARGEST: f64 = 1.701_411_834_604_692_3e38;

/// The scaled loss of a step.
pub(super) struct Scaled {
    setting: LossScale,
    /// The first part of the states' names.
    name: String,
    /// The scale, `f32[]`.
    scale: Tensor,
    /// The number of updates made before, `i64[]`.
    made: Tensor,
}

impl Scaled {
    /// Declares the states `NAME/loss_scale` (`f32[]`) and `NAME/updates` (`i64[]`) if the optimizer scales the loss; `name` is that of its first member.
    #[track_caller]
    pub(super) fn declare(g: &GraphBuilder, optimizer: &dyn Optimizer, name: &str) -> Option<Self> {
        let setting = *optimizer.scaling()?;
        let state = |part: &str, dtype, init| {
            g.port(&format!("{name}/{part}"), TypeSpec::new(dtype, []), init, StateRole::Runtime)
        };
        let scale = state("loss_scale", DType::F32, constant(setting.initial));
        let made = state("updates", DType::I64, zeros());
        Some(Self { setting, name: name.into(), scale, made })
    }

    /// The loss whose gradients are taken.
    #[track_caller]
    pub(super) fn loss(&self, loss: &Tensor) -> Tensor {
        loss.dtype().map_or_else(|| loss.clone(), |dtype| loss * self.scale.cast(dtype))
    }

    /// Gradients of the loss itself, and whether all of them are finite; says what the states are after the step.
    #[track_caller]
    pub(super) fn unscale(&self, gradients: &[Tensor]) -> (Vec<Tensor>, Tensor) {
        // A maximum is NaN if an element is, and NaN is below nothing.
        let finite = gradients.iter().map(|gradient| gradient.abs().max().lt(f64::INFINITY));
        let g = self.scale.builder();
        let finite = finite.reduce(|all, one| all.and(one)).unwrap_or_else(|| self.scale.lt(f64::INFINITY));
        let counted = finite.select(&(&self.made + 1), &self.made);
        g.set_update(&format!("{}/updates", self.name), &counted);
        self.adapt(&finite);
        let inverse = 1.0 / &self.scale;
        let unscaled = gradients.iter().map(|gradient| match gradient.dtype() {
            Some(dtype) => gradient * inverse.cast(dtype),
            None => gradient.clone(),
        });
        (unscaled.collect(), finite)
    }

    /// Halves the scale, or doubles it if it is time: after each `growth_steps` updates since it was changed.
    #[track_caller]
    fn adapt(&self, finite: &Tensor) {
        let Some(steps) = self.setting.growth_steps else { return };
        let steps = i64::try_from(steps).unwrap_or(i64::MAX);
        let state = format!("{}/updates_in_a_row", self.name);
        let g = self.scale.builder();
        let row = g.port(&state, TypeSpec::new(DType::I64, []), zeros(), StateRole::Runtime) + 1;
        let is_time = finite.and(row.ge(steps));
        let doubled = (&self.scale * 2.0).minimum(LARGEST);
        let halved = (&self.scale * 0.5).maximum(1.0);
        let kept = finite.select(&self.scale, &halved);
        g.set_update(&format!("{}/loss_scale", self.name), &is_time.select(&doubled, &kept));
        let row = finite.select(&row, 0);
        g.set_update(&state, &is_time.select(&g.zeros(TypeSpec::new(DType::I64, [])), &row));
    }

    /// What an update sees in a step in which it is made only if all gradients are `finite`.
    #[track_caller]
    pub(super) fn context<'a>(&self, cx: Update<'a>, finite: &Tensor) -> Update<'a> {
        let Some(dtype) = cx.t.dtype() else { return cx };
        let t = (&self.made + 1).cast(dtype);
        Update { t, made: self.made.clone(), due: Some(finite.clone()), counts: Some(finite.clone()), ..cx }
    }
}
