//! Convolution layers.

mod conv1d;

pub use conv1d::Conv1d;

use super::window::{image, window};
use super::{Extents2d, Layer, LayerId, Padding, Regularizer, weight};
use crate::dsl::{Initializer, Tensor, glorot_uniform, zeros};
use crate::nn::Activation;

/// The options of layers with kernel, bias and activation.
macro_rules! weighted_layer_options {
    ($ty:ident) => {
        impl $ty {
            /// With another name than the kind's.
            pub fn name(mut self, name: &str) -> Self {
                self.name = name.into();
                self
            }

            /// With an activation applied to the result.
            pub fn activation(mut self, activation: crate::nn::Activation) -> Self {
                self.activation = activation;
                self
            }

            /// With or without bias.
            pub fn use_bias(mut self, use_bias: bool) -> Self {
                self.use_bias = use_bias;
                self
            }

            /// With another initial kernel.
            pub fn kernel_initializer(mut self, initializer: crate::dsl::Initializer) -> Self {
                self.kernel_initializer = initializer;
                self
            }

            /// With another initial bias.
            pub fn bias_initializer(mut self, initializer: crate::dsl::Initializer) -> Self {
                self.bias_initializer = initializer;
                self
            }

            /// With a penalty on the kernel.
            pub fn kernel_regularizer(mut self, regularizer: crate::nn::Regularizer) -> Self {
                self.kernel_regularizer = regularizer;
                self
            }
        }
    };
}
pub(super) use weighted_layer_options;

/// The options of the window of a convolution, whose extents are given as `$extent`.
macro_rules! convolution_options {
    ($ty:ident, $extent:ty, $padding:ty) => {
        impl $ty {
            /// How far the window moves.
            pub fn stride(mut self, stride: $extent) -> Self {
                self.stride = stride.into();
                self
            }

            /// The distance between neighbouring taps.
            pub fn dilation(mut self, dilation: $extent) -> Self {
                self.dilation = dilation.into();
                self
            }

            /// How the border is treated.
            pub fn padding(mut self, padding: $padding) -> Self {
                self.padding = padding;
                self
            }

            /// In how many groups the channels are split; must divide the input's channels and the filters.
            pub fn groups(mut self, groups: usize) -> Self {
                self.groups = groups;
                self
            }
        }
    };
}
use convolution_options;

/// The rule that the groups of a convolution keep.
fn check_groups(groups: usize, channels: usize, filters: usize) -> Result<(), String> {
    if groups == 0 || !channels.is_multiple_of(groups) || !filters.is_multiple_of(groups) {
        return Err(format!("{groups} groups must divide {channels} channels and {filters} filters"));
    }
    Ok(())
}

/// Convolution of images `[batch, height, width, channels]` with kernels `[kh, kw, channels/groups, filters]`.
///
/// ```
/// use gradc::nn::{Conv2d, Padding};
/// let layer = Conv2d::new(64, 3).padding(Padding::Same).stride(2).use_bias(false);
/// ```
#[derive(Clone, Debug)]
pub struct Conv2d {
    filters: usize,
    kernel_size: Extents2d,
    stride: Extents2d,
    dilation: Extents2d,
    padding: Padding,
    groups: usize,
    name: String,
    id: LayerId,
    activation: Activation,
    use_bias: bool,
    kernel_initializer: Initializer,
    bias_initializer: Initializer,
    kernel_regularizer: Regularizer,
}

impl Conv2d {
    /// With Keras's defaults: stride 1, valid padding, one group, no activation, Glorot-uniform kernel, zero bias.
    pub fn new(filters: usize, kernel_size: impl Into<Extents2d>) -> Self {
        Self {
            filters,
            kernel_size: kernel_size.into(),
            stride: Extents2d(1, 1),
            dilation: Extents2d(1, 1),
            padding: Padding::Valid,
            groups: 1,
            name: "conv2d".into(),
            id: LayerId::new(),
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: glorot_uniform(),
            bias_initializer: zeros(),
            kernel_regularizer: Regularizer::default(),
        }
    }
}

impl Layer for Conv2d {
    fn base(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        "Conv2D"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let ty = match image("conv2d", x) {
            Ok(ty) => ty,
            Err(poisoned) => return poisoned,
        };
        let channels = ty.shape[3];
        if let Err(rule) = check_groups(self.groups, channels, self.filters) {
            return x.fail("conv2d", rule);
        }
        let window = match window(&ty, self.kernel_size, self.stride, self.dilation, self.padding) {
            Ok(window) => window,
            Err(rule) => return x.fail("conv2d", rule),
        };
        let dims = [self.kernel_size.0, self.kernel_size.1, channels / self.groups, self.filters];
        let kernel = weight(x, name, "kernel", &dims, &self.kernel_initializer);
        self.kernel_regularizer.apply(&kernel);
        let mut y = x.conv(&kernel, window, self.groups);
        if self.use_bias {
            y = y + weight(x, name, "bias", &[self.filters], &self.bias_initializer);
        }
        self.activation.apply(&y)
    }
}

convolution_options!(Conv2d, impl Into<Extents2d>, Padding);
weighted_layer_options!(Conv2d);
