//! Long short-term memory (Hochreiter and Schmidhuber, Neural Computation 9, 1997), with forget gates (Gers et al., 2000).

use super::cell::{Cell, Options, cell_layer, gate, gated_layer, one_bias, recurrent_layer};
use crate::dsl::{Initializer, Tensor};

/// `c' = f c + i tanh(z_c)`, `h' = o tanh(c')`, with gates `i, f, c, o` side by side in `z = x · kernel + h · recurrent_kernel + bias`; kernel
/// `[features, 4 * units]`, recurrent kernel `[units, 4 * units]`, bias `[4 * units]`, of which the forget gate's part begins as ones (Jozefowicz et al., ICML 2015).
/// States: `h`, then `c`.
#[derive(Clone, Debug)]
pub struct Lstm {
    options: Options,
}

impl Lstm {
    /// With Keras's defaults: tanh, logistic gates, Glorot-uniform kernel, orthogonal recurrent kernel, unit forget bias.
    pub fn new(units: usize) -> Self {
        let bias = Initializer::Blocks(vec![0.0, 1.0, 0.0, 0.0]);
        Self { options: Options { bias_initializer: bias, ..Options::new(units, "lstm") } }
    }
}

impl Cell for Lstm {
    const GATES: usize = 4;
    const STATES: usize = 2;

    fn options(&self) -> &Options {
        &self.options
    }

    fn biases(&self, x: &Tensor, name: &str) -> (Option<Tensor>, Option<Tensor>) {
        (one_bias(self, x, name), None)
    }

    fn step(&self, zx: &Tensor, states: &[Tensor], recurrent: &Tensor, _: Option<&Tensor>) -> Vec<Tensor> {
        let o = &self.options;
        let z = states[0].matmul(recurrent) + zx;
        let open = |i| o.recurrent_activation.apply(&gate(&z, i, o.units));
        let (input, forget) = (open(0), open(1));
        let candidate = o.activation.apply(&gate(&z, 2, o.units));
        let output = open(3);
        let c = forget * &states[1] + input * candidate;
        let h = output * o.activation.apply(&c);
        vec![h, c]
    }
}

recurrent_layer!(Lstm, "LSTM");
gated_layer!(Lstm);
cell_layer!(
    LstmCell,
    Lstm,
    "LSTMCell",
    "One step of an [`Lstm`]: of `(&x, &h, &c)`, `x [batch, features]` and states `[batch, units]`, the next `[h, c]`; of `&x` alone that after zeros. Keras's and PyTorch's `LSTMCell`."
);
