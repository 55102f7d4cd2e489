//! A learned factor for each feature.

use super::{Layer, LayerId, weight};
use crate::dsl::{Initializer, Tensor, constant};

/// `x gamma` along the last axis (Touvron et al., arXiv 2103.17239): what a deep residual network multiplies a branch by before it adds it, small at first, so
/// that the network begins near the identity. `[batch, ..., features]` to the same; parameter `gamma [features]`.
#[derive(Clone, Debug)]
pub struct LayerScale {
    name: String,
    id: LayerId,
    initializer: Initializer,
}

impl LayerScale {
    /// With factors that are `initial` at first; the paper has 0.1 up to 18 blocks, 1e-5 up to 24, 1e-6 above.
    pub fn new(initial: f64) -> Self {
        Self { name: "layer_scale".into(), id: LayerId::new(), initializer: constant(initial) }
    }

    /// With another name than the kind's.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }
}

impl Layer for LayerScale {
    fn base(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        "LayerScale"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let Some(ty) = x.ty() else { return x.clone() };
        if ty.shape.rank() < 2 || !ty.dtype.is_float() {
            return x.fail("layer_scale", "the input must be [batch, ..., features] of floats");
        }
        let features = ty.shape[ty.shape.rank() - 1];
        x * weight(x, name, "gamma", &[features], &self.initializer)
    }
}
