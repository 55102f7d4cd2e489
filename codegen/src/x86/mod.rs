//! Whole kernels as x86-64 machine code in vectors of 256 or 512 bits.
//!
//! A kernel's statements become linear code on virtual registers ([`lir`]), made in one pass over its loops: [`stmt`], [`expr`], [`index`] (addresses
//! become pointers that move with each loop), [`memory`], [`cast`], [`fold`], [`extrema`], [`transpose`], [`tile`] (calls of the register tiles, which [`mod@assemble`] makes) and [`ops`], the table of
//! scalar ops. [`cleanup`] removes what nothing uses and folds loads, [`alloc`] assigns registers, [`encode`] makes bytes.
//!
//! A kernel vector of any length becomes parts of a full register each, the last one with what is left. Lanes of a register that hold no lane
//! of the vector may hold anything: they are never stored nor folded, and memory behind them isn't touched. What isn't provided here is an
//! error by which the caller leaves the kernel to the portable emitter; results are the same to the bit.

mod alloc;
mod asm;
mod assemble;
mod cast;
mod cleanup;
mod control;
mod encode;
pub(crate) mod encoding;
mod expr;
mod extrema;
mod fold;
mod forms;
mod frame;
mod index;
mod lane;
mod lir;
mod memory;
mod ops;
pub(crate) mod peak;
mod stmt;
mod tile;
mod transpose;
mod unit;

pub(crate) use assemble::assemble;

use crate::error::EmitError;
use crate::tile::TileFunctions;
use asm::Emitted;
use kernel::{Kernel, Target};
use unit::Unit;

/// Emits a kernel as a function by the System V convention with the signature of [`crate::KernelFn`].
///
/// # Errors
/// What this emitter doesn't provide; the portable one may.
pub(crate) fn emit(
    kernel: &Kernel,
    target: &Target,
    tiles: &TileFunctions,
    listing: bool,
) -> Result<Emitted, EmitError> {
    let mut unit = Unit::new(kernel, target, tiles);
    let encoding = unit.encoding;
    let body = unit.kernel()?;
    let mut lists = unit.into_lists();
    let mut code = lists.flatten(body);
    cleanup::run(&mut code, &lists, encoding);
    let allocation = alloc::allocate(&code, &lists.regs, encoding);
    encode::encode(&code, &lists, &allocation, encoding, listing)
}
