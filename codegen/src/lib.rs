//! Machine code from kernel programs, by Cranelift and by an emitter of our own for wide vectors.
//!
//! [`emit()`] compiles a [`kernel::Program`] for a [`kernel::Target`] into an [`Object`]; [`abi`] is how the code is called; [`peak()`] makes
//! loops that reach a machine's limits. Nothing here runs code, asks what machine it runs on, or is unsafe: `runtime` does.

pub mod abi;
mod clif;
mod cold;
mod emit;
mod error;
mod isa;
mod layout;
pub mod object;
mod peak;
mod tile;
mod x86;

pub use abi::{ABI_VERSION, KernelFn, ParallelFor, StepContext, StepFn};
pub use emit::{EmitOptions, emit};
pub use error::CodegenError;
pub use isa::{isa, position_independent_isa};
pub use object::{Backend, CodeDump, Function, KernelCode, Object};
pub use peak::{PeakCode, peak};
pub use x86::peak::PeakLoop;
