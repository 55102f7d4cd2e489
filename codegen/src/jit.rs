//! Compiles a program into this process's memory.

use crate::clif::step::{StepLaunch, emit_step, step_signature};
use crate::clif::wide::{TileFunctions, shapes, tile_signature};
use crate::clif::{emit_kernel, kernel_signature, parallel_extent, scratch_layout};
use crate::host::{Rewriting, has_fma, host_isa};
use crate::x86::{Wide, assemble};
use crate::{CodegenError, cost};
use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::UserFuncName;
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::FunctionBuilderContext;
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, ModuleReloc};
use kernel::{Kernel, Program};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How to compile.
#[derive(Clone, Debug)]
pub struct JitOptions {
    /// Checks the intermediate code of every function by Cranelift's verifier: for tests of the emitter, it takes time.
    pub verify: bool,
    /// Keeps each kernel's intermediate code and assembly as text.
    pub dump: bool,
    /// Threads to compile kernels on; the result doesn't depend on it.
    pub threads: usize,
    /// The vectors that tiles are computed in; `None` leaves them to the portable emitter's 128 bits.
    pub wide: Option<Wide>,
}

impl Default for JitOptions {
    fn default() -> Self {
        Self { verify: cfg!(debug_assertions), dump: false, threads: 1, wide: Wide::of_host() }
    }
}

/// Text of a compiled kernel.
#[derive(Clone, Debug)]
pub struct Dump {
    /// Cranelift's intermediate code, as emitted.
    pub clif: String,
    /// The machine code as assembly.
    pub assembly: String,
}

/// A compiled kernel.
#[derive(Clone, Debug)]
pub struct KernelCode {
    /// The kernel's name.
    pub name: String,
    /// Where its function starts: a [`crate::KernelFn`].
    pub address: *const u8,
    /// Bytes of scratch memory it needs.
    pub scratch_bytes: usize,
    /// Iterations of its parallel loop, if it has one.
    pub parallel: Option<usize>,
    /// Bytes of machine code, constants included. 0 where the code is that of an equal kernel before it.
    pub code_bytes: usize,
    /// How long it took to compile.
    pub compile_time: Duration,
    /// Its text, if [`JitOptions::dump`] asked for it.
    pub dump: Option<Dump>,
}

/// A compiled program. It holds addresses of machine code; calling them is up to whoever owns the memory they work on.
pub struct Jit {
    module: JITModule,
    /// The kernels, in the order of [`Program::kernels`].
    pub kernels: Vec<KernelCode>,
    /// Where the step's function starts: a [`crate::StepFn`].
    pub step: *const u8,
    /// For each launch, the position of its first parameter in the table of addresses.
    pub launch_args: Vec<usize>,
    /// Scratch memory a thread needs, in bytes.
    pub scratch_bytes: usize,
}

impl Jit {
    /// The module that owns the code. The code is never freed unless the module's `free_memory` is called.
    pub fn into_module(self) -> JITModule {
        self.module
    }
}

/// Compiles every distinct kernel of a program and the step that launches them.
///
/// # Errors
/// If this machine is not supported, or a kernel uses an op, a type or a shape of statement that the emitter doesn't provide.
pub fn jit(program: &Program, options: &JitOptions) -> Result<Jit, CodegenError> {
    Wide::allowed()?;
    let isa = host_isa(options.verify, Rewriting::Full)?;
    let tile_isa = host_isa(options.verify, Rewriting::KeepOrder)?;
    let firsts = program.first_of_same_code();
    let distinct: Vec<usize> = (0..firsts.len()).filter(|&k| firsts[k] == k).collect();
    let mut module = JITModule::new(JITBuilder::with_isa(isa.clone(), cranelift_module::default_libcall_names()));
    let tiles =
        options.wide.map(|wide| Ok((define_tiles(&mut module, program, &distinct, wide)?, wide))).transpose()?;
    let bodies = compile_all(program, &distinct, ([&*isa, &*tile_isa], tiles.as_ref()), options)?;
    let mut functions: Vec<Option<FuncId>> = vec![None; program.kernels.len()];
    for (&k, body) in distinct.iter().zip(&bodies) {
        functions[k] = Some(define_kernel(&mut module, &program.kernels[k], k, body)?);
    }
    let functions: Vec<FuncId> = firsts.iter().filter_map(|&k| functions[k]).collect();
    let (step, launch_args) = define_step(&mut module, program, &functions)?;
    module.finalize_definitions().map_err(|e| backend("step", &e))?;
    let kernels: Vec<KernelCode> = program
        .kernels
        .iter()
        .enumerate()
        .map(|(k, kernel)| {
            let body = distinct.iter().position(|&d| d == k).map(|at| &bodies[at]);
            KernelCode {
                name: kernel.name.clone(),
                address: module.get_finalized_function(functions[k]),
                scratch_bytes: scratch_layout(kernel).1,
                parallel: parallel_extent(kernel),
                code_bytes: body.map_or(0, |b| b.bytes.len()),
                compile_time: body.map_or(Duration::ZERO, |b| b.time),
                dump: body.and_then(|b| b.dump.clone()),
            }
        })
        .collect();
    let scratch_bytes = kernels.iter().map(|k| k.scratch_bytes).max().unwrap_or(0);
    Ok(Jit { step: module.get_finalized_function(step), module, kernels, launch_args, scratch_bytes })
}

fn backend(function: &str, error: &dyn std::fmt::Display) -> CodegenError {
    CodegenError::Backend { function: function.to_owned(), message: error.to_string() }
}

/// A function's machine code before it has a place.
struct Compiled {
    bytes: Vec<u8>,
    alignment: u64,
    /// References to functions outside, with the function they stand in.
    context: Context,
    time: Duration,
    dump: Option<Dump>,
}

/// Compiles the kernels with these numbers, in parallel; the order of the results is that of the numbers.
fn compile_all(
    program: &Program,
    numbers: &[usize],
    ([isa, tile_isa], tiles): ([&dyn TargetIsa; 2], Option<&(TileFunctions, Wide)>),
    options: &JitOptions,
) -> Result<Vec<Compiled>, CodegenError> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Result<Compiled, CodegenError>>>> =
        Mutex::new(numbers.iter().map(|_| None).collect());
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(&number) = numbers.get(at) else { break };
            let kernel = &program.kernels[number];
            // Rewriting would move a tile's multiplications behind all its loads, which no register file holds.
            let isa = if has_tile(kernel) { tile_isa } else { isa };
            let compiled = compile_kernel(kernel, number, (isa, tiles), options);
            results.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(compiled);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..options.threads.min(numbers.len()) {
            scope.spawn(work);
        }
        work();
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()
}

fn has_tile(kernel: &Kernel) -> bool {
    let mut found = false;
    kernel::walk::visit_stmts(&kernel.body, &mut |stmt| found |= matches!(stmt, kernel::Stmt::Micro(_)));
    found
}

fn compile_kernel(
    kernel: &Kernel,
    number: usize,
    (isa, tiles): (&dyn TargetIsa, Option<&(TileFunctions, Wide)>),
    options: &JitOptions,
) -> Result<Compiled, CodegenError> {
    let start = Instant::now();
    let mut context = Context::new();
    context.func.signature = kernel_signature(isa.default_call_conv());
    context.func.name = UserFuncName::user(0, number as u32);
    let config = isa.frontend_config();
    let tiles = tiles.map(|(functions, wide)| (functions, *wide));
    emit_kernel(kernel, has_fma(isa), tiles, config, &mut context.func, &mut FunctionBuilderContext::new())
        .map_err(|e| e.in_kernel(&kernel.name))?;
    let clif = options.dump.then(|| context.func.display().to_string());
    context.set_disasm(options.dump);
    let code = context
        .compile(isa, &mut ControlPlane::default())
        .map_err(|e| backend(&kernel.name, &format!("{:?}", e.inner)))?;
    let dump = clif.map(|clif| Dump { clif, assembly: code.vcode.clone().unwrap_or_default() });
    let (bytes, alignment) = (code.code_buffer().to_vec(), u64::from(code.buffer.alignment));
    Ok(Compiled { bytes, alignment, context, time: start.elapsed(), dump })
}

/// Assembles the tiles of all kernels, each shape once.
fn define_tiles(
    module: &mut JITModule,
    program: &Program,
    numbers: &[usize],
    wide: Wide,
) -> Result<TileFunctions, CodegenError> {
    let signature = tile_signature();
    let mut functions = TileFunctions::new();
    for shape in numbers.iter().flat_map(|&k| shapes(&program.kernels[k], wide)) {
        if functions.contains_key(&shape) {
            continue;
        }
        // What can't be assembled is left to the portable emitter.
        let Ok(code) = assemble(&shape) else { continue };
        let name = format!("tile{}", functions.len());
        let id = module.declare_function(&name, Linkage::Local, &signature).map_err(|e| backend(&name, &e))?;
        module.define_function_bytes(id, 64, &code, &[]).map_err(|e| backend(&name, &e))?;
        functions.insert(shape, id.as_u32());
    }
    Ok(functions)
}

fn define_kernel(
    module: &mut JITModule,
    kernel: &Kernel,
    number: usize,
    body: &Compiled,
) -> Result<FuncId, CodegenError> {
    let signature = kernel_signature(module.isa().default_call_conv());
    let id = module
        .declare_function(&format!("kernel{number}"), Linkage::Local, &signature)
        .map_err(|e| backend(&kernel.name, &e))?;
    let relocs: Vec<ModuleReloc> = body
        .context
        .compiled_code()
        .map(|code| code.buffer.relocs())
        .unwrap_or_default()
        .iter()
        .map(|reloc| ModuleReloc::from_mach_reloc(reloc, &body.context.func, id))
        .collect();
    module
        .define_function_bytes(id, body.alignment.max(64), &body.bytes, &relocs)
        .map_err(|e| backend(&kernel.name, &e))?;
    Ok(id)
}

fn define_step(
    module: &mut JITModule,
    program: &Program,
    functions: &[FuncId],
) -> Result<(FuncId, Vec<usize>), CodegenError> {
    let signature = step_signature(module.isa().default_call_conv());
    let id = module.declare_function("step", Linkage::Local, &signature).map_err(|e| backend("step", &e))?;
    let mut context = module.make_context();
    context.func.signature = signature;
    let references: Vec<_> = functions.iter().map(|&f| module.declare_func_in_func(f, &mut context.func)).collect();
    let mut launch_args = Vec::new();
    let mut launches = Vec::new();
    let mut next = 0;
    for launch in &program.launches {
        let number = launch.kernel as usize;
        let (Some(kernel), Some(&reference)) = (program.kernels.get(number), references.get(number)) else {
            return Err(backend("step", &format!("a launch of kernel {number}, which doesn't exist")));
        };
        let extent = parallel_extent(kernel);
        launches.push(StepLaunch {
            kernel: reference,
            args: next,
            extent: extent.unwrap_or(1),
            parallel: extent.is_some_and(|e| e > 1) && cost::worth_a_fork(kernel),
        });
        launch_args.push(next);
        next += launch.args.len();
    }
    emit_step(&launches, module.target_config(), &mut context.func, &mut FunctionBuilderContext::new());
    module.define_function(id, &mut context).map_err(|e| backend("step", &e))?;
    Ok((id, launch_args))
}
