//! Division and remainder of integers, without traps: by 0 the result is 0, the least integer by -1 wraps.

use super::args::Args;
use cranelift::codegen::ir::condcodes::IntCC;
use cranelift::codegen::ir::{InstBuilder, Value};
use cranelift::frontend::FunctionBuilder;

pub(super) fn div(b: &mut FunctionBuilder<'_>, a: &Args) -> Option<Value> {
    if a.chunk > 1 || !a.dtype.is_int() {
        return None;
    }
    let (x, y) = (a.values[0], a.values[1]);
    Some(match (a.dtype.is_unsigned_int(), constant_divisor(a)) {
        (true, Some(_)) => b.ins().udiv(x, y),
        (false, Some(_)) => b.ins().sdiv(x, y),
        (true, None) => {
            let safe = Divisor::unsigned(b, a);
            let quotient = b.ins().udiv(x, safe.value);
            b.ins().select(safe.is_zero, safe.zero, quotient)
        }
        (false, None) => {
            let (safe, is_minus_one) = Divisor::signed(b, a);
            let quotient = b.ins().sdiv(x, safe.value);
            let negated = b.ins().ineg(x);
            let quotient = b.ins().select(is_minus_one, negated, quotient);
            b.ins().select(safe.is_zero, safe.zero, quotient)
        }
    })
}

pub(super) fn rem(b: &mut FunctionBuilder<'_>, a: &Args) -> Option<Value> {
    if a.chunk > 1 || !a.dtype.is_int() {
        return None;
    }
    let (x, y) = (a.values[0], a.values[1]);
    Some(match (a.dtype.is_unsigned_int(), constant_divisor(a)) {
        (true, Some(_)) => b.ins().urem(x, y),
        (false, Some(_)) => b.ins().srem(x, y),
        (true, None) => {
            let safe = Divisor::unsigned(b, a);
            let remainder = b.ins().urem(x, safe.value);
            b.ins().select(safe.is_zero, safe.zero, remainder)
        }
        (false, None) => {
            // The remainder by the stand-in 1 is 0, as it is by -1 and by 0.
            let (safe, _) = Divisor::signed(b, a);
            b.ins().srem(x, safe.value)
        }
    })
}

/// The divisor, if it is known to be neither 0 nor -1.
fn constant_divisor(a: &Args) -> Option<i64> {
    a.constants[1].map(kernel::Scalar::as_i64).filter(|&y| y != 0 && y != -1)
}

/// A divisor with 1 in place of what would trap.
struct Divisor {
    value: Value,
    is_zero: Value,
    zero: Value,
}

impl Divisor {
    fn unsigned(b: &mut FunctionBuilder<'_>, a: &Args) -> Self {
        let (zero, one) = (b.ins().iconst(a.ty(), 0), b.ins().iconst(a.ty(), 1));
        let is_zero = b.ins().icmp(IntCC::Equal, a.values[1], zero);
        Self { value: b.ins().select(is_zero, one, a.values[1]), is_zero, zero }
    }

    fn signed(b: &mut FunctionBuilder<'_>, a: &Args) -> (Self, Value) {
        let not_zero = Self::unsigned(b, a);
        let one = b.ins().iconst(a.ty(), 1);
        let is_minus_one = b.ins().icmp_imm_s(IntCC::Equal, a.values[1], -1);
        let value = b.ins().select(is_minus_one, one, not_zero.value);
        (Self { value, ..not_zero }, is_minus_one)
    }
}
