//! The integration tests: one binary, so that they link once.
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

mod autodiff;
mod differential;
mod filetests;
mod oracle;
mod reference;
mod runner;
