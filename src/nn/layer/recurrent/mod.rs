//! Recurrent layers: SimpleRNN, LSTM, GRU, and two of them in both directions. Layouts and defaults are Keras's.
//!
//! Input `[batch, time, features]`; the result is the last step's, `[batch, units]`, or with `return_sequences` all steps', `[batch, time, units]`. To stack layers, let
//! all but the last return sequences. A layer is a [`scan`](crate::dsl::scan()): its code doesn't grow with the number of steps.
//!
//! # Steps that don't count
//!
//! A mask, `bool[batch, time]`, says which steps count: at others the state is carried through, and so is the result, which is 0 before the first step that
//! counts; with `zero_output_for_mask`, and always in [`Bidirectional`], it is 0 at each of them. All this is Keras's. The mask comes with the input (see
//! [`crate::nn::layer`]); a layer that returns sequences passes it on.

//!
//! # Step by step
//!
//! [`LstmCell`], [`GruCell`] and [`SimpleRnnCell`] take one step with a layer's weights: in a [`scan`](crate::dsl::scan()) of one's own, or in a graph of one step for generation, whose states are
//! the caller's.
//!
//! ```
//! use gradc::dsl::{f32, scan, GraphBuilder};
//! use gradc::nn::{Layer, Lstm, LstmCell};
//! let g = GraphBuilder::new("own loop");
//! let x = g.input("x", f32([4, 9, 3]));
//! let cell = LstmCell::of(Lstm::new(5).return_sequences(true));
//! let zeros = g.zeros(f32([4, 5]));
//! let (_, all) = scan(&[&zeros, &zeros], &[&x.swap_axes(0, 1)], |states, x| {
//!     let [h, c] = cell.apply_many((&x[0], &states[0], &states[1]));
//!     (vec![h.clone(), c], vec![h])
//! });
//! // The same numbers, by the same weights.
//! g.output("difference", &(all[0].swap_axes(0, 1) - cell.layer().apply(&x)));
//! assert_eq!(g.finish().unwrap().parameter_count(), 4 * (3 * 5 + 5 * 5 + 5));
//! ```

mod bidirectional;
mod cell;
mod conv_lstm;
mod gru;
mod lstm;
mod masking;
mod simple;
#[cfg(test)]
mod tests;

pub use bidirectional::Bidirectional;
pub use cell::{Recurrent, Returned};
pub use conv_lstm::{ConvLstm1d, ConvLstm2d, ConvLstm3d};
pub use gru::{Gru, GruCell};
pub use lstm::{Lstm, LstmCell};
pub use masking::Masking;
pub use simple::{SimpleRnn, SimpleRnnCell};
