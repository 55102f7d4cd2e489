//! Convolution along one axis: over time, over positions of a text.

use super::{check_groups, convolution_options, weighted_layer_options};
use crate::dsl::{Initializer, Tensor, glorot_uniform, zeros};
use crate::nn::Activation;
use crate::nn::layer::window::{sequence, window1d};
use crate::nn::layer::{Layer, LayerId, Padding1d, Regularizer, weight};

/// Convolution of sequences `[batch, length, channels]` with kernels `[size, channels/groups, filters]`: `[batch, length', filters]`.
///
/// ```
/// use gradc::nn::{Conv1d, Padding1d};
/// let layer = Conv1d::new(64, 5).padding(Padding1d::Causal).dilation(2);
/// ```
#[derive(Clone, Debug)]
pub struct Conv1d {
    filters: usize,
    kernel_size: usize,
    stride: usize,
    dilation: usize,
    padding: Padding1d,
    groups: usize,
    name: String,
    id: LayerId,
    activation: Activation,
    use_bias: bool,
    kernel_initializer: Initializer,
    bias_initializer: Initializer,
    kernel_regularizer: Regularizer,
}

impl Conv1d {
    /// With Keras's defaults: stride 1, valid padding, one group, no activation, Glorot-uniform kernel, zero bias.
    pub fn new(filters: usize, kernel_size: usize) -> Self {
        Self {
            filters,
            kernel_size,
            stride: 1,
            dilation: 1,
            padding: Padding1d::Valid,
            groups: 1,
            name: "conv1d".into(),
            id: LayerId::new(),
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: glorot_uniform(),
            bias_initializer: zeros(),
            kernel_regularizer: Regularizer::default(),
        }
    }
}

impl Layer for Conv1d {
    fn base(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        "Conv1D"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let ty = match sequence("conv1d", x) {
            Ok(ty) => ty,
            Err(poisoned) => return poisoned,
        };
        let channels = ty.shape[2];
        if let Err(rule) = check_groups(self.groups, channels, self.filters) {
            return x.fail("conv1d", rule);
        }
        let window = match window1d(ty.shape[1], self.kernel_size, self.stride, self.dilation, self.padding) {
            Ok(window) => window,
            Err(rule) => return x.fail("conv1d", rule),
        };
        let dims = [self.kernel_size, channels / self.groups, self.filters];
        let kernel = weight(x, name, "kernel", &dims, &self.kernel_initializer);
        self.kernel_regularizer.apply(&kernel);
        let mut y = x.conv(&kernel, window, self.groups);
        if self.use_bias {
            y = y + weight(x, name, "bias", &[self.filters], &self.bias_initializer);
        }
        self.activation.apply(&y)
    }
}

convolution_options!(Conv1d, usize, Padding1d);
weighted_layer_options!(Conv1d);
