//! What the command `gradc` does, apart from the library that users compile.
//!
//! - [`main`]: the command line.
//! - [`mod@bench`]: timing of whole training steps.

pub mod bench;
mod command;

pub use command::main;
