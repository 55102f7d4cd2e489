//! Random small models with odd extents, losses and optimizers: what the tests of training steps run.

use gradc::dsl::{Initializer, Step, Tensor, TypeSpec, glorot_uniform, uniform};
use gradc::model::{Batch, Functional, Model};
use gradc::nn::{
    Activation, ActivationLayer, AvgPool1d, AvgPool2d, BatchNorm, BinaryCrossEntropy, CategoricalCrossEntropy, Conv1d,
    Conv2d, Dense, Dropout, Embedding, Flatten, GlobalAvgPool1d, GlobalAvgPool2d, GlobalMaxPool1d, GroupNorm, Hinge,
    Huber, KlDivergence, Layer, LayerNorm, LearnedPositions, Loss, MaxPool1d, MaxPool2d, MeanAbsoluteError,
    MeanSquaredError, Metric, MultiHeadAttention, Padding, Padding1d, Regularizer, RmsNorm, Rotary,
    SparseCategoricalCrossEntropy, TransformerBlock,
};
use gradc::optim::{Adagrad, Adam, AdamW, Optimizer, RmsProp, Sgd};
use ir::DType;
use random_graphs::Rng;
use std::fmt::Debug;
use std::sync::Arc;

/// A layer that can be printed.
pub(crate) trait Printed: Layer + Debug {}

impl<L: Layer + Debug> Printed for L {}

/// A part of a model.
#[derive(Clone, Debug)]
pub(crate) enum ModelPiece {
    /// A convolution.
    Conv(Box<Conv2d>),
    /// A convolution without bias and the normalization of its channels.
    ConvNorm(Box<Conv2d>, BatchNorm),
    /// Two convolutions around which the input is added, then the activation.
    Residual(Activation),
    /// The largest of each window.
    MaxPool(MaxPool2d),
    /// The mean of each window.
    AvgPool(AvgPool2d),
    /// An activation.
    Activation(Activation),
    /// Elements left out.
    Dropout(Dropout),
    /// From images to rows.
    Flatten,
    /// From images to rows of means.
    GlobalAvgPool,
    /// A dense layer.
    Dense(Box<Dense>),
    /// Rows of a table.
    Embedding(Embedding),
    /// A layer of sequences.
    Sequence(Arc<dyn Printed>),
}

impl ModelPiece {
    fn apply(&self, x: &Tensor) -> Tensor {
        match self {
            Self::Conv(conv) => conv.apply(x),
            Self::ConvNorm(conv, norm) => norm.apply(&conv.apply(x)),
            Self::Residual(activation) => {
                let channels = x.shape().map_or(1, |shape| shape[3]);
                let conv = |size: usize| Conv2d::new(channels, size).padding(Padding::Same);
                let y = conv(3).activation(*activation).apply(x);
                activation.apply(&(conv(2).apply(&y) + x))
            }
            Self::MaxPool(pool) => pool.apply(x),
            Self::AvgPool(pool) => pool.apply(x),
            Self::Activation(activation) => ActivationLayer(*activation).apply(x),
            Self::Dropout(dropout) => dropout.apply(x),
            Self::Flatten => Flatten.apply(x),
            Self::GlobalAvgPool => GlobalAvgPool2d.apply(x),
            Self::Dense(dense) => dense.apply(x),
            Self::Embedding(embedding) => embedding.apply(x),
            Self::Sequence(layer) => layer.apply(x),
        }
    }
}

/// How a model is trained.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// The element type of weights and activations.
    pub(crate) dtype: DType,
    /// The extents of a sample.
    pub(crate) sample: Vec<usize>,
    /// Whether samples are indices below that bound.
    pub(crate) vocabulary: Option<usize>,
    /// The model.
    pub(crate) pieces: Vec<ModelPiece>,
    /// The number of samples.
    pub(crate) batch: Batch,
    /// Which of the losses.
    loss: usize,
    /// Which of the optimizers.
    optimizer: usize,
}

/// The extents of the classes that models end in.
pub(crate) const CLASSES: usize = 5;

fn losses() -> Vec<(Box<dyn Loss>, Metric)> {
    vec![
        (Box::new(SparseCategoricalCrossEntropy), Metric::Accuracy),
        (Box::new(SparseCategoricalCrossEntropy), Metric::TopK(2)),
        (Box::new(CategoricalCrossEntropy), Metric::CategoricalAccuracy),
        (Box::new(MeanSquaredError), Metric::Mae),
        (Box::new(MeanAbsoluteError), Metric::Mse),
        (Box::new(Huber::default()), Metric::Mae),
        (Box::new(BinaryCrossEntropy), Metric::BinaryAccuracy { threshold: 0.0 }),
        (Box::new(Hinge), Metric::Mse),
        (Box::new(KlDivergence), Metric::Mae),
    ]
}

/// Their epsilons are large, so that a gradient that is all rounding, as that of a bias before a normalization, stays as small as it is.
fn optimizers() -> Vec<Box<dyn Optimizer>> {
    vec![
        Box::new(Sgd::new(0.1)),
        Box::new(Sgd::new(0.05).momentum(0.9)),
        Box::new(Sgd::new(0.05).momentum(0.8).nesterov(true).weight_decay(0.01)),
        Box::new(Adam::new(0.01).epsilon(1e-3)),
        Box::new(AdamW::new(0.01).epsilon(1e-3).weight_decay(0.1).clip_global_norm(0.5)),
        Box::new(RmsProp::new(0.01).epsilon(1e-3).momentum(0.5).centered(true)),
        Box::new(Adagrad::new(0.05).epsilon(1e-3).clip_value(0.3)),
    ]
}

impl Setup {
    /// The setup of that seed.
    pub(crate) fn random(seed: u64, dtype: DType) -> Self {
        let mut rng = Rng::new(seed);
        let batch = rng.between(1, 5);
        let batch = if rng.one_in(4) { Batch::weighted(batch) } else { batch.into() };
        let (sample, vocabulary) = match rng.below(4) {
            0 => (vec![rng.between(1, 9)], None),
            1 => (vec![rng.between(1, 4)], Some(7)),
            _ => (vec![rng.between(5, 9), rng.between(5, 9), rng.between(1, 6)], None),
        };
        let mut pieces = match vocabulary {
            Some(bound) => vec![embedding(bound, rng.between(1, 6), dtype), ModelPiece::Flatten],
            None => vec![],
        };
        if let [height, width, channels] = sample[..] {
            convolutions(&mut rng, [height, width, channels], &mut pieces);
        }
        for _ in 0..rng.below(3) {
            let units = rng.between(1, 20);
            pieces.push(ModelPiece::Dense(Box::new(dense(&mut rng, units).activation(activation(&mut rng)))));
            if rng.one_in(3) {
                pieces.push(ModelPiece::Dropout(Dropout::new(0.3)));
            }
        }
        Self::ending(&mut rng, dtype, sample, vocabulary, pieces, batch)
    }

    /// A model of sequences.
    pub(crate) fn sequence(seed: u64, dtype: DType) -> Self {
        let mut rng = Rng::new(seed);
        let batch = rng.between(1, 3).into();
        let (length, heads) = (rng.between(2, 9), rng.between(1, 3));
        let width = heads * 2 * rng.between(1, 4);
        let tokens = rng.one_in(2);
        let mut pieces = if tokens { vec![embedding(7, width, dtype)] } else { vec![] };
        sequences(&mut rng, [length, width, heads], &mut pieces);
        let sample = if tokens { vec![length] } else { vec![length, width] };
        Self::ending(&mut rng, dtype, sample, tokens.then_some(7), pieces, batch)
    }

    /// With a dense layer at the end, and a loss that suits.
    fn ending(
        rng: &mut Rng,
        dtype: DType,
        sample: Vec<usize>,
        vocabulary: Option<usize>,
        mut pieces: Vec<ModelPiece>,
        batch: Batch,
    ) -> Self {
        pieces.push(ModelPiece::Dense(Box::new(dense(rng, CLASSES))));
        let (loss, optimizer) = (rng.below(losses().len()), rng.below(optimizers().len()));
        let needs_probabilities = losses()[loss].0.name() == "kl_divergence";
        if needs_probabilities {
            pieces.push(ModelPiece::Activation(Activation::Softmax));
        }
        Self { dtype, sample, vocabulary, pieces, batch, loss, optimizer }
    }

    /// Its model.
    pub(crate) fn model(&self) -> Functional {
        let pieces = self.pieces.clone();
        let dtype = if self.vocabulary.is_some() { DType::I32 } else { self.dtype };
        let apply = move |x: &Tensor| pieces.iter().fold(x.clone(), |x, piece| piece.apply(&x));
        Functional::new(TypeSpec::new(dtype, &self.sample), apply)
    }

    /// The graph of a training step.
    pub(crate) fn training(&self) -> Step {
        let (loss, metric) = &losses()[self.loss];
        let step = self.model().training_graph(
            self.batch,
            &**loss,
            std::slice::from_ref(metric),
            &*optimizers()[self.optimizer],
        );
        step.unwrap_or_else(|e| panic!("{e}\n{self:?}"))
    }

    /// The graph of a step of evaluation.
    pub(crate) fn evaluation(&self) -> Step {
        let (loss, metric) = &losses()[self.loss];
        let step = self.model().evaluation_graph(self.batch, &**loss, std::slice::from_ref(metric));
        step.unwrap_or_else(|e| panic!("{e}\n{self:?}"))
    }
}

fn embedding(bound: usize, width: usize, dtype: DType) -> ModelPiece {
    ModelPiece::Embedding(Embedding::new(bound, width).dtype(dtype).initializer(uniform(-1.0, 1.0)))
}

fn dense(rng: &mut Rng, units: usize) -> Dense {
    let regularizer = if rng.one_in(4) { Regularizer::l2(0.01) } else { Regularizer::default() };
    Dense::new(units).use_bias(!rng.one_in(4)).bias_initializer(small()).kernel_regularizer(regularizer)
}

/// Biases that aren't all 0, where rectifiers have their kink.
fn small() -> Initializer {
    uniform(-0.2, 0.2)
}

fn activation(rng: &mut Rng) -> Activation {
    rng.pick(&[
        Activation::Linear,
        Activation::Relu,
        Activation::Relu,
        Activation::LeakyRelu(0.1),
        Activation::Elu(1.0),
        Activation::Selu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Silu,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Softplus,
        Activation::Softsign,
        Activation::Mish,
    ])
}

/// The window of a layer over an image of these extents.
struct Geometry {
    size: (usize, usize),
    stride: (usize, usize),
    padding: Padding,
}

impl Geometry {
    fn random(rng: &mut Rng, [height, width, _]: [usize; 3]) -> Self {
        let size = (rng.between(1, height.min(3)), rng.between(1, width.min(3)));
        let stride = (rng.between(1, 2), rng.between(1, 2));
        Self { size, stride, padding: rng.pick(&[Padding::Valid, Padding::Same]) }
    }

    /// Height and width of the result.
    fn output(&self, [height, width, _]: [usize; 3]) -> [usize; 2] {
        let extent = |input: usize, size: usize, stride: usize| match self.padding {
            Padding::Same => input.div_ceil(stride),
            _ => (input - size) / stride + 1,
        };
        [extent(height, self.size.0, self.stride.0), extent(width, self.size.1, self.stride.1)]
    }
}

fn convolutions(rng: &mut Rng, mut image: [usize; 3], pieces: &mut Vec<ModelPiece>) {
    for _ in 0..rng.between(1, 3) {
        let window = Geometry::random(rng, image);
        let [height, width] = window.output(image);
        match rng.below(8) {
            0 => {
                pieces.push(ModelPiece::MaxPool(
                    MaxPool2d::new(window.size).stride(window.stride).padding(window.padding),
                ));
                image = [height, width, image[2]];
            }
            1 => {
                pieces.push(ModelPiece::AvgPool(
                    AvgPool2d::new(window.size).stride(window.stride).padding(window.padding),
                ));
                image = [height, width, image[2]];
            }
            2 => pieces.push(ModelPiece::Residual(activation(rng))),
            3 => pieces.push(ModelPiece::Dropout(Dropout::new(0.25))),
            kind => {
                let (conv, filters) = conv(rng, &window, image);
                if kind < 6 {
                    pieces.push(ModelPiece::ConvNorm(Box::new(conv.use_bias(false)), BatchNorm::new().momentum(0.7)));
                    pieces.push(ModelPiece::Activation(activation(rng)));
                } else {
                    pieces.push(ModelPiece::Conv(Box::new(conv.activation(activation(rng)))));
                }
                image = [height, width, filters];
            }
        }
    }
    pieces.push(if rng.one_in(3) { ModelPiece::GlobalAvgPool } else { ModelPiece::Flatten });
}

/// A convolution with that window, and its filters.
fn conv(rng: &mut Rng, window: &Geometry, [height, width, channels]: [usize; 3]) -> (Conv2d, usize) {
    let divisors: Vec<usize> = (1..=channels).filter(|g| channels.is_multiple_of(*g)).collect();
    let groups = if rng.one_in(2) { 1 } else { rng.pick(&divisors) };
    let filters = groups * rng.between(1, 8usize.div_ceil(groups));
    let mut conv = Conv2d::new(filters, window.size)
        .padding(window.padding)
        .groups(groups)
        .kernel_initializer(glorot_uniform())
        .bias_initializer(small());
    // Layers with both stride and dilation are rare in practice, but valid; here they would change the geometry.
    let dilated = window.padding == Padding::Same && height > 4 && width > 4 && rng.one_in(4);
    conv = if dilated && window.stride == (1, 1) { conv.dilation(2) } else { conv.stride(window.stride) };
    (conv, filters)
}

/// Layers that keep a sequence `[length, width]` one, then a layer that leaves rows.
fn sequences(rng: &mut Rng, [mut length, width, heads]: [usize; 3], pieces: &mut Vec<ModelPiece>) {
    let causal = rng.one_in(2);
    for _ in 0..rng.between(1, 3) {
        let layer: Arc<dyn Printed> = match rng.below(9) {
            0 => Arc::new(LayerNorm::new()),
            1 => Arc::new(RmsNorm::new().epsilon(1e-3)),
            2 => Arc::new(GroupNorm::new(heads)),
            3 => Arc::new(LearnedPositions::new(length + rng.below(3))),
            4 => Arc::new(MultiHeadAttention::new(heads, rng.between(1, 5)).causal(causal)),
            5 => Arc::new(MultiHeadAttention::new(heads, 2).rotary(Rotary::default()).dropout(0.2)),
            6 => {
                let padding = rng.pick(&[Padding1d::Same, Padding1d::Causal]);
                let conv = Conv1d::new(width, rng.between(1, 3)).padding(padding).dilation(rng.between(1, 2));
                Arc::new(conv.activation(activation(rng)))
            }
            7 if length >= 4 => {
                length /= 2;
                if causal { Arc::new(MaxPool1d::new(2)) } else { Arc::new(AvgPool1d::new(2)) }
            }
            _ => {
                let block = TransformerBlock::new(heads).causal(causal).hidden(rng.between(1, 9));
                Arc::new(block.root_mean_square(rng.one_in(2)).epsilon(1e-3))
            }
        };
        pieces.push(ModelPiece::Sequence(layer));
    }
    pieces.push(match rng.below(3) {
        0 => ModelPiece::Flatten,
        1 => ModelPiece::Sequence(Arc::new(GlobalAvgPool1d)),
        _ => ModelPiece::Sequence(Arc::new(GlobalMaxPool1d)),
    });
}
