//! Rounding to integral values.

use super::args::{Args, Emit};
use cranelift::codegen::ir::{InstBuilder, Value};
use kernel::ScalarOp;

pub(super) const OPS: &[(ScalarOp, Emit)] = &[
    (ScalarOp::FLOOR, |b, a| float_only(a).map(|x| b.ins().floor(x))),
    (ScalarOp::CEIL, |b, a| float_only(a).map(|x| b.ins().ceil(x))),
    (ScalarOp::ROUND, |b, a| float_only(a).map(|x| b.ins().nearest(x))),
    (ScalarOp::TRUNC, |b, a| float_only(a).map(|x| b.ins().trunc(x))),
];

fn float_only(a: &Args) -> Option<Value> {
    a.is_float().then(|| a.values[0])
}
