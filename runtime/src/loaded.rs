//! A program as machine code in memory, without data: what executables share.

use crate::code::LinkedCode;
use crate::host::{check_runs_here, host_target};
use crate::ports::collect;
use crate::{LoadError, plan};
use codegen::{EmitOptions, KernelCode, KernelFn, Object, StepFn};
use kernel::{BufferKind, Check, Program, Spec, Target};
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
    /// The machine that code is for; `None` for the one this process runs on.
    pub target: Option<Target>,
}

impl Default for LoadOptions {
    /// One thread, this machine; functions are checked in builds with debug assertions.
    fn default() -> Self {
        Self { threads: 1, verify_code: cfg!(debug_assertions), dump: false, target: None }
    }
}

/// Checks what machine code takes for granted of a program: that it is valid and has a memory plan that holds. Whoever gives [`codegen::emit()`]'s code memory to run
/// on asks this first.
///
/// # Errors
/// The first fault.
pub fn check_program(program: &Program) -> Result<(), LoadError> {
    let signatures: Vec<_> = program.kernels.iter().map(|k| (k.name.as_str(), k.params.as_slice())).collect();
    plan::check(&program.buffers, program.arena_bytes, &program.launches, &signatures)?;
    collect(&program.buffers)?;
    kernel::verify(program, Spec::PLANNED).map_err(|e| LoadError::Invalid(e.to_string()))
}

/// A compiled program in memory, to be given an arena and run; any number of executables can share it.
pub struct Loaded {
    object: Object,
    code: LinkedCode,
    /// From the program to runnable code.
    compile_time: Duration,
}

impl Loaded {
    /// Verifies and compiles a program. The verification is no option: it is what makes running the code safe.
    ///
    /// # Errors
    /// If the program is invalid or has no memory plan, uses what this machine's emitter doesn't provide, or there is no memory for code.
    pub fn compile(program: Program, options: &LoadOptions) -> Result<Self, LoadError> {
        let start = Instant::now();
        check_program(&program)?;
        let target = options.target.clone().map_or_else(host_target, Ok)?;
        check_runs_here(&target)?;
        let threads = options.threads.max(1);
        let emit = EmitOptions { verify: options.verify_code, dump: options.dump, threads, ..EmitOptions::new(target) };
        let object = codegen::emit(program, &emit)?;
        // SAFETY: the code generator made it of a program that the verifier has accepted.
        let code = unsafe { LinkedCode::new(&object) }?;
        Ok(Self { object, code, compile_time: start.elapsed() })
    }

    /// Loads an object that was compiled before. That its tables don't contradict one another is checked; its code is run as it is.
    ///
    /// Safe code can't run bytes of its own choosing:
    ///
    /// ```compile_fail,E0133
    /// fn run(bytes: codegen::Object) {
    ///     drop(runtime::Loaded::from_object(bytes));
    /// }
    /// ```
    ///
    /// # Errors
    /// If its tables contradict one another, it is for another machine, or there is no memory for code.
    ///
    /// # Safety
    /// The object must be one that [`codegen::emit()`] gave for a program that [`kernel::verify()`] had accepted as planned, by this version of both; as it
    /// was, if it has been kept somewhere since.
    pub unsafe fn from_object(object: Object) -> Result<Self, LoadError> {
        check_runs_here(object.target())?;
        let signatures: Vec<_> = object.kernels().iter().map(|k| (k.name.as_str(), k.params.as_slice())).collect();
        plan::check(object.buffers(), object.arena_bytes(), object.launches(), &signatures)?;
        collect(object.buffers())?;
        // SAFETY: the caller says that its functions are what its tables say.
        let code = unsafe { LinkedCode::new(&object) }?;
        Ok(Self { object, code, compile_time: Duration::ZERO })
    }

    /// What it was loaded from.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// What to tell the user when a check fails.
    pub fn checks(&self) -> &[Check] {
        self.object.checks()
    }

    /// Bytes of code and constants, roughly what keeping it takes.
    pub fn bytes(&self) -> usize {
        let constants = self.object.buffers().iter().map(|buffer| match &buffer.kind {
            BufferKind::Constant { bytes } => bytes.len(),
            _ => 0,
        });
        2 * self.object.code_bytes() + constants.sum::<usize>()
    }

    /// The step's function, valid as long as this value.
    pub(crate) fn step(&self) -> StepFn {
        self.code.step()
    }

    /// The function of a launch's kernel, valid as long as this value, and the iterations of its parallel loop.
    pub(crate) fn launch_function(&self, launch: usize) -> (KernelFn, i64) {
        let number = self.object.launches()[launch].kernel as usize;
        (self.code.kernel(number), self.object.kernels()[number].parallel.unwrap_or(1) as i64)
    }

    /// The position of a launch's first parameter in the table of addresses.
    pub(crate) fn launch_args(&self, launch: usize) -> usize {
        self.object.launch_args()[launch]
    }

    /// The kernels, in the program's order.
    pub fn kernels(&self) -> &[KernelCode] {
        self.object.kernels()
    }

    /// The launches, in order.
    pub fn launches(&self) -> &[kernel::Launch] {
        self.object.launches()
    }

    /// Scratch memory per thread, in bytes.
    pub fn scratch_bytes(&self) -> usize {
        self.object.scratch_bytes()
    }

    /// From the program to runnable code; nothing if it was loaded from an object.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }
}
