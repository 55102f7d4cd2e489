//! Division and remainder of integers of at most 32 bits, but `u32`, as quotients of floats: by 0 the result is 0, the least integer by -1 wraps.
//!
//! A quotient of two numbers of 31 bits that isn't whole is at least 2^-31 of itself away from the next whole one, and `f64` rounds by 2^-53 of it at most:
//! truncated, the rounded quotient is the exact one's whole part. So are those of 16 bits in `f32`.

use super::args::{Args, Emit};
use super::compare::Order;
use crate::error::EmitError;
use crate::x86::forms::{IMUL, ISUB};
use crate::x86::lir::VReg;
use crate::x86::unit::{Unit, Val};
use kernel::{DType, Scalar, ScalarOp};
use smallvec::smallvec;

pub(super) const OPS: &[(ScalarOp, Emit)] = &[(ScalarOp::REM, rem)];

pub(super) fn div(u: &mut Unit<'_>, a: &Args) -> Result<VReg, EmitError> {
    let quotient = quotient(u, a)?;
    // By 0 it is the least number of 32 bits, whose lower half is 0.
    if a.dtype.size_bytes() <= 2 { Ok(quotient) } else { zero_where_by_zero(u, a, quotient) }
}

fn rem(u: &mut Unit<'_>, a: &Args) -> Result<VReg, EmitError> {
    let quotient = quotient(u, a)?;
    let product = u.op(&IMUL[0], a.width, &[quotient, a.regs[1]], None)?;
    let rest = u.op(&ISUB[0], a.width, &[a.regs[0], product], None)?;
    zero_where_by_zero(u, a, rest)
}

/// The quotient truncated; by 0 it is the least number of 32 bits.
fn quotient(u: &mut Unit<'_>, a: &Args) -> Result<VReg, EmitError> {
    let float = match a.dtype {
        DType::I32 => DType::F64,
        DType::I16 | DType::I8 | DType::U16 | DType::U8 => DType::F32,
        _ => return a.refuse("a quotient"),
    };
    let whole = |reg: VReg| Val { dtype: DType::I32, size: 4, lanes: a.lanes, parts: smallvec![reg], constant: None };
    let x = u.cast(&whole(a.regs[0]), float)?;
    let quotient = match a.constants[1].map(Scalar::as_f64).filter(|&by| by != 0.0) {
        Some(by) => {
            let reciprocal = u.constant(reciprocal(by, float), a.lanes)?;
            u.apply(ScalarOp::MUL, &[x, reciprocal])?
        }
        None => {
            let y = u.cast(&whole(a.regs[1]), float)?;
            u.apply(ScalarOp::DIV, &[x, y])?
        }
    };
    Ok(u.convert(&quotient, DType::I32)?.parts[0])
}

/// Away from 0 by one unit at least, and two at most: products of whole multiples aren't less than whole, and the others still fall short of the next one.
fn reciprocal(of: f64, float: DType) -> Scalar {
    let size = of.abs().recip();
    let above = if float == DType::F64 { size.next_up() } else { f64::from((size as f32).next_up()) };
    Scalar::from_f64(above.copysign(of), float)
}

/// 0 in the lanes whose divisor is 0.
fn zero_where_by_zero(u: &mut Unit<'_>, a: &Args, value: VReg) -> Result<VReg, EmitError> {
    let zero = u.splat_bits(0, 4);
    match a.constants[1].map(Scalar::as_i64) {
        Some(0) => Ok(zero),
        Some(_) => Ok(value),
        None => {
            let by_zero = u.compare_ints(Order::Eq, 4, a.width, a.regs[1], zero)?;
            u.blend(by_zero, (zero, value), 4, a.width)
        }
    }
}
