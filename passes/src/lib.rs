//! Everything that transforms: autodiff, simplification, fusion, scheduling, lowering and kernel passes of gradc.
//!
//! [`pipeline`] is the list of all passes in their order, with the reason for each; [`runner`] runs it. A pass is a function on a
//! graph or on a program of loops; its module says under four headings what it does, requires and ensures, with an example.

pub mod autodiff;
pub mod cse;
pub mod dce;
mod error;
pub mod fold;
pub mod pipeline;
pub mod runner;
pub mod simplify;
mod verify;

pub use error::PassError;
pub use pipeline::{Pass, PassContext, PassFn, PassOptions, Stage};
pub use runner::{Module, Outcome, PassRecord, Report, RunOptions, Snapshot, Snapshots, Stop, compile, run};
