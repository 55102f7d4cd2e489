//! Types as a user writes them: `f32([32, 784])`, checked when a port or a source is made.

use ir::{DType, Shape, ShapeError, TensorType};

/// An element type and extents, not yet checked: a shape that can't exist becomes a diagnostic of the call that uses it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TypeSpec {
    /// The element type.
    pub dtype: DType,
    /// The extents, outermost first; empty for a scalar.
    pub dims: Vec<usize>,
}

impl TypeSpec {
    /// An element type with extents.
    pub fn new(dtype: DType, dims: impl AsRef<[usize]>) -> Self {
        Self { dtype, dims: dims.as_ref().to_vec() }
    }

    /// The checked type.
    ///
    /// # Errors
    /// If an extent is 0, the rank is over the limit, or the number of elements overflows.
    pub fn check(&self) -> Result<TensorType, ShapeError> {
        Ok(TensorType::new(self.dtype, Shape::new(&self.dims)?))
    }

    /// The type of `batch` such tensors, stacked along a new first axis.
    pub fn batched(&self, batch: usize) -> Self {
        let mut dims = vec![batch];
        dims.extend_from_slice(&self.dims);
        Self { dtype: self.dtype, dims }
    }
}

impl From<TensorType> for TypeSpec {
    fn from(ty: TensorType) -> Self {
        Self { dtype: ty.dtype, dims: ty.shape.dims().to_vec() }
    }
}

impl From<&TensorType> for TypeSpec {
    fn from(ty: &TensorType) -> Self {
        ty.clone().into()
    }
}

macro_rules! constructors {
    ($($name:ident, $dtype:ident, $doc:literal;)*) => { $(
        #[doc = $doc]
        pub fn $name(dims: impl AsRef<[usize]>) -> TypeSpec {
            TypeSpec::new(DType::$dtype, dims)
        }
    )* };
}

constructors! {
    f32, F32, "A tensor of `f32` with these extents: `f32([32, 784])`; `f32([])` is a scalar.";
    f64, F64, "A tensor of `f64` with these extents.";
    bf16, Bf16, "A tensor of bfloat16 with these extents.";
    f16, F16, "A tensor of half-precision floats with these extents.";
    i32, I32, "A tensor of `i32` with these extents.";
    i64, I64, "A tensor of `i64` with these extents.";
    i16, I16, "A tensor of `i16` with these extents.";
    i8, I8, "A tensor of `i8` with these extents.";
    u64, U64, "A tensor of `u64` with these extents.";
    u32, U32, "A tensor of `u32` with these extents.";
    u16, U16, "A tensor of `u16` with these extents.";
    u8, U8, "A tensor of `u8` with these extents.";
    bool_, Bool, "A tensor of truth values with these extents.";
}
