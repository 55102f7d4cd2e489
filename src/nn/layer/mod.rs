//! Layers: functions with states of their own. Applying a layer to tensors declares its states under a unique name.
//!
//! # One object, one set of weights
//!
//! A layer that is applied twice in a graph has the same name and the same states both times, and its weights' gradients are the sums of both. What counts is the
//! object: [`Layer::id`]. A clone is another layer, with weights of its own; a reference, an [`Arc`] or a [`Box`] is the layer that it points to.
//!
//! ```
//! use gradc::dsl::{f32, GraphBuilder};
//! use gradc::nn::{Dense, Layer};
//! let g = GraphBuilder::new("siamese");
//! let (a, b) = (g.input("a", f32([4, 2])), g.input("b", f32([4, 2])));
//! let encoder = Dense::new(8);
//! g.output("distance", &(encoder.apply(&a) - encoder.apply(&b)).square().mean_axes([-1]));
//! assert_eq!(g.finish().unwrap().parameter_count(), 2 * 8 + 8);
//! ```
//!
//! Each application updates running statistics in turn, as in Keras and PyTorch, and draws random numbers of its own; a penalty on a weight counts once. Inputs of another
//! width than at first are an error.
//!
//! Layers applied inside a layer, and those of a [model](crate::model) that is used as one, have its name before theirs: `encoder/dense/kernel`.
//!
//! # Steps that don't count
//!
//! Sequences of a batch that are shorter than the longest are filled. A mask, `bool[batch, time]`, says which steps count; it goes along with a tensor.
//!
//! - [`Embedding::mask_zero`] and [`Masking`] set it, and [`Tensor::with_mask`] does for any tensor.
//! - What keeps steps where they are hands it on: elementwise ops and activations, [`Dropout`], [`Merge`], [`Dense`], [`TiedHead`], normalizations, [`LearnedPositions`],
//!   attention (the queries' mask), [`TransformerBlock`], recurrent layers that return sequences.
//! - These use it: recurrent layers carry their state through steps that don't count; attention hides such keys; [`GlobalAvgPool1d`] and [`GlobalMaxPool1d`] leave such
//!   positions out, [`BatchNorm`] leaves them out of its statistics, and losses and metrics out of their means.
//! - Other layers lose it: [`Conv1d`], [`MaxPool1d`], [`AvgPool1d`], [`Flatten`], [`Reshape`], and any last result.
//!
//! Keras does the same, except that its `GlobalMaxPooling1D` knows no mask, and that it weighs the losses of all steps of a batch alike, where here each sample's
//! loss is the mean over its own steps.

mod activation;
mod attention;
mod augment;
mod border;
mod conv;
mod dense;
mod dropout;
mod einsum_dense;
mod embedding;
mod few_shot;
mod inputs;
mod merge;
mod noise;
mod norm;
mod patches;
mod policy;
mod pool;
mod recurrent;
mod regularizer;
mod resize;
mod scale;
mod shape;
mod spectral;
mod stateless;
mod transformer;
mod window;

pub use activation::{ActivationLayer, PRelu};
pub use attention::{
    AdditiveAttention, AttentionMask, LearnedPositions, MultiHeadAttention, RelativePositionBias, Rotary, attention,
    attention_weights,
};
pub use augment::{
    FillMode, GridSample, RandomBrightness, RandomContrast, RandomFlip, RandomRotation, RandomTranslation, RandomZoom,
    grid_sample,
};
pub use border::{
    CircularPad1d, CircularPad2d, CircularPad3d, Cropping1d, Cropping2d, Cropping3d, ReflectionPad1d, ReflectionPad2d,
    ReflectionPad3d, ReplicationPad1d, ReplicationPad2d, ReplicationPad3d, ZeroPadding1d, ZeroPadding2d, ZeroPadding3d,
};
pub use conv::{
    Conv1d, Conv1dTranspose, Conv2d, Conv2dTranspose, Conv3d, Conv3dTranspose, DepthwiseConv1d, DepthwiseConv2d,
    SeparableConv1d, SeparableConv2d,
};
pub use dense::Dense;
pub use dropout::{Dropout, SpatialDropout, StochasticDepth};
pub use einsum_dense::{Bilinear, EinsumDense};
pub use embedding::{Embedding, TiedHead};
pub use few_shot::{FewShotError, NearestNeighbours, Prototypes};
pub use inputs::Inputs;
pub use merge::Merge;
pub use noise::{AlphaDropout, FeatureAlphaDropout, GaussianDropout, GaussianNoise, RRelu};
pub use norm::{BatchNorm, GroupNorm, LayerNorm, LocalResponseNorm, RmsNorm, UnitNorm};
pub use patches::{Fold, Unfold};
pub use policy::WithPolicy;
pub use pool::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d,
    AvgPool1d, AvgPool2d, AvgPool3d, GlobalAvgPool1d, GlobalAvgPool2d, GlobalAvgPool3d, GlobalMaxPool1d,
    GlobalMaxPool2d, GlobalMaxPool3d, LpPool1d, LpPool2d, MaxPool1d, MaxPool2d, MaxPool3d, MaxUnpool2d,
};
pub use recurrent::{
    Bidirectional, ConvLstm1d, ConvLstm2d, ConvLstm3d, Gru, GruCell, Lstm, LstmCell, Masking, Recurrent, Returned,
    SimpleRnn, SimpleRnnCell,
};
pub use regularizer::Regularizer;
pub use resize::{Interpolation, PixelShuffle, PixelUnshuffle, UpSampling1d, UpSampling2d, UpSampling3d};
pub use scale::LayerScale;
pub use shape::{Flatten, PermuteAxes, RepeatVector, Reshape};
pub use spectral::SpectralNormalization;
pub use transformer::TransformerBlock;
pub use window::{Extents2d, Extents3d, Padding, Padding1d, Padding3d};

pub use crate::dsl::LayerId;
use crate::dsl::{GraphBuilder, Policy, Tensor, TypeSpec};
use std::sync::Arc;

/// A layer. Implement it for one's own: [`Layer::call`] declares states and ops by the DSL.
///
/// ```
/// use gradc::dsl::{f32, ones, GraphBuilder, Tensor};
/// use gradc::nn::{Layer, LayerId};
/// #[derive(Clone, Default)]
/// struct Scale { id: LayerId }
/// impl Layer for Scale {
///     fn base(&self) -> &str { "scale" }
///     fn kind(&self) -> &str { "Scale" }
///     fn id(&self) -> Option<&LayerId> { Some(&self.id) }
///     fn call(&self, x: &Tensor, name: &str) -> Tensor {
///         x * x.builder().param(&format!("{name}/factor"), f32([]), ones())
///     }
/// }
/// let g = GraphBuilder::new("example");
/// let scale = Scale::default();
/// g.output("y", &scale.apply(&scale.apply(&g.input("x", f32([4, 2])))));
/// assert_eq!(g.finish().unwrap().states.len(), 1);
/// ```
///
/// A layer of several tensors, or with several results, has [`Layer::call_many`] too:
///
/// ```
/// use gradc::dsl::{f32, GraphBuilder, Tensor};
/// use gradc::nn::{Layer, LayerId};
/// /// The larger and the smaller of two tensors, element by element.
/// struct Sort;
/// impl Layer for Sort {
///     fn base(&self) -> &str { "sort" }
///     fn kind(&self) -> &str { "Sort" }
///     fn id(&self) -> Option<&LayerId> { None }
///     fn call(&self, x: &Tensor, _: &str) -> Tensor {
///         x.builder().fail("sort", &[x], "it takes two tensors")
///     }
///     fn call_many(&self, inputs: &[Tensor], name: &str) -> Vec<Tensor> {
///         match inputs {
///             [a, b] => vec![a.maximum(b), a.minimum(b)],
///             _ => vec![self.call(&inputs[0], name)],
///         }
///     }
/// }
/// let g = GraphBuilder::new("example");
/// let (a, b) = (g.input("a", f32([4])), g.input("b", f32([4])));
/// let [larger, smaller] = Sort.apply_many((&a, &b));
/// g.output("range", &(larger - smaller));
/// assert!(g.finish().is_ok());
/// ```
pub trait Layer: Send + Sync {
    /// The name, if there is no other layer of that name; the next ones get `_1`, `_2`.
    fn base(&self) -> &str;

    /// The kind, for the summary.
    fn kind(&self) -> &str;

    /// Which object it is, so that a graph knows it again: a [`LayerId`] made with the object and kept in it. `None` for a layer without states, each of whose
    /// applications has a name of its own; a state that such a layer declares is an error.
    fn id(&self) -> Option<&LayerId>;

    /// In which types it computes, if that isn't left to what is around it: see [`Layer::with_policy`].
    fn dtype_policy(&self) -> Option<Policy> {
        None
    }

    /// This layer with a policy of its own, in place of that of the model around it.
    ///
    /// ```
    /// use gradc::prelude::*;
    /// let model = Sequential::new([8])
    ///     .add(Dense::new(4).with_policy(Policy::float32()))
    ///     .dense(2)
    ///     .with_policy(Policy::mixed_bf16());
    /// let step = model.inference_graph(1)?;
    /// let types: Vec<DType> = step.layers.iter().map(|layer| layer.outputs[0].dtype).collect();
    /// assert_eq!(types, [DType::F32, DType::Bf16]);
    /// # Ok::<(), ModelErrors>(())
    /// ```
    fn with_policy(self, policy: Policy) -> WithPolicy<Self>
    where
        Self: Sized,
    {
        WithPolicy::new(self, policy)
    }

    /// The result for one tensor, with states declared under `name/`. Under a [`Policy`], floats among inputs come in its compute type, and parameters asked for in that type are rounded
    /// from the variable type ([`GraphBuilder::param`]).
    fn call(&self, x: &Tensor, name: &str) -> Tensor;

    /// The results for any number of tensors, at least one. As it stands, one for one, by [`Layer::call`].
    #[track_caller]
    fn call_many(&self, inputs: &[Tensor], name: &str) -> Vec<Tensor> {
        match inputs {
            [x] => vec![self.call(x, name)],
            _ => wrong_inputs(self.base(), inputs, "one tensor"),
        }
    }

    /// Applies the layer: to a tensor, or to several, as `attention.apply((&q, &k, &v))`. Applied again in the same graph, it has the weights that it had. Broken rules name the
    /// caller's place.
    #[track_caller]
    fn apply(&self, inputs: impl Inputs) -> Tensor
    where
        Self: Sized,
    {
        let [result] = self.apply_many(inputs);
        result
    }

    /// [`Layer::apply`] of a layer with several results, as many as the pattern has that takes them: `let [sequence, h, c] = lstm.apply_many(&x)`.
    #[track_caller]
    fn apply_many<const N: usize>(&self, inputs: impl Inputs) -> [Tensor; N]
    where
        Self: Sized,
    {
        let inputs = inputs.tensors();
        let results = apply_to(self, &inputs, N);
        std::array::from_fn(|i| results.get(i).cloned().unwrap_or_else(|| inputs[0].poisoned()))
    }
}

/// The layer that is pointed to.
macro_rules! pointers {
    ($($pointer:ty),*) => { $(
        impl<L: Layer + ?Sized> Layer for $pointer {
            fn base(&self) -> &str {
                (**self).base()
            }

            fn kind(&self) -> &str {
                (**self).kind()
            }

            fn id(&self) -> Option<&LayerId> {
                (**self).id()
            }

            fn dtype_policy(&self) -> Option<Policy> {
                (**self).dtype_policy()
            }

            #[track_caller]
            fn call(&self, x: &Tensor, name: &str) -> Tensor {
                (**self).call(x, name)
            }

            #[track_caller]
            fn call_many(&self, inputs: &[Tensor], name: &str) -> Vec<Tensor> {
                (**self).call_many(inputs, name)
            }
        }
    )* };
}

pointers!(&L, Arc<L>, Box<L>);

/// The results of a layer, as many as are wanted; poisoned if they are others.
#[track_caller]
fn apply_to(layer: &dyn Layer, inputs: &[Tensor], wanted: usize) -> Vec<Tensor> {
    let g = inputs[0].builder();
    g.layer_of_several(layer.id(), layer.base(), layer.kind(), |name| {
        let poisoned = || vec![inputs[0].poisoned(); wanted];
        if inputs.iter().any(Tensor::is_poisoned) {
            return poisoned();
        }
        let results = by_policy(layer, g, inputs, name);
        if results.len() == wanted {
            return results;
        }
        if !results.iter().any(Tensor::is_poisoned) {
            let operands: Vec<&Tensor> = inputs.iter().collect();
            let rule = format!("the layer gives {} results, and {wanted} are taken: see `apply_many`", results.len());
            g.fail(layer.base(), &operands, rule);
        }
        poisoned()
    })
}

/// The results of a layer under its policy, or the one that holds.
#[track_caller]
fn by_policy(layer: &dyn Layer, g: &GraphBuilder, inputs: &[Tensor], name: &str) -> Vec<Tensor> {
    let Some(policy) = layer.dtype_policy().or_else(|| g.policy()) else { return layer.call_many(inputs, name) };
    g.with_policy(policy, || {
        let inputs: Vec<Tensor> = inputs.iter().map(Tensor::in_compute_dtype).collect();
        layer.call_many(&inputs, name)
    })
}

/// Says what tensors a layer takes that was given others.
#[track_caller]
fn wrong_inputs(layer: &str, inputs: &[Tensor], wanted: &str) -> Vec<Tensor> {
    let operands: Vec<&Tensor> = inputs.iter().collect();
    vec![inputs[0].builder().fail(layer, &operands, format!("it takes {wanted}, not {}", inputs.len()))]
}

/// A parameter of a layer, in the element type of its input.
#[track_caller]
fn weight(x: &Tensor, name: &str, part: &str, dims: &[usize], init: &crate::dsl::Initializer) -> Tensor {
    let Some(dtype) = x.dtype() else { return x.clone() };
    x.builder().param(&format!("{name}/{part}"), TypeSpec::new(dtype, dims), init.clone())
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod sharing {
    mod tests;
}
#[cfg(test)]
mod tests;
