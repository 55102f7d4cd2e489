//! Tensors on the host: constants, inputs and results of the interpreter.

use crate::{DType, Scalar, Shape, TensorType};
use half::{bf16, f16};
use std::sync::Arc;

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

/// A tensor on the host: its type and as many elements as the type's shape says. Copies share the elements until one of them writes.
#[derive(Clone, Debug)]
pub struct Value {
    ty: TensorType,
    data: Arc<Data>,
}

/// The number of elements is not that of the shape, or the element type is another one.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{ty} holds {} elements of {}, not {len} of {dtype}", .ty.shape.numel(), .ty.dtype)]
pub struct ValueError {
    /// The type asked for.
    pub ty: TensorType,
    /// How many elements were given.
    pub len: usize,
    /// Of which type.
    pub dtype: DType,
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for ValueError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

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

impl Data {
    /// The element type.
    pub fn dtype(&self) -> DType {
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
    pub fn get(&self, i: usize) -> Scalar {
        match self {
            Self::F32(v) => Scalar::F32(v[i]),
            Self::F64(v) => Scalar::F64(v[i]),
            Self::Bf16(v) => Scalar::Bf16(v[i]),
            Self::F16(v) => Scalar::F16(v[i]),
            Self::I64(v) => Scalar::I64(v[i]),
            Self::I32(v) => Scalar::I32(v[i]),
            Self::I16(v) => Scalar::I16(v[i]),
            Self::I8(v) => Scalar::I8(v[i]),
            Self::U64(v) => Scalar::U64(v[i]),
            Self::U32(v) => Scalar::U32(v[i]),
            Self::U16(v) => Scalar::U16(v[i]),
            Self::U8(v) => Scalar::U8(v[i]),
            Self::Bool(v) => Scalar::Bool(v[i]),
        }
    }

    /// Sets element `i`.
    ///
    /// # Panics
    /// If `i` is out of range or `value` has another type.
    pub fn set(&mut self, i: usize, value: Scalar) {
        match (self, value) {
            (Self::F32(v), Scalar::F32(x)) => v[i] = x,
            (Self::F64(v), Scalar::F64(x)) => v[i] = x,
            (Self::Bf16(v), Scalar::Bf16(x)) => v[i] = x,
            (Self::F16(v), Scalar::F16(x)) => v[i] = x,
            (Self::I64(v), Scalar::I64(x)) => v[i] = x,
            (Self::I32(v), Scalar::I32(x)) => v[i] = x,
            (Self::I16(v), Scalar::I16(x)) => v[i] = x,
            (Self::I8(v), Scalar::I8(x)) => v[i] = x,
            (Self::U64(v), Scalar::U64(x)) => v[i] = x,
            (Self::U32(v), Scalar::U32(x)) => v[i] = x,
            (Self::U16(v), Scalar::U16(x)) => v[i] = x,
            (Self::U8(v), Scalar::U8(x)) => v[i] = x,
            (Self::Bool(v), Scalar::Bool(x)) => v[i] = x,
            (data, value) => panic!("a {} element in {} data", value.dtype(), data.dtype()),
        }
    }

    /// The elements at these places.
    ///
    /// # Panics
    /// If the range isn't inside.
    pub fn range(&self, range: std::ops::Range<usize>) -> Self {
        macro_rules! part {
            ($($variant:ident),*) => {
                match self {
                    $(Self::$variant(v) => Self::$variant(v[range].to_vec()),)*
                }
            };
        }
        part!(F32, F64, Bf16, F16, I64, I32, I16, I8, U64, U32, U16, U8, Bool)
    }

    /// Appends elements of the same type; those of another type are left out.
    fn append(&mut self, more: &Self) {
        macro_rules! append {
            ($($variant:ident),*) => {
                match (self, more) {
                    $((Self::$variant(v), Self::$variant(more)) => v.extend_from_slice(more),)*
                    _ => debug_assert!(false, "elements of one type are appended"),
                }
            };
        }
        append!(F32, F64, Bf16, F16, I64, I32, I16, I8, U64, U32, U16, U8, Bool);
    }

    /// `len` times the same element.
    pub fn splat(value: Scalar, len: usize) -> Self {
        match value {
            Scalar::F32(v) => Self::F32(vec![v; len]),
            Scalar::F64(v) => Self::F64(vec![v; len]),
            Scalar::Bf16(v) => Self::Bf16(vec![v; len]),
            Scalar::F16(v) => Self::F16(vec![v; len]),
            Scalar::I64(v) => Self::I64(vec![v; len]),
            Scalar::I32(v) => Self::I32(vec![v; len]),
            Scalar::I16(v) => Self::I16(vec![v; len]),
            Scalar::I8(v) => Self::I8(vec![v; len]),
            Scalar::U64(v) => Self::U64(vec![v; len]),
            Scalar::U32(v) => Self::U32(vec![v; len]),
            Scalar::U16(v) => Self::U16(vec![v; len]),
            Scalar::U8(v) => Self::U8(vec![v; len]),
            Scalar::Bool(v) => Self::Bool(vec![v; len]),
        }
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
        let size = dtype.size_bytes();
        let mut data = Self::splat(Scalar::zero(dtype), bytes.len() / size);
        for (i, chunk) in bytes.chunks_exact(size).enumerate() {
            let mut word = [0; 8];
            word[..size].copy_from_slice(chunk);
            data.set(i, Scalar::from_bits(u64::from_le_bytes(word), dtype));
        }
        data
    }
}

impl Value {
    /// A tensor of that type with these elements.
    ///
    /// # Errors
    /// If the number or the type of the elements is not the type's.
    pub fn new(ty: TensorType, data: Data) -> Result<Self, ValueError> {
        if ty.dtype != data.dtype() || ty.shape.numel() != data.len() {
            return Err(ValueError { ty, len: data.len(), dtype: data.dtype() });
        }
        Ok(Self { ty, data: data.into() })
    }

    /// The tensor whose elements are all `value`; the element type is `value`'s.
    pub fn splat(value: Scalar, shape: Shape) -> Self {
        let data = Data::splat(value, shape.numel());
        Self { ty: TensorType::new(value.dtype(), shape), data: data.into() }
    }

    /// The tensor whose element at row-major position `i` is `f(i)`.
    ///
    /// # Panics
    /// If `f` gives another element type.
    pub fn from_fn(ty: TensorType, mut f: impl FnMut(usize) -> Scalar) -> Self {
        let mut data = Data::splat(Scalar::zero(ty.dtype), ty.shape.numel());
        for i in 0..data.len() {
            data.set(i, f(i));
        }
        Self { ty, data: data.into() }
    }

    /// The tensor at place `i` of the leading axis.
    ///
    /// # Panics
    /// If the rank is 0 or the place is out of range.
    pub fn part(&self, i: usize) -> Self {
        let rest = Shape::new(&self.ty.shape[1..]).expect("a part of a shape's extents is a shape");
        let len = rest.numel();
        Self { ty: self.ty.with_shape(rest), data: self.data.range(i * len..(i + 1) * len).into() }
    }

    /// Tensors of one type, one after the other along a new leading axis; `None` if there are none, or they can't be one tensor.
    pub fn stack(parts: &[Self]) -> Option<Self> {
        let first = parts.first()?;
        let shape = Shape::new([&[parts.len()], first.ty.shape.dims()].concat()).ok()?;
        let mut data = Data::clone(&first.data);
        for part in &parts[1..] {
            if part.ty != first.ty {
                return None;
            }
            data.append(&part.data);
        }
        Some(Self { ty: first.ty.with_shape(shape), data: data.into() })
    }

    /// The type.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The elements, for writing; their number and type can't change.
    pub fn data_mut(&mut self) -> &mut Data {
        Arc::make_mut(&mut self.data)
    }

    /// The element at row-major position `i`.
    ///
    /// # Panics
    /// If `i` is out of range.
    pub fn get(&self, i: usize) -> Scalar {
        self.data.get(i)
    }

    /// The elements if they are `f32`.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &*self.data {
            Data::F32(v) => Some(v),
            _ => None,
        }
    }

    /// The elements as `f64`, converted.
    pub fn to_f64_vec(&self) -> Vec<f64> {
        (0..self.data.len()).map(|i| self.get(i).as_f64()).collect()
    }
}

/// Bit equality, so that a NaN equals itself.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.ty == other.ty
            && (Arc::ptr_eq(&self.data, &other.data) || (0..self.data.len()).all(|i| self.get(i) == other.get(i)))
    }
}

impl Eq for Value {}
