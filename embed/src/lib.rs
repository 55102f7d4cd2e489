//! What a program needs to run steps that were compiled when it was built: threads, aligned memory, states by name, typed errors. No compiler, and no dependency.
//!
//! The package `gradc-build` compiles a step in a build script, and writes a wrapper of it, which [`include_step!`] includes. With an entry called `fit`,
//!
//! ```ignore
//! mod fit {
//!     embed::include_step!("fit");
//! }
//! let mut states = fit::states(0)?;       // all that the step learns, as it starts from a seed
//! let mut step = fit::Step::new(2)?;      // the step, for two threads
//! step.inputs.x.write(&samples)?;
//! step.run(&mut states)?;
//! println!("{}", step.outputs.loss[0]);
//! ```
//!
//! - **Ports** are fields of `inputs` and `outputs`, each an [`AlignedBox`], which is a slice; constants have their shapes.
//! - **[`States`]** are a value of their own: steps of one model, for training and prediction, run on the same ones if they lay them out alike.
//! - **Threads** are those of [`pool`], which the process has once. Results are the same to the bit at any number of them.
//! - **Errors** are [`StepFailure`]: a check of the model that failed names the line that it was declared on.

#![allow(unsafe_code)]

mod context;
mod error;
mod import;
mod memory;
pub mod pool;
mod runner;
mod states;

pub use context::{ABI_VERSION, StepHeader};
pub use error::StepFailure;
pub use import::{CompiledStep, PortSpec};
pub use memory::{ALIGN, AlignedBox, PortElement};
pub use runner::{PortRef, StepRunner, initial_states};
pub use states::{StatePlace, States};

/// Includes the wrapper that `gradc-build` has written for the entry of that name: its items stand where the macro does, best in a module of their own.
#[macro_export]
macro_rules! include_step {
    ($name:literal) => {
        #[allow(unused_imports)]
        use $crate as embed;
        include!(concat!(env!("OUT_DIR"), "/", $name, ".rs"));
    };
}
