//! Training by several processes, each of which takes its part of every batch: data parallelism, as PyTorch's `DistributedDataParallel`, Horovod and Keras's `MirroredStrategy` do it.
//!
//! [`Fit::parallel`](crate::train::Fit::parallel) trains, and [`Trainer::parallel`](crate::train::Trainer::parallel) is for loops of one's own. Both take a [`Communicator`]: `Mpi` (with
//! the feature `mpi`) is that of processes that `mpirun` has started, [`ThreadGroup`] one of threads, for tests, and [`SingleProcess`] one of a process by itself, which trains as if
//! there were none. `docs/parallel.md` says how it works, and what it costs.
//!
//! ```
//! use gradc::data::array;
//! use gradc::parallel::ThreadGroup;
//! use gradc::prelude::*;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let data = Dataset::new(array([4, 1], vec![0.0f32, 1.0, 2.0, 3.0])?, array([4, 1], vec![1.0f32, 3.0, 5.0, 7.0])?)?;
//! let losses = ThreadGroup::run(2, |member| {
//!     let mut trainer = Sequential::new([1]).dense(1).compile(Sgd::new(0.1), MeanSquaredError, [])?;
//!     let history = trainer.fit(&data, Fit::epochs(20).batch(4).parallel(&member).silent())?;
//!     Ok::<_, TrainError>(history.last("loss"))
//! });
//! let losses: Vec<_> = losses.into_iter().collect::<Result<_, _>>()?;
//! assert!(losses[0] == losses[1] && losses[0] < Some(0.5));
//! # Ok(())
//! # }
//! ```

mod communicator;
mod error;
#[cfg(feature = "mpi")]
mod mpi;
mod ordered;
mod single;
#[cfg(test)]
mod tests;
mod threads;

#[cfg(feature = "mpi")]
pub use self::mpi::Mpi;
pub use communicator::Communicator;
pub(crate) use communicator::{gather_blocks, share_block};
pub use error::ParallelError;
pub use single::SingleProcess;
pub use threads::{GroupMember, ThreadGroup};

/// The threads for each process's programs, where processes share machines: as many as this one may use at once, divided by those that run beside it; at least 1. (A process that
/// `mpirun` has bound to a core may use one, which this leaves as it is; where each is bound to several cores, say their number by
/// [`CompileOptions::threads`](crate::compile::CompileOptions::threads).)
pub fn threads_per_process(communicator: &dyn Communicator) -> usize {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    (all / communicator.local_size().max(1)).max(1)
}
