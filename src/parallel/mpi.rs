//! Processes that `mpirun` has started.

use super::ordered::add_in_order;
use super::{Communicator, ParallelError};
use mpi::Threading;
use mpi::datatype::Equivalence;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives as _, Root as _};
use std::cell::RefCell;
use std::io::Write as _;
use std::ops::AddAssign;

/// The processes of an MPI program, by the system's OpenMPI or MPICH: start the program by `mpirun -n 4 PROGRAM`. Started otherwise it is alone.
///
/// MPI only moves bytes here; what is added is added by this process, in the order of the ranks. `MPI_Allreduce` may add in another order, which depends on the algorithm that the library
/// chooses by the size of a message, the number of processes and where they run. A large sum is cut among processes: each gets its part of everybody's buffer
/// (`MPI_Alltoall`), adds, and all get all sums (`MPI_Allgather`), which moves as many bytes as the best algorithm of an all-reduce does. Of a small one each
/// process gets all buffers, and adds them itself.
///
/// A process that ends otherwise than by [`Drop`], or fails in MPI, ends all: `mpirun` says which it was.
pub struct Mpi {
    world: SimpleCommunicator,
    rank: usize,
    size: usize,
    local_size: usize,
    singles: RefCell<Scratch<f32>>,
    doubles: RefCell<Scratch<f64>>,
    // Ends MPI when it is dropped, after all that uses it.
    _universe: Universe,
}

/// Memory of sums.
#[derive(Default)]
struct Scratch<T> {
    send: Vec<T>,
    receive: Vec<T>,
    sum: Vec<T>,
}

/// Bytes of a buffer up to which each process adds all of it.
const SMALL: usize = 8192;
/// Elements of a call at most: MPI counts by `i32`, in all buffers together.
const CALL: usize = 1 << 28;

impl Mpi {
    /// Begins MPI; once in a process, by the thread that communicates.
    ///
    /// # Errors
    /// If it has begun before.
    pub fn init() -> Result<Self, ParallelError> {
        let begun = mpi::initialize_with_threading(Threading::Funneled);
        let (universe, _) = begun.ok_or_else(|| ParallelError::Mpi("it has been initialized before".into()))?;
        let world = universe.world();
        let count = |n: i32| usize::try_from(n).unwrap_or(1);
        let local_size = count(world.split_shared(world.rank()).size());
        Ok(Self {
            rank: count(world.rank()),
            size: count(world.size()),
            local_size,
            world,
            singles: RefCell::default(),
            doubles: RefCell::default(),
            _universe: universe,
        })
    }

    fn reduce<T: Equivalence + Copy + Default + AddAssign>(&self, buffer: &mut [T], scratch: &mut Scratch<T>) {
        let size = self.size;
        if size == 1 {
            return;
        }
        let largest = (CALL / size).max(1);
        for part in buffer.chunks_mut(largest) {
            match size_of_val(part) <= SMALL {
                true => self.reduce_small(part, scratch),
                false => self.reduce_large(part, scratch),
            }
        }
    }

    fn reduce_small<T: Equivalence + Copy + Default + AddAssign>(&self, buffer: &mut [T], scratch: &mut Scratch<T>) {
        scratch.receive.resize(buffer.len() * self.size, T::default());
        self.world.all_gather_into(&*buffer, &mut scratch.receive[..]);
        add_in_order(&scratch.receive, buffer);
    }

    fn reduce_large<T: Equivalence + Copy + Default + AddAssign>(&self, buffer: &mut [T], scratch: &mut Scratch<T>) {
        let Scratch { send, receive, sum } = scratch;
        let part = buffer.len().div_ceil(self.size);
        let whole = part * self.size;
        // The last part may be shorter: zeros fill it.
        send.clear();
        send.extend_from_slice(buffer);
        send.resize(whole, T::default());
        receive.resize(whole, T::default());
        sum.resize(part, T::default());
        self.world.all_to_all_into(&send[..], &mut receive[..]);
        add_in_order(receive, sum);
        self.world.all_gather_into(&sum[..], &mut send[..]);
        buffer.copy_from_slice(&send[..buffer.len()]);
    }
}

impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn local_size(&self) -> usize {
        self.local_size
    }

    fn all_reduce(&self, buffer: &mut [f32]) -> Result<(), ParallelError> {
        self.reduce(buffer, &mut self.singles.borrow_mut());
        Ok(())
    }

    fn all_reduce_f64(&self, buffer: &mut [f64]) -> Result<(), ParallelError> {
        self.reduce(buffer, &mut self.doubles.borrow_mut());
        Ok(())
    }

    fn all_gather(&self, send: &[u8], receive: &mut [u8]) -> Result<(), ParallelError> {
        let (expected, found) = (send.len() * self.size, receive.len());
        if expected != found {
            return Err(ParallelError::Length { rank: self.rank, found, expected });
        }
        // As columns, where one call can't take all rows.
        let columns = (CALL / self.size).max(1);
        if send.len() <= columns {
            self.world.all_gather_into(send, receive);
            return Ok(());
        }
        let mut part = Vec::new();
        for start in (0..send.len()).step_by(columns) {
            let end = send.len().min(start + columns);
            part.resize((end - start) * self.size, 0);
            self.world.all_gather_into(&send[start..end], &mut part[..]);
            for (row, from) in receive.chunks_mut(send.len()).zip(part.chunks(end - start)) {
                row[start..end].copy_from_slice(from);
            }
        }
        Ok(())
    }

    fn broadcast(&self, root: usize, bytes: &mut [u8]) -> Result<(), ParallelError> {
        let rank = i32::try_from(root).map_err(|_| ParallelError::Mpi(format!("there is no rank {root}")))?;
        let process = self.world.process_at_rank(rank);
        bytes.chunks_mut(CALL).for_each(|part| process.broadcast_into(part));
        Ok(())
    }

    fn barrier(&self) -> Result<(), ParallelError> {
        self.world.barrier();
        Ok(())
    }

    fn abort(&self, message: &str) {
        if self.size > 1 {
            // Nobody reads a closed standard error; the others end all the same.
            drop(writeln!(std::io::stderr(), "rank {} ends all {} processes: {message}", self.rank, self.size));
            self.world.abort(1);
        }
    }
}

/// A process that panics would wait for the others where MPI ends.
impl Drop for Mpi {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.abort("it panicked");
        }
    }
}
