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

mod bidirectional;
mod cell;
mod gru;
mod lstm;
mod masking;
mod simple;
#[cfg(test)]
mod tests;

pub use bidirectional::Bidirectional;
pub use cell::{Recurrent, Returned};
pub use gru::Gru;
pub use lstm::Lstm;
pub use masking::Masking;
pub use simple::SimpleRnn;
