//! The workloads' models.

use super::train::{CLASSES, CONTEXT, SYMBOLS, WORDS};
use gradc::dsl::{Tensor, i32};
use gradc::model::Sequential;
use gradc::nn::{
    Activation, BatchNorm, Conv2d, Dense, Layer, LayerId, LayerNorm, LearnedPositions, Padding, TransformerBlock,
};

/// The channels that the dense layer of the convolutional network gets.
pub(super) const LAST_CHANNELS: usize = 64;

pub(super) fn dense_layers(widths: &[usize], activation: Activation) -> Sequential {
    let last = widths.len() - 2;
    widths[1..].iter().enumerate().fold(Sequential::new([widths[0]]), |model, (i, &units)| {
        let activation = if i < last { activation } else { Activation::Linear };
        model.add(Dense::new(units).activation(activation))
    })
}

/// Texts of that many words.
pub(super) fn recurrent(length: usize) -> Sequential {
    Sequential::of(i32([length])).embedding(WORDS, 64).lstm(64).dense(CLASSES)
}

pub(super) fn convolutional() -> Sequential {
    let conv = |filters| Conv2d::new(filters, 3).activation(Activation::Relu);
    Sequential::new([28, 28, 1])
        .add(conv(32))
        .max_pool2d(2)
        .add(conv(LAST_CHANNELS))
        .max_pool2d(2)
        .flatten()
        .dense(CLASSES)
}

/// A convolutional network with batch normalization and dropout.
pub(super) fn normalized() -> Sequential {
    let block =
        |model: Sequential, filters: usize| model.add(convolution(filters, 3, 1)).add(norm()).relu().max_pool2d(2);
    let convolved = block(block(Sequential::new([28, 28, 1]), 32), LAST_CHANNELS);
    convolved.flatten().dense(128).relu().dropout(0.5).dense(CLASSES)
}

/// A language model of symbols with a head of its own.
pub(super) fn transformer(dropout: bool) -> Sequential {
    const WIDTH: usize = 128;
    let model = Sequential::of(i32([CONTEXT])).embedding(SYMBOLS, WIDTH).add(LearnedPositions::new(CONTEXT));
    let rate = if dropout { 0.1 } else { 0.0 };
    let blocks = (0..4).fold(model, |model, _| model.add(TransformerBlock::new(4).causal(true).dropout(rate)));
    blocks.add(LayerNorm::new().epsilon(1e-5)).add(Dense::new(SYMBOLS).use_bias(false))
}

/// The residual network ResNet-8 for small images (He et al., arXiv 1512.03385, section 4.2, with one block a stage).
pub(super) fn residual() -> Sequential {
    let stages = [(16, 1), (32, 2), (64, 2)];
    let stem = Sequential::new([32, 32, 3]).add(convolution(16, 3, 1)).add(norm()).relu();
    let blocks = stages
        .into_iter()
        .fold(stem, |model, (filters, stride)| model.add(BasicBlock { id: LayerId::new(), filters, stride }));
    blocks.global_avg_pool2d().dense(CLASSES)
}

fn convolution(filters: usize, size: usize, stride: usize) -> Conv2d {
    Conv2d::new(filters, size).stride(stride).padding(Padding::Both((size / 2).into())).use_bias(false)
}

fn norm() -> BatchNorm {
    BatchNorm::new().epsilon(1e-5)
}

/// Two normalized convolutions 3x3 around which the input is added; with a stride the input takes a normalized convolution 1x1.
struct BasicBlock {
    id: LayerId,
    filters: usize,
    stride: usize,
}

impl Layer for BasicBlock {
    fn base(&self) -> &str {
        "block"
    }

    fn kind(&self) -> &str {
        "BasicBlock"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let part = |part: &str| format!("{name}/{part}");
        let normalized = |x: &Tensor, at: &str, size: usize, stride: usize| {
            let y = convolution(self.filters, size, stride).call(x, &part(&format!("conv_{at}")));
            norm().call(&y, &part(&format!("norm_{at}")))
        };
        let y = normalized(x, "1", 3, self.stride).relu();
        let y = normalized(&y, "2", 3, 1);
        let short = if self.stride == 1 { x.clone() } else { normalized(x, "short", 1, self.stride) };
        (y + short).relu()
    }
}
