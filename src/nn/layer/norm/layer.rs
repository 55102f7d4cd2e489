//! Layer normalization.

use super::{center_option, features, norm_options, scale_and_center, standardize};
use crate::dsl::Tensor;
use crate::nn::{Layer, LayerId};

/// `gamma (x - mean) / sqrt(variance + epsilon) + beta`, mean and (biased) variance over the last axis of each position (Ba, Kiros and
/// Hinton, arXiv 1607.06450): `[batch, ..., features]` to the same. Parameters `gamma [features]` and `beta [features]`.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    name: String,
    id: LayerId,
    epsilon: f64,
    scale: bool,
    center: bool,
}

impl Default for LayerNorm {
    fn default() -> Self {
        Self::new()
    }
}

impl LayerNorm {
    /// With Keras's defaults: epsilon 1e-3 (PyTorch has 1e-5), gamma and beta.
    pub fn new() -> Self {
        Self { name: "layer_normalization".into(), id: LayerId::new(), epsilon: 1e-3, scale: true, center: true }
    }
}

norm_options!(LayerNorm);
center_option!(LayerNorm);

impl Layer for LayerNorm {
    fn base(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        "LayerNormalization"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        match features("layer_normalization", x, self.epsilon) {
            Ok(ty) => {
                let width = ty.shape[ty.shape.rank() - 1];
                scale_and_center(standardize(x, &[-1], self.epsilon), x, name, width, self.scale, self.center)
            }
            Err(poisoned) => poisoned,
        }
    }
}
