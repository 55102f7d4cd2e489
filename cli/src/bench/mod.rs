//! Benchmarks: whole training steps of fixed models on a fixed batch in memory, and single kernels, timed step by step.
//!
//! [`Workload`] says what is timed, with weights and batches from a generator that other frameworks can follow ([`stream`]), so that
//! losses can be compared number by number. [`measure()`] times one and gives a [`Measurement`]; [`explain`] says where the time goes.
//! `gradc bench` prints both, and [`compare()`] lays a
//! file of results of several frameworks side by side. To pin a run to a core, start it by `taskset`.

mod compare;
mod error;
mod explain;
mod flops;
mod limit;
mod machine;
mod measure;
mod process;
mod profile;
pub mod stream;
mod subject;
mod workload;

pub use compare::{Comparison, Figures, Row, compare};
pub use error::BenchError;
pub(crate) use error::did_you_mean;
pub use explain::{Explanation, explain};
pub use flops::contraction_flops;
pub use limit::{ArenaLimit, bytes};
pub use machine::{Limit, MachineLimits, MemoryLevel};
pub use measure::{Measurement, Proof, Settings, add_limit, measure};
pub use profile::{LaunchFacts, LaunchProfile, Profile, launch_facts, profile};
pub use subject::LoadedWorkload;
pub use workload::{INFERENCE, KERNELS, OPS, StepWork, WORKLOADS, Workload, WorkloadKind};
