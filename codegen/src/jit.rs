//! Compiles a program for the machine this process runs on.

use crate::clif::step::{StepLaunch, emit_parts, emit_step, step_signature};
use crate::clif::wide::{TileFunctions, shapes};
use crate::clif::{emit_kernel, kernel_signature, parallel_extent, scratch_layout};
use crate::error::EmitError;
use crate::host::{Rewriting, has_fma, host_isa};
use crate::image::{Emitter, Function, FunctionId, Linker};
use crate::x86::{Wide, assemble};
use crate::{CodegenError, Dump, Image, KernelCode, cost};
use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::UserFuncName;
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::FunctionBuilderContext;
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

/// Compiles every distinct kernel of a program and the step that launches them. The same program gives the same code, whatever the number of
/// threads it is compiled on.
///
/// # Errors
/// If this machine is not supported, or a kernel uses an op, a type or a shape of statement that the emitter doesn't provide.
pub fn jit(program: Program, options: &JitOptions) -> Result<Image, CodegenError> {
    Wide::allowed()?;
    let isa = host_isa(options.verify, Rewriting::Full)?;
    let tile_isa = host_isa(options.verify, Rewriting::KeepOrder)?;
    let firsts = program.first_of_same_code();
    let distinct: Vec<usize> = (0..firsts.len()).filter(|&k| firsts[k] == k).collect();
    let mut linker = Linker::default();
    let tiles = options.wide.map(|wide| (add_tiles(&mut linker, &program, &distinct, wide), wide));
    let bodies = compile_all(&program, &distinct, ([&*isa, &*tile_isa], tiles.as_ref()), options)?;
    let mut compiled: Vec<Option<(FunctionId, &Compiled)>> = vec![None; program.kernels.len()];
    for (&k, body) in distinct.iter().zip(&bodies) {
        compiled[k] = Some((linker.add(&body.function), body));
    }
    let functions: Vec<FunctionId> = firsts.iter().filter_map(|&k| Some(compiled[k]?.0)).collect();
    // A step of a few launches may take less than a microsecond, where each instruction between them counts.
    let many = program.launches.len() > LAUNCHES_OF_A_SHORT_STEP;
    let step_isa = if many { host_isa(options.verify, Rewriting::Single)? } else { isa };
    let (step, launch_args) = compile_step(&mut linker, &program, &functions, &*step_isa, options.wide)?;
    let linked = linker.link()?;
    let start = |id: FunctionId| linked.starts[id.0 as usize];
    let kernels: Vec<KernelCode> = program
        .kernels
        .into_iter()
        .enumerate()
        .map(|(k, kernel)| {
            let [body, first] = [k, firsts[k]].map(|k| compiled[k].map(|(_, body)| body));
            KernelCode {
                start: start(functions[k]),
                scratch_bytes: scratch_layout(&kernel).1,
                parallel: parallel_extent(&kernel),
                code_bytes: body.map_or(0, |b| b.function.bytes.len()),
                emitter: first.map_or(Emitter::Portable { because: None }, |b| b.emitter.clone()),
                compile_time: body.map_or(Duration::ZERO, |b| b.time),
                dump: body.and_then(|b| b.dump.clone()),
                params: kernel.params.clone(),
                name: kernel.name,
            }
        })
        .collect();
    Ok(Image {
        step: start(step),
        scratch_bytes: kernels.iter().map(|k| k.scratch_bytes).max().unwrap_or(0),
        code: linked.code,
        lib_calls: linked.lib_calls,
        kernels,
        launches: program.launches,
        launch_args,
        buffers: program.buffers,
        arena_bytes: program.arena_bytes,
        checks: program.checks,
    })
}

fn backend(function: &str, error: &dyn std::fmt::Display) -> CodegenError {
    CodegenError::Backend { function: function.to_owned(), message: error.to_string() }
}

/// A compiled kernel before it has a place.
struct Compiled {
    function: Function,
    emitter: Emitter,
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
            let isa = if kernel::walk::has_tile(&kernel.body) { tile_isa } else { isa };
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

fn compile_kernel(
    kernel: &Kernel,
    number: usize,
    (isa, tiles): (&dyn TargetIsa, Option<&(TileFunctions, Wide)>),
    options: &JitOptions,
) -> Result<Compiled, CodegenError> {
    let start = Instant::now();
    let mut because = None;
    if let Some((functions, wide)) = tiles {
        match crate::x86::kernel::emit(kernel, *wide, functions, options.dump) {
            Ok((function, listing)) => {
                let dump = listing.map(|assembly| Dump { clif: String::new(), assembly });
                return Ok(Compiled { function, emitter: Emitter::X86, time: start.elapsed(), dump });
            }
            Err(EmitError::Unsupported(what) | EmitError::Malformed(what)) => because = Some(what),
        }
    }
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
    let function = Function::of_cranelift(&context).map_err(|e| backend(&kernel.name, &e))?;
    let emitter = Emitter::Portable { because };
    Ok(Compiled { function, emitter, time: start.elapsed(), dump })
}

/// Assembles the tiles of all kernels, each shape once. What can't be assembled is left to the portable emitter.
fn add_tiles(linker: &mut Linker, program: &Program, numbers: &[usize], wide: Wide) -> TileFunctions {
    let mut functions = TileFunctions::new();
    for shape in numbers.iter().flat_map(|&k| shapes(&program.kernels[k], wide)) {
        if functions.contains_key(&shape) {
            continue;
        }
        let Ok(bytes) = assemble(&shape) else { continue };
        functions.insert(shape, linker.add(&Function { bytes, relocs: vec![] }).0);
    }
    functions
}

/// Launches up to which a step's own code is made with care.
const LAUNCHES_OF_A_SHORT_STEP: usize = 32;

/// Launches of one function: a register allocator takes more than twice the time for a function twice as long.
const LAUNCHES_OF_A_PART: usize = 128;

/// Compiles the step, and says for each launch where its parameters are in the table of addresses. A long step calls its parts, one after the other.
fn compile_step(
    linker: &mut Linker,
    program: &Program,
    functions: &[FunctionId],
    isa: &dyn TargetIsa,
    wide: Option<Wide>,
) -> Result<(FunctionId, Vec<usize>), CodegenError> {
    let mut launch_args = Vec::new();
    let mut launches = Vec::new();
    let mut next = 0;
    for launch in &program.launches {
        let number = launch.kernel as usize;
        let (Some(kernel), Some(&function)) = (program.kernels.get(number), functions.get(number)) else {
            return Err(backend("step", &format!("a launch of kernel {number}, which doesn't exist")));
        };
        let extent = parallel_extent(kernel);
        launches.push(StepLaunch {
            kernel: function.0,
            args: next,
            extent: extent.unwrap_or(1),
            parallel: extent.is_some_and(|e| e > 1) && cost::worth_a_fork(kernel, wide),
        });
        launch_args.push(next);
        next += launch.args.len();
    }
    // Without a launch there is a part all the same.
    let chunks = launches.chunks(LAUNCHES_OF_A_PART).chain(launches.is_empty().then_some(&launches[..]));
    let mut parts = vec![];
    for part in chunks {
        parts.push(add_step(linker, isa, |function, context| {
            emit_step(part, isa.frontend_config(), function, context)
        })?);
    }
    while parts.len() > 1 {
        let mut callers = vec![];
        for called in parts.chunks(LAUNCHES_OF_A_PART) {
            let numbers: Vec<u32> = called.iter().map(|part: &FunctionId| part.0).collect();
            let emit =
                |function: &mut _, context: &mut _| emit_parts(&numbers, isa.frontend_config(), function, context);
            callers.push(add_step(linker, isa, emit)?);
        }
        parts = callers;
    }
    Ok((parts[0], launch_args))
}

/// Compiles a function with the step's signature.
fn add_step(
    linker: &mut Linker,
    isa: &dyn TargetIsa,
    emit: impl FnOnce(&mut cranelift_codegen::ir::Function, &mut FunctionBuilderContext),
) -> Result<FunctionId, CodegenError> {
    let mut context = Context::new();
    context.func.signature = step_signature(isa.default_call_conv());
    emit(&mut context.func, &mut FunctionBuilderContext::new());
    context.compile(isa, &mut ControlPlane::default()).map_err(|e| backend("step", &format!("{:?}", e.inner)))?;
    Ok(linker.add(&Function::of_cranelift(&context).map_err(|e| backend("step", &e))?))
}
