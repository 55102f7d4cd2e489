//! The integration tests: one binary, so that they link once.
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

mod along;
mod attention;
mod autodiff;
mod command;
mod contractions;
mod conventions;
mod depth;
mod differential;
mod errors;
mod filetests;
mod fitting;
mod floors;
mod fusion;
mod halves;
mod machine;
mod models;
mod oracle;
mod pipeline;
mod random;
mod reference;
mod rules;
mod runner;
mod scan;
mod seeds;
mod sizes;
mod source;
mod sparse;
mod sums;
mod training;
mod training_models;
mod transposes;
mod weights;
mod windows;
mod workloads;
mod zeros;
