//! Loops that reach the limits of the machine this process runs on, to be loaded and timed.

use crate::image::{Image, KernelCode};
use crate::x86::peak::{PeakLoop, assemble};
use crate::{CodegenError, Wide};
use std::time::Duration;

/// A loop as an image of one kernel, whose `hi - lo` says how many passes it makes; and what a pass does on one thread.
#[derive(Clone, PartialEq, Debug)]
pub struct PeakCode {
    /// The code. It has no step.
    pub image: Image,
    /// Floating-point operations of a pass.
    pub flops: usize,
    /// Bytes read and written in a pass, as the loop names them: what a cache reads in order to write is not counted.
    pub bytes: usize,
}

/// The loop on arrays of about `array_bytes`, in the widest vectors that the processor has and `GRADC_TARGET` allows.
///
/// # Errors
/// If the processor is none that such a loop can be assembled for: x86-64 with AVX2 and fused multiply-add.
pub fn peak(what: PeakLoop, array_bytes: usize) -> Result<PeakCode, CodegenError> {
    Wide::allowed()?;
    if Wide::of_processor().is_none() {
        let needed = "limits are measured on x86-64 with AVX2 and fused multiply-add only";
        return Err(CodegenError::Host(needed.into()));
    }
    let vector_bytes = Wide::of_host().map_or(16, Wide::vector_bytes);
    let assembled = assemble(what, vector_bytes, array_bytes).map_err(|e| e.in_kernel(&format!("{what:?}")))?;
    let kernel = KernelCode {
        name: format!("{what:?}"),
        params: vec![],
        start: 0,
        scratch_bytes: assembled.scratch_bytes,
        parallel: Some(1),
        code_bytes: assembled.code.len(),
        emitter: crate::Emitter::X86,
        compile_time: Duration::ZERO,
        dump: None,
    };
    let image = Image {
        code: assembled.code,
        lib_calls: vec![],
        step: 0,
        kernels: vec![kernel],
        launches: vec![],
        launch_args: vec![],
        buffers: vec![],
        arena_bytes: Some(0),
        scratch_bytes: assembled.scratch_bytes,
        checks: vec![],
    };
    Ok(PeakCode { image, flops: assembled.flops, bytes: assembled.bytes })
}
