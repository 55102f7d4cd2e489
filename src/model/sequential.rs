//! A chain of layers.

use super::Model;
use crate::dsl::{Tensor, TypeSpec};
use crate::nn::{
    Activation, ActivationLayer, AvgPool1d, AvgPool2d, BatchNorm, Conv1d, Conv2d, Conv2dTranspose, Conv3d, Dense,
    DepthwiseConv2d, Dropout, Embedding, Extents2d, Extents3d, Flatten, GlobalAvgPool1d, GlobalAvgPool2d,
    GlobalMaxPool1d, Gru, Layer, LayerId, LayerNorm, Lstm, MaxPool1d, MaxPool2d, MaxPool3d, Reshape, SeparableConv2d,
    SimpleRnn, UpSampling2d,
};
use ir::{DType, Loc};
use std::sync::Arc;

/// Layers one after the other. Each call remembers its place: a rule that a layer breaks is reported there.
///
/// ```
/// use gradc::model::{Model, Sequential};
/// let model = Sequential::new([28, 28, 1])
///     .conv2d(32, 3).relu().max_pool2d(2)
///     .conv2d(64, 3).relu().max_pool2d(2)
///     .flatten().dense(10);
/// assert_eq!(model.summary().unwrap().trainable, 34_826);
/// ```
///
/// Layers may be models, and shared: a [`Arc`] of a layer, added twice, is one layer.
#[derive(Clone)]
pub struct Sequential {
    name: String,
    /// Shared by clones. What is no longer the same model has another one.
    pub(super) id: Arc<LayerId>,
    input: TypeSpec,
    layers: Vec<(Loc, Arc<dyn Layer>)>,
}

impl std::fmt::Debug for Sequential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds: Vec<&str> = self.layers.iter().map(|(_, layer)| layer.kind()).collect();
        write!(f, "Sequential({:?}, {})", self.input.dims, kinds.join(", "))
    }
}

impl Sequential {
    /// A chain whose samples are `f32` with these extents, without the batch.
    pub fn new(sample: impl AsRef<[usize]>) -> Self {
        Self::of(TypeSpec::new(DType::F32, sample))
    }

    /// A chain for samples of any type.
    pub fn of(sample: TypeSpec) -> Self {
        Self { name: "sequential".into(), id: Arc::default(), input: sample, layers: Vec::new() }
    }

    /// With another name than `sequential`.
    pub fn named(mut self, name: &str) -> Self {
        (self.name, self.id) = (name.into(), Arc::default());
        self
    }

    /// Appends a layer.
    #[track_caller]
    #[allow(clippy::should_implement_trait)] // The word of the field; a layer can't be added by `+`.
    pub fn add(mut self, layer: impl Layer + 'static) -> Self {
        self.id = Arc::default();
        self.layers.push((Loc::caller(), Arc::new(layer)));
        self
    }
}

macro_rules! layers {
    ($($name:ident($($arg:ident: $ty:ty),*) => $layer:expr, $doc:literal;)*) => {
        impl Sequential { $(
            #[doc = $doc]
            #[track_caller]
            pub fn $name(self $(, $arg: $ty)*) -> Self {
                self.add($layer)
            }
        )* }
    };
}

layers! {
    dense(units: usize) => Dense::new(units), "Appends a [`Dense`] layer.";
    conv2d(filters: usize, kernel_size: impl Into<Extents2d>) => Conv2d::new(filters, kernel_size), "Appends a [`Conv2d`] layer with stride 1 and valid padding.";
    max_pool2d(size: impl Into<Extents2d>) => MaxPool2d::new(size), "Appends a [`MaxPool2d`] layer whose stride is its size.";
    avg_pool2d(size: impl Into<Extents2d>) => AvgPool2d::new(size), "Appends an [`AvgPool2d`] layer whose stride is its size.";
    global_avg_pool2d() => GlobalAvgPool2d, "Appends a [`GlobalAvgPool2d`] layer.";
    conv2d_transpose(filters: usize, kernel_size: impl Into<Extents2d>) => Conv2dTranspose::new(filters, kernel_size), "Appends a [`Conv2dTranspose`] layer with stride 1 and valid padding.";
    depthwise_conv2d(kernel_size: impl Into<Extents2d>) => DepthwiseConv2d::new(kernel_size), "Appends a [`DepthwiseConv2d`] layer with stride 1 and valid padding.";
    separable_conv2d(filters: usize, kernel_size: impl Into<Extents2d>) => SeparableConv2d::new(filters, kernel_size), "Appends a [`SeparableConv2d`] layer with stride 1 and valid padding.";
    up_sampling2d(size: impl Into<Extents2d>) => UpSampling2d::new(size), "Appends an [`UpSampling2d`] layer that repeats pixels.";
    conv3d(filters: usize, kernel_size: impl Into<Extents3d>) => Conv3d::new(filters, kernel_size), "Appends a [`Conv3d`] layer with stride 1 and valid padding.";
    max_pool3d(size: impl Into<Extents3d>) => MaxPool3d::new(size), "Appends a [`MaxPool3d`] layer whose stride is its size.";
    conv1d(filters: usize, kernel_size: usize) => Conv1d::new(filters, kernel_size), "Appends a [`Conv1d`] layer with stride 1 and valid padding.";
    max_pool1d(size: usize) => MaxPool1d::new(size), "Appends a [`MaxPool1d`] layer whose stride is its size.";
    avg_pool1d(size: usize) => AvgPool1d::new(size), "Appends an [`AvgPool1d`] layer whose stride is its size.";
    global_avg_pool1d() => GlobalAvgPool1d, "Appends a [`GlobalAvgPool1d`] layer.";
    global_max_pool1d() => GlobalMaxPool1d, "Appends a [`GlobalMaxPool1d`] layer.";
    embedding(vocabulary: usize, width: usize) => Embedding::new(vocabulary, width), "Appends an [`Embedding`] layer.";
    layer_norm() => LayerNorm::new(), "Appends a [`LayerNorm`] layer.";
    flatten() => Flatten, "Appends a [`Flatten`] layer.";
    reshape(dims: impl AsRef<[isize]>) => Reshape::new(dims), "Appends a [`Reshape`] layer; extents without the batch.";
    simple_rnn(units: usize) => SimpleRnn::new(units), "Appends a [`SimpleRnn`] layer that gives its last result.";
    lstm(units: usize) => Lstm::new(units), "Appends an [`Lstm`] layer that gives its last result.";
    gru(units: usize) => Gru::new(units), "Appends a [`Gru`] layer that gives its last result.";
    dropout(rate: f64) => Dropout::new(rate), "Appends a [`Dropout`] layer.";
    batch_norm() => BatchNorm::new(), "Appends a [`BatchNorm`] layer.";
    activation(activation: Activation) => ActivationLayer(activation), "Appends an activation.";
    relu() => ActivationLayer(Activation::Relu), "Appends a rectifier.";
    leaky_relu(slope: f64) => ActivationLayer(Activation::LeakyRelu(slope)), "Appends a leaky rectifier.";
    elu(alpha: f64) => ActivationLayer(Activation::Elu(alpha)), "Appends an ELU.";
    selu() => ActivationLayer(Activation::Selu), "Appends a SELU.";
    gelu() => ActivationLayer(Activation::Gelu), "Appends an exact GELU.";
    silu() => ActivationLayer(Activation::Silu), "Appends a SiLU.";
    sigmoid() => ActivationLayer(Activation::Sigmoid), "Appends a sigmoid.";
    tanh() => ActivationLayer(Activation::Tanh), "Appends a hyperbolic tangent.";
    softplus() => ActivationLayer(Activation::Softplus), "Appends a softplus.";
    softsign() => ActivationLayer(Activation::Softsign), "Appends a softsign.";
    softmax() => ActivationLayer(Activation::Softmax), "Appends a softmax along the last axis; cross-entropies recognise it.";
    log_softmax() => ActivationLayer(Activation::LogSoftmax), "Appends a log-softmax along the last axis.";
    hard_sigmoid() => ActivationLayer(Activation::HardSigmoid), "Appends a hard sigmoid.";
    mish() => ActivationLayer(Activation::Mish), "Appends a mish.";
}

impl Model for Sequential {
    fn name(&self) -> &str {
        &self.name
    }

    fn inputs(&self) -> Vec<(String, TypeSpec)> {
        vec![("x".into(), self.input.clone())]
    }

    fn forward(&self, inputs: &[Tensor]) -> Vec<Tensor> {
        let output = self.layers.iter().fold(inputs[0].clone(), |x, (loc, layer)| {
            let g = x.builder().clone();
            g.at(loc.clone(), || layer.apply(&x))
        });
        vec![output]
    }
}
