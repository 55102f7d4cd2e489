//! Owns memory and threads, and calls the compiled step.
//!
//! [`Executable::load`] takes a planned program, compiles it for this machine and gives it one arena; [`Executable::step`] runs it. Inputs
//! and outputs are slices of that arena, found by name; states stand in a block of their own ([`States`]), which programs share. This crate and `embed`, which has the threads, are those with `unsafe` code: what this one relies on is that
//! the program passed the kernel verifier, which proves every access in bounds, and that the arena's plan was checked at loading.

#![allow(unsafe_code)]

mod arena;
mod code;
mod element;
mod error;
mod executable;
mod host;
#[cfg(feature = "built")]
mod library;
mod loaded;
mod mapped;
mod peak;
mod plan;
mod port_memory;
mod ports;
mod profile;
mod states;
mod team;
mod trace;

pub use arena::ALIGN;
pub use codegen::{Backend, PeakLoop};
pub use element::Element;
pub use embed::ABI_VERSION as OBJECT_ABI_VERSION;
pub use error::{LoadError, PlanError, PortError, Refused, StepError};
pub use executable::Executable;
pub use host::host_target;
#[cfg(feature = "built")]
pub use library::{LibraryEntry, LibraryExecutable, LibraryStates, LibraryStepError, StepLibrary};
pub use loaded::{LoadOptions, Loaded, check_program};
pub use mapped::MappedFile;
pub use peak::{ForkJoin, Rate, fork_join, peak, spin};
pub use port_memory::{PortMemory, ProgramInputs};
pub use ports::{Port, PortKind};
pub use profile::LaunchTime;
pub use states::States;
pub use trace::{LaunchSpan, ThreadSpan};
