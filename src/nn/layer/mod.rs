//! Layers: functions with states of their own. A layer is a description; applying it declares its states under a unique name.

mod activation;
mod conv;
mod dense;
mod dropout;
mod embedding;
mod norm;
mod pool;
mod regularizer;
mod shape;

pub use activation::ActivationLayer;
pub use conv::Conv2d;
pub use dense::Dense;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use norm::BatchNorm;
pub use pool::{AvgPool2d, GlobalAvgPool2d, MaxPool2d};
pub use regularizer::Regularizer;
pub use shape::{Flatten, Reshape};

use crate::dsl::{Tensor, TypeSpec, Window};
use ir::TensorType;

/// A layer. Implement it for one's own: [`Layer::call`] declares states and ops by the DSL.
///
/// ```
/// use gradc::dsl::{f32, ones, GraphBuilder, Tensor};
/// use gradc::nn::Layer;
/// struct Scale;
/// impl Layer for Scale {
///     fn base(&self) -> &str { "scale" }
///     fn kind(&self) -> &str { "Scale" }
///     fn call(&self, x: &Tensor, name: &str) -> Tensor {
///         x * x.builder().param(&format!("{name}/factor"), f32([]), ones())
///     }
/// }
/// let g = GraphBuilder::new("example");
/// g.output("y", &Scale.apply(&g.input("x", f32([4, 2]))));
/// assert_eq!(g.finish().unwrap().states[0].name, "scale/factor");
/// ```
pub trait Layer {
    /// The name, if there is no other layer of that name; the next ones get `_1`, `_2`.
    fn base(&self) -> &str;

    /// The kind, for the summary.
    fn kind(&self) -> &str;

    /// The result, with states declared under `name/`.
    fn call(&self, x: &Tensor, name: &str) -> Tensor;

    /// Applies the layer: once per call with states of its own. Broken rules name the caller's place.
    #[track_caller]
    fn apply(&self, x: &Tensor) -> Tensor {
        x.builder().layer(self.base(), self.kind(), |name| if x.is_poisoned() { x.clone() } else { self.call(x, name) })
    }
}

/// How a window treats the border.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Padding {
    /// Only places where the whole window lies inside.
    #[default]
    Valid,
    /// As many output elements as `ceil(input / stride)`: what is missing is split, the odd one goes after.
    Same,
    /// That many rows above and below, that many columns on each side: below the window's extent.
    Both(Pair),
}

/// Extents along height and width: one number for both, or a pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair(pub usize, pub usize);

impl From<usize> for Pair {
    fn from(n: usize) -> Self {
        Self(n, n)
    }
}

impl From<(usize, usize)> for Pair {
    fn from((h, w): (usize, usize)) -> Self {
        Self(h, w)
    }
}

impl From<[usize; 2]> for Pair {
    fn from([h, w]: [usize; 2]) -> Self {
        Self(h, w)
    }
}

/// Checks that `x` is a batch of images, `[batch, height, width, channels]` of floats.
#[track_caller]
fn image(op: &str, x: &Tensor) -> Result<TensorType, Tensor> {
    match x.ty() {
        Some(ty) if ty.shape.rank() != 4 => {
            let rule = format!("the input must be [batch, height, width, channels], it has {} axes", ty.shape.rank());
            Err(x.fail(op, rule))
        }
        Some(ty) if !ty.dtype.is_float() => {
            Err(x.fail(op, format!("the input must be floats, not {}: cast it", ty.dtype)))
        }
        Some(ty) => Ok(ty),
        None => Err(x.clone()),
    }
}

/// The window of a two-dimensional layer over an image of type `ty`.
fn window(ty: &TensorType, size: Pair, stride: Pair, dilation: Pair, padding: Padding) -> Result<Window, String> {
    let (size, stride, dilation) = ([size.0, size.1], [stride.0, stride.1], [dilation.0, dilation.1]);
    if size.contains(&0) || stride.contains(&0) || dilation.contains(&0) {
        return Err(format!("window {size:?}, stride {stride:?} and dilation {dilation:?} must be at least 1"));
    }
    let mut pad = vec![(0, 0); 2];
    for axis in 0..2 {
        let (input, extent) = (ty.shape[axis + 1], dilation[axis] * (size[axis] - 1) + 1);
        pad[axis] = match padding {
            Padding::Valid => (0, 0),
            Padding::Same => {
                let output = input.div_ceil(stride[axis]);
                let missing = ((output - 1) * stride[axis] + extent).saturating_sub(input);
                (missing / 2, missing - missing / 2)
            }
            Padding::Both(Pair(h, w)) => ([h, w][axis], [h, w][axis]),
        };
        let padded = input + pad[axis].0 + pad[axis].1;
        if extent > padded {
            let which = ["height", "width"][axis];
            return Err(format!("the window's extent {extent} is over the input's {which} {padded}"));
        }
    }
    Ok(Window { size: size.to_vec(), stride: stride.to_vec(), pad, dilation: dilation.to_vec() })
}

/// A parameter of a layer, in the element type of its input.
#[track_caller]
fn weight(x: &Tensor, name: &str, part: &str, dims: &[usize], init: &crate::dsl::Initializer) -> Tensor {
    let Some(dtype) = x.dtype() else { return x.clone() };
    x.builder().param(&format!("{name}/{part}"), TypeSpec::new(dtype, dims), init.clone())
}

#[cfg(test)]
mod tests;
