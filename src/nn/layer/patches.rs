//! Windows as rows of elements, and images put together of them.

use super::Extents2d;
use super::stateless::stateless_layer;
use super::window::{Padding, image, window};
use crate::dsl::{Tensor, Window};
use ir::op::movement::Pad;
use ir::{Op, Scalar};

/// The options of windows.
macro_rules! window_options {
    ($ty:ident) => {
        impl $ty {
            /// How far the window moves.
            pub fn stride(mut self, stride: impl Into<Extents2d>) -> Self {
                self.stride = stride.into();
                self
            }

            /// The distance between neighbouring elements of a window.
            pub fn dilation(mut self, dilation: impl Into<Extents2d>) -> Self {
                self.dilation = dilation.into();
                self
            }

            /// How the border is treated; what is added is 0.
            pub fn padding(mut self, padding: Padding) -> Self {
                self.padding = padding;
                self
            }
        }
    };
}

/// Where each element of a window lies in it, in the kernel's order, and where it comes from: (position, first place) along height and width of the padded image.
fn places(window: &Window) -> Vec<[usize; 2]> {
    let columns = window.size[1];
    let place = |i: usize| [(i / columns) * window.dilation[0], (i % columns) * window.dilation[1]];
    (0..window.size[0] * columns).map(place).collect()
}

/// The elements of each window side by side, in the order of a convolution's kernel: `[batch, height, width, channels]` to `[batch, height', width', kh kw channels]`. PyTorch's `Unfold`
/// has them as `[batch, channels kh kw, positions]`; TensorFlow's `extract_patches` is the same as here.
///
/// It makes the copies that convolutions here do without; for patches that something else is computed of, as a vision transformer's.
///
/// ```
/// use gradc::dsl::{f32, GraphBuilder};
/// use gradc::nn::{Dense, Layer, Unfold};
/// let x = GraphBuilder::new("patches").input("x", f32([8, 28, 28, 3]));
/// let patches = Unfold::new(7).stride(7).apply(&x);
/// assert_eq!(patches.shape().unwrap().dims(), [8, 4, 4, 7 * 7 * 3]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Unfold {
    size: Extents2d,
    stride: Extents2d,
    dilation: Extents2d,
    padding: Padding,
}

impl Unfold {
    /// Windows of that size: stride 1, no dilation, only whole windows.
    pub fn new(size: impl Into<Extents2d>) -> Self {
        Self { size: size.into(), stride: 1.into(), dilation: 1.into(), padding: Padding::Valid }
    }

    #[track_caller]
    fn unfold(&self, x: &Tensor) -> Tensor {
        let ty = match image("unfold", x) {
            Ok(ty) => ty,
            Err(poisoned) => return poisoned,
        };
        let window = match window(&ty, self.size, self.stride, self.dilation, self.padding) {
            Ok(window) => window,
            Err(rule) => return x.fail("unfold", rule),
        };
        let Ok(output) = window.output(&ty.shape[1..3]) else { return x.fail("unfold", "the windows are too many") };
        let padded = x.pad(0.0, [(0, 0), window.pad[0], window.pad[1], (0, 0)]);
        let taken = |[row, column]: [usize; 2]| {
            let end = |first: usize, axis: usize| first + (output[axis] - 1) * window.stride[axis] + 1;
            let limit = [ty.shape[0], end(row, 0), end(column, 1), ty.shape[3]];
            padded.slice_strided([0, row, column, 0], limit, [1, window.stride[0], window.stride[1], 1])
        };
        let parts: Vec<Tensor> = places(&window).into_iter().map(taken).collect();
        parts[0].concat(&parts[1..].iter().collect::<Vec<_>>(), -1)
    }
}

window_options!(Unfold);
stateless_layer!(Unfold, "unfold", "Unfold", Unfold::unfold);

/// The sum of windows where they overlap: `[batch, height', width', kh kw channels]`, as [`Unfold`] makes them, to `[batch, height, width, channels]`. PyTorch's `Fold`, the gradient of
/// [`Unfold`]; elements that no window reaches are 0.
///
/// ```
/// use gradc::dsl::{f32, GraphBuilder};
/// use gradc::nn::{Fold, Layer};
/// let patches = GraphBuilder::new("patches").input("patches", f32([8, 4, 4, 7 * 7 * 3]));
/// assert_eq!(Fold::new(28, 7).stride(7).apply(&patches).shape().unwrap().dims(), [8, 28, 28, 3]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Fold {
    output: Extents2d,
    size: Extents2d,
    stride: Extents2d,
    dilation: Extents2d,
    padding: Padding,
}

impl Fold {
    /// To images of those extents, from windows of that size: stride 1, no dilation, only whole windows.
    pub fn new(output: impl Into<Extents2d>, size: impl Into<Extents2d>) -> Self {
        Self { output: output.into(), size: size.into(), stride: 1.into(), dilation: 1.into(), padding: Padding::Valid }
    }

    /// The windows that the input must be of.
    fn windows(&self, ty: &ir::TensorType) -> Result<Window, String> {
        let taps = self.size.0.saturating_mul(self.size.1);
        if taps == 0 || !ty.shape[3].is_multiple_of(taps) {
            return Err(format!("the last axis must have windows of {taps} elements each, not {}", ty.shape[3]));
        }
        let dims = [ty.shape[0], self.output.0, self.output.1, ty.shape[3] / taps];
        let shape = ir::Shape::new(dims).map_err(|e| e.to_string())?;
        let window = window(&ty.with_shape(shape), self.size, self.stride, self.dilation, self.padding)?;
        let positions = window.output(&dims[1..3]).map_err(|e| e.to_string())?;
        if positions != ty.shape[1..3] {
            let (found, (rows, columns)) = (&ty.shape[1..3], (self.output.0, self.output.1));
            return Err(format!("an image of {rows} by {columns} has {positions:?} windows, the input {found:?}"));
        }
        Ok(window)
    }

    #[track_caller]
    fn fold(&self, x: &Tensor) -> Tensor {
        let ty = match image("fold", x) {
            Ok(ty) => ty,
            Err(poisoned) => return poisoned,
        };
        let window = match self.windows(&ty) {
            Ok(window) => window,
            Err(rule) => return x.fail("fold", rule),
        };
        let output = [self.output.0, self.output.1];
        let padded = [0, 1].map(|axis| output[axis] + window.pad[axis].0 + window.pad[axis].1);
        let places = places(&window);
        let channels = ty.shape[3] / places.len();
        // Each element of the windows back where it came from.
        let put = |(i, low): (usize, &[usize; 2])| {
            let part = x.slice_axis(-1, i * channels..(i + 1) * channels);
            let reach = |axis: usize| low[axis] + (ty.shape[axis + 1] - 1) * window.stride[axis] + 1;
            part.emit(Op::Pad(Pad {
                value: Scalar::from_f64(0.0, ty.dtype),
                low: vec![0, low[0], low[1], 0],
                high: vec![0, padded[0] - reach(0), padded[1] - reach(1), 0],
                interior: vec![0, window.stride[0] - 1, window.stride[1] - 1, 0],
            }))
        };
        let sum = places.iter().enumerate().map(put).reduce(|sum, part| sum + part).unwrap_or_else(|| x.clone());
        let start = [0, window.pad[0].0, window.pad[1].0, 0];
        sum.slice(start, [ty.shape[0], start[1] + output[0], start[2] + output[1], channels])
    }
}

window_options!(Fold);
stateless_layer!(Fold, "fold", "Fold", Fold::fold);
