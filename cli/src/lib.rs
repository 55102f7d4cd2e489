//! What the command `gradc` does, apart from the library that users compile.
//!
//! - [`main`]: the command line; [`bisect_in`]: one command of it, on a pipeline of the caller's.
//! - [`mod@bench`]: timing of whole training steps.

pub mod bench;
mod command;

pub use command::{bisect_in, main};
