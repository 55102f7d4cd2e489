//! A program as machine code in memory, without data: what executables share.

use crate::code::Code;
use crate::ports::collect;
use crate::{LoadError, plan};
use codegen::{Image, JitOptions, KernelCode, KernelFn, StepFn, Wide};
use kernel::{BufferKind, Check, Program, Spec};
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

/// A compiled program in memory, to be given an arena and run; any number of executables can share it.
pub struct Loaded {
    image: Image,
    code: Code,
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
        let signatures: Vec<_> = program.kernels.iter().map(|k| (k.name.as_str(), k.params.as_slice())).collect();
        plan::check(&program.buffers, program.arena_bytes, &program.launches, &signatures)?;
        collect(&program.buffers)?;
        kernel::verify(&program, Spec::PLANNED).map_err(|e| LoadError::Invalid(e.to_string()))?;
        let jit_options = JitOptions {
            verify: options.verify_code,
            dump: options.dump,
            threads: options.threads.max(1),
            wide: options.wide.min(Wide::of_host()),
        };
        let image = codegen::jit(program, &jit_options)?;
        let code = Code::new(&image)?;
        Ok(Self { image, code, compile_time: start.elapsed() })
    }

    /// Loads an image that was compiled before. That its tables don't contradict one another is checked; its code is run as it is.
    ///
    /// Safe code can't run bytes of its own choosing:
    ///
    /// ```compile_fail,E0133
    /// fn run(bytes: codegen::Image) {
    ///     drop(runtime::Loaded::from_image(bytes));
    /// }
    /// ```
    ///
    /// # Errors
    /// If its tables contradict one another, or there is no memory for code.
    ///
    /// # Safety
    /// The image must be one that [`codegen::jit`] gave for a program that [`kernel::verify()`] had accepted as planned, by this version of both, on a machine
    /// with the same description ([`codegen::host_description`]); as it was, if it has been kept somewhere since.
    pub unsafe fn from_image(image: Image) -> Result<Self, LoadError> {
        let signatures: Vec<_> = image.kernels.iter().map(|k| (k.name.as_str(), k.params.as_slice())).collect();
        plan::check(&image.buffers, image.arena_bytes, &image.launches, &signatures)?;
        collect(&image.buffers)?;
        let code = Code::new(&image)?;
        Ok(Self { image, code, compile_time: Duration::ZERO })
    }

    /// What it was loaded from.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// What to tell the user when a check fails.
    pub fn checks(&self) -> &[Check] {
        &self.image.checks
    }

    /// Bytes of code and constants, roughly what keeping it takes.
    pub fn bytes(&self) -> usize {
        let constants = self.image.buffers.iter().map(|buffer| match &buffer.kind {
            BufferKind::Constant { bytes } => bytes.len(),
            _ => 0,
        });
        2 * self.image.code.len() + constants.sum::<usize>()
    }

    /// The step's function, valid as long as this value.
    pub(crate) fn step(&self) -> StepFn {
        // SAFETY: the image says that it starts there.
        unsafe { self.code.step(self.image.step) }
    }

    /// The function of a launch's kernel, valid as long as this value, and the iterations of its parallel loop.
    pub(crate) fn launch_function(&self, launch: usize) -> (KernelFn, i64) {
        let kernel = &self.image.kernels[self.image.launches[launch].kernel as usize];
        // SAFETY: the image says that it starts there.
        let function = unsafe { self.code.kernel(kernel.start) };
        (function, kernel.parallel.unwrap_or(1) as i64)
    }

    /// The position of a launch's first parameter in the table of addresses.
    pub(crate) fn launch_args(&self, launch: usize) -> usize {
        self.image.launch_args[launch]
    }

    /// The kernels, in the program's order.
    pub fn kernels(&self) -> &[KernelCode] {
        &self.image.kernels
    }

    /// The launches, in order.
    pub fn launches(&self) -> &[kernel::Launch] {
        &self.image.launches
    }

    /// Scratch memory per thread, in bytes.
    pub fn scratch_bytes(&self) -> usize {
        self.image.scratch_bytes
    }

    /// From the program to runnable code; nothing if it was loaded from an image.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }
}
