//! Loops that reach the limits of a machine, to be loaded and timed.

use crate::object::{Function, KernelCode};
use crate::x86::peak::{PeakLoop, assemble};
use crate::{CodegenError, Object};
use cranelift::module::FuncId;
use kernel::Target;
use std::time::Duration;

/// A loop as an object of one kernel, whose `hi - lo` says how many passes it makes; and what a pass does on one thread.
#[derive(Clone, Debug)]
pub struct PeakCode {
    /// The code. Its step is the kernel.
    pub object: Object,
    /// Floating-point operations of a pass.
    pub flops: usize,
    /// Bytes read and written in a pass, as the loop names them: what a cache reads in order to write is not counted.
    pub bytes: usize,
}

/// The loop on arrays of about `array_bytes`, in the target's vectors.
///
/// # Errors
/// If the target is none that such a loop can be assembled for: x86-64 with fused multiply-add.
pub fn peak(what: PeakLoop, array_bytes: usize, target: &Target) -> Result<PeakCode, CodegenError> {
    if !target.instruction_set().is_x86() || !target.fma() {
        let message = "limits are measured on x86-64 with fused multiply-add only".into();
        return Err(CodegenError::Target { target: Box::new(target.clone()), message });
    }
    let assembled =
        assemble(what, target.vector_bytes(), array_bytes).map_err(|e| e.in_kernel(&format!("{what:?}")))?;
    let function = FuncId::from_u32(0);
    let kernel = KernelCode {
        name: format!("{what:?}"),
        params: vec![],
        function,
        scratch_bytes: assembled.scratch_bytes,
        parallel: Some(1),
        code_bytes: assembled.code.len(),
        emitter: crate::Backend::X86,
        compile_time: Duration::ZERO,
        dump: None,
    };
    let object = Object {
        target: target.clone(),
        functions: vec![Function::new(64, assembled.code)],
        step: function,
        kernels: vec![kernel],
        launches: vec![],
        launch_args: vec![],
        buffers: vec![],
        arena_bytes: Some(0),
        scratch_bytes: assembled.scratch_bytes,
        checks: vec![],
    };
    Ok(PeakCode { object, flops: assembled.flops, bytes: assembled.bytes })
}
