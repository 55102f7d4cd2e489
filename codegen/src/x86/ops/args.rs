//! What an op is emitted from.

use crate::error::{EmitError, unsupported};
use crate::x86::encoding::Width;
use crate::x86::lir::VReg;
use crate::x86::unit::Unit;
use kernel::{DType, Scalar};
use smallvec::SmallVec;

/// The operands of one instruction: one part of each.
pub(in super::super) struct Args {
    /// The element type of the operands.
    pub(in super::super) dtype: DType,
    /// Bytes of a lane.
    pub(in super::super) size: usize,
    /// How many lanes of the part are the vector's.
    pub(in super::super) lanes: u16,
    /// The part of the registers that holds the lanes.
    pub(in super::super) width: Width,
    /// The parts.
    pub(in super::super) regs: SmallVec<[VReg; 3]>,
    /// What is known of them.
    pub(in super::super) constants: SmallVec<[Option<Scalar>; 3]>,
}

impl Args {
    pub(super) fn is_float(&self) -> bool {
        self.dtype.is_float()
    }

    /// Either of two forms, by whether the operands are floats.
    pub(super) fn either(
        &self,
        float: &'static [crate::x86::forms::Form; 2],
        int: &'static [crate::x86::forms::Form; 2],
    ) -> &'static crate::x86::forms::Form {
        crate::x86::forms::of_size(if self.is_float() { float } else { int }, self.size)
    }

    pub(super) fn refuse<T>(&self, what: &str) -> Result<T, EmitError> {
        unsupported(format!("{what} of {}", self.dtype))
    }
}

/// Emits an op on one part.
pub(in super::super) type Emit = fn(&mut Unit<'_>, &Args) -> Result<VReg, EmitError>;
