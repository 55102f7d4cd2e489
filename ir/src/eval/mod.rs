//! The reference interpreter: what every compiled program is compared with. Each op's own evaluation stands in its record;
//! [`run`] evaluates a whole graph, [`rounding`] says how far right evaluations of one may be apart, [`Trials`] whether two are.

mod error;
pub mod rounding;
mod run;
mod trials;

pub use error::{EvalError, FeedKind, NodeSite, RunError};
pub use run::{RunResults, Watch, run, run_watched};
pub use trials::{LazyTrials, Trials};
