//! Compiles steps in a build script, so that a Rust program carries them as machine code, with a typed wrapper and without a compiler.
//!
//! In `build.rs`, a graph in a file, or a model declared there and then:
//!
//! ```no_run
//! use gradc::prelude::*;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     gradc_build::compile("src/fit.ir")?;
//!
//!     let model = Sequential::new([4]).dense(16).tanh().dense(2);
//!     let step = model.training_graph(8, &MeanSquaredError, &[], &Adam::default())?;
//!     gradc_build::Config::new().compile_step("regression", &step)?;
//!     Ok(())
//! }
//! ```
//!
//! Each call leaves a static library and a wrapper in cargo's `OUT_DIR`, and tells cargo to link the one, and what to watch. The program depends on `gradc-embed` alone, and
//! includes the wrapper by `embed::include_step!("regression")`. What a wrapper has stands in the documentation of the crate `embed`.
//!
//! A build script is compiled without optimization unless the program's manifest says otherwise, in both profiles; a compiler like this one then takes long:
//!
//! ```toml
//! [profile.dev.build-override]
//! opt-level = 2
//! [profile.release.build-override]
//! opt-level = 2
//! ```

mod config;
mod error;
mod manifest;
mod wrapper;

pub use config::Config;
pub use error::ScriptError;

use std::path::Path;

/// Compiles a graph's text in a file, which is watched: [`Config::compile_file`] with what [`Config::new`] has.
///
/// # Errors
/// As there.
pub fn compile(path: impl AsRef<Path>) -> Result<(), ScriptError> {
    Config::new().compile_file(path)
}
