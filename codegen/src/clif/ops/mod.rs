//! Scalar ops as CLIF instructions, by family. Each file's table says which ops it provides; an op without an entry has an expansion
//! that the pass `decompose` inlines.

mod arith;
mod bits;
mod compare;
mod integer;
mod rounding;

use super::value::clif_type;
use cranelift::codegen::ir::{Type, Value};
use cranelift::frontend::FunctionBuilder;
use kernel::{DType, Scalar, ScalarOp};
use smallvec::SmallVec;

/// The operands of one instruction: parts of `chunk` lanes.
pub(super) struct Args {
    /// The element type of the operands (of the selected ones, for `select`).
    pub(super) dtype: DType,
    /// Lanes of each part.
    pub(super) chunk: u16,
    /// The parts.
    pub(super) values: SmallVec<[Value; 3]>,
    /// What is known of them.
    pub(super) constants: SmallVec<[Option<Scalar>; 3]>,
}

impl Args {
    fn ty(&self) -> Type {
        clif_type(self.dtype, self.chunk)
    }

    fn is_float(&self) -> bool {
        self.dtype.is_float()
    }
}

/// Emits an op. `None`: not for this type, or, with more than one lane, only lane by lane.
pub(super) type Emit = fn(&mut FunctionBuilder<'_>, &Args) -> Option<Value>;

/// The emitter of an op, if it is an instruction.
pub(super) fn find(op: ScalarOp) -> Option<Emit> {
    let families: [&[(ScalarOp, Emit)]; 4] = [arith::OPS, bits::OPS, compare::OPS, rounding::OPS];
    families.iter().flat_map(|family| family.iter()).find(|(o, _)| *o == op).map(|(_, emit)| *emit)
}
