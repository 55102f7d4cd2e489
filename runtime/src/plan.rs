//! Checks that a program's memory plan can be executed: what the code relies on besides the kernels being valid.

use crate::PlanError;
use kernel::{BufferKind, DType, Program};

/// The arena's size, once every buffer is known to lie in it and every launch to fit its kernel.
pub(crate) fn check(program: &Program) -> Result<usize, PlanError> {
    let arena = program.arena_bytes.ok_or(PlanError::Unplanned)?;
    for (b, buffer) in program.buffers.iter().enumerate() {
        let size = buffer.len.checked_mul(buffer.dtype.size_bytes());
        let end = buffer.offset.zip(size).and_then(|(o, s)| o.checked_add(s));
        let aligned = buffer.offset.is_some_and(|o| o.is_multiple_of(buffer.dtype.size_bytes()));
        let bytes = size.unwrap_or(usize::MAX);
        if !aligned || end.is_none_or(|end| end > arena) {
            return Err(PlanError::Misplaced { buffer: b, bytes, offset: buffer.offset, arena });
        }
        match &buffer.kind {
            BufferKind::Constant { bytes: content } if content.len() != bytes => {
                return Err(PlanError::Constant { buffer: b, found: content.len(), expected: bytes });
            }
            _ => {}
        }
    }
    for (at, launch) in program.launches.iter().enumerate() {
        check_launch(program, launch).map_err(|what| PlanError::Launch { launch: at, what })?;
    }
    Ok(arena)
}

fn check_launch(program: &Program, launch: &kernel::Launch) -> Result<(), String> {
    let kernel =
        program.kernels.get(launch.kernel as usize).ok_or_else(|| format!("there is no kernel {}", launch.kernel))?;
    if launch.args.len() != kernel.params.len() {
        let (found, expected) = (launch.args.len(), kernel.params.len());
        return Err(format!("`{}` takes {expected} buffers, not {found}", kernel.name));
    }
    for (p, (id, param)) in launch.args.iter().zip(&kernel.params).enumerate() {
        let buffer = program.buffers.get(id.0 as usize).ok_or_else(|| format!("there is no buffer b{}", id.0))?;
        if (buffer.dtype, buffer.len) != (param.dtype, param.len) {
            let describe = |dtype: DType, len: usize| format!("{dtype}[{len}]");
            return Err(format!(
                "p{p} of `{}` is {}, but b{} is {}",
                kernel.name,
                describe(param.dtype, param.len),
                id.0,
                describe(buffer.dtype, buffer.len)
            ));
        }
    }
    Ok(())
}
