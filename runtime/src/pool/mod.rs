//! Threads that share parallel loops: fork and join.
//!
//! The process has one [`WorkerPool`], with as many workers as the most threads that an executable has asked for less the caller's. A step locks the
//! whole pool; meanwhile the steps of other threads run alone, so that cores are never shared by more threads than were asked for.
//!
//! A loop of `n` threads is cut into `n` equal shares, each into a few pieces. Thread `t` takes the pieces of share `t` in order, the
//! caller being thread 0, then what others have left. So each thread works on what it worked on in the launch before, and one that comes late,
//! because it slept or its core was taken away, holds nobody up. Results can't depend on any of that: an iteration computes the same
//! elements wherever it runs.
//!
//! Workers wait for the next loop awake, since it mostly follows at once, but not for long: then they sleep until they are woken. How they
//! are told of a loop stands in [`slot`], which the package `tests/loom` checks in all interleavings of a few threads.

mod slot;
mod sync;

use crate::LoadError;
use crate::arena::{ALIGN, Arena};
use codegen::{KernelFn, StepContext};
use slot::{Job, Slot, fork_join, serve_one};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::Thread;

/// Threads of a loop at most.
const MOST_THREADS: usize = 128;
/// Pieces of a thread's share at most: what is left to others when one is late.
const PIECES: i64 = 4;

/// A parallel loop to run, for one thread.
#[derive(Clone, Copy)]
struct LoopJob {
    kernel: KernelFn,
    args: *const *mut u8,
    extent: i64,
    /// This thread's scratch memory.
    scratch: *mut u8,
    threads: u32,
    pieces: u32,
}

impl Job for LoopJob {
    fn threads(&self) -> usize {
        self.threads as usize
    }

    fn pieces(&self) -> u32 {
        self.pieces
    }

    unsafe fn run(&self, piece: u32) -> i32 {
        let (at, all) = (i64::from(piece), i64::from(self.threads) * i64::from(self.pieces));
        let (lo, hi) = (self.extent * at / all, self.extent * (at + 1) / all);
        // SAFETY: who made the job vouches for the kernel, its arguments and the scratch memory, which is this thread's; iterations of a verified
        // parallel loop don't touch what other iterations write, and each piece is run once.
        unsafe { (self.kernel)(self.args, self.scratch, lo, hi) }
    }
}

/// The process's workers.
struct WorkerPool {
    slots: Box<[Slot<LoopJob>]>,
    /// Whether a step has the pool.
    locked: AtomicBool,
    /// The workers, of slots 1 and up.
    workers: Mutex<Vec<Thread>>,
}

impl WorkerPool {
    fn of_process() -> &'static Self {
        static POOL: OnceLock<WorkerPool> = OnceLock::new();
        POOL.get_or_init(|| Self {
            slots: (0..MOST_THREADS).map(|_| Slot::new()).collect(),
            locked: AtomicBool::new(false),
            workers: Mutex::new(vec![]),
        })
    }

    /// Starts workers until there are so many, and gives that many.
    fn workers(&'static self, count: usize) -> Result<Vec<Thread>, LoadError> {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        while workers.len() < count {
            let number = workers.len() + 1;
            let name = format!("gradc-worker-{number}");
            let serve = move || {
                loop {
                    serve_one(&self.slots, number);
                }
            };
            workers.push(std::thread::Builder::new().name(name).spawn(serve)?.thread().clone());
        }
        Ok(workers[..count].to_vec())
    }
}

/// The threads of an executable: workers of the pool, and memory for each.
pub(crate) struct Team {
    pool: &'static WorkerPool,
    workers: Vec<Thread>,
    /// Scratch memory, one for each thread.
    scratch: Vec<Arena>,
}

/// The pool, locked for a step.
pub(crate) struct PoolGuard(&'static WorkerPool);

impl Drop for PoolGuard {
    fn drop(&mut self) {
        self.0.locked.store(false, Ordering::Release);
    }
}

impl Team {
    /// A team of so many threads, the caller's included, each with scratch memory of its own.
    pub(crate) fn new(threads: usize, scratch_bytes: usize) -> Result<Self, LoadError> {
        let threads = threads.clamp(1, MOST_THREADS);
        let scratch = (0..threads)
            .map(|_| Arena::new(scratch_bytes.next_multiple_of(ALIGN), "a thread's scratch memory"))
            .collect::<Result<Vec<Arena>, LoadError>>()?;
        let pool = WorkerPool::of_process();
        Ok(Self { pool, workers: pool.workers(threads - 1)?, scratch })
    }

    /// Threads, the caller included.
    pub(crate) fn threads(&self) -> usize {
        self.scratch.len()
    }

    /// Scratch memory of the calling thread.
    pub(crate) fn caller_scratch(&self) -> *mut u8 {
        self.scratch(0)
    }

    /// Scratch memory of a thread.
    pub(crate) fn scratch(&self, number: usize) -> *mut u8 {
        self.scratch[number].address(0)
    }

    /// Locks the pool for a step, unless another step has it or the team needs no workers. Without it, loops must be run on the caller alone.
    pub(crate) fn try_lock(&self) -> Option<PoolGuard> {
        let free = !self.workers.is_empty() && !self.pool.locked.swap(true, Ordering::Acquire);
        // Not `then_some`: a guard that is made unlocks.
        free.then(|| PoolGuard(self.pool))
    }

    /// Locks the pool as soon as no other step has it; none if the team needs no workers.
    pub(crate) fn lock(&self) -> Option<PoolGuard> {
        loop {
            match self.try_lock() {
                None if !self.workers.is_empty() => std::thread::yield_now(),
                guard => return guard,
            }
        }
    }

    /// Runs a loop on all threads and waits for the end. Gives the smallest status other than 0, or 0.
    ///
    /// # Safety
    /// `kernel` must be a compiled kernel that was verified, `args` its parameters' addresses, valid until this returns. The caller must have
    /// locked the pool, if the team has workers.
    pub(crate) unsafe fn run(&self, kernel: KernelFn, args: *const *mut u8, extent: i64) -> i32 {
        if self.workers.is_empty() {
            // SAFETY: as this function's own contract; the caller's scratch memory is this thread's.
            return unsafe { kernel(args, self.caller_scratch(), 0, extent) };
        }
        let threads = self.threads();
        let pieces = (extent / threads as i64).clamp(1, PIECES) as u32;
        let job = |number: usize| {
            let scratch = self.scratch(number);
            LoopJob { kernel, args, extent, scratch, threads: threads as u32, pieces }
        };
        let wake = |number: usize| self.workers[number - 1].unpark();
        // SAFETY: slots are idle between forks, and no other step forks while this one has the pool; the rest is this function's own contract.
        unsafe { fork_join(&self.pool.slots[..threads], job, wake) }
    }
}

/// What a step's code calls for a parallel loop.
///
/// # Safety
/// `context` must point to a valid context whose `user` is a [`Team`] whose pool is locked, and the rest be as [`Team::run`] requires.
pub(crate) unsafe extern "C" fn parallel_for(
    context: *const StepContext,
    kernel: KernelFn,
    args: *const *mut u8,
    extent: i64,
) -> i32 {
    // SAFETY: by the contract, both pointers are valid for the duration of the call.
    unsafe { (*(*context).user.cast::<Team>()).run(kernel, args, extent) }
}
