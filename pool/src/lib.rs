//! The pool of threads that gradc's own runtime has, with a C interface, which `gradc_pool.h` declares.
//!
//! `cargo rustc --release -p gradc-pool --crate-type staticlib` makes `libgradc_pool.a` of it. Steps never need it: any function that shares out a loop's iterations will do.

#![allow(unsafe_code)]

use embed::pool::{LoopBody, TaskFn, Threads};
use std::ffi::c_void;

/// A pool with threads of its own. Null if the system refuses them.
#[unsafe(no_mangle)]
pub extern "C" fn gradc_pool_new(threads: u32) -> *mut Threads {
    Threads::own(threads as usize).map_or(std::ptr::null_mut(), |pool| Box::into_raw(Box::new(pool)))
}

/// How many threads a pool has, the calling one counted; 1 for null.
///
/// # Safety
/// `pool` must be null, or of [`gradc_pool_new`] and not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gradc_pool_threads(pool: *const Threads) -> u32 {
    // SAFETY: by the contract.
    unsafe { pool.as_ref() }.map_or(1, |pool| pool.count() as u32)
}

/// What a step's context takes as `parallel_for`, with the pool as `user`. Without a pool, or while it has another loop, the calling thread runs everything.
///
/// # Safety
/// `pool` must be null, or of [`gradc_pool_new`] and not freed until this returns; the rest must be what a step gives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gradc_pool_parallel_for(
    pool: *mut c_void,
    threads: u32,
    task: TaskFn,
    job: *mut c_void,
    extent: i64,
) {
    // SAFETY: by the contract.
    let locked = unsafe { pool.cast::<Threads>().as_ref() }.and_then(|pool| Some((pool, pool.try_lock()?)));
    let body = |number: usize| LoopBody::Task(task, job, number as u32);
    match locked {
        // SAFETY: the job is valid until this returns, its iterations are independent, and the pool is locked.
        Some((pool, _guard)) => _ = unsafe { pool.run(threads as usize, body, extent) },
        // SAFETY: as above; thread 0 is the calling one.
        None => unsafe { task(job, 0, 0, extent) },
    }
}

/// Ends a pool's threads and waits for them.
///
/// # Safety
/// `pool` must be null, or of [`gradc_pool_new`], not freed, and used by nobody.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gradc_pool_free(pool: *mut Threads) {
    if !pool.is_null() {
        // SAFETY: it was made by `Box::into_raw`, and nobody uses it.
        drop(unsafe { Box::from_raw(pool) });
    }
}
