//! The models that come with gradc.

use clap::ValueEnum;
use gradc::dsl::{ModelErrors, Step};
use gradc::model::{Functional, Model, Sequential};
use gradc::nn::{
    BatchNorm, Conv2d, Dense, GlobalAvgPool2d, Layer, MeanSquaredError, Metric, Padding, SparseCategoricalCrossEntropy,
};
use gradc::optim::{Adam, Sgd};
use gradc::{dsl, dsl::Tensor};

/// The models that come with gradc: those whose speed is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum BuiltIn {
    /// 784-128-10, relu, softmax cross-entropy, SGD; batch 32
    Mlp,
    /// Two convolutions with pooling, dense 10, Adam: reads digits; batch 32
    Cnn,
    /// 784-10, softmax cross-entropy, SGD; batch 256
    Logreg,
    /// 4-16-16-2, tanh, mean squared error, Adam; batch 8
    #[value(name = "mlp_tiny")]
    MlpTiny,
    /// ResNet-8 for 32x32 colour images, SGD with momentum; batch 32
    Resnet,
}

impl BuiltIn {
    /// All of them, as they are called.
    pub(super) fn names() -> Vec<String> {
        Self::value_variants().iter().filter_map(|m| Some(m.to_possible_value()?.get_name().to_owned())).collect()
    }

    /// Samples in a batch, unless somebody asks for another number.
    pub(super) fn batch(self) -> usize {
        match self {
            Self::Logreg => 256,
            Self::MlpTiny => 8,
            Self::Mlp | Self::Cnn | Self::Resnet => 32,
        }
    }

    fn model(self) -> Box<dyn Model> {
        match self {
            Self::Mlp => Box::new(Sequential::new([784]).dense(128).relu().dense(10).named("mlp")),
            Self::Cnn => {
                let model = Sequential::new([28, 28, 1]).conv2d(32, 3).relu().max_pool2d(2).conv2d(64, 3).relu();
                Box::new(model.max_pool2d(2).flatten().dense(10).named("cnn"))
            }
            Self::Logreg => Box::new(Sequential::new([784]).dense(10).named("logreg")),
            Self::MlpTiny => {
                Box::new(Sequential::new([4]).dense(16).tanh().dense(16).tanh().dense(2).named("mlp_tiny"))
            }
            Self::Resnet => Box::new(Functional::new(dsl::f32([32, 32, 3]), resnet8).named("resnet")),
        }
    }

    /// The training step.
    pub(super) fn step(self, batch: usize) -> Result<Step, ModelErrors> {
        let (entropy, sgd, adam) = (SparseCategoricalCrossEntropy, Sgd::new(0.01), Adam::default());
        let model = self.model();
        match self {
            Self::Mlp | Self::Logreg => model.training_graph(batch, &entropy, &[], &sgd),
            Self::Cnn => model.training_graph(batch, &entropy, &[Metric::Accuracy], &adam),
            Self::MlpTiny => model.training_graph(batch, &MeanSquaredError, &[], &adam),
            Self::Resnet => model.training_graph(batch, &entropy, &[], &sgd.momentum(0.9)),
        }
    }

    /// The step of prediction.
    pub(super) fn inference(self, batch: usize) -> Result<Step, ModelErrors> {
        self.model().inference_graph(batch)
    }
}

/// ResNet-8: a convolution, three stages of one residual block each, the mean over the image, a dense layer (He et al., arXiv 1512.03385).
fn resnet8(x: &Tensor) -> Tensor {
    let conv = |x: &Tensor, filters: usize, size: usize, stride: usize| {
        let conv = Conv2d::new(filters, size).padding(Padding::Same).stride(stride).use_bias(false).apply(x);
        BatchNorm::new().apply(&conv)
    };
    let mut x = conv(x, 16, 3, 1).relu();
    for (filters, stride) in [(16, 1), (32, 2), (64, 2)] {
        let y = conv(&conv(&x, filters, 3, stride).relu(), filters, 3, 1);
        let shortcut = if stride == 1 { x.clone() } else { conv(&x, filters, 1, stride) };
        x = (y + shortcut).relu();
    }
    Dense::new(10).apply(&GlobalAvgPool2d.apply(&x))
}
