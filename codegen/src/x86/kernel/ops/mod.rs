//! Scalar ops as machine instructions, by family. Each file's table says which ops it provides; an op without an entry has an expansion
//! that the pass `decompose` inlines. `select` is emitted by the expression emitter: its operands differ in type.

mod arith;
mod bits;
pub(super) mod compare;
mod rounding;

use super::lir::VReg;
use super::unit::Unit;
use crate::error::{EmitError, unsupported};
use crate::x86::encoding::Width;
use kernel::{DType, Scalar, ScalarOp};
use smallvec::SmallVec;

/// The operands of one instruction: one part of each.
pub(super) struct Args {
    /// The element type of the operands.
    pub(super) dtype: DType,
    /// Bytes of a lane.
    pub(super) size: usize,
    /// The part of the registers that holds the lanes.
    pub(super) width: Width,
    /// The parts.
    pub(super) regs: SmallVec<[VReg; 3]>,
    /// What is known of them.
    pub(super) constants: SmallVec<[Option<Scalar>; 3]>,
}

impl Args {
    fn is_float(&self) -> bool {
        self.dtype.is_float()
    }

    /// Either of two forms, by whether the operands are floats.
    fn either(
        &self,
        float: &'static [super::forms::Form; 2],
        int: &'static [super::forms::Form; 2],
    ) -> &'static super::forms::Form {
        super::forms::of_size(if self.is_float() { float } else { int }, self.size)
    }

    fn refuse<T>(&self, what: &str) -> Result<T, EmitError> {
        unsupported(format!("{what} of {}", self.dtype))
    }
}

/// Emits an op on one part.
pub(super) type Emit = fn(&mut Unit<'_>, &Args) -> Result<VReg, EmitError>;

/// The emitter of an op, if it is an instruction.
pub(super) fn find(op: ScalarOp) -> Option<Emit> {
    let families: [&[(ScalarOp, Emit)]; 4] = [arith::OPS, bits::OPS, compare::OPS, rounding::OPS];
    families.iter().flat_map(|family| family.iter()).find(|(o, _)| *o == op).map(|(_, emit)| *emit)
}
