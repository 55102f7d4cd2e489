//! Everything that transforms: autodiff, simplification, fusion, scheduling, lowering and kernel passes of gradc.
//!
//! [`pipeline`] is the list of all passes in their order, with the reason for each; [`runner`] runs it. A pass is a function on a
//! graph or on a program of loops; its module says under four headings what it does, requires and ensures, with an example.
//! [`bisect`] finds the pass that changes what a program computes, [`interpret()`] is what says so.

mod apply;
pub mod autodiff;
pub mod bisect;
mod bodies;
pub mod check_numerics;
mod clean_up;
pub mod collapse;
mod compile;
pub mod cse;
pub mod dce;
pub mod decompose;
mod error;
pub mod fma;
pub mod fold;
pub mod fuse;
pub mod fuse_loops;
pub mod hoist;
mod interpret;
pub mod legalize;
pub mod lower;
mod module;
pub mod pair;
pub mod parallelize;
mod pass;
pub mod pipeline;
pub mod plan_memory;
pub mod quad;
pub mod rematerialize;
pub mod runner;
pub mod schedule;
pub mod simplify;
mod stage;
pub mod tile;
pub mod unroll;
pub mod vectorize;
mod verify;
pub mod widen;
mod window;

pub use compile::{compile, compile_watched};
pub use error::{LiveTensor, PassError};
pub use interpret::{InterpretError, interpret};
pub use module::Module;
pub use pass::{Pass, PassContext, PassFn, PassOptions};
pub use runner::{Outcome, PassRecord, PassWatch, Report, RunOptions, Snapshot, Snapshots, Stop, run, run_watched};
pub use stage::Stage;
