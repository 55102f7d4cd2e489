//! The workloads: models, batches, losses, optimizers, all with fixed numbers.

use super::BenchError;
use super::stream::{integers, uniform};
use crate::dsl::{ModelErrors, StateSpec, Step};
use crate::model::{Model, Sequential, TARGET};
use crate::nn::{Activation, Conv2d, Dense, MeanSquaredError, SparseCategoricalCrossEntropy};
use crate::optim::{Adam, Sgd};
use ir::op::source::Input;
use ir::{Data, Value, ValueError};

/// The stream of the inputs.
const INPUTS: u64 = 1001;
/// The stream of the targets. The weights have the streams from 1 on, one each.
const TARGETS: u64 = 1002;
/// How many classes the targets of a classifier come from.
const CLASSES: usize = 10;

/// What is trained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Network {
    /// Dense layers of these widths, the activation between them; softmax cross-entropy and SGD at 0.01, or with `adam` Adam at 0.001.
    Classifier { widths: &'static [usize], adam: bool },
    /// Dense layers of these widths with tanh between them; mean squared error, Adam at 0.001.
    Regression { widths: &'static [usize] },
    /// The convolutional network for 28x28 digits; softmax cross-entropy, Adam at 0.001.
    Convolutional,
}

/// A training step on a fixed batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Workload {
    /// The name, as other frameworks' benchmarks of the same step have it.
    pub name: &'static str,
    /// Samples in the batch.
    pub batch: usize,
    network: Network,
}

const fn classifier(name: &'static str, batch: usize, widths: &'static [usize], adam: bool) -> Workload {
    Workload { name, batch, network: Network::Classifier { widths, adam } }
}

/// All workloads.
///
/// | name | model | batch, optimizer |
/// |---|---|---|
/// | `mlp_small` | 784-128-10, relu, softmax cross-entropy | 32, SGD 0.01 |
/// | `mlp_tiny` | 4-16-16-2, tanh, mean squared error | 8, Adam 0.001 |
/// | `mlp_large` | 784-1024-1024-10, relu, softmax cross-entropy | 128, Adam 0.001 |
/// | `cnn_mnist_b32`, `cnn_mnist_b128` | 28x28x1; conv 32 3x3, relu, max pool 2, conv 64 3x3, relu, max pool 2, dense 10 | 32 or 128, Adam 0.001 |
/// | `logreg` | 784-10, softmax cross-entropy | 256, SGD 0.01 |
pub const WORKLOADS: &[Workload] = &[
    classifier("mlp_small", 32, &[784, 128, 10], false),
    Workload { name: "mlp_tiny", batch: 8, network: Network::Regression { widths: &[4, 16, 16, 2] } },
    classifier("mlp_large", 128, &[784, 1024, 1024, 10], true),
    Workload { name: "cnn_mnist_b32", batch: 32, network: Network::Convolutional },
    Workload { name: "cnn_mnist_b128", batch: 128, network: Network::Convolutional },
    classifier("logreg", 256, &[784, 10], false),
];

impl Workload {
    /// The workload of that name.
    ///
    /// # Errors
    /// If there is none; the message lists the names there are.
    ///
    /// ```
    /// use gradc::bench::Workload;
    /// assert_eq!(Workload::named("mlp_tiny").unwrap().batch, 8);
    /// assert!(Workload::named("gpt").unwrap_err().to_string().contains("mlp_tiny"));
    /// ```
    pub fn named(name: &str) -> Result<&'static Self, BenchError> {
        let known = || WORKLOADS.iter().map(|w| w.name).collect();
        WORKLOADS
            .iter()
            .find(|w| w.name == name)
            .ok_or_else(|| BenchError::UnknownWorkload { name: name.into(), known: known() })
    }

    /// The training step: inputs `x` and `y`, output `loss`.
    ///
    /// # Errors
    /// None that a workload of [`WORKLOADS`] has.
    pub fn step(&self) -> Result<Step, ModelErrors> {
        let (adam, cross_entropy) = (Adam::new(1e-3), SparseCategoricalCrossEntropy);
        match self.network {
            Network::Classifier { widths, adam: true } => {
                dense_layers(widths, Activation::Relu).training_graph(self.batch, &cross_entropy, &[], &adam)
            }
            Network::Classifier { widths, adam: false } => {
                dense_layers(widths, Activation::Relu).training_graph(self.batch, &cross_entropy, &[], &Sgd::new(0.01))
            }
            Network::Regression { widths } => {
                dense_layers(widths, Activation::Tanh).training_graph(self.batch, &MeanSquaredError, &[], &adam)
            }
            Network::Convolutional => convolutional().training_graph(self.batch, &cross_entropy, &[], &adam),
        }
    }

    /// The batch, by the names of the step's inputs.
    ///
    /// # Errors
    /// None that a workload of [`WORKLOADS`] has.
    pub fn batch(&self, step: &Step) -> Result<Vec<(String, Value)>, ValueError> {
        let (mut x, mut y) = self.elements();
        let take = |(_, input): (ir::NodeId, &Input)| {
            let data = if input.name == TARGET { &mut y } else { &mut x };
            let data = std::mem::replace(data, Data::F32(vec![]));
            Ok((input.name.clone(), Value::new(input.ty.clone(), data)?))
        };
        step.graph.inputs().map(take).collect()
    }

    /// The elements of `x` and `y`.
    fn elements(&self) -> (Data, Data) {
        let n = self.batch;
        let (x, y) = match self.network {
            Network::Regression { widths: [first, .., last] } => {
                (uniform(INPUTS, n * first, -1.0, 1.0), Data::F32(uniform(TARGETS, n * last, -1.0, 1.0)))
            }
            _ => (uniform(INPUTS, n * 784, 0.0, 1.0), Data::I32(integers(TARGETS, n, CLASSES))),
        };
        (Data::F32(x), y)
    }

    /// The values of all states before the first step. Parameter `k`, from 1, is stream `k`, uniform in ±1/sqrt(fan_in); a bias has
    /// its kernel's fan-in. Streams run through a kernel as other frameworks lay it out: filters `[out, in, kh, kw]`, and the rows
    /// of the dense layer after the convolutions by channel, height, width.
    pub fn initial_values(&self, step: &Step) -> Vec<(String, Value)> {
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
            let bound = 1.0 / (fan_in as f32).sqrt();
            let stream = uniform(k, state.ty.shape.numel(), -bound, bound);
            let place = self.order(dims);
            (state.name.clone(), Value::from_fn(state.ty.clone(), |i| ir::Scalar::F32(stream[place(i)])))
        };
        step.states.iter().map(value).collect()
    }

    /// From the position of an element in a parameter to its position in the stream.
    fn order(&self, dims: &[usize]) -> Box<dyn Fn(usize) -> usize> {
        match *dims {
            [height, width, inputs, outputs] => Box::new(move |i| {
                let (o, c, x, y) =
                    (i % outputs, i / outputs % inputs, i / outputs / inputs % width, i / outputs / inputs / width);
                ((o * inputs + c) * height + y) * width + x
            }),
            [rows, columns] if self.network == Network::Convolutional => Box::new(move |i| {
                let (row, column) = (i / columns, i % columns);
                let (position, channel) = (row / LAST_CHANNELS, row % LAST_CHANNELS);
                (channel * (rows / LAST_CHANNELS) + position) * columns + column
            }),
            _ => Box::new(|i| i),
        }
    }
}

/// The channels that the dense layer of the convolutional network gets.
const LAST_CHANNELS: usize = 64;

fn dense_layers(widths: &[usize], activation: Activation) -> Sequential {
    let last = widths.len() - 2;
    widths[1..].iter().enumerate().fold(Sequential::new([widths[0]]), |model, (i, &units)| {
        let activation = if i < last { activation } else { Activation::Linear };
        model.add(Dense::new(units).activation(activation))
    })
}

fn convolutional() -> Sequential {
    let conv = |filters| Conv2d::new(filters, 3).activation(Activation::Relu);
    Sequential::new([28, 28, 1])
        .add(conv(32))
        .max_pool2d(2)
        .add(conv(LAST_CHANNELS))
        .max_pool2d(2)
        .flatten()
        .dense(CLASSES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// What several frameworks compute from the same numbers: the loss of the first step.
    const FIRST_LOSSES: [(&str, f64); 3] = [("mlp_small", 2.31489), ("mlp_tiny", 0.46017), ("cnn_mnist_b32", 2.30592)];

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
            let inputs: BTreeMap<String, Value> = workload.batch(&step).unwrap().into_iter().collect();
            let states = workload.initial_values(&step).into_iter().collect();
            let outcome = ir::eval::run(&graph, &inputs, &states).unwrap();
            let loss = outcome.outputs["loss"].get(0).as_f64();
            assert!((loss - want).abs() < 6e-6, "{name}: {loss}, not {want}");
        }
    }

    #[test]
    fn workloads_have_the_parameters_they_say() {
        let counts = [101_770, 386, 1_863_690, 34_826, 34_826, 7_850];
        for (workload, count) in WORKLOADS.iter().zip(counts) {
            let step = workload.step().unwrap();
            assert_eq!(step.parameter_count(), count, "{}", workload.name);
            assert_eq!(step.graph.outputs().len(), 1);
        }
    }
}
