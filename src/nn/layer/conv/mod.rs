//! Convolution layers.

mod depthwise;
mod transposed;

pub use depthwise::{DepthwiseConv1d, DepthwiseConv2d, SeparableConv1d, SeparableConv2d};
pub use transposed::{Conv1dTranspose, Conv2dTranspose, Conv3dTranspose};

use super::window::{Extents3d, Padding3d, window};
use super::{Extents2d, Padding, Padding1d};
use crate::dsl::Tensor;

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

/// A layer with a window, kernel, bias and activation: its struct, `new` with Keras's defaults, options, and the trait. What it computes is its method `convolve`; `$given` is what
/// `new` takes for `$size`, `$own` are what else it takes, `$field` other numbers with their defaults.
macro_rules! convolution_layer {
    (
        $(#[$doc:meta])*
        $ty:ident, $base:literal, $kind:literal, $given:ty => $size:ty, $one:expr, $padding:ty, [$($own:ident),*], [$($field:ident: $of:ty = $default:expr),*]
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $ty {
            $($own: usize,)*
            $($field: $of,)*
            kernel_size: $size,
            stride: $size,
            dilation: $size,
            padding: $padding,
            name: String,
            id: crate::nn::LayerId,
            activation: crate::nn::Activation,
            use_bias: bool,
            kernel_initializer: crate::dsl::Initializer,
            bias_initializer: crate::dsl::Initializer,
            kernel_regularizer: crate::nn::Regularizer,
        }

        impl $ty {
            /// With Keras's defaults: stride 1, valid padding, one group, no activation, Glorot-uniform kernel, zero bias.
            pub fn new($($own: usize,)* kernel_size: $given) -> Self {
                Self {
                    $($own,)*
                    $($field: $default,)*
                    kernel_size: kernel_size.into(),
                    stride: $one,
                    dilation: $one,
                    padding: <$padding>::Valid,
                    name: $base.into(),
                    id: crate::nn::LayerId::new(),
                    activation: crate::nn::Activation::Linear,
                    use_bias: true,
                    kernel_initializer: crate::dsl::glorot_uniform(),
                    bias_initializer: crate::dsl::zeros(),
                    kernel_regularizer: crate::nn::Regularizer::default(),
                }
            }

            /// How far the window moves.
            pub fn stride(mut self, stride: $given) -> Self {
                self.stride = stride.into();
                self
            }

            /// The distance between neighbouring taps.
            pub fn dilation(mut self, dilation: $given) -> Self {
                self.dilation = dilation.into();
                self
            }

            /// How the border is treated.
            pub fn padding(mut self, padding: $padding) -> Self {
                self.padding = padding;
                self
            }

            /// The kernel of that name `[size..., inner...]`, with the penalty on it.
            #[track_caller]
            fn kernel(&self, x: &crate::dsl::Tensor, name: &str, part: &str, inner: [usize; 2]) -> crate::dsl::Tensor {
                let dims = [crate::nn::layer::window::SpatialExtents::list(self.kernel_size), inner.to_vec()].concat();
                let kernel = crate::nn::layer::weight(x, name, part, &dims, &self.kernel_initializer);
                self.kernel_regularizer.apply(&kernel);
                kernel
            }

            /// With the bias added, and the activation of it.
            #[track_caller]
            fn finish(&self, y: crate::dsl::Tensor, x: &crate::dsl::Tensor, name: &str, filters: usize) -> crate::dsl::Tensor {
                if !self.use_bias {
                    return self.activation.apply(&y);
                }
                self.activation.apply(&(y + crate::nn::layer::weight(x, name, "bias", &[filters], &self.bias_initializer)))
            }
        }

        impl crate::nn::Layer for $ty {
            fn base(&self) -> &str {
                &self.name
            }

            fn kind(&self) -> &str {
                $kind
            }

            fn id(&self) -> Option<&crate::nn::LayerId> {
                Some(&self.id)
            }

            #[track_caller]
            fn call(&self, x: &crate::dsl::Tensor, name: &str) -> crate::dsl::Tensor {
                match crate::nn::layer::window::spatial($base, x, self.kernel_size) {
                    Ok(ty) => match self.convolve(x, &ty, name) {
                        Ok(y) => y,
                        Err(rule) => x.fail($base, rule),
                    },
                    Err(poisoned) => poisoned,
                }
            }
        }

        crate::nn::layer::conv::weighted_layer_options!($ty);
    };
}
use convolution_layer;

/// The option of convolutions in groups.
macro_rules! groups_option {
    ($ty:ident) => {
        impl $ty {
            /// In how many groups the channels are split; must divide the input's channels and the filters.
            pub fn groups(mut self, groups: usize) -> Self {
                self.groups = groups;
                self
            }
        }
    };
}
use groups_option;

/// The rule that the groups of a convolution keep.
fn check_groups(groups: usize, channels: usize, filters: usize) -> Result<(), String> {
    if groups == 0 || !channels.is_multiple_of(groups) || !filters.is_multiple_of(groups) {
        return Err(format!("{groups} groups must divide {channels} channels and {filters} filters"));
    }
    Ok(())
}

/// The extent of the last axis of an input `[batch, spatial..., channels]`.
fn channels(ty: &ir::TensorType) -> usize {
    ty.shape[ty.shape.rank() - 1]
}

macro_rules! convolutions {
    ($($(#[$doc:meta])* $ty:ident, $base:literal, $kind:literal, $given:ty => $size:ty, $one:expr, $padding:ty;)*) => { $(
        convolution_layer!($(#[$doc])* $ty, $base, $kind, $given => $size, $one, $padding, [filters], [groups: usize = 1]);
        groups_option!($ty);

        impl $ty {
            #[track_caller]
            fn convolve(&self, x: &Tensor, ty: &ir::TensorType, name: &str) -> Result<Tensor, String> {
                let channels = channels(ty);
                check_groups(self.groups, channels, self.filters)?;
                let window = window(ty, self.kernel_size, self.stride, self.dilation, self.padding)?;
                let kernel = self.kernel(x, name, "kernel", [channels / self.groups, self.filters]);
                Ok(self.finish(x.conv(&kernel, window, self.groups), x, name, self.filters))
            }
        }
    )* };
}

convolutions! {
    /// Convolution of sequences `[batch, length, channels]` with kernels `[size, channels/groups, filters]`: `[batch, length', filters]`. Over time, over positions of a text.
    ///
    /// ```
    /// use gradc::nn::{Conv1d, Padding1d};
    /// let layer = Conv1d::new(64, 5).padding(Padding1d::Causal).dilation(2);
    /// ```
    Conv1d, "conv1d", "Conv1D", usize => usize, 1, Padding1d;
    /// Convolution of images `[batch, height, width, channels]` with kernels `[kh, kw, channels/groups, filters]`.
    ///
    /// ```
    /// use gradc::nn::{Conv2d, Padding};
    /// let layer = Conv2d::new(64, 3).padding(Padding::Same).stride(2).use_bias(false);
    /// ```
    Conv2d, "conv2d", "Conv2D", impl Into<Extents2d> => Extents2d, Extents2d(1, 1), Padding;
    /// Convolution of volumes `[batch, depth, height, width, channels]` with kernels `[kd, kh, kw, channels/groups, filters]`.
    ///
    /// ```
    /// use gradc::nn::{Conv3d, Padding3d};
    /// let layer = Conv3d::new(16, 3).padding(Padding3d::Same).stride([1, 2, 2]);
    /// ```
    Conv3d, "conv3d", "Conv3D", impl Into<Extents3d> => Extents3d, Extents3d(1, 1, 1), Padding3d;
}
