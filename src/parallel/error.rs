//! What can go wrong among processes.

/// Why processes can't train together.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParallelError {
    /// Two processes differ in something that must be alike: the model, the size of a batch, the data.
    #[error("{what} differs among processes: rank 0 has {of_first}, rank {rank} has {of_other}")]
    Different {
        /// What differs.
        what: String,
        /// What rank 0 has.
        of_first: String,
        /// The first rank that has something else.
        rank: usize,
        /// What that one has.
        of_other: String,
    },
    /// Another process failed.
    #[error("rank {rank} has failed: {message}")]
    Rank {
        /// Which.
        rank: usize,
        /// What it said.
        message: String,
    },
    /// Buffers of different lengths in one collective call.
    #[error("rank {rank} gave {found} elements to a call in which rank 0 gave {expected}")]
    Length {
        /// The first rank that did so.
        rank: usize,
        /// How many it gave.
        found: usize,
        /// How many rank 0 gave.
        expected: usize,
    },
    /// MPI can't be used.
    #[error("MPI: {0}")]
    Mpi(String),
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for ParallelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
