//! The reference interpreter: what every compiled program is compared with. Each op's own evaluation stands in its record;
//! [`run`] evaluates a whole graph.

mod error;
mod run;

pub use error::{EvalError, Port, RunError, Site};
pub use run::{Outcome, run};
