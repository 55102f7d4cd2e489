//! Normalization by the root mean square.

use super::{features, norm_options, scale_and_center};
use crate::dsl::Tensor;
use crate::nn::{Layer, LayerId};

/// `gamma x / sqrt(mean(x²) + epsilon)`, the mean over the last axis of each position (Zhang and Sennrich, arXiv 1910.07467):
/// `[batch, ..., features]` to the same. Parameter `gamma [features]`.
#[derive(Clone, Debug)]
pub struct RmsNorm {
    name: String,
    id: LayerId,
    epsilon: f64,
    scale: bool,
}

impl Default for RmsNorm {
    fn default() -> Self {
        Self::new()
    }
}

impl RmsNorm {
    /// With Keras's defaults: epsilon 1e-6, gamma.
    pub fn new() -> Self {
        Self { name: "rms_normalization".into(), id: LayerId::new(), epsilon: 1e-6, scale: true }
    }
}

norm_options!(RmsNorm);

impl Layer for RmsNorm {
    fn base(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        "RMSNormalization"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        match features("rms_normalization", x, self.epsilon) {
            Ok(ty) => {
                let wide = x.in_f32();
                let y = &wide * (wide.square().mean_keepdims([-1]) + self.epsilon).rsqrt();
                scale_and_center(y, x, name, ty.shape[ty.shape.rank() - 1], self.scale, false)
            }
            Err(poisoned) => poisoned,
        }
    }
}
