//! Gated recurrent units (Cho et al., arXiv 1406.1078).

use super::cell::{Cell, Options, cell_layer, gate, gated_layer, one_bias, recurrent_layer};
use crate::dsl::Tensor;
use crate::nn::layer::weight;

/// `h' = z h + (1 - z) tanh(..)` with gates `z, r, h` side by side; kernel `[features, 3 * units]`, recurrent kernel `[units, 3 * units]`.
///
/// With `reset_after`, Keras's default and what cuDNN computes, the reset gate is applied to the projected state, and the bias is
/// `[2, 3 * units]`: of the input's projection, then of the state's. Without it the gate is applied to the state, and the bias is `[3 * units]`.
#[derive(Clone, Debug)]
pub struct Gru {
    options: Options,
    reset_after: bool,
}

impl Gru {
    /// With Keras's defaults.
    pub fn new(units: usize) -> Self {
        Self { options: Options::new(units, "gru"), reset_after: true }
    }

    /// Whether the reset gate comes after the product with the recurrent kernel.
    pub fn reset_after(mut self, on: bool) -> Self {
        self.reset_after = on;
        self
    }
}

impl Cell for Gru {
    const GATES: usize = 3;
    const STATES: usize = 1;

    fn options(&self) -> &Options {
        &self.options
    }

    fn biases(&self, x: &Tensor, name: &str) -> (Option<Tensor>, Option<Tensor>) {
        if !self.reset_after || !self.options.use_bias {
            return (one_bias(self, x, name), None);
        }
        let width = Self::GATES * self.options.units;
        let both = weight(x, name, "bias", &[2, width], &self.options.bias_initializer);
        let row = |i| both.slice_axis(0, i..i + 1).reshape([width as isize]);
        (Some(row(0)), Some(row(1)))
    }

    fn step(&self, zx: &Tensor, states: &[Tensor], recurrent: &Tensor, bias: Option<&Tensor>) -> Vec<Tensor> {
        let (o, h) = (&self.options, &states[0]);
        let x_part = |i| gate(zx, i, o.units);
        let (update, candidate) = if self.reset_after {
            let mut zh = h.matmul(recurrent);
            if let Some(bias) = bias {
                zh = zh + bias;
            }
            let open = |i| o.recurrent_activation.apply(&(x_part(i) + gate(&zh, i, o.units)));
            let (update, reset) = (open(0), open(1));
            let candidate = x_part(2) + reset * gate(&zh, 2, o.units);
            (update, candidate)
        } else {
            let part = |i| gate(recurrent, i, o.units);
            let open = |i| o.recurrent_activation.apply(&(x_part(i) + h.matmul(part(i))));
            let (update, reset) = (open(0), open(1));
            let candidate = x_part(2) + (reset * h).matmul(part(2));
            (update, candidate)
        };
        let candidate = o.activation.apply(&candidate);
        // z h + (1 - z) c, with one product less.
        vec![&candidate + &update * (h - &candidate)]
    }
}

recurrent_layer!(Gru, "GRU");
gated_layer!(Gru);
cell_layer!(
    GruCell,
    Gru,
    "GRUCell",
    "One step of a [`Gru`]: of `(&x, &h)`, `x [batch, features]` and the state `[batch, units]`, the next `h`; of `&x` alone that after zeros. Keras's and PyTorch's `GRUCell`."
);
