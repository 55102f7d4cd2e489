//! Compiles a program into an object for a target.

use crate::clif::step::{StepLaunch, emit_parts, emit_step, step_signature};
use crate::clif::{emit_kernel, emit_tile, kernel_signature};
use crate::cold;
use crate::error::EmitError;
use crate::isa::{Rewriting, isa_for};
use crate::layout::{parallel_extent, scratch_layout};
use crate::object::{Backend, Function, LIB_CALLS, first_args};
use crate::tile::{TileFunctions, TileShape, shapes, tile_signature};
use crate::x86::assemble;
use crate::{CodeDump, CodegenError, KernelCode, Object};
use cranelift::codegen::Context;
use cranelift::codegen::control::ControlPlane;
use cranelift::codegen::ir::UserFuncName;
use cranelift::codegen::isa::TargetIsa;
use cranelift::frontend::FunctionBuilderContext;
use cranelift::module::{FuncId, ModuleReloc, ModuleRelocTarget};
use kernel::{Kernel, Launch, Program, Target};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How to compile.
#[derive(Clone, Debug)]
pub struct EmitOptions {
    /// The machine that code is for.
    pub target: Target,
    /// Checks the intermediate code of every function by Cranelift's verifier: for tests of the emitter, it takes time.
    pub verify: bool,
    /// Keeps each kernel's intermediate code and assembly as text.
    pub dump: bool,
    /// Code for an object file: it calls functions outside by a table of addresses that the linker makes, so that it may be loaded anywhere. Only
    /// linkers take it; a process that runs what it compiles doesn't.
    pub position_independent: bool,
    /// Threads to compile kernels on; the result doesn't depend on it.
    pub threads: usize,
}

impl EmitOptions {
    /// Code for a target, compiled on one thread; verified in builds with debug assertions.
    pub fn new(target: Target) -> Self {
        Self { target, verify: cfg!(debug_assertions), dump: false, position_independent: false, threads: 1 }
    }
}

/// Where functions start: a cache line, and the widest vector, since constants stand beside the code.
const CODE_ALIGN: u64 = 64;

/// Functions by their numbers, which are those of the module that they will be declared in.
#[derive(Default)]
struct Functions(Vec<Function>);

impl Functions {
    fn add(&mut self, mut function: Function) -> FuncId {
        let id = FuncId::from_u32(self.0.len() as u32);
        for reloc in &mut function.relocs {
            if let ModuleRelocTarget::FunctionOffset(own, _) = &mut reloc.name {
                *own = id;
            }
        }
        self.0.push(function);
        id
    }
}

/// Compiles every distinct kernel of a program and the step that launches them. The same program and target give the same code, on whatever
/// machine and number of threads it is compiled.
///
/// # Errors
/// If the code generator doesn't have the target's architecture, or a kernel uses an op, a type or a shape of statement that the emitter doesn't provide.
pub fn emit(program: Program, options: &EmitOptions) -> Result<Object, CodegenError> {
    let target = &options.target;
    let isa = isa_for(target, (options.verify, options.position_independent), Rewriting::Full)?;
    let tile_isa = isa_for(target, (options.verify, options.position_independent), Rewriting::KeepOrder)?;
    let firsts = program.first_of_same_code();
    let distinct: Vec<usize> = (0..firsts.len()).filter(|&k| firsts[k] == k).collect();
    let mut functions = Functions::default();
    let tiles = add_tiles(&mut functions, &program, &distinct, (&*tile_isa, options))?;
    let quick_isa = isa_for(target, (options.verify, options.position_independent), Rewriting::Single)?;
    let cold = cold::kernels(&program, &firsts);
    let compile = |&k: &usize| {
        let isa = if cold.contains(&k) { &quick_isa } else { &isa };
        compile_kernel(&program.kernels[k], k, (&**isa, &tiles), options)
    };
    let bodies = in_parallel(&distinct, options.threads, compile)?;
    let mut compiled: Vec<Option<(FuncId, Compiled)>> = program.kernels.iter().map(|_| None).collect();
    for (&k, (function, body)) in distinct.iter().zip(bodies) {
        compiled[k] = Some((functions.add(function), body));
    }
    let of_kernels: Vec<FuncId> = firsts.iter().filter_map(|&k| Some(compiled[k].as_ref()?.0)).collect();
    // A step of a few launches may take less than a microsecond, where each instruction between them counts.
    let many = program.launches.len() > LAUNCHES_OF_A_SHORT_STEP;
    let step_isa = if many { quick_isa } else { isa };
    let launch_args = first_args(&program.launches);
    let step = compile_step(&mut functions, &program, (&of_kernels, &launch_args), &*step_isa)?;
    let kernels = kernels_of(program.kernels, &functions, &firsts, &of_kernels, &compiled);
    // No code depends on where a launch comes from: two users' programs may share it.
    let launches = program.launches.into_iter().map(|launch| Launch { origins: vec![], ..launch });
    let object = Object {
        target: target.clone(),
        step,
        scratch_bytes: kernels.iter().map(|k| k.scratch_bytes).max().unwrap_or(0),
        functions: functions.0,
        kernels,
        launches: launches.collect(),
        launch_args,
        buffers: program.buffers,
        arena_bytes: program.arena_bytes,
        checks: program.checks,
    };
    object.check(options.position_independent).map_err(|e| backend("the program", &e))?;
    Ok(object)
}

/// What is to be known of each kernel's code.
fn kernels_of(
    kernels: Vec<Kernel>,
    functions: &Functions,
    firsts: &[usize],
    of_kernels: &[FuncId],
    compiled: &[Option<(FuncId, Compiled)>],
) -> Vec<KernelCode> {
    let describe = |(k, kernel): (usize, Kernel)| {
        let own = compiled[k].as_ref();
        let first = compiled[firsts[k]].as_ref();
        KernelCode {
            function: of_kernels[k],
            scratch_bytes: scratch_layout(&kernel).1,
            parallel: parallel_extent(&kernel),
            code_bytes: own.map_or(0, |(id, _)| functions.0[id.as_u32() as usize].bytes.len()),
            emitter: first.map_or(Backend::Portable { because: None }, |(_, body)| body.emitter.clone()),
            compile_time: own.map_or(Duration::ZERO, |(_, body)| body.time),
            dump: own.and_then(|(_, body)| body.dump.clone()),
            params: kernel.params.clone(),
            name: kernel.name,
        }
    };
    kernels.into_iter().enumerate().map(describe).collect()
}

fn backend(function: &str, error: &dyn std::fmt::Display) -> CodegenError {
    CodegenError::Backend { function: function.to_owned(), message: error.to_string() }
}

/// How a kernel was compiled.
struct Compiled {
    emitter: Backend,
    time: Duration,
    dump: Option<CodeDump>,
}

/// A kernel's function, and how it was made; or why it wasn't.
type Emission = Result<(Function, Compiled), CodegenError>;

/// What a function gives for each item, on several threads; the order of the results is that of the items.
fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    f: impl Fn(&T) -> Result<R, CodegenError> + Sync,
) -> Result<Vec<R>, CodegenError> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Result<R, CodegenError>>>> = Mutex::new(items.iter().map(|_| None).collect());
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { break };
            let result = f(item);
            results.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            scope.spawn(work);
        }
        work();
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()
}

fn compile_kernel(
    kernel: &Kernel,
    number: usize,
    (isa, tiles): (&dyn TargetIsa, &TileFunctions),
    options: &EmitOptions,
) -> Emission {
    let start = Instant::now();
    let mut because = None;
    let target = &options.target;
    if target.is_wide() {
        match crate::x86::emit(kernel, target, tiles, options.dump) {
            Ok((function, listing)) => {
                let dump = listing.map(|assembly| CodeDump { clif: String::new(), assembly });
                return Ok((function, Compiled { emitter: Backend::X86, time: start.elapsed(), dump }));
            }
            Err(EmitError::Unsupported(what) | EmitError::Malformed(what)) => because = Some(what),
        }
    }
    let mut context = Context::new();
    context.func.signature = kernel_signature(isa.default_call_conv());
    context.func.name = UserFuncName::user(0, number as u32);
    let config = isa.frontend_config();
    emit_kernel(kernel, tiles, config, &mut context.func, &mut FunctionBuilderContext::new())
        .map_err(|e| e.in_kernel(&kernel.name))?;
    let clif = options.dump.then(|| context.func.display().to_string());
    context.set_disasm(options.dump);
    let code = context
        .compile(isa, &mut ControlPlane::default())
        .map_err(|e| backend(&kernel.name, &format!("{:?}", e.inner)))?;
    let dump = clif.map(|clif| CodeDump { clif, assembly: code.vcode.clone().unwrap_or_default() });
    let function = of_cranelift(&context).map_err(|e| backend(&kernel.name, &e))?;
    let emitter = Backend::Portable { because };
    Ok((function, Compiled { emitter, time: start.elapsed(), dump }))
}

/// Adds the functions of all kernels' tiles, each shape once.
fn add_tiles(
    functions: &mut Functions,
    program: &Program,
    numbers: &[usize],
    (isa, options): (&dyn TargetIsa, &EmitOptions),
) -> Result<TileFunctions, CodegenError> {
    let mut distinct = BTreeSet::new();
    let all = numbers.iter().flat_map(|&k| shapes(&program.kernels[k]));
    let shapes: Vec<TileShape> = all.filter(|shape| distinct.insert(shape.clone())).collect();
    let compiled = in_parallel(&shapes, options.threads, |shape| compile_tile(shape, isa, &options.target))?;
    let some = shapes.into_iter().zip(compiled).filter_map(|(shape, function)| Some((shape, function?)));
    Ok(some.map(|(shape, function)| (shape, functions.add(function).as_u32())).collect())
}

/// A tile in wide vectors, or else by Cranelift; none if the target can't multiply its factors.
fn compile_tile(shape: &TileShape, isa: &dyn TargetIsa, target: &Target) -> Result<Option<Function>, CodegenError> {
    if target.is_wide()
        && let Ok(bytes) = assemble(shape, target)
    {
        return Ok(Some(Function::new(CODE_ALIGN, bytes)));
    }
    if shape.factors != shape.sums {
        return Ok(None);
    }
    let mut context = Context::new();
    context.func.signature = tile_signature();
    emit_tile(shape, target.fma(), isa.frontend_config(), &mut context.func, &mut FunctionBuilderContext::new());
    context.compile(isa, &mut ControlPlane::default()).map_err(|e| backend("a tile", &format!("{:?}", e.inner)))?;
    of_cranelift(&context).map(Some).map_err(|e| backend("a tile", &e))
}

/// Launches up to which a step's own code is made with care.
const LAUNCHES_OF_A_SHORT_STEP: usize = 32;

/// Launches of one function: a register allocator takes more than twice the time for a function twice as long.
const LAUNCHES_OF_A_PART: usize = 128;

/// Compiles the step; `launch_args` says for each launch where its parameters are in the table of addresses. A long step calls its parts, one after the other.
fn compile_step(
    functions: &mut Functions,
    program: &Program,
    (of_kernels, launch_args): (&[FuncId], &[usize]),
    isa: &dyn TargetIsa,
) -> Result<FuncId, CodegenError> {
    let mut launches = Vec::new();
    for (launch, &args) in program.launches.iter().zip(launch_args) {
        let number = launch.kernel as usize;
        let (Some(kernel), Some(&function)) = (program.kernels.get(number), of_kernels.get(number)) else {
            return Err(backend("step", &format!("a launch of kernel {number}, which doesn't exist")));
        };
        launches.push(StepLaunch { kernel: function.as_u32(), args, extent: parallel_extent(kernel).unwrap_or(1) });
    }
    // Without a launch there is a part all the same.
    let chunks = launches.chunks(LAUNCHES_OF_A_PART).chain(launches.is_empty().then_some(&launches[..]));
    let mut parts = vec![];
    for part in chunks {
        parts.push(add_step(functions, isa, |function, context| {
            emit_step(part, isa.frontend_config(), function, context)
        })?);
    }
    while parts.len() > 1 {
        let mut callers = vec![];
        for called in parts.chunks(LAUNCHES_OF_A_PART) {
            let numbers: Vec<u32> = called.iter().map(|part: &FuncId| part.as_u32()).collect();
            let emit =
                |function: &mut _, context: &mut _| emit_parts(&numbers, isa.frontend_config(), function, context);
            callers.push(add_step(functions, isa, emit)?);
        }
        parts = callers;
    }
    Ok(parts[0])
}

/// Compiles a function with the step's signature.
fn add_step(
    functions: &mut Functions,
    isa: &dyn TargetIsa,
    emit: impl FnOnce(&mut cranelift::codegen::ir::Function, &mut FunctionBuilderContext),
) -> Result<FuncId, CodegenError> {
    let mut context = Context::new();
    context.func.signature = step_signature(isa.default_call_conv());
    emit(&mut context.func, &mut FunctionBuilderContext::new());
    context.compile(isa, &mut ControlPlane::default()).map_err(|e| backend("step", &format!("{:?}", e.inner)))?;
    Ok(functions.add(of_cranelift(&context).map_err(|e| backend("step", &e))?))
}

/// What Cranelift compiled. What it calls by name are numbers of functions.
fn of_cranelift(context: &Context) -> Result<Function, String> {
    let code = context.compiled_code().ok_or("there is no compiled code")?;
    // Its own number, which it gets when it is added.
    let own = FuncId::from_u32(0);
    let relocs: Vec<ModuleReloc> =
        code.buffer.relocs().iter().map(|reloc| ModuleReloc::from_mach_reloc(reloc, &context.func, own)).collect();
    for reloc in &relocs {
        match &reloc.name {
            ModuleRelocTarget::LibCall(call) if !LIB_CALLS.contains(call) => {
                return Err(format!("a call of the library function {call}"));
            }
            _ => {}
        }
    }
    let align = u64::from(code.buffer.alignment).max(CODE_ALIGN);
    Ok(Function { align, relocs, bytes: code.code_buffer().to_vec() })
}
