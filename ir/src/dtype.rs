//! Element types of tensors and of scalar values.

use std::fmt;

/// The type of one element.
///
/// `Bf16` and `F16` are storage types: they are computed in `F32` and rounded to nearest even on every op.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// bfloat16: the upper half of a binary32.
    Bf16,
    /// IEEE 754 binary16.
    F16,
    /// Two's complement 64-bit integer, wrapping.
    I64,
    /// Two's complement 32-bit integer, wrapping.
    I32,
    /// Two's complement 16-bit integer, wrapping.
    I16,
    /// Two's complement 8-bit integer, wrapping.
    I8,
    /// Unsigned 64-bit integer, wrapping.
    U64,
    /// Unsigned 32-bit integer, wrapping.
    U32,
    /// Unsigned 16-bit integer, wrapping.
    U16,
    /// Unsigned 8-bit integer, wrapping.
    U8,
    /// A truth value, stored as one byte that is 0 or 1.
    Bool,
}

impl DType {
    /// Every element type, in the order of the declaration.
    pub const ALL: [Self; 13] = [
        Self::F32,
        Self::F64,
        Self::Bf16,
        Self::F16,
        Self::I64,
        Self::I32,
        Self::I16,
        Self::I8,
        Self::U64,
        Self::U32,
        Self::U16,
        Self::U8,
        Self::Bool,
    ];

    /// The name used in text: `f32`, `i64`, `bool`...
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "i8",
            Self::U64 => "u64",
            Self::U32 => "u32",
            Self::U16 => "u16",
            Self::U8 => "u8",
            Self::Bool => "bool",
        }
    }

    /// The element type of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.name() == name)
    }

    /// Bytes one element takes in memory.
    pub fn size_bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::Bf16 | Self::F16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// True for the floating-point types.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::Bf16 | Self::F16)
    }

    /// True for the floating-point types of 16 bits, which are computed in `f32`.
    pub fn is_short_float(self) -> bool {
        matches!(self, Self::Bf16 | Self::F16)
    }

    /// True for the integer types; `Bool` is not one.
    pub fn is_int(self) -> bool {
        self.is_signed_int() || self.is_unsigned_int()
    }

    /// True for the two's complement integer types.
    pub fn is_signed_int(self) -> bool {
        matches!(self, Self::I64 | Self::I32 | Self::I16 | Self::I8)
    }

    /// True for the integer types without a sign.
    pub fn is_unsigned_int(self) -> bool {
        matches!(self, Self::U64 | Self::U32 | Self::U16 | Self::U8)
    }

    /// True for floats and integers.
    pub fn is_number(self) -> bool {
        self != Self::Bool
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
