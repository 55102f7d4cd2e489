//! Rounding to integral values.

use super::args::{Args, Emit};
use crate::error::EmitError;
use crate::x86::forms::{ROUND, of_size};
use crate::x86::lir::VReg;
use crate::x86::unit::Unit;
use kernel::ScalarOp;

/// Modes of the instruction, without the exception for inexact results.
pub(super) const OPS: &[(ScalarOp, Emit)] = &[
    (ScalarOp::ROUND, |u, a| round(u, a, 0x8)),
    (ScalarOp::FLOOR, |u, a| round(u, a, 0x9)),
    (ScalarOp::CEIL, |u, a| round(u, a, 0xa)),
    (ScalarOp::TRUNC, |u, a| round(u, a, 0xb)),
];

fn round(u: &mut Unit<'_>, a: &Args, mode: u8) -> Result<VReg, EmitError> {
    if a.is_float() { u.op(of_size(&ROUND, a.size), a.width, &a.regs, Some(mode)) } else { a.refuse("rounding") }
}
