//! Arithmetic: the four operations, remainder, signs, minimum and maximum, fused multiply-add, square root.

use super::args::{Args, Emit};
use super::integer;
use crate::clif::value::bits_type;
use cranelift::codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift::codegen::ir::{InstBuilder, MemFlagsData, Value, types};
use cranelift::frontend::FunctionBuilder;
use kernel::{Scalar, ScalarOp};

pub(super) const OPS: &[(ScalarOp, Emit)] = &[
    (ScalarOp::ADD, add),
    (ScalarOp::SUB, sub),
    (ScalarOp::MUL, mul),
    (ScalarOp::DIV, div),
    (ScalarOp::REM, integer::rem),
    (ScalarOp::NEG, neg),
    (ScalarOp::ABS, abs),
    (ScalarOp::MIN, min),
    (ScalarOp::MAX, max),
    (ScalarOp::FMA, fma),
    (ScalarOp::SQRT, sqrt),
];

fn add(b: &mut FunctionBuilder<'_>, a: &Args) -> Option<Value> {
    let (x, y) = (a.values[0], a.values[1]);
    Some(if a.is_float() { b.ins().fadd(x, y) } else { b.ins().iadd(x, y) })
}

fn sub(b: &mut FunctionBuilder<'_>, a: &Args) -> Option<Value> {
    let (x, y) = (a.values[0], a.values[1]);
    Some(if a.is_float() { b.ins().fsub(x, y) } else { b.ins().isub(x, y) })
}

fn mul(b: &mut FunctionBuilder<'_>, a: &Args) -> Option<Value> {
    let (x, y) = (a.values[0], a.values[1]);
    Some(if a.is_float() { b.ins().fmul(x, y) } else { b.ins().imul(x, y) })
}

fn div(b: &mut FunctionBuilder<'_>, a: &Args) -> Option<Value> {
    if a.is_float() { Some(b.ins().fdiv(a.values[0], a.values[1])) } else { integer::div(b, a) }
}

fn neg(b: &mut FunctionBuilder<'_>, a: &Args) -> Option<Value> {
    Some(if a.is_float() { b.ins().fneg(a.values[0]) } else { b.ins().ineg(a.values[0]) })
}

fn abs(b: &mut FunctionBuilder<'_>, a: &Args) -> Option<Value> {
    Some(match a.dtype {
        dtype if dtype.is_unsigned_int() => a.values[0],
        _ if a.is_float() => b.ins().fabs(a.values[0]),
        _ => b.ins().iabs(a.values[0]),
    })
}

fn sqrt(b: &mut FunctionBuilder<'_>, a: &Args) -> Option<Value> {
    a.is_float().then(|| b.ins().sqrt(a.values[0]))
}

/// A call of a function outside where the target has no instruction.
fn fma(b: &mut FunctionBuilder<'_>, a: &Args) -> Option<Value> {
    a.is_float().then(|| b.ins().fma(a.values[0], a.values[1], a.values[2]))
}

/// Which extremum.
#[derive(Clone, Copy, PartialEq)]
enum Extremum {
    Min,
    Max,
}

fn min(b: &mut FunctionBuilder<'_>, a: &Args) -> Option<Value> {
    extremum(b, a, Extremum::Min)
}

fn max(b: &mut FunctionBuilder<'_>, a: &Args) -> Option<Value> {
    extremum(b, a, Extremum::Max)
}

fn extremum(b: &mut FunctionBuilder<'_>, a: &Args, which: Extremum) -> Option<Value> {
    let (x, y) = (a.values[0], a.values[1]);
    if !a.is_float() {
        return integer_extremum(b, a, which);
    }
    for (value, constant, bound) in [(x, a.constants[1], y), (y, a.constants[0], x)] {
        if let Some(bound_value) = constant.filter(|c| !c.is_nan()) {
            return Some(extremum_of_constant(b, a, value, bound, bound_value, which));
        }
    }
    Some(match which {
        Extremum::Min => b.ins().fmin(x, y),
        Extremum::Max => b.ins().fmax(x, y),
    })
}

/// `max(value, bound)` or `min(value, bound)` where the bound is not NaN: `bound` where `value` is beyond it, else `value`, which keeps
/// NaN. This is one instruction on x86 (`maxps`, `minps`), where the general `fmax` takes ten. Zeros compare equal, so that
/// `value` stays: where its sign could be the wrong one, adding the bound (`-0 + 0 = 0`) mends it and changes nothing else.
fn extremum_of_constant(
    b: &mut FunctionBuilder<'_>,
    a: &Args,
    value: Value,
    bound: Value,
    bound_value: Scalar,
    which: Extremum,
) -> Value {
    let zero = bound_value.as_f64() == 0.0;
    let negative = bound_value.as_f64().is_sign_negative();
    if which == Extremum::Min && zero && negative {
        return b.ins().fmin(value, bound);
    }
    // The shape that the instruction selector knows: "less than", with the comparison's operands in either order.
    let (less, more) = if which == Extremum::Max { (value, bound) } else { (bound, value) };
    let beyond = b.ins().fcmp(FloatCC::LessThan, less, more);
    let chosen = select_mask(b, a, beyond, bound, value);
    if which == Extremum::Max && zero && !negative { b.ins().fadd(chosen, bound) } else { chosen }
}

fn select_mask(b: &mut FunctionBuilder<'_>, a: &Args, condition: Value, yes: Value, no: Value) -> Value {
    if a.chunk == 1 {
        return b.ins().select(condition, yes, no);
    }
    let little = MemFlagsData::new().with_endianness(cranelift::codegen::ir::Endianness::Little);
    let mask = if a.is_float() { b.ins().bitcast(a.ty(), little, condition) } else { condition };
    b.ins().bitselect(mask, yes, no)
}

fn integer_extremum(b: &mut FunctionBuilder<'_>, a: &Args, which: Extremum) -> Option<Value> {
    let (x, y) = (a.values[0], a.values[1]);
    if a.chunk > 1 && bits_type(a.dtype) == types::I64 {
        if a.dtype.is_unsigned_int() {
            return None;
        }
        let condition = if which == Extremum::Min { IntCC::SignedLessThan } else { IntCC::SignedGreaterThan };
        let x_wins = b.ins().icmp(condition, x, y);
        return Some(select_mask(b, a, x_wins, x, y));
    }
    Some(match (which, a.dtype.is_unsigned_int()) {
        (Extremum::Min, true) => b.ins().umin(x, y),
        (Extremum::Max, true) => b.ins().umax(x, y),
        (Extremum::Min, false) => b.ins().smin(x, y),
        (Extremum::Max, false) => b.ins().smax(x, y),
    })
}
