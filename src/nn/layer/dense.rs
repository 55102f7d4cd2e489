//! The dense layer.

use super::{Layer, LayerId, Regularizer, weight};
use crate::dsl::{Initializer, Tensor, glorot_uniform, zeros};
use crate::nn::Activation;

/// `activation(x · kernel + bias)` along the last axis; kernel `[in, units]`.
///
/// As in Keras, axes before the last one stay: `[batch, time, in]` gives `[batch, time, units]`.
#[derive(Clone, Debug)]
pub struct Dense {
    units: usize,
    name: String,
    id: LayerId,
    activation: Activation,
    use_bias: bool,
    kernel_initializer: Initializer,
    bias_initializer: Initializer,
    kernel_regularizer: Regularizer,
}

impl Dense {
    /// With Keras's defaults: no activation, Glorot-uniform kernel, zero bias.
    pub fn new(units: usize) -> Self {
        Self {
            units,
            name: "dense".into(),
            id: LayerId::new(),
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: glorot_uniform(),
            bias_initializer: zeros(),
            kernel_regularizer: Regularizer::default(),
        }
    }
}

impl Layer for Dense {
    fn base(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        "Dense"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let Some(shape) = x.shape() else { return x.clone() };
        let Some(&inputs) = shape.last().filter(|_| shape.rank() >= 2) else {
            return x.fail("dense", "the input must be [batch, ..., features]");
        };
        let kernel = weight(x, name, "kernel", &[inputs, self.units], &self.kernel_initializer);
        self.kernel_regularizer.apply(&kernel);
        let mut y = x.matmul(&kernel);
        if self.use_bias {
            y = y + weight(x, name, "bias", &[self.units], &self.bias_initializer);
        }
        self.activation.apply(&y.with_mask_of(x))
    }
}

super::conv::weighted_layer_options!(Dense);
