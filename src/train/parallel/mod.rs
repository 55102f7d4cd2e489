//! Training by several processes: what each does of a step, of an evaluation and of a run.

mod agree;
mod exchange;
mod replica;
mod step;
#[cfg(test)]
mod tests;
mod totals;

use agree::is_common;
pub(super) use agree::{check_alike, share_checkpoint, share_states, stop_together};
pub(super) use exchange::{Exchange, StagePlan};
pub use replica::Replica;
pub(super) use replica::or_abort;
