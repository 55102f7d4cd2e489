//! Tensors on the host: constants, inputs and results of the interpreter.

use crate::{DType, Data, Scalar, Shape, TensorType};
use std::sync::Arc;

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
    #[inline]
    pub fn from_fn(ty: TensorType, f: impl FnMut(usize) -> Scalar) -> Self {
        let data = Data::from_fn(ty.dtype, ty.shape.numel(), f);
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
        self.ty == other.ty && (Arc::ptr_eq(&self.data, &other.data) || self.data.is_same(&other.data))
    }
}

impl Eq for Value {}
