//! How a step's object file is named in Rust: what a wrapper written by `gradc-build` says of it.

use crate::StatePlace;
use std::ffi::{c_char, c_void};

/// An input or an output of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortSpec {
    /// Its name.
    pub name: &'static str,
    /// The type of its elements, as a graph's text has it.
    pub dtype: &'static str,
    /// How many elements it has.
    pub len: usize,
    /// Whether the step writes it.
    pub is_output: bool,
}

/// A step in an object file that is linked: its functions, and what its manifest says. [`link_step!`](crate::link_step) implements it.
///
/// # Safety
/// The functions must be those of an object that gradc has compiled, and the constants those of its manifest.
pub unsafe trait CompiledStep {
    /// The version of the object's C interface.
    const ABI_VERSION: u32;
    /// Where the states lie.
    const STATES: &'static [StatePlace];
    /// Bytes of a block of states.
    const STATE_BYTES: usize;
    /// Inputs, then outputs, in the order of the context's fields.
    const PORTS: &'static [PortSpec];
    /// Whether a step changes states.
    const CHANGES_STATES: bool;

    /// `NAME_init`.
    ///
    /// # Safety
    /// As the page on objects says: the context must be one of this step's, and point to memory as large as its fields say.
    unsafe fn init(context: *mut c_void, seed: u64) -> i32;

    /// `NAME_step`.
    ///
    /// # Safety
    /// As [`Self::init`].
    unsafe fn step(context: *mut c_void) -> i32;

    /// `NAME_status_message`: a text that ends with a 0, and is never freed.
    fn status_message(status: i32) -> *const c_char;

    /// `NAME_arena_bytes`.
    fn arena_bytes(threads: u32) -> u64;
}

/// Implements [`CompiledStep`] for a type, by the symbols of an object file. For wrappers that `gradc-build` writes: nobody checks what stands there against the object.
#[doc(hidden)]
#[macro_export]
macro_rules! link_step {
    (
        $step:ident: init = $init:ident, step = $run:ident, status_message = $message:ident, arena_bytes = $arena:ident,
        abi_version = $version:expr, states = $states:expr, state_bytes = $bytes:expr, changes_states = $changes:expr, ports = $ports:expr
    ) => {
        /// The step's object file.
        struct $step;

        unsafe extern "C" {
            fn $init(context: *mut ::std::ffi::c_void, seed: u64) -> i32;
            fn $run(context: *mut ::std::ffi::c_void) -> i32;
            safe fn $message(status: i32) -> *const ::std::ffi::c_char;
            safe fn $arena(threads: u32) -> u64;
        }

        // SAFETY: the symbols and the numbers are of one build of the step.
        unsafe impl $crate::CompiledStep for $step {
            const ABI_VERSION: u32 = $version;
            const STATES: &'static [$crate::StatePlace] = &$states;
            const STATE_BYTES: usize = $bytes;
            const PORTS: &'static [$crate::PortSpec] = &$ports;
            const CHANGES_STATES: bool = $changes;

            unsafe fn init(context: *mut ::std::ffi::c_void, seed: u64) -> i32 {
                // SAFETY: this function's own contract.
                unsafe { $init(context, seed) }
            }

            unsafe fn step(context: *mut ::std::ffi::c_void) -> i32 {
                // SAFETY: this function's own contract.
                unsafe { $run(context) }
            }

            fn status_message(status: i32) -> *const ::std::ffi::c_char {
                $message(status)
            }

            fn arena_bytes(threads: u32) -> u64 {
                $arena(threads)
            }
        }
    };
}
