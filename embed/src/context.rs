//! What an object's functions are called with: the beginning of `NAME_context`, which is alike in all entries, and parallel loops on the process's threads.

use crate::pool::{LoopBody, TaskFn, Threads};
use std::ffi::c_void;

/// The version of the C interface that [`StepHeader`] is of: the layout of the context, and what functions there are.
pub const ABI_VERSION: u32 = 1;

/// `gradc_parallel_for`: `(user, threads, task, job, extent)`.
type ParallelForFn = unsafe extern "C" fn(*mut c_void, u32, TaskFn, *mut c_void, i64);

/// The beginning of `NAME_context`; a pointer for each input and then each output comes behind it.
#[repr(C)]
#[derive(Debug)]
pub struct StepHeader {
    abi_version: u32,
    threads: u32,
    states: *mut u8,
    state_bytes: u64,
    arena: *mut u8,
    arena_bytes: u64,
    parallel_for: Option<ParallelForFn>,
    user: *mut c_void,
    /// What the step found out of the processor; 0 at first.
    pub processor: u64,
}

impl StepHeader {
    /// For the calling thread alone, and a processor that isn't known yet: the object's version, and where states and arena are, and of how many bytes.
    pub fn serial(abi_version: u32, states: (*mut u8, usize), arena: (*mut u8, usize)) -> Self {
        Self {
            abi_version,
            threads: 1,
            states: states.0,
            state_bytes: states.1 as u64,
            arena: arena.0,
            arena_bytes: arena.1 as u64,
            parallel_for: None,
            user: std::ptr::null_mut(),
            processor: 0,
        }
    }

    /// Has these threads share loops. Who runs a step with it must have locked their pool, and keep them where they are until it returns; the arena must be as large as so many threads need.
    pub fn share_among(&mut self, threads: &Threads) {
        self.threads = threads.count() as u32;
        self.parallel_for = Some(parallel_for);
        self.user = std::ptr::from_ref(threads).cast_mut().cast();
    }
}

/// What a step calls for a parallel loop.
///
/// # Safety
/// `user` must point to [`Threads`] whose pool is locked, and the rest be what an object's step gives.
unsafe extern "C" fn parallel_for(user: *mut c_void, threads: u32, task: TaskFn, job: *mut c_void, extent: i64) {
    // SAFETY: by the contract.
    let pool = unsafe { &*user.cast::<Threads>() };
    let body = |number: usize| LoopBody::Task(task, job, number as u32);
    // SAFETY: by the contract; the task may be run on any ranges that make up the extent, by threads of different numbers.
    unsafe { pool.run(threads as usize, body, extent) };
}
