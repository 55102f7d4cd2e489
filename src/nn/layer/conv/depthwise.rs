//! Convolutions of each channel on its own, and those followed by one across channels.

use super::{channels, convolution_layer};
use crate::dsl::Tensor;
use crate::nn::layer::window::window;
use crate::nn::layer::{Extents2d, Padding, Padding1d, weight};

/// The kernel `[size..., channels, multiplier]` as one of as many groups as channels, `[size..., 1, channels multiplier]`: in memory it is the same.
#[track_caller]
fn as_groups(kernel: &Tensor, spatial: usize) -> Tensor {
    let Some(shape) = kernel.shape() else { return kernel.clone() };
    let mut dims: Vec<isize> = shape[..spatial].iter().map(|&extent| extent as isize).collect();
    dims.extend([1, -1]);
    kernel.reshape(dims)
}

/// The rule that the number of results of each channel keeps.
fn check_multiplier(multiplier: usize, channels: usize) -> Result<usize, String> {
    channels.checked_mul(multiplier).filter(|&all| all > 0).ok_or_else(|| {
        format!(
            "the depth multiplier {multiplier} must be at least 1, and its product with {channels} channels fit memory"
        )
    })
}

macro_rules! multiplier_option {
    ($ty:ident) => {
        impl $ty {
            /// How many results each channel has.
            pub fn depth_multiplier(mut self, multiplier: usize) -> Self {
                self.multiplier = multiplier;
                self
            }
        }
    };
}

macro_rules! depthwise {
    ($($(#[$doc:meta])* $ty:ident, $base:literal, $kind:literal, $given:ty => $size:ty, $one:expr, $padding:ty;)*) => { $(
        convolution_layer!($(#[$doc])* $ty, $base, $kind, $given => $size, $one, $padding, [], [multiplier: usize = 1]);
        multiplier_option!($ty);

        impl $ty {
            #[track_caller]
            fn convolve(&self, x: &Tensor, ty: &ir::TensorType, name: &str) -> Result<Tensor, String> {
                let channels = channels(ty);
                let filters = check_multiplier(self.multiplier, channels)?;
                let window = window(ty, self.kernel_size, self.stride, self.dilation, self.padding)?;
                let kernel = as_groups(&self.kernel(x, name, "kernel", [channels, self.multiplier]), window.rank());
                Ok(self.finish(x.conv(&kernel, window, channels), x, name, filters))
            }
        }
    )* };
}

depthwise! {
    /// Convolution of each channel of sequences `[batch, length, channels]` with kernels of its own, `[size, channels, multiplier]`: `[batch, length', channels multiplier]`, the
    /// results of a channel side by side.
    DepthwiseConv1d, "depthwise_conv1d", "DepthwiseConv1D", usize => usize, 1, Padding1d;
    /// Convolution of each channel of images `[batch, height, width, channels]` with kernels of its own, `[kh, kw, channels, multiplier]`: `[batch, height', width', channels
    /// multiplier]`, the results of a channel side by side.
    ///
    /// ```
    /// use gradc::nn::{DepthwiseConv2d, Padding};
    /// let layer = DepthwiseConv2d::new(3).padding(Padding::Same).depth_multiplier(2);
    /// ```
    DepthwiseConv2d, "depthwise_conv2d", "DepthwiseConv2D", impl Into<Extents2d> => Extents2d, Extents2d(1, 1), Padding;
}

macro_rules! separable {
    ($($(#[$doc:meta])* $ty:ident, $base:literal, $kind:literal, $given:ty => $size:ty, $one:expr, $padding:ty;)*) => { $(
        convolution_layer!($(#[$doc])* $ty, $base, $kind, $given => $size, $one, $padding, [filters], [multiplier: usize = 1]);
        multiplier_option!($ty);

        impl $ty {
            #[track_caller]
            fn convolve(&self, x: &Tensor, ty: &ir::TensorType, name: &str) -> Result<Tensor, String> {
                let channels = channels(ty);
                let between = check_multiplier(self.multiplier, channels)?;
                let window = window(ty, self.kernel_size, self.stride, self.dilation, self.padding)?;
                let spatial = window.rank();
                let depthwise = as_groups(&self.kernel(x, name, "depthwise_kernel", [channels, self.multiplier]), spatial);
                // A convolution by one position is a product along the channels.
                let dims = [vec![1; spatial], vec![between, self.filters]].concat();
                let pointwise = weight(x, name, "pointwise_kernel", &dims, &self.kernel_initializer);
                self.kernel_regularizer.apply(&pointwise);
                let mixed = x.conv(&depthwise, window, channels).matmul(pointwise.squeeze((0..spatial as isize).collect::<Vec<_>>()));
                Ok(self.finish(mixed, x, name, self.filters))
            }
        }
    )* };
}

separable! {
    /// [`DepthwiseConv1d`] by `depthwise_kernel [size, channels, multiplier]`, then a product along the channels by `pointwise_kernel [1, channels multiplier, filters]`: `[batch,
    /// length', filters]` with fewer products than [`Conv1d`](crate::nn::Conv1d). Initial values and penalty are those of both kernels.
    SeparableConv1d, "separable_conv1d", "SeparableConv1D", usize => usize, 1, Padding1d;
    /// [`DepthwiseConv2d`] by `depthwise_kernel [kh, kw, channels, multiplier]`, then a product along the channels by `pointwise_kernel [1, 1, channels multiplier, filters]` (Chollet,
    /// arXiv 1610.02357). Initial values and penalty are those of both kernels.
    ///
    /// ```
    /// use gradc::nn::{Padding, SeparableConv2d};
    /// let layer = SeparableConv2d::new(64, 3).padding(Padding::Same);
    /// ```
    SeparableConv2d, "separable_conv2d", "SeparableConv2D", impl Into<Extents2d> => Extents2d, Extents2d(1, 1), Padding;
}
