//! What an op is emitted from.

use crate::clif::value::clif_type;
use cranelift::codegen::ir::{Type, Value};
use cranelift::frontend::FunctionBuilder;
use kernel::{DType, Scalar};
use smallvec::SmallVec;

/// The operands of one instruction: parts of `chunk` lanes.
pub(in super::super) struct Args {
    /// The element type of the operands (of the selected ones, for `select`).
    pub(in super::super) dtype: DType,
    /// Lanes of each part.
    pub(in super::super) chunk: u16,
    /// The parts.
    pub(in super::super) values: SmallVec<[Value; 3]>,
    /// What is known of them.
    pub(in super::super) constants: SmallVec<[Option<Scalar>; 3]>,
}

impl Args {
    pub(super) fn ty(&self) -> Type {
        clif_type(self.dtype, self.chunk)
    }

    pub(super) fn is_float(&self) -> bool {
        self.dtype.is_float()
    }
}

/// Emits an op. `None`: not for this type, or, with more than one lane, only lane by lane.
pub(in super::super) type Emit = fn(&mut FunctionBuilder<'_>, &Args) -> Option<Value>;
