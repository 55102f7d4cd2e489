//! One's own metrics as functions of host values: of all outputs and targets at once.

use super::{Accumulate, Mode, StatefulMetric, position_weights};
use crate::dsl::Tensor;
use ir::Value;

/// All samples of an evaluation, or of an epoch's training (each as it was when its batch was trained on), in the order in which they came.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// The model's outputs, `[samples, ...]`.
    pub outputs: Value,
    /// The targets, `[samples, ...]`.
    pub targets: Value,
    /// What each position counts, in `f64`: `[samples]`, or `[samples, time]` where the output has a mask of steps. 1 without weights of samples, 0 at steps that the mask
    /// leaves out.
    pub weights: Value,
}

/// A function of all outputs and targets.
type HostFn = dyn Fn(&Evaluated) -> f64 + Send + Sync;

/// One's own metric on the host.
pub(super) struct HostMetric {
    name: String,
    mode: Mode,
    f: Box<HostFn>,
}

impl HostMetric {
    pub(super) fn new(name: &str, mode: Mode, f: impl Fn(&Evaluated) -> f64 + Send + Sync + 'static) -> Self {
        Self { name: name.into(), mode, f: Box::new(f) }
    }
}

impl StatefulMetric for HostMetric {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn mode(&self) -> Option<Mode> {
        Some(self.mode)
    }

    fn accumulate(&self) -> &'static [Accumulate] {
        &[Accumulate::Rows("outputs"), Accumulate::Rows("targets"), Accumulate::Rows("weights")]
    }

    #[track_caller]
    fn statistics(&self, output: &Tensor, target: &Tensor, weights: Option<&Tensor>) -> Vec<Tensor> {
        let Some(shape) = output.shape() else { return vec![output.clone(); 3] };
        let axes = if output.mask().is_some() { 2 } else { 1 };
        let dims = &shape[..axes.min(shape.rank())];
        vec![output.clone(), target.clone(), position_weights(output, dims, weights)]
    }

    fn value(&self, statistics: &[Value]) -> f64 {
        let [outputs, targets, weights] = [0, 1, 2].map(|i| statistics[i].clone());
        (self.f)(&Evaluated { outputs, targets, weights })
    }
}
