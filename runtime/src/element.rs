//! The Rust types that stand for element types.

use kernel::DType;

mod sealed {
    #[expect(unnameable_types, reason = "sealed: nobody else is to implement it")]
    pub trait Sealed {}
}

/// A Rust type that the elements of a buffer can be viewed as: `f32`, `f64`, integers from `i8` to `i64` and from `u8` to `u64`, of which `u8` is also
/// for `bool` as 0 and 1, and `u16` for the bits of `bf16` and `f16`. Every bit pattern is a value of each of them.
pub trait Element: sealed::Sealed + Copy + Send + Sync + 'static {
    /// The type's name, for messages.
    const NAME: &'static str;

    /// Whether buffers of `dtype` hold this type.
    fn holds(dtype: DType) -> bool;

    /// The value as a byte, if it is one.
    fn byte(self) -> Option<u8> {
        None
    }
}

macro_rules! element {
    ($ty:ident, $dtypes:pat) => {
        impl sealed::Sealed for $ty {}

        impl Element for $ty {
            const NAME: &'static str = stringify!($ty);

            fn holds(dtype: DType) -> bool {
                matches!(dtype, $dtypes)
            }
        }
    };
}

element!(f32, DType::F32);
element!(f64, DType::F64);
element!(i32, DType::I32);
element!(i64, DType::I64);
element!(i16, DType::I16);
element!(i8, DType::I8);
element!(u64, DType::U64);
element!(u32, DType::U32);
element!(u16, DType::U16 | DType::Bf16 | DType::F16);

impl sealed::Sealed for u8 {}

impl Element for u8 {
    const NAME: &'static str = "u8";

    fn holds(dtype: DType) -> bool {
        matches!(dtype, DType::U8 | DType::Bool)
    }

    fn byte(self) -> Option<u8> {
        Some(self)
    }
}
