//! Logic on truth values, bits of integers, shifts, products of halves.

use super::args::{Args, Emit};
use cranelift::codegen::ir::condcodes::IntCC;
use cranelift::codegen::ir::{InstBuilder, Value, types};
use cranelift::frontend::FunctionBuilder;
use kernel::{DType, ScalarOp};

pub(super) const OPS: &[(ScalarOp, Emit)] = &[
    (ScalarOp::AND, |b, a| Some(b.ins().band(a.values[0], a.values[1]))),
    (ScalarOp::OR, |b, a| Some(b.ins().bor(a.values[0], a.values[1]))),
    (ScalarOp::XOR, |b, a| Some(b.ins().bxor(a.values[0], a.values[1]))),
    (ScalarOp::NOT, not),
    (ScalarOp::SHL, |b, a| shift(b, a, Direction::Left)),
    (ScalarOp::LSHR, |b, a| shift(b, a, Direction::Right)),
    (ScalarOp::MUL_HALVES, mul_halves),
];

fn not(b: &mut FunctionBuilder<'_>, a: &Args) -> Option<Value> {
    // A scalar truth value is 0 or 1: only its lowest bit may change.
    Some(if a.dtype == DType::Bool && a.chunk == 1 {
        b.ins().bxor_imm_u(a.values[0], 1)
    } else {
        b.ins().bnot(a.values[0])
    })
}

fn mul_halves(b: &mut FunctionBuilder<'_>, a: &Args) -> Option<Value> {
    if !a.dtype.is_int() {
        return None;
    }
    let ones = b.ins().iconst(a.ty().lane_type(), (1 << (4 * a.dtype.size_bytes())) - 1);
    let ones = if a.chunk > 1 { b.ins().splat(a.ty(), ones) } else { ones };
    let (x, y) = (b.ins().band(a.values[0], ones), b.ins().band(a.values[1], ones));
    Some(b.ins().imul(x, y))
}

#[derive(Clone, Copy)]
enum Direction {
    Left,
    Right,
}

fn shift(b: &mut FunctionBuilder<'_>, a: &Args, direction: Direction) -> Option<Value> {
    if !a.dtype.is_int() {
        return None;
    }
    let (x, by) = (a.values[0], a.values[1]);
    let width = a.dtype.size_bytes() as i64 * 8;
    let shifted = |b: &mut FunctionBuilder<'_>, by: Value| match direction {
        Direction::Left => b.ins().ishl(x, by),
        Direction::Right => b.ins().ushr(x, by),
    };
    match a.constants[1].map(kernel::Scalar::as_i64) {
        Some(by) if (0..width).contains(&by) => {
            let by = b.ins().iconst(types::I32, by);
            Some(shifted(b, by))
        }
        // Zero in every lane, whatever the type.
        Some(_) => Some(b.ins().bxor(x, x)),
        None if a.chunk > 1 => None,
        None => {
            let result = shifted(b, by);
            let zero = b.ins().iconst(a.ty(), 0);
            let in_range = b.ins().icmp_imm_u(IntCC::UnsignedLessThan, by, width);
            Some(b.ins().select(in_range, result, zero))
        }
    }
}
