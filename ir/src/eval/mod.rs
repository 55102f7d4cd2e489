//! The reference interpreter: what every compiled program is compared with.

/// What goes wrong while a graph is evaluated.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum EvalError {
    /// An index is not below the extent it addresses.
    #[error("index {index} is out of range: valid are 0 to {}", .bound - 1)]
    Index {
        /// The index.
        index: i64,
        /// The extent.
        bound: usize,
    },
    /// The op has no evaluation of its own.
    #[error("`{op}` can't be evaluated: {why}")]
    NotEvaluable {
        /// The op's name.
        op: &'static str,
        /// What to do first.
        why: &'static str,
    },
}
