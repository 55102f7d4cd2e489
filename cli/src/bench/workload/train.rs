//! Training steps, and predictions of the same models: models, batches, losses, optimizers, all with fixed numbers.

use super::composed::{adversarial, half, joined};
use super::network::{LAST_CHANNELS, convolutional, dense_layers, normalized, recurrent, residual, transformer};
use super::quantized::QuantizedWorkload;
use super::{Definition, Workload};
use crate::bench::stream::{integers, uniform};
use gradc::dsl::{ModelErrors, Policy, StateSpec, Step};
use gradc::model::{Model, TARGET};
use gradc::nn::{Activation, Loss, MeanSquaredError, SparseCategoricalCrossEntropy, WithPolicy};
use gradc::optim::{Adam, AdamW, Optimizer, Sgd};
use ir::op::source::Input;
use ir::{Data, Scalar, Value, ValueError};

/// The stream of the inputs.
const INPUTS: u64 = 1001;
/// The stream of the targets. The weights have the streams from 1 on, one each.
const TARGETS: u64 = 1002;
/// How many classes the targets of a classifier come from.
pub(super) const CLASSES: usize = 10;
/// How many symbols the texts of the transformer are made of.
pub(super) const SYMBOLS: usize = 65;
/// How long these texts are.
pub(super) const CONTEXT: usize = 128;
/// How many words the texts of the recurrent network are made of.
pub(super) const WORDS: usize = 10_000;

/// What is trained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Network {
    /// Dense layers of these widths, the activation between them; softmax cross-entropy and SGD at 0.01, or with `adam` Adam at 0.001.
    Classifier { widths: &'static [usize], adam: bool },
    /// Dense layers of these widths with tanh between them; mean squared error, Adam at 0.001.
    Regression { widths: &'static [usize] },
    /// The convolutional network for 28x28 digits; softmax cross-entropy, Adam at 0.001.
    Convolutional,
    /// The same with padding, batch normalization, a hidden dense layer and dropout.
    Normalized,
    /// Four transformer blocks of width 128 over texts of 128 symbols; cross-entropy of the next one, AdamW at 0.001 with decay 0.01.
    Transformer { dropout: bool },
    /// The residual network of three stages for 32x32 images; softmax cross-entropy, SGD at 0.01 with momentum 0.9.
    Residual,
    /// Words looked up, a recurrent layer over that many, a dense layer on its last state; softmax cross-entropy, Adam at 0.001.
    Recurrent { length: usize },
    /// Dense layers of these widths in `bf16`, the rectifier between them; softmax cross-entropy in `f32`, SGD at 0.01.
    Half { widths: &'static [usize] },
    /// 16 inputs through a dense layer each, joined, two more dense layers; softmax cross-entropy, Adam at 0.001.
    Joined,
    /// A generator and a discriminator of two dense layers each; Adam at 0.0002.
    Adversarial,
    /// That network with layers that compute in `bf16`, and variables in `f32`.
    Mixed { of: &'static Network },
}

const fn training(name: &'static str, batch: usize, network: Network) -> Workload {
    Workload { name, batch, definition: Definition::Training(network) }
}

const fn classifier(name: &'static str, batch: usize, widths: &'static [usize], adam: bool) -> Workload {
    training(name, batch, Network::Classifier { widths, adam })
}

/// All training steps.
///
/// | name | model | batch, optimizer |
/// |---|---|---|
/// | `mlp_small` | 784-128-10, relu, softmax cross-entropy | 32, SGD 0.01 |
/// | `mlp_tiny` | 4-16-16-2, tanh, mean squared error | 8, Adam 0.001 |
/// | `mlp_large` | 784-1024-1024-10, relu, softmax cross-entropy | 128, Adam 0.001 |
/// | `cnn_mnist_b32`, `cnn_mnist_b128` | 28x28x1; conv 32 3x3, relu, max pool 2, conv 64 3x3, relu, max pool 2, dense 10 | 32 or 128, Adam 0.001 |
/// | `transformer_lm` | 65 symbols, context 128, width 128, 4 blocks of 4 heads, pre-LayerNorm, exact GELU, learned positions, head of its own | 16, AdamW 0.001, decay 0.01 |
/// | `resnet_cifar` | 32x32x3; conv 16 3x3, three stages (16, 32, 64) of one basic block, batch normalization, mean, dense 10 | 32, SGD 0.01, momentum 0.9 |
/// | `logreg` | 784-10, softmax cross-entropy | 256, SGD 0.01 |
/// | `lstm_text` | 100 words, embedding 10000x64, LSTM 64, its last state, dense 10 | 32, Adam 0.001 |
/// | `cnn_bn_b128` | 28x28x1; twice conv 3x3 (32, 64) padded by 1, batch normalization, relu, max pool 2; dense 128, relu, dropout 0.5, dense 10 | 128, Adam 0.001 |
/// | `transformer_dropout` | `transformer_lm` with dropout 0.1 | 16, AdamW 0.001, decay 0.01 |
/// | `gan` | generator 64-256-784, relu, tanh; discriminator 784-256-1, leaky relu 0.2; both updated | 64, Adam 0.0002, betas 0.5, 0.999 |
/// | `mlp_bf16` | 784-1024-1024-10 in bf16, relu, softmax cross-entropy in f32 | 128, SGD 0.01 |
/// | `mlp_joined` | 16 inputs of 32 features, dense 64, relu each; joined; dense 256, relu, dense 10 | 128, Adam 0.001 |
/// | `cnn_mnist_b128_bf16`, `transformer_lm_bf16` | those without `_bf16`, with the policy `mixed_bf16` | 128 or 16, as those |
pub const WORKLOADS: &[Workload] = &[
    classifier("mlp_small", 32, &[784, 128, 10], false),
    training("mlp_tiny", 8, Network::Regression { widths: &[4, 16, 16, 2] }),
    classifier("mlp_large", 128, &[784, 1024, 1024, 10], true),
    training("cnn_mnist_b32", 32, Network::Convolutional),
    training("cnn_mnist_b128", 128, Network::Convolutional),
    training("transformer_lm", 16, Network::Transformer { dropout: false }),
    training("resnet_cifar", 32, Network::Residual),
    classifier("logreg", 256, &[784, 10], false),
    training("lstm_text", 32, Network::Recurrent { length: 100 }),
    training("cnn_bn_b128", 128, Network::Normalized),
    training("transformer_dropout", 16, Network::Transformer { dropout: true }),
    training("gan", 64, Network::Adversarial),
    training("mlp_bf16", 128, Network::Half { widths: &[784, 1024, 1024, 10] }),
    training("mlp_joined", 128, Network::Joined),
    training("cnn_mnist_b128_bf16", 128, Network::Mixed { of: &Network::Convolutional }),
    training("transformer_lm_bf16", 16, Network::Mixed { of: &Network::Transformer { dropout: false } }),
];

const fn inference(name: &'static str, batch: usize, network: Network) -> Workload {
    Workload { name, batch, definition: Definition::Inference(network) }
}

const fn quantized(name: &'static str, batch: usize) -> Workload {
    Workload { name, batch, definition: Definition::Quantized(QuantizedWorkload) }
}

/// All predictions.
///
/// | name | model | batch |
/// |---|---|---|
/// | `infer_mlp_small_b1` | that of `mlp_small` | 1 |
/// | `infer_cnn_b1`, `infer_cnn_b32` | that of `cnn_mnist_b32` | 1 or 32 |
/// | `infer_cnn_b1_int8`, `infer_cnn_b32_int8` | those without `_int8` after quantization, ranges from the batch | 1 or 32 |
/// | `infer_transformer_b1` | that of `transformer_lm` | 1 |
pub const INFERENCE: &[Workload] = &[
    inference("infer_mlp_small_b1", 1, Network::Classifier { widths: &[784, 128, 10], adam: false }),
    inference("infer_cnn_b1", 1, Network::Convolutional),
    inference("infer_cnn_b32", 32, Network::Convolutional),
    quantized("infer_cnn_b1_int8", 1),
    quantized("infer_cnn_b32_int8", 32),
    inference("infer_transformer_b1", 1, Network::Transformer { dropout: false }),
];

impl Network {
    /// The model, but of the two networks against each other, which are none.
    fn model(self) -> Option<Box<dyn Model>> {
        Some(match self {
            Self::Classifier { widths, .. } => Box::new(dense_layers(widths, Activation::Relu)),
            Self::Regression { widths } => Box::new(dense_layers(widths, Activation::Tanh)),
            Self::Half { widths } => Box::new(half(widths)),
            Self::Convolutional => Box::new(convolutional()),
            Self::Normalized => Box::new(normalized()),
            Self::Transformer { dropout } => Box::new(transformer(dropout)),
            Self::Residual => Box::new(residual()),
            Self::Recurrent { length } => Box::new(recurrent(length)),
            Self::Joined => Box::new(joined()),
            Self::Adversarial => return None,
            Self::Mixed { of } => Box::new(WithPolicy::new(of.model()?, Policy::mixed_bf16())),
        })
    }

    /// The network in `f32`, of one with a policy.
    fn whole(self) -> Self {
        if let Self::Mixed { of } = self { *of } else { self }
    }

    /// The training step: inputs `x` and `y`, or those that the network has instead; output `loss`.
    pub(super) fn training(self, batch: usize) -> Result<Step, ModelErrors> {
        let Some(model) = self.model() else { return adversarial(batch) };
        let optimizer: Box<dyn Optimizer> = match self.whole() {
            Self::Classifier { adam: false, .. } | Self::Half { .. } => Box::new(Sgd::new(0.01)),
            Self::Residual => Box::new(Sgd::new(0.01).momentum(0.9)),
            Self::Transformer { .. } => Box::new(AdamW::new(1e-3).weight_decay(0.01)),
            _ => Box::new(Adam::new(1e-3)),
        };
        let loss: &dyn Loss = match self.whole() {
            Self::Regression { .. } => &MeanSquaredError,
            _ => &SparseCategoricalCrossEntropy,
        };
        model.training_graph(batch, loss, &[], &*optimizer)
    }

    /// From the input `x` to the output `output`.
    pub(super) fn inference(self, batch: usize) -> Result<Step, ModelErrors> {
        match self.model() {
            Some(model) => model.inference_graph(batch),
            None => adversarial(batch),
        }
    }

    /// The batch, by the names of the step's inputs.
    pub(super) fn batch(self, step: &Step) -> Result<Vec<(String, Value)>, ValueError> {
        let value = |(i, (_, input)): (u64, (ir::NodeId, &Input))| {
            let data = self.elements(i, input);
            let value = if data.dtype() == input.ty.dtype {
                Value::new(input.ty.clone(), data)?
            } else {
                Value::from_fn(input.ty.clone(), |i| data.get(i).cast(input.ty.dtype))
            };
            Ok((input.name.clone(), value))
        };
        (0..).zip(step.graph.inputs()).map(value).collect()
    }

    /// The elements of input `i`.
    fn elements(self, i: u64, input: &Input) -> Data {
        let (n, target) = (input.ty.shape.numel(), input.name == TARGET);
        let stream = if target { TARGETS } else { INPUTS + 1000 * i };
        match self.whole() {
            Self::Regression { .. } => Data::F32(uniform(stream, n, -1.0, 1.0)),
            Self::Transformer { .. } => Data::I32(integers(stream, n, SYMBOLS)),
            _ if target => Data::I32(integers(stream, n, CLASSES)),
            Self::Recurrent { .. } => Data::I32(integers(stream, n, WORDS)),
            Self::Residual | Self::Joined | Self::Adversarial => Data::F32(uniform(stream, n, -1.0, 1.0)),
            _ => Data::F32(uniform(stream, n, 0.0, 1.0)),
        }
    }

    /// The values of all states before the first step. Parameter `k`, from 1, is stream `k`, uniform in ±1/sqrt(fan_in); a bias has
    /// its kernel's fan-in. Tables of embeddings are uniform in ±0.05, gammas 1 and betas 0. Others have two biases in a recurrent layer, of which ours is the sum. Streams run through a kernel as other frameworks lay it out: filters `[out, in, kh, kw]`, and the rows
    /// of the dense layer after the convolutions by channel, height, width.
    pub(super) fn initial_values(self, step: &Step) -> Vec<(String, Value)> {
        let mut fan_in = 1;
        let mut k = 0;
        let value = |state: &StateSpec| {
            if !state.trainable() {
                return (state.name.clone(), state.initial(0));
            }
            k += 1;
            let dims = state.ty.shape.dims();
            if dims.len() > 1 {
                fan_in = dims[..dims.len() - 1].iter().product();
            }
            let stream = match state.name.rsplit('/').next() {
                Some("gamma") => vec![1.0; dims[0]],
                Some("beta") => vec![0.0; dims[0]],
                part => {
                    let bound = if part == Some("embeddings") { 0.05 } else { 1.0 / (fan_in as f32).sqrt() };
                    let stream = uniform(k, state.ty.shape.numel(), -bound, bound);
                    if state.name == "lstm/bias" {
                        k += 1;
                        let second = uniform(k, stream.len(), -bound, bound);
                        stream.iter().zip(second).map(|(a, b)| a + b).collect()
                    } else {
                        stream
                    }
                }
            };
            let place = self.order(dims);
            (
                state.name.clone(),
                Value::from_fn(state.ty.clone(), |i| Scalar::F32(stream[place(i)]).cast(state.ty.dtype)),
            )
        };
        step.states.iter().map(value).collect()
    }

    /// From the position of an element in a parameter to its position in the stream.
    fn order(self, dims: &[usize]) -> Box<dyn Fn(usize) -> usize> {
        match *dims {
            [height, width, inputs, outputs] => Box::new(move |i| {
                let (o, c, x, y) =
                    (i % outputs, i / outputs % inputs, i / outputs / inputs % width, i / outputs / inputs / width);
                ((o * inputs + c) * height + y) * width + x
            }),
            [rows, columns] if self.whole() == Self::Convolutional => Box::new(move |i| {
                let (row, column) = (i / columns, i % columns);
                let (position, channel) = (row / LAST_CHANNELS, row % LAST_CHANNELS);
                (channel * (rows / LAST_CHANNELS) + position) * columns + column
            }),
            _ => Box::new(|i| i),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Workload;
    use std::collections::BTreeMap;

    /// What several frameworks compute from the same numbers: the loss of the first step.
    const FIRST_LOSSES: [(&str, f64); 4] =
        [("mlp_small", 2.31489), ("mlp_tiny", 0.46017), ("cnn_mnist_b32", 2.30592), ("lstm_text", 2.28685)];

    #[test]
    fn first_losses_are_those_of_other_frameworks() {
        for (name, want) in FIRST_LOSSES {
            let workload = Workload::named(name).unwrap();
            let step = workload.step().unwrap();
            let mut graph = step.graph.clone();
            for (state, _) in graph.updates().to_vec() {
                let (id, _) = graph.states().find(|(_, s)| s.name == state).unwrap();
                graph.set_update(state, id);
            }
            let inputs: BTreeMap<String, Value> = workload.inputs(&step).unwrap().into_iter().collect();
            let states = workload.initial_values(&step).unwrap().into_iter().collect();
            let outcome = ir::eval::run(&graph, &inputs, &states).unwrap();
            let loss = outcome.outputs["loss"].get(0).as_f64();
            assert!((loss - want).abs() < 6e-6, "{name}: {loss}, not {want}");
        }
    }

    #[test]
    fn workloads_have_the_parameters_they_say() {
        let counts = [
            101_770, 386, 1_863_690, 34_826, 34_826, 826_368, 78_042, 7_850, 673_674, 421_738, 826_368, 419_345,
            1_863_690, 298_762, 34_826, 826_368,
        ];
        for (workload, count) in WORKLOADS.iter().zip(counts) {
            let step = workload.step().unwrap();
            assert_eq!(step.parameter_count(), count, "{}", workload.name);
            assert_eq!(step.graph.outputs().len(), 1);
        }
    }
}
