//! Layers: functions with states of their own. A layer is a description; applying it declares its states under a unique name.
//!
//! # Steps that don't count
//!
//! Sequences of a batch that are shorter than the longest are filled. A mask, `bool[batch, time]`, says which steps count; it goes along with a tensor.
//!
//! - [`Embedding::mask_zero`] and [`Masking`] set it, and [`Tensor::with_mask`] does for any tensor.
//! - What keeps steps where they are hands it on: elementwise ops and activations, [`Dropout`], [`Dense`], [`TiedHead`], normalizations, [`LearnedPositions`],
//!   attention (the queries' mask), [`TransformerBlock`], recurrent layers that return sequences.
//! - These use it: recurrent layers carry their state through steps that don't count; attention hides such keys; [`GlobalAvgPool1d`] and [`GlobalMaxPool1d`] leave such
//!   positions out, [`BatchNorm`] leaves them out of its statistics, and losses and metrics out of their means.
//! - Other layers lose it: [`Conv1d`], [`MaxPool1d`], [`AvgPool1d`], [`Flatten`], [`Reshape`], and any last result.
//!
//! Keras does the same, except that its `GlobalMaxPooling1D` knows no mask, and that it weighs the losses of all steps of a batch alike, where here each sample's
//! loss is the mean over its own steps.

mod activation;
mod attention;
mod conv;
mod dense;
mod dropout;
mod embedding;
mod norm;
mod pool;
mod recurrent;
mod regularizer;
mod shape;
mod transformer;
mod window;

pub use activation::ActivationLayer;
pub use attention::{AttentionMask, LearnedPositions, MultiHeadAttention, Rotary, attention, attention_weights};
pub use conv::{Conv1d, Conv2d};
pub use dense::Dense;
pub use dropout::Dropout;
pub use embedding::{Embedding, TiedHead};
pub use norm::{BatchNorm, GroupNorm, LayerNorm, RmsNorm};
pub use pool::{
    AvgPool1d, AvgPool2d, GlobalAvgPool1d, GlobalAvgPool2d, GlobalMaxPool1d, GlobalMaxPool2d, MaxPool1d, MaxPool2d,
};
pub use recurrent::{
    Bidirectional, Context as RecurrentContext, Gru, Lstm, Masking, Merge, Recurrent, Returned, SimpleRnn,
};
pub use regularizer::Regularizer;
pub use shape::{Flatten, Reshape};
pub use transformer::TransformerBlock;
pub use window::{Extents2d, Padding, Padding1d};

use crate::dsl::{Tensor, TypeSpec};

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

/// A parameter of a layer, in the element type of its input.
#[track_caller]
fn weight(x: &Tensor, name: &str, part: &str, dims: &[usize], init: &crate::dsl::Initializer) -> Tensor {
    let Some(dtype) = x.dtype() else { return x.clone() };
    x.builder().param(&format!("{name}/{part}"), TypeSpec::new(dtype, dims), init.clone())
}

#[cfg(test)]
mod tests;
