//! The elements of tensors on the host, in a vector of their own type: what is done with all of them asks for the type once.

use crate::{DType, Scalar};
use half::{bf16, f16};

/// The elements of a tensor, row-major and dense.
#[derive(Clone, PartialEq, Debug)]
pub enum Data {
    /// `f32` elements.
    F32(Vec<f32>),
    /// `f64` elements.
    F64(Vec<f64>),
    /// bfloat16 elements.
    Bf16(Vec<bf16>),
    /// Half elements.
    F16(Vec<f16>),
    /// `i64` elements.
    I64(Vec<i64>),
    /// `i32` elements.
    I32(Vec<i32>),
    /// `i16` elements.
    I16(Vec<i16>),
    /// `i8` elements.
    I8(Vec<i8>),
    /// `u64` elements.
    U64(Vec<u64>),
    /// `u32` elements.
    U32(Vec<u32>),
    /// `u16` elements.
    U16(Vec<u16>),
    /// `u8` elements.
    U8(Vec<u8>),
    /// Truth values.
    Bool(Vec<bool>),
}

/// Gives the names of all variants to a macro.
macro_rules! for_each_variant {
    ($macro:ident) => {
        $macro!(F32 F64 Bf16 F16 I64 I32 I16 I8 U64 U32 U16 U8 Bool)
    };
}

/// Runs code on the vector, whichever it is.
macro_rules! for_each_data {
    ($value:expr, $v:ident => $body:expr) => {
        match $value {
            Data::F32($v) => $body,
            Data::F64($v) => $body,
            Data::Bf16($v) => $body,
            Data::F16($v) => $body,
            Data::I64($v) => $body,
            Data::I32($v) => $body,
            Data::I16($v) => $body,
            Data::I8($v) => $body,
            Data::U64($v) => $body,
            Data::U32($v) => $body,
            Data::U16($v) => $body,
            Data::U8($v) => $body,
            Data::Bool($v) => $body,
        }
    };
}

/// Ends a run in which elements of one type met data of another.
fn wrong_type(found: DType, data: DType) -> ! {
    panic!("a {found} element in {data} data")
}

impl Data {
    /// The element type.
    pub fn dtype(&self) -> DType {
        macro_rules! arms {
            ($($V:ident)*) => {
                match self { $(Self::$V(_) => DType::$V,)* }
            };
        }
        for_each_variant!(arms)
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        for_each_data!(self, v => v.len())
    }

    /// True if there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element `i`.
    ///
    /// # Panics
    /// If `i` is out of range.
    #[inline]
    pub fn get(&self, i: usize) -> Scalar {
        macro_rules! arms {
            ($($V:ident)*) => {
                match self { $(Self::$V(v) => Scalar::$V(v[i]),)* }
            };
        }
        for_each_variant!(arms)
    }

    /// Sets element `i`.
    ///
    /// # Panics
    /// If `i` is out of range or `value` has another type.
    pub fn set(&mut self, i: usize, value: Scalar) {
        macro_rules! arms {
            ($($V:ident)*) => {
                match (self, value) {
                    $((Self::$V(v), Scalar::$V(x)) => v[i] = x,)*
                    (data, value) => wrong_type(value.dtype(), data.dtype()),
                }
            };
        }
        for_each_variant!(arms);
    }

    /// `len` elements of a type, of which `f` gives that at each place.
    ///
    /// # Panics
    /// If `f` gives another type.
    #[inline]
    pub fn from_fn(dtype: DType, len: usize, mut f: impl FnMut(usize) -> Scalar) -> Self {
        macro_rules! arms {
            ($($V:ident)*) => {
                match dtype {
                    $(DType::$V => {
                        let element = |i| match f(i) {
                            Scalar::$V(x) => x,
                            other => wrong_type(other.dtype(), dtype),
                        };
                        Self::$V((0..len).map(element).collect())
                    })*
                }
            };
        }
        for_each_variant!(arms)
    }

    /// The elements as [`Scalar::cast`] converts them.
    pub fn cast(&self, dtype: DType) -> Self {
        Self::from_fn(dtype, self.len(), |i| self.get(i).cast(dtype))
    }

    /// The elements at these places.
    ///
    /// # Panics
    /// If the range isn't inside.
    pub fn range(&self, range: std::ops::Range<usize>) -> Self {
        macro_rules! arms {
            ($($V:ident)*) => {
                match self { $(Self::$V(v) => Self::$V(v[range].to_vec()),)* }
            };
        }
        for_each_variant!(arms)
    }

    /// The elements at these places, one after the other.
    ///
    /// # Panics
    /// If a place is out of range.
    pub fn gather(&self, places: impl Iterator<Item = usize>) -> Self {
        macro_rules! arms {
            ($($V:ident)*) => {
                match self { $(Self::$V(v) => Self::$V(places.map(|at| v[at]).collect()),)* }
            };
        }
        for_each_variant!(arms)
    }

    /// Sets the elements at these places to `source`'s, in order.
    ///
    /// # Panics
    /// If a place is out of range or `source` has another type.
    pub fn scatter(&mut self, places: impl Iterator<Item = usize>, source: &Self) {
        macro_rules! arms {
            ($($V:ident)*) => {
                match (self, source) {
                    $((Self::$V(v), Self::$V(source)) => places.zip(source).for_each(|(at, &x)| v[at] = x),)*
                    (data, source) => wrong_type(source.dtype(), data.dtype()),
                }
            };
        }
        for_each_variant!(arms);
    }

    /// Appends elements of the same type.
    ///
    /// # Panics
    /// If they have another type.
    pub(crate) fn append(&mut self, more: &Self) {
        macro_rules! arms {
            ($($V:ident)*) => {
                match (self, more) {
                    $((Self::$V(v), Self::$V(more)) => v.extend_from_slice(more),)*
                    (data, more) => wrong_type(more.dtype(), data.dtype()),
                }
            };
        }
        for_each_variant!(arms);
    }

    /// Whether type, number and bits are the same, so that a NaN is the same as itself.
    pub fn is_same(&self, other: &Self) -> bool {
        fn same<T: Copy, B: PartialEq>(a: &[T], b: &[T], bits: fn(T) -> B) -> bool {
            a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| bits(a) == bits(b))
        }
        match (self, other) {
            (Self::F32(a), Self::F32(b)) => same(a, b, f32::to_bits),
            (Self::F64(a), Self::F64(b)) => same(a, b, f64::to_bits),
            (Self::Bf16(a), Self::Bf16(b)) => same(a, b, bf16::to_bits),
            (Self::F16(a), Self::F16(b)) => same(a, b, f16::to_bits),
            // Integers and truth values are equal where their bits are.
            _ => self == other,
        }
    }

    /// `len` times the same element.
    pub fn splat(value: Scalar, len: usize) -> Self {
        macro_rules! arms {
            ($($V:ident)*) => {
                match value { $(Scalar::$V(v) => Self::$V(vec![v; len]),)* }
            };
        }
        for_each_variant!(arms)
    }

    /// The elements as little-endian bytes; a truth value is one byte, 0 or 1.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::Bf16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::F16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::I64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::I16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::I8(v) => v.iter().map(|x| x.cast_unsigned()).collect(),
            Self::U64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::U32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::U16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::U8(v) => v.clone(),
            Self::Bool(v) => v.iter().map(|&x| u8::from(x)).collect(),
        }
    }

    /// Elements from little-endian bytes; a trailing part of an element is left out.
    pub fn from_bytes(dtype: DType, bytes: &[u8]) -> Self {
        fn words<const N: usize, T>(bytes: &[u8], element: fn([u8; N]) -> T) -> Vec<T> {
            bytes.as_chunks().0.iter().map(|&word| element(word)).collect()
        }
        match dtype {
            DType::F32 => Self::F32(words(bytes, f32::from_le_bytes)),
            DType::F64 => Self::F64(words(bytes, f64::from_le_bytes)),
            DType::Bf16 => Self::Bf16(words(bytes, bf16::from_le_bytes)),
            DType::F16 => Self::F16(words(bytes, f16::from_le_bytes)),
            DType::I64 => Self::I64(words(bytes, i64::from_le_bytes)),
            DType::I32 => Self::I32(words(bytes, i32::from_le_bytes)),
            DType::I16 => Self::I16(words(bytes, i16::from_le_bytes)),
            DType::I8 => Self::I8(words(bytes, i8::from_le_bytes)),
            DType::U64 => Self::U64(words(bytes, u64::from_le_bytes)),
            DType::U32 => Self::U32(words(bytes, u32::from_le_bytes)),
            DType::U16 => Self::U16(words(bytes, u16::from_le_bytes)),
            DType::U8 => Self::U8(bytes.to_vec()),
            DType::Bool => Self::Bool(bytes.iter().map(|&x| x != 0).collect()),
        }
    }
}
