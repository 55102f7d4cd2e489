//! Machine code from kernel programs, by Cranelift.
//!
//! [`jit`] compiles a [`kernel::Program`] into an [`Image`]; [`host_target`] describes the machine to the passes that schedule for it; [`abi`]
//! is how the code is called; [`peak()`] makes loops that reach the machine's limits. Nothing here runs code or is unsafe: `runtime` does.

pub mod abi;
mod clif;
mod cost;
mod error;
mod host;
pub mod image;
mod jit;
mod peak;
mod x86;

pub use abi::{ABI_VERSION, KernelFn, ParallelFor, StepContext, StepFn};
pub use error::CodegenError;
pub use host::{host_description, host_target};
pub use image::{Dump, Emitter, Image, KernelCode};
pub use jit::{JitOptions, jit};
pub use peak::{PeakCode, peak};
pub use x86::Wide;
pub use x86::peak::PeakLoop;
