//! Batch normalization.

use super::{center_option, features, norm_options, weight};
use crate::dsl::{DType, Tensor, TypeSpec, ones, zeros};
use crate::nn::mask::mean_where;
use crate::nn::{Layer, LayerId};

/// `gamma (x - mean) / sqrt(variance + epsilon) + beta` per channel, the last axis (Ioffe and Szegedy, arXiv 1502.03167).
///
/// In training mean and (biased) variance are the batch's, and the moving ones, which are states, follow:
/// `moving = momentum moving + (1 - momentum) batch`. Otherwise the moving ones are used, and also in training where
/// [`crate::dsl::GraphBuilder::freeze_statistics`] says so. 16-bit floats are normalized in `f32`. Rows that only pad a batch count in its
/// statistics: train on full batches, or trace a step for the last batch's size. Steps that the input's mask (see [`crate::nn::layer`]) leaves out don't
/// count.
///
/// Of several processes (see [`crate::parallel`]) each normalizes by its own samples, and the moving statistics follow the mean of theirs, as in Keras and PyTorch. [`BatchNorm::synchronized`] makes the
/// statistics those of the whole batch.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    name: String,
    id: LayerId,
    momentum: f64,
    epsilon: f64,
    scale: bool,
    center: bool,
    synchronized: bool,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchNorm {
    /// With Keras's defaults: momentum 0.99, epsilon 1e-3, with gamma and beta.
    pub fn new() -> Self {
        Self {
            name: "batch_normalization".into(),
            id: LayerId::new(),
            momentum: 0.99,
            epsilon: 1e-3,
            scale: true,
            center: true,
            synchronized: false,
        }
    }

    /// How much of the moving statistics stays in a step.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Whether processes that train together normalize by the statistics of all their samples, as Keras's `synchronized` and PyTorch's `SyncBatchNorm` do: for batches of which each has few. It takes two
    /// sums over the processes on the way forward and as many on the way back. In one process it changes nothing.
    pub fn synchronized(mut self, synchronized: bool) -> Self {
        self.synchronized = synchronized;
        self
    }

    /// The mean over processes of what is each one's mean over its part of `x`, if they are synchronized; steps that don't count are none.
    #[track_caller]
    fn over_processes(&self, x: &Tensor, part: &Tensor) -> Tensor {
        let g = x.builder();
        if !self.synchronized || !g.is_parallel() {
            return part.clone();
        }
        match x.mask() {
            Some(mask) if x.shape().is_some_and(|shape| shape.rank() > 2) => {
                g.weighted_mean_over_processes(part, &mask.cast(DType::F32).sum())
            }
            _ => g.mean_over_processes(part),
        }
    }

    /// The moving statistic of that name follows the batch's; where the layer is applied several times, each one's in turn.
    #[track_caller]
    fn follow(&self, state: &str, batch: &Tensor) {
        let g = batch.builder();
        let Some(moving) = g.updated_state(state) else { return };
        let next = moving.in_f32() * self.momentum + batch.stop_gradient() * (1.0 - self.momentum);
        g.set_update(state, &next.rounded_like(&moving));
    }
}

norm_options!(BatchNorm);
center_option!(BatchNorm);

impl Layer for BatchNorm {
    fn base(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        "BatchNormalization"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let ty = match features("batch_normalization", x, self.epsilon) {
            Ok(ty) => ty,
            Err(poisoned) => return poisoned,
        };
        if !(0.0..=1.0).contains(&self.momentum) {
            let rule = format!("the momentum must be at least 0 and at most 1, not {}", self.momentum);
            return x.fail("batch_normalization", rule);
        }
        let rank = ty.shape.rank();
        let (g, channels) = (x.builder(), ty.shape[rank - 1]);
        let moving = |part: &str| format!("{name}/moving_{part}");
        let spec = TypeSpec::new(g.variable_dtype(ty.dtype), [channels]);
        let moving_mean = g.state(&moving("mean"), spec.clone(), zeros());
        let moving_variance = g.state(&moving("variance"), spec, ones());
        // Centred by a constant, of which the mean is `shift`, namely 0, away: so the sums over the batch that the mean's gradient needs are those of
        // channels, which beta's and gamma's gradients need too, and no pass over the batch is its own.
        let wide = x.in_f32();
        let still = g.uses_moving(&moving("mean"), &moving_mean);
        let (centre, shift, variance) = if still {
            (moving_mean.in_f32(), None, moving_variance.in_f32())
        } else {
            let axes: Vec<isize> = (0..rank as isize - 1).collect();
            let mean_of = |y: &Tensor| {
                let own = match x.mask() {
                    Some(mask) if rank > 2 => mean_where(y, &mask, &axes),
                    _ => y.mean_axes(&axes),
                };
                self.over_processes(x, &own)
            };
            let mean = mean_of(&wide);
            let centre = mean.stop_gradient();
            let shift = mean - &centre;
            // The mean square of distances to any constant, less the square of its distance to the mean, is the variance.
            let variance = mean_of(&(&wide - &centre).square()) - shift.square();
            self.follow(&moving("mean"), &centre);
            self.follow(&moving("variance"), &variance);
            (centre, Some(shift), variance)
        };
        let mut factor = (variance + self.epsilon).rsqrt();
        if self.scale {
            factor = factor * weight(x, name, "gamma", &[channels], &ones()).in_f32();
        }
        let beta = self.center.then(|| weight(x, name, "beta", &[channels], &zeros()).in_f32());
        let offset = match (beta, shift) {
            (Some(beta), Some(shift)) => Some(beta - shift * &factor),
            (None, Some(shift)) => Some(-(shift * &factor)),
            (beta, None) => beta,
        };
        let y = (wide - centre) * factor;
        offset.map_or_else(|| y.clone(), |offset| &y + offset).rounded_like(x)
    }
}
