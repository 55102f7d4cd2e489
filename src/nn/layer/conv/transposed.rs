//! Transposed convolutions: what a convolution's gradient by its input is, as a layer that enlarges.

use super::{channels, check_groups, convolution_layer, groups_option};
use crate::dsl::Tensor;
use crate::nn::layer::window::{Extents3d, Padding3d, transposed};
use crate::nn::layer::{Extents2d, Padding, Padding1d};

macro_rules! transposed_convolutions {
    ($($(#[$doc:meta])* $ty:ident, $base:literal, $kind:literal, $given:ty => $size:ty, $one:expr, $padding:ty;)*) => { $(
        convolution_layer!($(#[$doc])* $ty, $base, $kind, $given => $size, $one, $padding, [filters], [groups: usize = 1, output_padding: Option<$size> = None]);
        groups_option!($ty);

        impl $ty {
            /// That many more places at the end of each axis, below the stride: several extents have a convolution of one extent.
            pub fn output_padding(mut self, output_padding: $given) -> Self {
                self.output_padding = Some(output_padding.into());
                self
            }

            #[track_caller]
            fn convolve(&self, x: &Tensor, ty: &ir::TensorType, name: &str) -> Result<Tensor, String> {
                let channels = channels(ty);
                check_groups(self.groups, channels, self.filters)?;
                let window = [self.kernel_size, self.stride, self.dilation];
                let (window, output) = transposed(ty, window, self.padding, self.output_padding)?;
                let kernel = self.kernel(x, name, "kernel", [self.filters / self.groups, channels]);
                Ok(self.finish(x.conv_transpose(&kernel, window, self.groups, &output), x, name, self.filters))
            }
        }
    )* };
}

transposed_convolutions! {
    /// Transposed convolution of sequences `[batch, length, channels]` with kernels `[size, filters/groups, channels]`: `[batch, length', filters]`, where a convolution by the window
    /// takes `length'` to `length`. With [`Padding1d::Valid`] `length'` is `(length - 1) stride + extent`, or `length stride` if the stride is larger than the window's extent;
    /// with [`Padding1d::Same`] it is `length stride`.
    Conv1dTranspose, "conv1d_transpose", "Conv1DTranspose", usize => usize, 1, Padding1d;
    /// Transposed convolution of images `[batch, height, width, channels]` with kernels `[kh, kw, filters/groups, channels]`, as Keras lays them out; extents of the result as for
    /// [`Conv1dTranspose`].
    ///
    /// ```
    /// use gradc::dsl::{f32, GraphBuilder};
    /// use gradc::nn::{Conv2dTranspose, Layer, Padding};
    /// let x = GraphBuilder::new("decoder").input("x", f32([8, 7, 7, 64]));
    /// let y = Conv2dTranspose::new(32, 3).stride(2).padding(Padding::Same).apply(&x);
    /// assert_eq!(y.shape().unwrap().dims(), [8, 14, 14, 32]);
    /// ```
    Conv2dTranspose, "conv2d_transpose", "Conv2DTranspose", impl Into<Extents2d> => Extents2d, Extents2d(1, 1), Padding;
    /// Transposed convolution of volumes `[batch, depth, height, width, channels]` with kernels `[kd, kh, kw, filters/groups, channels]`; extents of the result as for
    /// [`Conv1dTranspose`].
    Conv3dTranspose, "conv3d_transpose", "Conv3DTranspose", impl Into<Extents3d> => Extents3d, Extents3d(1, 1, 1), Padding3d;
}
