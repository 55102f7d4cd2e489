//! gradc compiles a whole training step: a model declared in Rust becomes one static graph of forward, backward and update, and that
//! becomes native code.
//!
//! - [`dsl`]: tensors and graphs, declared by hand.
//! - [`nn`]: layers, activations, losses, metrics.
//! - [`optim`]: optimizers, gradient clipping, learning-rate schedules.
//! - [`model`]: layers put together, and the graphs for training, evaluation and prediction that one model gives.

pub mod dsl;
pub mod model;
pub mod nn;
pub mod optim;
pub mod prelude;
#[cfg(test)]
mod testing;
