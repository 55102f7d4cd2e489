//! What an operator sees of a server: numbers for Prometheus, a log, an id for each request.

mod log;
mod metrics;
mod requests;

pub use log::{LogError, LogFormat, say, start};
pub use metrics::{Metrics, router};
pub use requests::{Protocol, observed};
