//! Machine code in memory.

use crate::LoadError;
use codegen::image::{Image, LibFunction};
use codegen::{KernelFn, StepFn};
use memmap2::{Mmap, MmapMut};

/// The code of an image, mapped so that it can be run and not be written. It is freed with this value, which whoever runs it must keep.
pub(crate) struct Code {
    map: Mmap,
    bytes: usize,
}

impl Code {
    /// Copies the code and fills in the addresses of functions outside.
    pub(crate) fn new(image: &Image) -> Result<Self, LoadError> {
        let bytes = image.code.len();
        let refused = |_| LoadError::OutOfMemory { what: "machine code", bytes };
        let mut map = MmapMut::map_anon(bytes.max(1)).map_err(refused)?;
        map[..bytes].copy_from_slice(&image.code);
        for call in &image.lib_calls {
            let place = map.get_mut(call.at..).and_then(|rest| rest.first_chunk_mut::<8>());
            *place.ok_or(LoadError::BrokenImage("a call beyond the end of the code"))? =
                (address_of(call.function) as u64).to_le_bytes();
        }
        let map = map.make_exec().map_err(LoadError::Protect)?;
        // SAFETY: the range is that of the mapping.
        unsafe { icache_coherence::clear_cache(map.as_ptr().cast(), map.len()) }.map_err(LoadError::Protect)?;
        icache_coherence::pipeline_flush_mt().map_err(LoadError::Protect)?;
        Ok(Self { map, bytes })
    }

    /// The address of a place in the code.
    ///
    /// # Panics
    /// If it lies outside.
    fn address(&self, start: usize) -> *const u8 {
        assert!(start < self.bytes, "a function at {start} in {} bytes of code", self.bytes);
        self.map[start..].as_ptr()
    }

    /// The function of a kernel. Calling it is sound as long as this value lives.
    ///
    /// # Safety
    /// The kernel must start there, in the image that this was made of.
    pub(crate) unsafe fn kernel(&self, start: usize) -> KernelFn {
        // SAFETY: a kernel's function has this signature and calling convention.
        unsafe { std::mem::transmute::<*const u8, KernelFn>(self.address(start)) }
    }

    /// The function of the step. Calling it is sound as long as this value lives.
    ///
    /// # Safety
    /// The step must start there, in the image that this was made of.
    pub(crate) unsafe fn step(&self, start: usize) -> StepFn {
        // SAFETY: the step's function has this signature and calling convention.
        unsafe { std::mem::transmute::<*const u8, StepFn>(self.address(start)) }
    }
}

/// The address of a function that code may call.
fn address_of(function: LibFunction) -> usize {
    macro_rules! unary {
        ($ty:ty, $method:ident) => {{
            extern "C" fn function(x: $ty) -> $ty {
                x.$method()
            }
            function as extern "C" fn($ty) -> $ty as usize
        }};
    }
    macro_rules! fma {
        ($ty:ty) => {{
            extern "C" fn function(a: $ty, b: $ty, c: $ty) -> $ty {
                a.mul_add(b, c)
            }
            function as extern "C" fn($ty, $ty, $ty) -> $ty as usize
        }};
    }
    match function {
        LibFunction::CeilF32 => unary!(f32, ceil),
        LibFunction::CeilF64 => unary!(f64, ceil),
        LibFunction::FloorF32 => unary!(f32, floor),
        LibFunction::FloorF64 => unary!(f64, floor),
        LibFunction::TruncF32 => unary!(f32, trunc),
        LibFunction::TruncF64 => unary!(f64, trunc),
        LibFunction::NearestF32 => unary!(f32, round_ties_even),
        LibFunction::NearestF64 => unary!(f64, round_ties_even),
        LibFunction::FmaF32 => fma!(f32),
        LibFunction::FmaF64 => fma!(f64),
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use codegen::image::LibCall;

    /// Code that jumps to a library function: `movabs rax, address; jmp rax`.
    fn jump_to(function: LibFunction) -> Image {
        let mut code = vec![0x48, 0xb8];
        code.extend([0; 8]);
        code.extend([0xff, 0xe0]);
        Image {
            code,
            lib_calls: vec![LibCall { at: 2, function }],
            step: 0,
            kernels: vec![],
            launches: vec![],
            launch_args: vec![],
            buffers: vec![],
            arena_bytes: Some(0),
            scratch_bytes: 0,
            checks: vec![],
        }
    }

    #[test]
    fn code_reaches_functions_outside() {
        let code = Code::new(&jump_to(LibFunction::FmaF32)).unwrap();
        // SAFETY: the code jumps to a function of this type.
        let fma = unsafe { std::mem::transmute::<*const u8, extern "C" fn(f32, f32, f32) -> f32>(code.address(0)) };
        assert_eq!(fma(3.0, 5.0, 0.25), 15.25);
        let code = Code::new(&jump_to(LibFunction::NearestF64)).unwrap();
        // SAFETY: as above.
        let nearest = unsafe { std::mem::transmute::<*const u8, extern "C" fn(f64) -> f64>(code.address(0)) };
        assert_eq!((nearest(2.5), nearest(3.5)), (2.0, 4.0));
        let distinct: std::collections::BTreeSet<usize> = LibFunction::ALL.into_iter().map(address_of).collect();
        assert_eq!(distinct.len(), LibFunction::ALL.len());
    }

    #[test]
    fn a_call_beyond_the_end_is_refused() {
        let mut image = jump_to(LibFunction::CeilF32);
        for at in [5, 12, usize::MAX] {
            image.lib_calls[0].at = at;
            assert!(matches!(Code::new(&image), Err(LoadError::BrokenImage(_))));
        }
    }
}
