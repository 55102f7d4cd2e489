//! The fully connected recurrence (Elman, "Finding Structure in Time", Cognitive Science 14, 1990).

use super::cell::{Cell, Options, cell_layer, one_bias, recurrent_layer};
use crate::dsl::Tensor;

/// `h' = tanh(x · kernel + h · recurrent_kernel + bias)`; kernel `[features, units]`, recurrent kernel `[units, units]`.
#[derive(Clone, Debug)]
pub struct SimpleRnn {
    options: Options,
}

impl SimpleRnn {
    /// With Keras's defaults.
    pub fn new(units: usize) -> Self {
        Self { options: Options::new(units, "simple_rnn") }
    }
}

impl Cell for SimpleRnn {
    const GATES: usize = 1;
    const STATES: usize = 1;

    fn options(&self) -> &Options {
        &self.options
    }

    fn biases(&self, x: &Tensor, name: &str) -> (Option<Tensor>, Option<Tensor>) {
        (one_bias(self, x, name), None)
    }

    fn step(&self, zx: &Tensor, states: &[Tensor], recurrent: &Tensor, _: Option<&Tensor>) -> Vec<Tensor> {
        vec![self.options.activation.apply(&(states[0].matmul(recurrent) + zx))]
    }
}

recurrent_layer!(SimpleRnn, "SimpleRNN");
cell_layer!(
    SimpleRnnCell,
    SimpleRnn,
    "SimpleRNNCell",
    "One step of a [`SimpleRnn`]: of `(&x, &h)`, `x [batch, features]` and the state `[batch, units]`, the next `h`; of `&x` alone that after zeros. Keras's `SimpleRNNCell`, PyTorch's `RNNCell`."
);
