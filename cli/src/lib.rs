//! What the command `gradc` does, apart from the library that users compile.
//!
//! - [`main`]: the command line; [`bisect_in`]: one command of it, on a pipeline of the caller's.
//! - [`mod@bench`]: timing of whole training steps.
//! - [`mod@document`]: programs as JSON.
//! - [`mod@report`]: a step as a page; [`mod@watch`]: runs of training as one.

pub mod bench;
mod command;
pub mod document;
mod page;
pub mod report;
pub mod watch;

pub use command::{bisect_in, main};
