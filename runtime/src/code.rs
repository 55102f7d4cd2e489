//! Machine code in memory: an object given to `cranelift-jit`, a module for each program.

use crate::LoadError;
use codegen::object::LIB_CALLS;
use codegen::{KernelFn, Object, StepFn};
use cranelift::codegen::ir::{LibCall, Signature};
use cranelift::module::{FuncId, Module, ModuleError, ModuleResult};
use cranelift_jit::{BranchProtection, JITBuilder, JITMemoryKind, JITMemoryProvider, JITModule};
use memmap2::{Mmap, MmapMut};
use std::io;
use std::sync::{Mutex, PoisonError};

/// The functions of an object, where they can be run and not be written. They are freed with this value, which whoever runs them must keep.
pub(crate) struct LinkedCode {
    /// Owns the memory; nothing but the end asks it for anything, the lock makes it shareable.
    module: Mutex<Option<JITModule>>,
    step: StepFn,
    kernels: Vec<KernelFn>,
}

impl LinkedCode {
    /// Copies the functions and fills in what they refer to.
    ///
    /// # Errors
    /// If there is no memory for it, or the system doesn't let it be run.
    ///
    /// # Safety
    /// The functions must be what the object's tables say: the step one of that signature, kernels of theirs. Calling them is sound as long as
    /// this value lives.
    pub(crate) unsafe fn new(object: &Object) -> Result<Self, LoadError> {
        let bytes = CodeArena::bytes_for(object);
        let arena = CodeArena::new(bytes).map_err(|_| LoadError::OutOfMemory { what: "machine code", bytes })?;
        let mut builder = JITBuilder::with_isa(codegen::isa(object.target())?, Box::new(symbol));
        builder.symbols(LIB_CALLS.map(|call| (symbol(call), address_of(call))));
        builder.memory_provider(Box::new(arena));
        let mut module = JITModule::new(builder);
        let functions = define(&mut module, object).map_err(refused)?;
        let address = |id: FuncId| module.get_finalized_function(functions[id.as_u32() as usize]);
        // SAFETY: the caller says that these are the functions' types.
        let kernels =
            object.kernels().iter().map(|k| unsafe { std::mem::transmute::<*const u8, KernelFn>(address(k.function)) });
        let kernels = kernels.collect();
        // SAFETY: as above.
        let step = unsafe { std::mem::transmute::<*const u8, StepFn>(address(object.step())) };
        Ok(Self { module: Mutex::new(Some(module)), step, kernels })
    }

    /// The function of a kernel, by its number in the program.
    pub(crate) fn kernel(&self, number: usize) -> KernelFn {
        self.kernels[number]
    }

    /// The function of the step.
    pub(crate) fn step(&self) -> StepFn {
        self.step
    }
}

impl Drop for LinkedCode {
    fn drop(&mut self) {
        let module = self.module.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(module) = module {
            // SAFETY: whoever runs the code keeps this value, so nothing runs and nothing will.
            unsafe { module.free_memory() };
        }
    }
}

/// Gives all functions to a module, in the order of their numbers, and makes them ready to run.
fn define(module: &mut JITModule, object: &Object) -> ModuleResult<Vec<FuncId>> {
    // Nothing is called through the module, so that it needn't know how.
    let signature = Signature::new(module.isa().default_call_conv());
    let functions: Vec<FuncId> = object
        .functions()
        .iter()
        .map(|_| module.declare_anonymous_function(&signature))
        .collect::<ModuleResult<_>>()?;
    for (id, function) in functions.iter().zip(object.functions()) {
        module.define_function_bytes(*id, function.align(), function.bytes(), function.relocs())?;
    }
    module.finalize_definitions()?;
    Ok(functions)
}

fn refused(error: ModuleError) -> LoadError {
    match error {
        ModuleError::Allocation { err } => LoadError::Protect(err),
        other => LoadError::Protect(io::Error::other(other)),
    }
}

/// One stretch of memory for all code of a program. (The one that `cranelift-jit` provides panics where the system refuses.)
enum CodeArena {
    /// Being filled.
    Open { map: MmapMut, used: usize },
    /// Readable and executable.
    Closed(#[expect(dead_code, reason = "it keeps the memory")] Mmap),
    /// Freed.
    Gone,
}

impl CodeArena {
    /// What a function may need beside its bytes: room up to its start, and a way to a function far away for each call on AArch64.
    const BYTES_PER_CALL: usize = 24;

    fn bytes_for(object: &Object) -> usize {
        let bytes = |f: &codegen::Function| {
            f.bytes().len() + f.relocs().len() * Self::BYTES_PER_CALL + f.align().max(64) as usize
        };
        object.functions().iter().map(bytes).sum::<usize>().max(1)
    }

    fn new(bytes: usize) -> io::Result<Self> {
        Ok(Self::Open { map: MmapMut::map_anon(bytes)?, used: 0 })
    }
}

impl JITMemoryProvider for CodeArena {
    fn allocate(&mut self, size: usize, align: u64, _: JITMemoryKind) -> io::Result<*mut u8> {
        let Self::Open { map, used } = self else { return Err(io::ErrorKind::ReadOnlyFilesystem.into()) };
        let start = used.next_multiple_of(align.max(1) as usize);
        let place = map.get_mut(start..start + size).ok_or(io::ErrorKind::OutOfMemory)?;
        *used = start + size;
        Ok(place.as_mut_ptr())
    }

    unsafe fn free_memory(&mut self) {
        *self = Self::Gone;
    }

    fn finalize(&mut self, _: BranchProtection) -> ModuleResult<()> {
        let Self::Open { map, .. } = std::mem::replace(self, Self::Gone) else { return Ok(()) };
        let finish = || {
            let map = map.make_exec()?;
            // SAFETY: the range is that of the mapping.
            unsafe { icache_coherence::clear_cache(map.as_ptr().cast(), map.len()) }?;
            icache_coherence::pipeline_flush_mt()?;
            Ok(map)
        };
        *self = Self::Closed(finish().map_err(|err| ModuleError::Allocation { err })?);
        Ok(())
    }
}

/// The name by which a function outside is looked up.
fn symbol(call: LibCall) -> String {
    format!("gradc {call:?}")
}

/// The address of a function that code may call.
fn address_of(call: LibCall) -> *const u8 {
    macro_rules! unary {
        ($ty:ty, $method:ident) => {{
            extern "C" fn function(x: $ty) -> $ty {
                x.$method()
            }
            function as extern "C" fn($ty) -> $ty as *const u8
        }};
    }
    macro_rules! fma {
        ($ty:ty) => {{
            extern "C" fn function(a: $ty, b: $ty, c: $ty) -> $ty {
                a.mul_add(b, c)
            }
            function as extern "C" fn($ty, $ty, $ty) -> $ty as *const u8
        }};
    }
    match call {
        LibCall::CeilF32 => unary!(f32, ceil),
        LibCall::CeilF64 => unary!(f64, ceil),
        LibCall::FloorF32 => unary!(f32, floor),
        LibCall::FloorF64 => unary!(f64, floor),
        LibCall::TruncF32 => unary!(f32, trunc),
        LibCall::TruncF64 => unary!(f64, trunc),
        LibCall::NearestF32 => unary!(f32, round_ties_even),
        LibCall::NearestF64 => unary!(f64, round_ties_even),
        LibCall::FmaF32 => fma!(f32),
        LibCall::FmaF64 => fma!(f64),
        _ => std::ptr::null(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_outside_has_an_address_of_its_own() {
        let distinct: std::collections::BTreeSet<_> = LIB_CALLS.into_iter().map(address_of).collect();
        assert_eq!(distinct.len(), LIB_CALLS.len());
        assert!(!distinct.contains(&std::ptr::null()));
    }

    #[test]
    fn memory_is_given_once_and_no_more_than_there_is() {
        let mut arena = CodeArena::new(256).unwrap();
        let kind = || JITMemoryKind::Executable;
        let first = arena.allocate(10, 64, kind()).unwrap();
        let second = arena.allocate(100, 64, kind()).unwrap();
        assert_eq!((second.addr() - first.addr(), first.addr() % 64), (64, 0));
        assert!(arena.allocate(100, 64, kind()).is_err());
        arena.finalize(BranchProtection::None).unwrap();
        assert!(arena.allocate(1, 1, kind()).is_err());
    }
}
