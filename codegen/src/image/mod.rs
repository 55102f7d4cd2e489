//! A compiled program: machine code and the tables that running it needs.
//!
//! An image is data. It holds no address: functions call one another by distance, and the few places that need the address of
//! something outside are listed. So one image can be loaded many times, shared, and kept in a file.

mod bytes;
mod link;

pub use bytes::{FORMAT_VERSION, ImageError};
pub(crate) use link::{Function, FunctionId, Linker, Reloc, Target};

use kernel::{Buffer, Check, Launch, Param};
use std::time::Duration;

/// Where functions start: a cache line, and the widest vector, since constants stand beside the code.
pub(crate) const CODE_ALIGN: usize = 64;

/// Which emitter made a kernel's code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Emitter {
    /// The one for x86-64 with AVX2 or AVX-512.
    X86,
    /// The portable one, by Cranelift.
    Portable {
        /// What the other one doesn't provide, if this machine has it.
        because: Option<String>,
    },
}

impl std::fmt::Display for Emitter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::X86 => f.write_str("x86"),
            Self::Portable { because: None } => f.write_str("portable"),
            Self::Portable { because: Some(why) } => write!(f, "portable: {why}"),
        }
    }
}

/// Text of a compiled kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dump {
    /// Cranelift's intermediate code, as emitted; empty where another emitter made the code.
    pub clif: String,
    /// The machine code as assembly.
    pub assembly: String,
}

/// A compiled kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelCode {
    /// The kernel's name.
    pub name: String,
    /// Its parameters.
    pub params: Vec<Param>,
    /// Where its function starts in [`Image::code`]: a [`crate::KernelFn`].
    pub start: usize,
    /// Bytes of scratch memory it needs.
    pub scratch_bytes: usize,
    /// Iterations of its parallel loop, if it has one.
    pub parallel: Option<usize>,
    /// Bytes of machine code, constants included. 0 where the code is that of an equal kernel before it.
    pub code_bytes: usize,
    /// Which emitter made it. Of a kernel with the code of one before it, that one's.
    pub emitter: Emitter,
    /// How long it took to compile.
    pub compile_time: Duration,
    /// Its text, if [`crate::JitOptions::dump`] asked for it.
    pub dump: Option<Dump>,
}

/// A function outside that machine code may call where the processor has no instruction for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LibFunction {
    /// The next integer towards plus infinity, of an `f32`.
    CeilF32,
    /// The same of an `f64`.
    CeilF64,
    /// The next integer towards minus infinity, of an `f32`.
    FloorF32,
    /// The same of an `f64`.
    FloorF64,
    /// The next integer towards 0, of an `f32`.
    TruncF32,
    /// The same of an `f64`.
    TruncF64,
    /// The nearest integer, ties to even, of an `f32`.
    NearestF32,
    /// The same of an `f64`.
    NearestF64,
    /// `a * b + c` rounded once, of `f32`s.
    FmaF32,
    /// The same of `f64`s.
    FmaF64,
}

impl LibFunction {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::CeilF32,
        Self::CeilF64,
        Self::FloorF32,
        Self::FloorF64,
        Self::TruncF32,
        Self::TruncF64,
        Self::NearestF32,
        Self::NearestF64,
        Self::FmaF32,
        Self::FmaF64,
    ];
}

/// Eight bytes of the code that whoever loads it fills with the address of a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LibCall {
    /// Where, in [`Image::code`].
    pub at: usize,
    /// Which function's address.
    pub function: LibFunction,
}

/// A compiled program. It runs nothing: calling the code is up to whoever owns the memory it works on.
#[derive(Clone, PartialEq, Debug)]
pub struct Image {
    /// The machine code of all functions; to be loaded at a multiple of 4096.
    pub code: Vec<u8>,
    /// Addresses to be filled in.
    pub lib_calls: Vec<LibCall>,
    /// Where the step's function starts in the code: a [`crate::StepFn`].
    pub step: usize,
    /// The kernels, in the program's order.
    pub kernels: Vec<KernelCode>,
    /// What the step runs, in order.
    pub launches: Vec<Launch>,
    /// For each launch, the position of its first parameter in the table of addresses.
    pub launch_args: Vec<usize>,
    /// The buffers, each with its place in the arena.
    pub buffers: Vec<Buffer>,
    /// Bytes of the arena.
    pub arena_bytes: Option<usize>,
    /// Scratch memory a thread needs, in bytes.
    pub scratch_bytes: usize,
    /// What to tell the user when a check fails.
    pub checks: Vec<Check>,
}
