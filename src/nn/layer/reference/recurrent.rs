//! Recurrent layers step by step, and of convolutions.

use super::check;
use super::shape::settings;
use crate::nn::*;
use crate::testing::reference::Case;

#[test]
fn one_step() {
    check("lstm_cell", |c| {
        let cell = LstmCell::new(c.count("units"));
        let [h, state] = cell.apply_many((c.tensor("x"), c.tensor("h"), c.tensor("c")));
        h.concat(&[&state], -1)
    });
    check("gru_cell", |c| GruCell::new(c.count("units")).apply((c.tensor("x"), c.tensor("h"))));
    check("simple_rnn_cell", |c| SimpleRnnCell::new(c.count("units")).apply((c.tensor("x"), c.tensor("h"))));
}

#[test]
fn convolutions_over_time() {
    let is = |c: &Case<'_>, setting: &str| c.count(setting) == 1;
    check("conv_lstm1d", |c| {
        let layer = ConvLstm1d::new(c.count("filters"), c.count("size0")).stride(c.count("stride0"));
        layer.return_sequences(is(c, "sequences")).go_backwards(is(c, "backwards")).apply(c.tensor("x"))
    });
    check("conv_lstm2d", |c| {
        let layer = ConvLstm2d::new(c.count("filters"), settings::<2>(c, "size")).stride(settings::<2>(c, "stride"));
        layer.return_sequences(is(c, "sequences")).go_backwards(is(c, "backwards")).apply(c.tensor("x"))
    });
    check("conv_lstm3d", |c| {
        let layer = ConvLstm3d::new(c.count("filters"), settings::<3>(c, "size")).stride(settings::<3>(c, "stride"));
        layer.return_sequences(is(c, "sequences")).go_backwards(is(c, "backwards")).apply(c.tensor("x"))
    });
}
