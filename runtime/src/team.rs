//! The threads of an executable: those of the process's pool, each with scratch memory.

use crate::LoadError;
use crate::arena::{ALIGN, Arena};
use codegen::{KernelFn, StepContext};
use embed::pool::{LoopBody, MOST_THREADS, PoolGuard, Threads};

/// The threads of an executable, and memory for each.
pub(crate) struct Team {
    threads: Threads,
    /// Scratch memory, one for each thread.
    scratch: Vec<Arena>,
}

impl Team {
    /// A team of so many threads, the caller's included, each with scratch memory of its own.
    pub(crate) fn new(threads: usize, scratch_bytes: usize) -> Result<Self, LoadError> {
        let scratch = (0..threads.clamp(1, MOST_THREADS))
            .map(|_| Arena::new(scratch_bytes.next_multiple_of(ALIGN), "a thread's scratch memory"))
            .collect::<Result<Vec<Arena>, LoadError>>()?;
        Ok(Self { threads: Threads::of_process(threads)?, scratch })
    }

    /// Threads, the caller included.
    pub(crate) fn threads(&self) -> usize {
        self.threads.count()
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
        self.threads.try_lock()
    }

    /// Locks the pool as soon as no other step has it; none if the team needs no workers.
    pub(crate) fn lock(&self) -> Option<PoolGuard> {
        self.threads.lock()
    }

    /// Runs a loop on all threads and waits for the end. Gives the smallest status other than 0, or 0.
    ///
    /// # Safety
    /// `kernel` must be a compiled kernel that was verified, `args` its parameters' addresses, valid until this returns. The caller must have
    /// locked the pool, if the team has workers.
    pub(crate) unsafe fn run(&self, kernel: KernelFn, args: *const *mut u8, extent: i64) -> i32 {
        let body = |number: usize| LoopBody::Kernel(kernel, args, self.scratch(number));
        // SAFETY: this function's own contract; scratch memory is each thread's, and iterations of a verified parallel loop don't touch what others write.
        unsafe { self.threads.run(self.threads(), body, extent) }
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
