//! For tests of what users make: layers, losses, optimizers, passes, models brought over from elsewhere.
//!
//! - [`GradientTest`]: gradients against differences of values.
//! - [`apply_passes`] and [`compare_snapshot`]: what passes make of a graph, as a text to be kept beside the test.
//! - [`compare_graphs`]: whether two graphs compute the same.
//! - [`compare_with_file`]: a model against numbers that another framework has computed.
//! - [`Trainer::overfit_batch`](crate::train::Trainer::overfit_batch) and [`Trainer::observe`](crate::train::Trainer::observe) belong here, too.
//!
//! All of them give a [`TestingError`] whose message says where two numbers differ, and by how much. What graphs are made of is [`ir`]: nobody needs more than `gradc` in
//! his Cargo.toml.

mod error;
mod gradients;
mod graphs;
#[cfg(test)]
mod helpers;
mod model;
#[cfg(test)]
pub(crate) mod reference;
mod tolerance;

pub use error::TestingError;
pub use gradients::GradientTest;
pub use graphs::{apply_passes, compare_graphs, compare_snapshot};
#[cfg(test)]
pub(crate) use helpers::*;
pub use model::compare_with_file;
pub use tolerance::Tolerance;
