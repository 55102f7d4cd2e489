//! Arithmetic: the four operations, signs, minimum and maximum, fused multiply-add, square root.

use super::args::{Args, Emit};
use super::compare::{Order, UNORDERED};
use super::integer;
use crate::error::EmitError;
use crate::x86::encoding::Encoding;
use crate::x86::forms::{
    ADD, AND, DIV, Form, IABS, IADD, IMAX, IMIN, IMUL, ISUB, MAX, MIN, MUL, MULU, OR, RANGE, SHL_BY, SHR_BY, SQRT, SUB,
    UMAX, UMIN, XOR, of_size,
};
use crate::x86::lir::{Arg, VReg};
use crate::x86::unit::{Destination, Unit};
use kernel::{DType, ScalarOp};

pub(super) const OPS: &[(ScalarOp, Emit)] = &[
    (ScalarOp::ADD, |u, a| u.op(a.either(&ADD, &IADD), a.width, &a.regs, None)),
    (ScalarOp::SUB, |u, a| u.op(a.either(&SUB, &ISUB), a.width, &a.regs, None)),
    (ScalarOp::MUL, mul),
    (ScalarOp::DIV, div),
    (ScalarOp::NEG, neg),
    (ScalarOp::ABS, abs),
    (ScalarOp::MIN, |u, a| extremum(u, a, Extremum::Min)),
    (ScalarOp::MAX, |u, a| extremum(u, a, Extremum::Max)),
    (ScalarOp::FMA, fma),
    (ScalarOp::SQRT, sqrt),
];

fn mul(u: &mut Unit<'_>, a: &Args) -> Result<VReg, EmitError> {
    if a.dtype.is_int() && a.size == 8 && u.encoding == Encoding::Vex {
        return long_product(u, a);
    }
    u.op(a.either(&MUL, &IMUL), a.width, &a.regs, None)
}

/// The product of 64-bit lanes from products of their halves.
fn long_product(u: &mut Unit<'_>, a: &Args) -> Result<VReg, EmitError> {
    let (x, y) = (a.regs[0], a.regs[1]);
    let (x_high, y_high) = (u.op(&SHR_BY[1], a.width, &[x], Some(32))?, u.op(&SHR_BY[1], a.width, &[y], Some(32))?);
    let low = u.op(&MULU[1], a.width, &[x, y], None)?;
    let (left, right) = (u.op(&MULU[1], a.width, &[x_high, y], None)?, u.op(&MULU[1], a.width, &[x, y_high], None)?);
    let cross = u.op(&IADD[1], a.width, &[left, right], None)?;
    let high = u.op(&SHL_BY[1], a.width, &[cross], Some(32))?;
    u.op(&IADD[1], a.width, &[low, high], None)
}

fn div(u: &mut Unit<'_>, a: &Args) -> Result<VReg, EmitError> {
    if a.is_float() { u.op(of_size(&DIV, a.size), a.width, &a.regs, None) } else { integer::div(u, a) }
}

/// The bit of the sign in each lane.
fn sign(u: &mut Unit<'_>, a: &Args) -> VReg {
    u.splat_bits(1 << (8 * a.size - 1), a.size)
}

fn neg(u: &mut Unit<'_>, a: &Args) -> Result<VReg, EmitError> {
    if a.is_float() {
        let sign = sign(u, a);
        return u.op(of_size(&XOR, a.size), a.width, &[a.regs[0], sign], None);
    }
    let zero = u.splat_bits(0, 4);
    u.op(of_size(&ISUB, a.size), a.width, &[zero, a.regs[0]], None)
}

fn abs(u: &mut Unit<'_>, a: &Args) -> Result<VReg, EmitError> {
    if a.is_float() {
        let rest = u.splat_bits((1 << (8 * a.size - 1)) - 1, a.size);
        return u.op(of_size(&AND, a.size), a.width, &[a.regs[0], rest], None);
    }
    if a.dtype.is_unsigned_int() {
        return Ok(a.regs[0]);
    }
    if a.size == 8 && u.encoding == Encoding::Vex {
        let zero = u.splat_bits(0, 4);
        let negated = u.op(&ISUB[1], a.width, &[zero, a.regs[0]], None)?;
        let below = u.compare_ints(Order::Lt, 8, a.width, a.regs[0], zero)?;
        return u.blend(below, (negated, a.regs[0]), 8, a.width);
    }
    u.op(of_size(&IABS, a.size), a.width, &a.regs, None)
}

fn sqrt(u: &mut Unit<'_>, a: &Args) -> Result<VReg, EmitError> {
    if a.is_float() { u.op(of_size(&SQRT, a.size), a.width, &a.regs, None) } else { a.refuse("a square root") }
}

fn fma(u: &mut Unit<'_>, a: &Args) -> Result<VReg, EmitError> {
    match a.dtype {
        DType::F32 | DType::F64 => Ok(u.fma(&a.regs, a.size == 8, a.width)),
        _ => a.refuse("a fused multiply-add"),
    }
}

/// Which extremum.
#[derive(Clone, Copy, PartialEq)]
enum Extremum {
    Min,
    Max,
}

impl Extremum {
    /// The instruction: the first operand where it is beyond the second, else the second.
    fn form(self, size: usize) -> &'static Form {
        of_size(if self == Self::Min { &MIN } else { &MAX }, size)
    }
}

fn extremum(u: &mut Unit<'_>, a: &Args, which: Extremum) -> Result<VReg, EmitError> {
    if !a.is_float() {
        return integer_extremum(u, a, which);
    }
    let (x, y) = (a.regs[0], a.regs[1]);
    for (value, constant, bound) in [(x, a.constants[1], y), (y, a.constants[0], x)] {
        let Some(known) = constant.filter(|c| !c.is_nan()).map(kernel::Scalar::as_f64) else { continue };
        if which == Extremum::Min && known == 0.0 && known.is_sign_negative() {
            continue;
        }
        // The value where it isn't beyond the bound, NaN included. Zeros are equal, so that the value stays: where its sign could be the
        // wrong one, adding the bound (`-0 + 0 = 0`) mends it and changes nothing else.
        let chosen = u.op(which.form(a.size), a.width, &[bound, value], None)?;
        let mend = which == Extremum::Max && known == 0.0 && !known.is_sign_negative();
        return if mend { u.add(chosen, bound, a.size, a.width) } else { Ok(chosen) };
    }
    let ordered = if u.encoding == Encoding::Evex {
        let mode = if which == Extremum::Min { 0b0100 } else { 0b0101 };
        u.op(of_size(&RANGE, a.size), a.width, &[x, y], Some(mode))?
    } else {
        // Both orders: where the operands are zeros of either sign the results are those, and their signs combine.
        let (one, other) =
            (u.op(which.form(a.size), a.width, &[x, y], None)?, u.op(which.form(a.size), a.width, &[y, x], None)?);
        let combine = if which == Extremum::Min { &OR } else { &AND };
        u.op(of_size(combine, a.size), a.width, &[one, other], None)?
    };
    or_nan(u, a, ordered)
}

/// A NaN where an operand is NaN: the sum, or all bits.
fn or_nan(u: &mut Unit<'_>, a: &Args, ordered: VReg) -> Result<VReg, EmitError> {
    let (x, y) = (a.regs[0], a.regs[1]);
    let is_nan = u.compare_floats(UNORDERED, a.size, a.width, x, y)?;
    if u.encoding == Encoding::Evex {
        let dst = Destination { arg: Arg::Vec(ordered, a.width), updates: true };
        u.op_into(of_size(&ADD, a.size), a.width, dst, &[x, y], None, Some((is_nan, false)))?;
        return Ok(ordered);
    }
    u.op(of_size(&OR, a.size), a.width, &[ordered, is_nan], None)
}

fn integer_extremum(u: &mut Unit<'_>, a: &Args, which: Extremum) -> Result<VReg, EmitError> {
    let (x, y) = (a.regs[0], a.regs[1]);
    if a.size == 8 && u.encoding == Encoding::Vex {
        let order = if which == Extremum::Min { Order::Lt } else { Order::Gt };
        let wins = u.compare_integers(order, a.dtype, a.width, x, y)?;
        return u.blend(wins, (x, y), 8, a.width);
    }
    // Shorter ones are numbers of 32 bits with a sign.
    let forms = match (which, a.dtype) {
        (Extremum::Min, DType::U64 | DType::U32) => &UMIN,
        (Extremum::Max, DType::U64 | DType::U32) => &UMAX,
        (Extremum::Min, _) => &IMIN,
        (Extremum::Max, _) => &IMAX,
    };
    u.op(of_size(forms, a.size), a.width, &[x, y], None)
}
