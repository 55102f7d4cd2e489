//! Scalar ops as machine instructions, by family. Each file's table says which ops it provides; an op without an entry has an expansion
//! that the pass `decompose` inlines. `select` is emitted by the expression emitter: its operands differ in type.

mod args;
mod arith;
mod bits;
pub(super) mod compare;
mod integer;
mod rounding;

pub(super) use args::{Args, Emit};

use kernel::ScalarOp;

/// The emitter of an op, if it is an instruction.
pub(super) fn find(op: ScalarOp) -> Option<Emit> {
    let families: [&[(ScalarOp, Emit)]; 5] = [arith::OPS, bits::OPS, compare::OPS, integer::OPS, rounding::OPS];
    families.iter().flat_map(|family| family.iter()).find(|(o, _)| *o == op).map(|(_, emit)| *emit)
}
