//! One element as a value, for constants and for the interpreters.

use crate::DType;
use half::{bf16, f16};
use std::fmt;

/// A single element with its type. Equality and order are those of the bits, so that a NaN equals itself.
#[derive(Clone, Copy, Debug)]
pub enum Scalar {
    /// An `f32`.
    F32(f32),
    /// An `f64`.
    F64(f64),
    /// A bfloat16.
    Bf16(bf16),
    /// A half.
    F16(f16),
    /// An `i64`.
    I64(i64),
    /// An `i32`.
    I32(i32),
    /// An `i16`.
    I16(i16),
    /// An `i8`.
    I8(i8),
    /// A `u64`.
    U64(u64),
    /// A `u32`.
    U32(u32),
    /// A `u16`.
    U16(u16),
    /// A `u8`.
    U8(u8),
    /// A truth value.
    Bool(bool),
}

impl Scalar {
    /// The element type.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::F64(_) => DType::F64,
            Self::Bf16(_) => DType::Bf16,
            Self::F16(_) => DType::F16,
            Self::I64(_) => DType::I64,
            Self::I32(_) => DType::I32,
            Self::I16(_) => DType::I16,
            Self::I8(_) => DType::I8,
            Self::U64(_) => DType::U64,
            Self::U32(_) => DType::U32,
            Self::U16(_) => DType::U16,
            Self::U8(_) => DType::U8,
            Self::Bool(_) => DType::Bool,
        }
    }

    /// `value` rounded (floats: to nearest even) or truncated and saturated (integers; NaN gives 0) to `dtype`;
    /// any value but 0 gives `true`.
    pub fn from_f64(value: f64, dtype: DType) -> Self {
        match dtype {
            DType::F32 => Self::F32(value as f32),
            DType::F64 => Self::F64(value),
            DType::Bf16 => Self::Bf16(bf16::from_f32(demote_to_odd(value))),
            DType::F16 => Self::F16(f16::from_f32(demote_to_odd(value))),
            DType::I64 => Self::I64(value as i64),
            DType::I32 => Self::I32(value as i32),
            DType::I16 => Self::I16(value as i16),
            DType::I8 => Self::I8(value as i8),
            DType::U64 => Self::U64(value as u64),
            DType::U32 => Self::U32(value as u32),
            DType::U16 => Self::U16(value as u16),
            DType::U8 => Self::U8(value as u8),
            DType::Bool => Self::Bool(value != 0.0),
        }
    }

    /// `value` as `dtype`: integers wrap, floats round to nearest even, any value but 0 gives `true`.
    pub fn from_i64(value: i64, dtype: DType) -> Self {
        match dtype {
            DType::F32 => Self::F32(value as f32),
            DType::F64 => Self::F64(value as f64),
            DType::Bf16 => Self::Bf16(bf16::from_f32(value as f32)),
            DType::F16 => Self::F16(f16::from_f32(value as f32)),
            DType::I64 => Self::I64(value),
            DType::I32 => Self::I32(value as i32),
            DType::I16 => Self::I16(value as i16),
            DType::I8 => Self::I8(value as i8),
            DType::U64 => Self::U64(value as u64),
            DType::U32 => Self::U32(value as u32),
            DType::U16 => Self::U16(value as u16),
            DType::U8 => Self::U8(value as u8),
            DType::Bool => Self::Bool(value != 0),
        }
    }

    /// The value as an `f64`: exact but for large `i64` and `u64`; a truth value is 0 or 1.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::F32(v) => f64::from(v),
            Self::F64(v) => v,
            Self::Bf16(v) => v.to_f64(),
            Self::F16(v) => v.to_f64(),
            Self::I64(v) => v as f64,
            Self::I32(v) => f64::from(v),
            Self::I16(v) => f64::from(v),
            Self::I8(v) => f64::from(v),
            Self::U64(v) => v as f64,
            Self::U32(v) => f64::from(v),
            Self::U16(v) => f64::from(v),
            Self::U8(v) => f64::from(v),
            Self::Bool(v) => f64::from(u8::from(v)),
        }
    }

    /// The value as an `i64`: floats truncate and saturate, NaN gives 0; a `u64` wraps.
    pub fn as_i64(self) -> i64 {
        match self {
            Self::I64(v) => v,
            Self::I32(v) => i64::from(v),
            Self::I16(v) => i64::from(v),
            Self::I8(v) => i64::from(v),
            Self::U64(v) => v as i64,
            Self::U32(v) => i64::from(v),
            Self::U16(v) => i64::from(v),
            Self::U8(v) => i64::from(v),
            Self::Bool(v) => i64::from(v),
            _ => self.as_f64() as i64,
        }
    }

    /// The value as an `i128`, which holds those of all integer types: floats truncate and saturate, NaN gives 0.
    pub fn as_i128(self) -> i128 {
        match self {
            Self::U64(v) => v.into(),
            _ if self.dtype().is_float() => self.as_f64() as i128,
            _ => self.as_i64().into(),
        }
    }

    /// The truth value; `None` for the other types.
    pub fn as_bool(self) -> Option<bool> {
        match self {
            Self::Bool(v) => Some(v),
            _ => None,
        }
    }

    /// Conversion between element types, as the op `cast` does it: float to float rounds to nearest even, float to integer
    /// truncates and saturates (NaN gives 0), integer to integer wraps, anything to bool is `!= 0`.
    pub fn cast(self, dtype: DType) -> Self {
        match (self, dtype) {
            _ if self.dtype().is_float() => Self::from_f64(self.as_f64(), dtype),
            (Self::U64(v), DType::F32) => Self::F32(v as f32),
            (Self::U64(v), DType::F64) => Self::F64(v as f64),
            (Self::U64(v), DType::Bf16) => Self::Bf16(bf16::from_f32(v as f32)),
            (Self::U64(v), DType::F16) => Self::F16(f16::from_f32(v as f32)),
            _ => Self::from_i64(self.as_i64(), dtype),
        }
    }

    /// The bits, zero-extended.
    pub fn to_bits(self) -> u64 {
        match self {
            Self::F32(v) => u64::from(v.to_bits()),
            Self::F64(v) => v.to_bits(),
            Self::Bf16(v) => u64::from(v.to_bits()),
            Self::F16(v) => u64::from(v.to_bits()),
            Self::I64(v) => v as u64,
            Self::I32(v) => u64::from(v as u32),
            Self::I16(v) => u64::from(v.cast_unsigned()),
            Self::I8(v) => u64::from(v.cast_unsigned()),
            Self::U64(v) => v,
            Self::U32(v) => u64::from(v),
            Self::U16(v) => u64::from(v),
            Self::U8(v) => u64::from(v),
            Self::Bool(v) => u64::from(v),
        }
    }

    /// The value of `dtype` whose bits are the low bits of `bits`; for `Bool`, whether any of the low 8 bits is set.
    pub fn from_bits(bits: u64, dtype: DType) -> Self {
        match dtype {
            DType::F32 => Self::F32(f32::from_bits(bits as u32)),
            DType::F64 => Self::F64(f64::from_bits(bits)),
            DType::Bf16 => Self::Bf16(bf16::from_bits(bits as u16)),
            DType::F16 => Self::F16(f16::from_bits(bits as u16)),
            DType::I64 => Self::I64(bits as i64),
            DType::I32 => Self::I32(bits as u32 as i32),
            DType::I16 => Self::I16(bits as u16 as i16),
            DType::I8 => Self::I8(bits as u8 as i8),
            DType::U64 => Self::U64(bits),
            DType::U32 => Self::U32(bits as u32),
            DType::U16 => Self::U16(bits as u16),
            DType::U8 => Self::U8(bits as u8),
            DType::Bool => Self::Bool(bits as u8 != 0),
        }
    }

    /// The element zero of a type (`false` for `Bool`).
    pub fn zero(dtype: DType) -> Self {
        Self::from_bits(0, dtype)
    }

    /// The element one of a type (`true` for `Bool`).
    pub fn one(dtype: DType) -> Self {
        Self::from_i64(1, dtype)
    }

    /// The smallest value: minus infinity, the least integer, `false`.
    pub fn lowest(dtype: DType) -> Self {
        match dtype {
            DType::I64 => Self::I64(i64::MIN),
            DType::I32 => Self::I32(i32::MIN),
            DType::I16 => Self::I16(i16::MIN),
            DType::I8 => Self::I8(i8::MIN),
            _ if !dtype.is_float() => Self::zero(dtype),
            _ => Self::from_f64(f64::NEG_INFINITY, dtype),
        }
    }

    /// The largest value: infinity, the greatest integer, `true`.
    pub fn highest(dtype: DType) -> Self {
        match dtype {
            DType::I64 => Self::I64(i64::MAX),
            DType::I32 => Self::I32(i32::MAX),
            DType::I16 => Self::I16(i16::MAX),
            DType::I8 => Self::I8(i8::MAX),
            DType::U64 => Self::U64(u64::MAX),
            DType::U32 => Self::U32(u32::MAX),
            DType::U16 => Self::U16(u16::MAX),
            DType::U8 => Self::U8(u8::MAX),
            DType::Bool => Self::Bool(true),
            _ => Self::from_f64(f64::INFINITY, dtype),
        }
    }

    /// True if every value of the type compares false to itself: a float NaN.
    pub fn is_nan(self) -> bool {
        self.dtype().is_float() && self.as_f64().is_nan()
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.dtype() == other.dtype() && self.to_bits() == other.to_bits()
    }
}

impl Eq for Scalar {}

impl std::hash::Hash for Scalar {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.dtype(), self.to_bits()).hash(state);
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.dtype(), self.to_bits()).cmp(&(other.dtype(), other.to_bits()))
    }
}

/// The nearest `f32`, or where it isn't exact the neighbour whose last bit is set: rounding that to 16 bits gives what one rounding would. `half` goes by way of
/// the nearest `f32` where the processor converts those, and looks at the upper 32 bits alone elsewhere: a value just beside a tie becomes one.
fn demote_to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    let back = f64::from(nearest);
    if value.is_nan() || back == value {
        return nearest;
    }
    f32::from_bits((nearest.to_bits() - u32::from(back.abs() > value.abs())) | 1)
}

/// Prints without the type, so that parsing the text in the same type gives the same bits: floats always have a point, an
/// exponent, or are `inf`, `-inf`, `nan` (the canonical quiet NaN), or `0x..` (another NaN's bits).
impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::I64(v) => write!(f, "{v}"),
            Self::I32(v) => write!(f, "{v}"),
            Self::I16(v) => write!(f, "{v}"),
            Self::I8(v) => write!(f, "{v}"),
            Self::U64(v) => write!(f, "{v}"),
            Self::U32(v) => write!(f, "{v}"),
            Self::U16(v) => write!(f, "{v}"),
            Self::U8(v) => write!(f, "{v}"),
            Self::Bool(v) => write!(f, "{v}"),
            v if v.is_nan() => {
                if v == Self::from_f64(f64::NAN, v.dtype()) {
                    f.write_str("nan")
                } else {
                    write!(f, "0x{:x}", v.to_bits())
                }
            }
            Self::F64(v) => write!(f, "{v:?}"),
            Self::F32(v) => write!(f, "{v:?}"),
            Self::Bf16(v) => write!(f, "{:?}", v.to_f32()),
            Self::F16(v) => write!(f, "{:?}", v.to_f32()),
        }
    }
}

impl Scalar {
    /// Reads what `Display` wrote, as a value of `dtype`; `None` if it is not one.
    pub fn parse(text: &str, dtype: DType) -> Option<Self> {
        if dtype == DType::Bool {
            return text.parse().ok().map(Self::Bool);
        }
        if let Some(hex) = text.strip_prefix("0x") {
            return u64::from_str_radix(hex, 16).ok().map(|bits| Self::from_bits(bits, dtype));
        }
        match dtype {
            DType::I64 => text.parse().ok().map(Self::I64),
            DType::I32 => text.parse().ok().map(Self::I32),
            DType::I16 => text.parse().ok().map(Self::I16),
            DType::I8 => text.parse().ok().map(Self::I8),
            DType::U64 => text.parse().ok().map(Self::U64),
            DType::U32 => text.parse().ok().map(Self::U32),
            DType::U16 => text.parse().ok().map(Self::U16),
            DType::U8 => text.parse().ok().map(Self::U8),
            DType::F64 if text == "nan" => Some(Self::F64(f64::NAN)),
            DType::F64 => text.parse().ok().map(Self::F64),
            _ if text == "nan" => Some(Self::from_f64(f64::NAN, dtype)),
            DType::F32 => text.parse().ok().map(Self::F32),
            _ => text.parse::<f32>().ok().map(|v| Self::from_f64(f64::from(v), dtype)),
        }
    }
}
