//! A compiled program: machine code and the tables that running it needs.
//!
//! An object is data. It holds no address: functions refer to one another and to functions outside by relocations, in the types of
//! `cranelift-module`. So one object can be given to `cranelift-jit` or `cranelift-object`, kept in a file, and loaded many times.

mod bytes;
mod check;

pub use bytes::{FORMAT_VERSION, ObjectError};

use cranelift::codegen::ir::LibCall;
use cranelift::module::{FuncId, ModuleReloc, ModuleRelocTarget};
use kernel::{Buffer, Check, Launch, Param, Target};
use std::time::Duration;

/// Functions outside that code may call, where the processor has no instruction for them: of `f32` and `f64` in turn, the next integer
/// towards plus infinity, minus infinity and 0, the nearest one (ties to even), and `a * b + c` rounded once.
pub const LIB_CALLS: [LibCall; 10] = [
    LibCall::CeilF32,
    LibCall::CeilF64,
    LibCall::FloorF32,
    LibCall::FloorF64,
    LibCall::TruncF32,
    LibCall::TruncF64,
    LibCall::NearestF32,
    LibCall::NearestF64,
    LibCall::FmaF32,
    LibCall::FmaF64,
];

/// Which emitter made a kernel's code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Backend {
    /// The one for x86-64 with AVX2 or AVX-512.
    X86,
    /// The portable one, by Cranelift.
    Portable {
        /// What the other one doesn't provide, if the target has it.
        because: Option<String>,
    },
}

impl std::fmt::Display for Backend {
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
pub struct CodeDump {
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
    /// Its function among [`Object::functions`]: a [`crate::KernelFn`]. Kernels that are alike have the same.
    pub function: FuncId,
    /// Bytes of scratch memory it needs.
    pub scratch_bytes: usize,
    /// Iterations of its parallel loop, if it has one.
    pub parallel: Option<usize>,
    /// Bytes of machine code, constants included. 0 where the code is that of an equal kernel before it.
    pub code_bytes: usize,
    /// Which emitter made it. Of a kernel with the code of one before it, that one's.
    pub emitter: Backend,
    /// How long it took to compile.
    pub compile_time: Duration,
    /// Its text, if [`crate::EmitOptions::dump`] asked for it.
    pub dump: Option<CodeDump>,
}

/// A function's machine code, with the constants behind it.
#[derive(Clone)]
pub struct Function {
    pub(crate) align: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) relocs: Vec<ModuleReloc>,
}

impl Function {
    /// A function that refers to nothing.
    pub(crate) fn new(align: u64, bytes: Vec<u8>) -> Self {
        Self { align, bytes, relocs: vec![] }
    }

    /// What its address must be a multiple of.
    pub fn align(&self) -> u64 {
        self.align
    }

    /// The code.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is to be filled in, once functions have addresses.
    pub fn relocs(&self) -> &[ModuleReloc] {
        &self.relocs
    }
}

/// A compiled program. It runs nothing: calling the code is up to whoever owns the memory it works on.
#[derive(Clone)]
pub struct Object {
    pub(crate) target: Target,
    pub(crate) functions: Vec<Function>,
    pub(crate) step: FuncId,
    pub(crate) kernels: Vec<KernelCode>,
    pub(crate) launches: Vec<Launch>,
    pub(crate) launch_args: Vec<usize>,
    pub(crate) buffers: Vec<Buffer>,
    pub(crate) arena_bytes: Option<usize>,
    pub(crate) scratch_bytes: usize,
    pub(crate) checks: Vec<Check>,
}

impl Object {
    /// The machine it is for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// All functions, by their numbers.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The step's function: a [`crate::StepFn`].
    pub fn step(&self) -> FuncId {
        self.step
    }

    /// The kernels, in the program's order.
    pub fn kernels(&self) -> &[KernelCode] {
        &self.kernels
    }

    /// What the step runs, in order.
    pub fn launches(&self) -> &[Launch] {
        &self.launches
    }

    /// For each launch, the position of its first parameter in the table of addresses.
    pub fn launch_args(&self) -> &[usize] {
        &self.launch_args
    }

    /// The buffers, each with its place in the arena or among the states.
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// Bytes of the arena.
    pub fn arena_bytes(&self) -> Option<usize> {
        self.arena_bytes
    }

    /// Scratch memory a thread needs, in bytes.
    pub fn scratch_bytes(&self) -> usize {
        self.scratch_bytes
    }

    /// The first state that some launch writes; none if a step only reads states.
    pub fn changed_state(&self) -> Option<&str> {
        self.launches.iter().find_map(|launch| {
            let params = &self.kernels[launch.kernel as usize].params;
            let mut stored = launch.args.iter().zip(params).filter(|(_, param)| param.access.stores());
            stored.find_map(|(arg, _)| self.buffers[arg.0 as usize].state())
        })
    }

    /// What to tell the user when a check fails.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Bytes of machine code.
    pub fn code_bytes(&self) -> usize {
        self.functions.iter().map(|f| f.bytes.len()).sum()
    }
}

/// The names, in C, of the functions outside that code of these objects calls: of the mathematics library.
pub fn symbols_outside(objects: &[Object]) -> Vec<String> {
    let names = cranelift::module::default_libcall_names();
    let relocs = objects.iter().flat_map(|object| &object.functions).flat_map(|function| &function.relocs);
    let called: std::collections::BTreeSet<String> = relocs
        .filter_map(|reloc| match &reloc.name {
            ModuleRelocTarget::LibCall(call) => Some(names(*call)),
            _ => None,
        })
        .collect();
    called.into_iter().collect()
}

/// For each launch, the position of its first parameter in the table of addresses.
pub(crate) fn first_args(launches: &[Launch]) -> Vec<usize> {
    let mut next = 0;
    let place = |launch: &Launch| {
        next += launch.args.len();
        next - launch.args.len()
    };
    launches.iter().map(place).collect()
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (functions, bytes, kernels) = (self.functions.len(), self.code_bytes(), self.kernels.len());
        write!(f, "Object({}, {functions} functions of {bytes} bytes, {kernels} kernels)", self.target)
    }
}
