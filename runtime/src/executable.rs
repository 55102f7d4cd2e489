//! A program, compiled and given memory.

use crate::arena::Arena;
use crate::pool::{Pool, parallel_for};
use crate::ports::{Ports, collect};
use crate::{Element, LoadError, Port, PortError, PortKind, StepError, plan};
use codegen::{ABI_VERSION, Jit, JitOptions, KernelCode, StepContext, StepFn, Wide};
use kernel::{BufferKind, Check, DType, Program, Spec};
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

/// How to load a program.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Threads that run parallel loops, the caller included; at least 1.
    pub threads: usize,
    /// Has Cranelift's verifier check every function: for tests of the emitter.
    pub verify_code: bool,
    /// Keeps intermediate code and assembly of each kernel in the report.
    pub dump: bool,
    /// The vectors that register tiles are computed in; `None` for the portable 128 bits. More than the processor has is not used.
    pub wide: Option<Wide>,
}

impl Default for LoadOptions {
    /// One thread, the defaults of [`JitOptions`].
    fn default() -> Self {
        let jit = JitOptions::default();
        Self { threads: 1, verify_code: jit.verify, dump: jit.dump, wide: jit.wide }
    }
}

/// What compiling took, kernel by kernel.
#[derive(Clone, Debug)]
pub struct CompileReport {
    /// The kernels, in the program's order; [`KernelCode::address`] is valid as long as the executable lives.
    pub kernels: Vec<KernelCode>,
    /// From the program to runnable code.
    pub compile_time: Duration,
    /// Scratch memory per thread, in bytes.
    pub scratch_bytes: usize,
}

/// A loaded program: owns its code, its arena and its threads.
pub struct Executable {
    pub(crate) program: Program,
    // Before the code: its threads must be gone when the code is freed.
    pub(crate) pool: Box<Pool>,
    code: Code,
    arena: Arena,
    /// The addresses of all launches' parameters.
    pub(crate) args: Vec<*mut u8>,
    pub(crate) launch_args: Vec<usize>,
    ports: Ports,
    report: CompileReport,
}

// SAFETY: the addresses point into the arena and the code, which move along; nothing refers to the thread that made it.
unsafe impl Send for Executable {}

/// Machine code, and the step's function in it.
struct Code {
    module: ManuallyDrop<codegen::JitModule>,
    step: StepFn,
}

impl Drop for Code {
    fn drop(&mut self) {
        // SAFETY: the module is taken once, here.
        let module = unsafe { ManuallyDrop::take(&mut self.module) };
        // SAFETY: no code runs any more: a step borrows the executable exclusively, and its threads have been joined.
        unsafe { module.free_memory() }
    }
}

impl Executable {
    /// Verifies and compiles a program, allocates its memory (all zeros, constants filled in) and starts its threads. The verification is
    /// no option: it is what makes running the code safe.
    ///
    /// # Errors
    /// If the program is invalid or has no memory plan, uses what this machine's emitter doesn't provide, or memory or threads are not to
    /// be had.
    pub fn load(program: Program, options: &LoadOptions) -> Result<Self, LoadError> {
        let start = Instant::now();
        let arena_bytes = plan::check(&program)?;
        let ports = collect(&program)?;
        kernel::verify(&program, Spec::PLANNED).map_err(|e| LoadError::Invalid(e.to_string()))?;
        let threads = options.threads.max(1);
        let jit_options = JitOptions {
            verify: options.verify_code,
            dump: options.dump,
            threads,
            wide: options.wide.min(Wide::of_host()),
        };
        let jit = codegen::jit(&program, &jit_options)?;
        let mut arena = Arena::new(arena_bytes, "the arena")?;
        fill_constants(&program, &mut arena);
        let args = addresses(&program, &arena);
        let pool = Box::new(Pool::new(threads, jit.scratch_bytes)?);
        let (kernels, launch_args) = (jit.kernels.clone(), jit.launch_args.clone());
        let scratch_bytes = jit.scratch_bytes;
        let code = Code::new(jit);
        let report = CompileReport { kernels, compile_time: start.elapsed(), scratch_bytes };
        Ok(Self { program, pool, code, arena, args, launch_args, ports, report })
    }

    /// Runs the program once. Allocates nothing.
    ///
    /// # Errors
    /// If a check failed; see [`StepError`].
    pub fn step(&mut self) -> Result<(), StepError> {
        let context = self.context();
        // SAFETY: the function was compiled from a verified program, and the context holds what it was compiled for: the addresses of all
        // parameters, each as large as its kernel expects, scratch memory for this thread, and the pool.
        let status = unsafe { (self.code.step)(&raw const context) };
        self.check(status)
    }

    pub(crate) fn context(&self) -> StepContext {
        StepContext {
            version: ABI_VERSION,
            threads: self.pool.threads() as u32,
            args: self.args.as_ptr(),
            scratch: self.pool.caller_scratch(),
            parallel_for: Some(parallel_for),
            user: (&raw const *self.pool).cast_mut().cast(),
        }
    }

    pub(crate) fn check(&self, status: i32) -> Result<(), StepError> {
        if status == 0 {
            return Ok(());
        }
        let check = usize::try_from(status - 1).ok().and_then(|at| self.program.checks.get(at));
        let unknown = || Check { message: format!("the step returned the unknown status {status}"), loc: None };
        let Check { message, loc } = check.cloned().unwrap_or_else(unknown);
        Err(StepError { message, loc })
    }

    /// The ports: inputs, then outputs, then states, by name.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.values().flat_map(|of_kind| of_kind.values())
    }

    /// Bytes of the arena, which holds everything but scratch memory.
    pub fn arena_bytes(&self) -> usize {
        self.arena.bytes()
    }

    /// What compiling took.
    pub fn report(&self) -> &CompileReport {
        &self.report
    }

    /// Threads that run parallel loops.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The elements of an input, to write in place. (A `bool` input is written by [`Self::write_input`].)
    ///
    /// # Errors
    /// If there is no such input, or its elements have another type.
    pub fn input_mut<T: Element>(&mut self, name: &str) -> Result<&mut [T], PortError> {
        self.slice_mut(PortKind::Input, name)
    }

    /// Copies an input in.
    ///
    /// # Errors
    /// If there is no such input, its elements have another type, it has another length, or it is `bool` and a byte is neither 0 nor 1.
    pub fn write_input<T: Element>(&mut self, name: &str, values: &[T]) -> Result<(), PortError> {
        self.write(PortKind::Input, name, values)
    }

    /// The elements of an output, as the last step left them.
    ///
    /// # Errors
    /// If there is no such output, or its elements have another type.
    pub fn output<T: Element>(&self, name: &str) -> Result<&[T], PortError> {
        self.slice(PortKind::Output, name)
    }

    /// The elements of a state.
    ///
    /// # Errors
    /// If there is no such state, or its elements have another type.
    pub fn state<T: Element>(&self, name: &str) -> Result<&[T], PortError> {
        self.slice(PortKind::State, name)
    }

    /// The elements of a state, to write in place. (A `bool` state is written by [`Self::write_state`].)
    ///
    /// # Errors
    /// If there is no such state, or its elements have another type.
    pub fn state_mut<T: Element>(&mut self, name: &str) -> Result<&mut [T], PortError> {
        self.slice_mut(PortKind::State, name)
    }

    /// Copies a state in.
    ///
    /// # Errors
    /// As [`Self::write_input`].
    pub fn write_state<T: Element>(&mut self, name: &str, values: &[T]) -> Result<(), PortError> {
        self.write(PortKind::State, name, values)
    }

    fn port<T: Element>(&self, kind: PortKind, name: &str) -> Result<&Port, PortError> {
        let of_kind = self.ports.get(&kind);
        let Some(port) = of_kind.and_then(|ports| ports.get(name)) else {
            let known = of_kind.map(|ports| ports.keys().cloned().collect()).unwrap_or_default();
            return Err(PortError::Unknown { kind, name: name.to_owned(), known });
        };
        if !T::holds(port.dtype) {
            let name = name.to_owned();
            return Err(PortError::WrongType { kind, name, expected: port.dtype, found: T::NAME });
        }
        Ok(port)
    }

    fn slice<T: Element>(&self, kind: PortKind, name: &str) -> Result<&[T], PortError> {
        let port = self.port::<T>(kind, name)?;
        Ok(self.arena.slice(port.offset, port.len))
    }

    fn slice_mut<T: Element>(&mut self, kind: PortKind, name: &str) -> Result<&mut [T], PortError> {
        let port = self.port::<T>(kind, name)?;
        if port.dtype == DType::Bool {
            return Err(PortError::UncheckedBool { kind, name: name.to_owned() });
        }
        let (offset, len) = (port.offset, port.len);
        Ok(self.arena.slice_mut(offset, len))
    }

    fn write<T: Element>(&mut self, kind: PortKind, name: &str, values: &[T]) -> Result<(), PortError> {
        let port = self.port::<T>(kind, name)?;
        let (offset, expected) = (port.offset, port.len);
        if values.len() != expected {
            let (name, found) = (name.to_owned(), values.len());
            return Err(PortError::WrongLength { kind, name, expected, found });
        }
        if port.dtype == DType::Bool {
            let wrong = values.iter().filter_map(|v| v.byte()).enumerate().find(|(_, byte)| *byte > 1);
            if let Some((position, value)) = wrong {
                return Err(PortError::NotBool { kind, name: name.to_owned(), position, value });
            }
        }
        self.arena.slice_mut(offset, expected).copy_from_slice(values);
        Ok(())
    }
}

impl Code {
    fn new(jit: Jit) -> Self {
        // SAFETY: the address is that of the step's function, which has this signature and calling convention.
        let step = unsafe { std::mem::transmute::<*const u8, StepFn>(jit.step) };
        Self { module: ManuallyDrop::new(jit.into_module()), step }
    }
}

fn fill_constants(program: &Program, arena: &mut Arena) {
    for buffer in &program.buffers {
        if let (BufferKind::Constant { bytes }, Some(offset)) = (&buffer.kind, buffer.offset) {
            arena.slice_mut::<u8>(offset, bytes.len()).copy_from_slice(bytes);
        }
    }
}

/// The addresses of all launches' parameters, launch after launch.
fn addresses(program: &Program, arena: &Arena) -> Vec<*mut u8> {
    let offsets = program.launches.iter().flat_map(|l| l.args.iter().map(|&id| program.buffer(id).offset));
    offsets.map(|offset| arena.address(offset.unwrap_or(0))).collect()
}
