//! Elementwise ops: every scalar op lifted to tensors, and conversion. Operands have equal shapes: broadcasting is explicit.

use crate::DType;

/// Conversion to another element type, as [`crate::Scalar::cast`]. Text: `cast %0 : f32[2]` (the type is the result's).
#[derive(Clone, PartialEq, Debug)]
pub struct Cast {
    /// The result's element type.
    pub dtype: DType,
}
