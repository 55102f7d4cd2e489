//! Values of the kernel IR as CLIF values.
//!
//! A kernel vector of any length becomes `lanes / chunk` CLIF values, its parts: each is a 128-bit vector where the element type has one
//! (`f32x4`, also of 16-bit floats, `f64x2`, `i32x4`, `i64x2`, integers with a sign or without) and the lanes fill such parts, otherwise a scalar (chunk 1). So every kernel compiles, whatever its vector lengths, and
//! what fits the machine runs as vectors. A `bool` vector is a mask: an integer vector with all bits of a lane set or clear, as
//! wide as what was compared. A `bool` scalar is an `i8` of 0 or 1. `bf16` and `f16` values are `f32`, rounded after every op.

use cranelift::codegen::ir::{Type, Value, types};
use kernel::{DType, Scalar};
use smallvec::SmallVec;

/// The CLIF values of a kernel value.
pub(super) type Parts = SmallVec<[Value; 4]>;

/// A kernel value.
#[derive(Clone, Debug)]
pub(super) struct Val {
    pub(super) dtype: DType,
    pub(super) lanes: u16,
    pub(super) parts: Parts,
    /// Set if all lanes are this constant: some ops have shorter code then.
    pub(super) constant: Option<Scalar>,
}

impl Val {
    pub(super) fn scalar(dtype: DType, value: Value) -> Self {
        Self { dtype, lanes: 1, parts: SmallVec::from_slice(&[value]), constant: None }
    }

    pub(super) fn new(dtype: DType, lanes: u16, parts: Parts) -> Self {
        Self { dtype, lanes, parts, constant: None }
    }

    /// Lanes of one part.
    pub(super) fn chunk(&self) -> u16 {
        self.lanes / self.parts.len() as u16
    }
}

/// Lanes of one part of a vector of `lanes` elements.
pub(super) fn natural_chunk(dtype: DType, lanes: u16) -> u16 {
    let full = match dtype {
        DType::F32 | DType::Bf16 | DType::F16 | DType::I32 | DType::U32 | DType::Bool => 4,
        DType::F64 | DType::I64 | DType::U64 => 2,
        DType::I16 | DType::U16 | DType::I8 | DType::U8 => 1,
    };
    if lanes.is_multiple_of(full) {
        full
    } else if dtype == DType::Bool && lanes.is_multiple_of(2) {
        2
    } else {
        1
    }
}

/// The CLIF type of a part of `chunk` lanes.
pub(super) fn clif_type(dtype: DType, chunk: u16) -> Type {
    match (dtype, chunk) {
        (DType::F32 | DType::Bf16 | DType::F16, 4) => types::F32X4,
        (DType::I32 | DType::U32 | DType::Bool, 4) => types::I32X4,
        (DType::F64, 2) => types::F64X2,
        (DType::I64 | DType::U64 | DType::Bool, 2) => types::I64X2,
        (DType::F32 | DType::Bf16 | DType::F16, _) => types::F32,
        (DType::F64, _) => types::F64,
        (DType::I64 | DType::U64, _) => types::I64,
        (DType::I32 | DType::U32, _) => types::I32,
        (DType::I16 | DType::U16, _) => types::I16,
        (DType::I8 | DType::U8 | DType::Bool, _) => types::I8,
    }
}

/// The integer type of the same width as one scalar of the type in registers.
pub(super) fn bits_type(dtype: DType) -> Type {
    match dtype {
        DType::F32 | DType::I32 | DType::U32 | DType::Bf16 | DType::F16 => types::I32,
        DType::F64 | DType::I64 | DType::U64 => types::I64,
        DType::I16 | DType::U16 => types::I16,
        DType::I8 | DType::U8 | DType::Bool => types::I8,
    }
}
