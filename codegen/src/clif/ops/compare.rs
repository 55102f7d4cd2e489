//! Comparisons. `select` is emitted by the expression emitter: its operands differ in type.

use super::args::{Args, Emit};
use cranelift::codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift::codegen::ir::{InstBuilder, Value};
use cranelift::frontend::FunctionBuilder;
use kernel::{DType, ScalarOp};

pub(super) const OPS: &[(ScalarOp, Emit)] = &[
    (ScalarOp::EQ, |b, a| compare(b, a, FloatCC::Equal, IntCC::Equal)),
    (ScalarOp::NE, |b, a| compare(b, a, FloatCC::NotEqual, IntCC::NotEqual)),
    (ScalarOp::LT, |b, a| compare(b, a, FloatCC::LessThan, IntCC::SignedLessThan)),
    (ScalarOp::LE, |b, a| compare(b, a, FloatCC::LessThanOrEqual, IntCC::SignedLessThanOrEqual)),
    (ScalarOp::GT, |b, a| compare(b, a, FloatCC::GreaterThan, IntCC::SignedGreaterThan)),
    (ScalarOp::GE, |b, a| compare(b, a, FloatCC::GreaterThanOrEqual, IntCC::SignedGreaterThanOrEqual)),
];

fn compare(b: &mut FunctionBuilder<'_>, a: &Args, float: FloatCC, int: IntCC) -> Option<Value> {
    let (x, y) = (a.values[0], a.values[1]);
    Some(match a.dtype {
        // Vectors of 64 bits have an order with a sign alone.
        DType::U64 if a.chunk > 1 && !matches!(int, IntCC::Equal | IntCC::NotEqual) => return None,
        dtype if dtype.is_unsigned_int() => b.ins().icmp(int.unsigned(), x, y),
        _ if a.is_float() => b.ins().fcmp(float, x, y),
        _ => b.ins().icmp(int, x, y),
    })
}
