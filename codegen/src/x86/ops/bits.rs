//! Logic on truth values, bits of integers, shifts, products of halves.

use super::args::{Args, Emit};
use crate::error::EmitError;
use crate::x86::encoding::Encoding;
use crate::x86::forms::{AND, ANDN, Form, IMUL, MULU, OR, SHL, SHL_BY, SHR, SHR_BY, XOR, of_size};
use crate::x86::lir::VReg;
use crate::x86::unit::Unit;
use iced_x86::Code;
use kernel::{DType, ScalarOp};

pub(super) const OPS: &[(ScalarOp, Emit)] = &[
    (ScalarOp::AND, |u, a| logic(u, a, &AND, Code::VEX_Kandw_kr_kr_kr)),
    (ScalarOp::OR, |u, a| logic(u, a, &OR, Code::VEX_Korw_kr_kr_kr)),
    (ScalarOp::XOR, |u, a| logic(u, a, &XOR, Code::VEX_Kxorw_kr_kr_kr)),
    (ScalarOp::NOT, not),
    (ScalarOp::SHL, |u, a| shift(u, a, &SHL_BY, &SHL)),
    (ScalarOp::LSHR, |u, a| shift(u, a, &SHR_BY, &SHR)),
    (ScalarOp::MUL_HALVES, mul_halves),
];

/// Whether the operands are in mask registers.
pub(super) fn in_masks(u: &Unit<'_>, a: &Args) -> bool {
    a.dtype == DType::Bool && u.encoding == Encoding::Evex
}

fn logic(u: &mut Unit<'_>, a: &Args, form: &'static [Form; 2], on_masks: Code) -> Result<VReg, EmitError> {
    if in_masks(u, a) {
        return Ok(u.mask_op(on_masks, &a.regs));
    }
    u.op(of_size(form, a.size), a.width, &a.regs, None)
}

fn not(u: &mut Unit<'_>, a: &Args) -> Result<VReg, EmitError> {
    if in_masks(u, a) {
        return Ok(u.mask_op(Code::VEX_Knotw_kr_kr, &a.regs));
    }
    let ones = u.splat_bits(0xffff_ffff, 4);
    if u.encoding == Encoding::Vex {
        return and_not(u, a, a.regs[0], ones);
    }
    u.op(&XOR[0], a.width, &[a.regs[0], ones], None)
}

/// By a constant if it is one. The instruction gives 0 for whatever isn't below the width, as the op does.
fn shift(
    u: &mut Unit<'_>,
    a: &Args,
    by_constant: &'static [Form; 2],
    by_lane: &'static [Form; 2],
) -> Result<VReg, EmitError> {
    if !a.dtype.is_int() {
        return a.refuse("a shift");
    }
    let bits = a.dtype.size_bytes() as i64 * 8;
    let mut regs = a.regs.clone();
    if a.dtype.is_signed_int() && bits < 32 {
        // Lanes of 32 bits repeat the sign: zeros move in, whichever way, and a negative number of places is none below the width.
        let own = u.splat_bits((1 << bits) - 1, 4);
        regs[0] = u.op(&AND[0], a.width, &[regs[0], own], None)?;
    }
    match a.constants[1].map(kernel::Scalar::as_i64) {
        Some(by) if (0..bits).contains(&by) => u.op(of_size(by_constant, a.size), a.width, &[regs[0]], Some(by as u8)),
        Some(_) => Ok(u.splat_bits(0, 4)),
        None => u.op(of_size(by_lane, a.size), a.width, &regs, None),
    }
}

/// One instruction for 64-bit lanes.
fn mul_halves(u: &mut Unit<'_>, a: &Args) -> Result<VReg, EmitError> {
    match a.dtype {
        DType::I64 | DType::U64 => u.op(&MULU[1], a.width, &a.regs, None),
        dtype if dtype.is_int() => {
            let ones = u.splat_bits((1 << (4 * a.dtype.size_bytes())) - 1, a.size);
            let (x, y) = (
                u.op(of_size(&AND, a.size), a.width, &[a.regs[0], ones], None)?,
                u.op(of_size(&AND, a.size), a.width, &[a.regs[1], ones], None)?,
            );
            u.op(of_size(&IMUL, a.size), a.width, &[x, y], None)
        }
        _ => a.refuse("a product of halves"),
    }
}

/// `!x & y`, bit by bit.
pub(super) fn and_not(u: &mut Unit<'_>, a: &Args, x: VReg, y: VReg) -> Result<VReg, EmitError> {
    u.op(of_size(&ANDN, a.size), a.width, &[x, y], None)
}
