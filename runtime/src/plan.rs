//! Checks that a program's memory plan can be executed: what the code relies on besides the kernels being valid.

use crate::PlanError;
use crate::arena::ALIGN;
use kernel::{Access, Buffer, BufferKind, DType, Launch, Param};
use std::collections::BTreeMap;

/// A kernel's name and parameters.
pub(crate) type Signature<'k> = (&'k str, &'k [Param]);

/// Checks that every buffer lies in the arena and every launch fits its kernel.
pub(crate) fn check(
    buffers: &[Buffer],
    arena_bytes: Option<usize>,
    launches: &[Launch],
    kernels: &[Signature<'_>],
) -> Result<(), PlanError> {
    let arena = arena_bytes.ok_or(PlanError::Unplanned)?;
    let states: BTreeMap<&str, (DType, usize)> = buffers.iter().filter_map(state).collect();
    for (b, buffer) in buffers.iter().enumerate() {
        let size = buffer.len.checked_mul(buffer.dtype.size_bytes());
        if let Some(name) = buffer.state() {
            let is_there = states.get(name) == Some(&(buffer.dtype, buffer.len));
            if buffer.offset.is_some() || size.is_none() || !is_there {
                let (bytes, offset) = (size.unwrap_or(usize::MAX), buffer.offset);
                return Err(PlanError::Misplaced { buffer: b, bytes, offset, arena });
            }
            continue;
        }
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
    for (at, launch) in launches.iter().enumerate() {
        check_launch(launch, buffers, kernels).map_err(|what| PlanError::Launch { launch: at, what })?;
    }
    Ok(())
}

/// The name and the type of a state.
fn state(buffer: &Buffer) -> Option<(&str, (DType, usize))> {
    match &buffer.kind {
        BufferKind::State { name } => Some((name, (buffer.dtype, buffer.len))),
        _ => None,
    }
}

fn check_launch(launch: &Launch, buffers: &[Buffer], kernels: &[Signature<'_>]) -> Result<(), String> {
    let unknown = || format!("there is no kernel {}", launch.kernel);
    let (name, params) = kernels.get(launch.kernel as usize).ok_or_else(unknown)?;
    if launch.args.len() != params.len() {
        let (found, expected) = (launch.args.len(), params.len());
        return Err(format!("`{name}` takes {expected} buffers, not {found}"));
    }
    for (p, (id, param)) in launch.args.iter().zip(*params).enumerate() {
        let buffer = buffers.get(id.0 as usize).ok_or_else(|| format!("there is no buffer b{}", id.0))?;
        if (buffer.dtype, buffer.len) != (param.dtype, param.len) {
            let describe = |dtype: DType, len: usize| format!("{dtype}[{len}]");
            return Err(format!(
                "p{p} of `{name}` is {}, but b{} is {}",
                describe(param.dtype, param.len),
                id.0,
                describe(buffer.dtype, buffer.len)
            ));
        }
        // Stores past the caches are of whole vectors at their own alignment.
        let aligned = buffer.state().is_some() || buffer.offset.is_some_and(|at| at.is_multiple_of(ALIGN));
        if param.access == Access::Stream && !aligned {
            return Err(format!(
                "p{p} of `{name}` is a stream, but b{} doesn't start at a multiple of {ALIGN} bytes",
                id.0
            ));
        }
    }
    Ok(())
}
