//! The binary interface between compiled code and whoever runs it; an object file that exports a step has the same.
//!
//! A kernel is `fn(args, scratch, lo, hi) -> status`. `args` points to the kernel's parameters' addresses, `scratch` to as many bytes
//! as [`crate::Object::scratch_bytes`] says, 64-byte aligned, one such stretch per thread; `lo..hi` are iterations of the kernel's parallel
//! loop, and ignored by kernels without one. The status is 0 for success, else the number of the failed check plus 1.
//!
//! The step is `fn(context) -> status`: it runs every launch of the program in order and stops at the first status other than 0.

use std::ffi::c_void;

/// The version of this interface; the layout of [`StepContext`] changes only together with it.
pub const ABI_VERSION: u32 = 1;

/// A kernel's function: `(args, scratch, lo, hi) -> status`.
pub type KernelFn = unsafe extern "C" fn(*const *mut u8, *mut u8, i64, i64) -> i32;

/// A step's function.
pub type StepFn = unsafe extern "C" fn(*const StepContext) -> i32;

/// Runs a kernel's iterations `0..extent` on several threads, and returns when all are done: the smallest status other than 0, or 0.
pub type ParallelFor = unsafe extern "C" fn(*const StepContext, KernelFn, *const *mut u8, i64) -> i32;

/// What a step needs to know; written by the caller, only read by the step.
#[repr(C)]
#[derive(Debug)]
pub struct StepContext {
    /// [`ABI_VERSION`].
    pub version: u32,
    /// Threads that [`Self::parallel_for`] uses; with 1 it is never called and may be null.
    pub threads: u32,
    /// The addresses of all launches' parameters, launch after launch, in the order of the parameters.
    pub args: *const *mut u8,
    /// Scratch memory of the calling thread.
    pub scratch: *mut u8,
    /// Runs a parallel loop.
    pub parallel_for: Option<ParallelFor>,
    /// Free for the caller's use in [`Self::parallel_for`].
    pub user: *mut c_void,
}
