//! A column of a data set: one array whose first axis counts the samples, and its conversion to what a program takes.

use super::batches::RowRefs;
use super::{ArrayView, DataError};
use ir::{DType, Data, Scalar, Shape, TensorType, Value};
use runtime::Element;
use std::sync::Arc;

/// An array of samples along the first axis. Cheap to clone: clones share the elements.
#[derive(Clone, Debug)]
pub struct Column {
    value: Arc<Value>,
    /// Bytes stand for `byte / 255`.
    unit: bool,
}

/// An array from its elements: `array([2, 3], vec![0.0f32; 6])`.
///
/// # Errors
/// If the extents don't make a shape, or the number of elements is another one.
pub fn array<T: Stored>(dims: impl AsRef<[usize]>, elements: Vec<T>) -> Result<Value, DataError> {
    let shape = Shape::new(dims).map_err(|e| DataError::Dataset(e.to_string()))?;
    let data = T::data(elements);
    Value::new(TensorType::new(data.dtype(), shape), data).map_err(|e| DataError::Dataset(e.to_string()))
}

/// The Rust types that arrays can be made of.
pub trait Stored: Sized {
    /// The elements as an array's.
    fn data(elements: Vec<Self>) -> Data;

    /// An array's elements, if they are of this type.
    fn view(data: &Data) -> Option<&[Self]>;

    /// The same, to write to.
    fn view_mut(data: &mut Data) -> Option<&mut [Self]>;
}

macro_rules! stored {
    ($($ty:ty => $variant:ident),*) => { $(
        impl Stored for $ty {
            fn data(elements: Vec<Self>) -> Data {
                Data::$variant(elements)
            }

            fn view(data: &Data) -> Option<&[Self]> {
                if let Data::$variant(elements) = data { Some(elements) } else { None }
            }

            fn view_mut(data: &mut Data) -> Option<&mut [Self]> {
                if let Data::$variant(elements) = data { Some(elements) } else { None }
            }
        }
    )* };
}

stored!(f32 => F32, f64 => F64, i32 => I32, i64 => I64, i16 => I16, i8 => I8, u64 => U64, u32 => U32, u16 => U16, u8 => U8, bool => Bool);

impl Column {
    /// The samples of an array with at least one axis.
    ///
    /// # Errors
    /// If it is a scalar.
    pub fn new(value: Value) -> Result<Self, DataError> {
        if value.ty().shape.rank() == 0 {
            return Err(DataError::Dataset(format!("{} has no axis to count samples along", value.ty())));
        }
        Ok(Self { value: Arc::new(value), unit: false })
    }

    /// With bytes read as fractions, `byte / 255`: the pixels of an image. Other elements stay what they are.
    pub fn scaled_to_unit(mut self) -> Self {
        self.unit = self.value.ty().dtype == DType::U8;
        self
    }

    /// The number of samples.
    pub fn rows(&self) -> usize {
        self.value.ty().shape[0]
    }

    /// The type of one sample, as stored.
    pub fn sample(&self) -> TensorType {
        // A shape without its first extent is one, so the fallback is never taken.
        let shape = Shape::new(&self.value.ty().shape[1..]).unwrap_or_else(|_| Shape::scalar());
        self.value.ty().with_shape(shape)
    }

    /// The same elements with other extents of a sample: `[28, 28]` as `[28, 28, 1]`.
    ///
    /// # Errors
    /// If a sample's number of elements changes.
    pub fn reshaped(self, sample: impl AsRef<[usize]>) -> Result<Self, DataError> {
        let dims = [&[self.rows()], sample.as_ref()].concat();
        let wrong = |e: &dyn std::fmt::Display| DataError::Dataset(format!("samples of {}: {e}", self.sample()));
        let shape = Shape::new(&dims).map_err(|e| wrong(&e))?;
        let ty = self.value.ty().with_shape(shape);
        let value = Value::new(ty, self.value.data().clone()).map_err(|e| wrong(&e))?;
        Ok(Self { value: Arc::new(value), unit: self.unit })
    }

    /// The stored array.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Whether bytes stand for fractions.
    pub(super) fn is_unit(&self) -> bool {
        self.unit
    }

    /// Whether two columns are one array in memory, read the same way.
    pub(super) fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.value, &other.value) && self.unit == other.unit
    }

    /// The elements, to write to; copied first if another column shares them.
    pub(super) fn data_mut(&mut self) -> &mut Data {
        Arc::make_mut(&mut self.value).data_mut()
    }

    /// Copies a sample to another place of the column.
    pub(super) fn move_sample(&mut self, from: usize, to: usize) {
        let size = self.sample().shape.numel();
        let range = from * size..(from + 1) * size;
        macro_rules! each {
            ($($variant:ident),*) => {
                match self.data_mut() {
                    $(Data::$variant(elements) => elements.copy_within(range, to * size),)*
                }
            };
        }
        each!(F32, F64, Bf16, F16, I64, I32, I16, I8, U64, U32, U16, U8, Bool);
    }

    /// A new column of samples of others, which all have the first one's type.
    pub(super) fn gathered<'c>(parts: impl IntoIterator<Item = (&'c Self, &'c [usize])>) -> Result<Self, DataError> {
        let parts: Vec<_> = parts.into_iter().collect();
        let samples = parts.iter().map(|(_, rows)| rows.len()).sum();
        let nothing = || DataError::Dataset("a column of no samples".into());
        let (first, _) = parts.first().ok_or_else(nothing)?;
        let shape = Shape::new([&[samples], first.sample().shape.dims()].concat());
        let shape = shape.map_err(|e| DataError::Dataset(e.to_string()))?;
        let mut value = Value::splat(Scalar::zero(first.value.ty().dtype), shape);
        let mut at = 0;
        for (column, rows) in &parts {
            for &row in *rows {
                copy_sample(value.data_mut(), at, column.value.data(), row, column.sample().shape.numel());
                at += 1;
            }
        }
        Ok(Self { value: Arc::new(value), unit: first.unit })
    }

    /// Sample `row` as a number, if a sample is one.
    pub(crate) fn number(&self, row: usize) -> Option<f64> {
        (self.value.data().len() == self.rows() && row < self.rows()).then(|| self.value.get(row).as_f64())
    }

    /// The class of the label stored at `row`: a whole number that isn't negative, or the place of the largest of several floats, one-hot.
    ///
    /// # Errors
    /// That it is neither, in words that call the column `name` and the label `sample`.
    pub(crate) fn class(&self, name: &str, row: usize, sample: usize) -> Result<usize, String> {
        let ty = self.sample();
        self.find_class(row)
            .ok_or_else(|| format!("sample {sample} of `{name}`, {ty}, is neither one class nor one-hot"))
    }

    fn find_class(&self, row: usize) -> Option<usize> {
        if let Some(number) = self.number(row) {
            return class_of(number);
        }
        let sample = self.sample();
        let size = sample.shape.numel();
        if sample.shape.rank() != 1 || !sample.dtype.is_float() || row >= self.rows() {
            return None;
        }
        let element = |i: usize| self.value.get(row * size + i).as_f64();
        (0..size).reduce(|best, i| if element(i) > element(best) { i } else { best })
    }

    /// Copies samples, converted to `dtype`, whose elements `T` views; `out` holds exactly as many.
    ///
    /// Integers must fit; integers and bytes become floats; floats become other floats; nothing else is a conversion.
    pub(crate) fn gather<T: Item>(
        &self,
        name: &str,
        rows: RowRefs<'_>,
        dtype: DType,
        out: &mut [T],
    ) -> Result<(), DataError> {
        let size = self.value.data().len() / self.rows();
        let samples = rows.iter().zip(out.chunks_exact_mut(size));
        match (self.value.data(), <T as Item>::view(self.value.data())) {
            (Data::U8(bytes), _) if self.unit && dtype.is_float() => {
                let table: [T; 256] =
                    std::array::from_fn(|byte| T::from_bits(Scalar::F32(byte as f32 / 255.0).cast(dtype).to_bits()));
                for (row, sample) in samples {
                    let stored = &bytes[row * size..(row + 1) * size];
                    sample.iter_mut().zip(stored).for_each(|(to, byte)| *to = table[usize::from(*byte)]);
                }
            }
            (data, Some(stored)) if data.dtype() == dtype => {
                for (row, sample) in samples {
                    sample.copy_from_slice(&stored[row * size..(row + 1) * size]);
                }
            }
            (data, _) => {
                for (row, sample) in samples {
                    for (i, to) in sample.iter_mut().enumerate() {
                        let value = data.get(row * size + i);
                        let converted = convert(value, dtype).ok_or_else(|| DataError::Element {
                            name: name.into(),
                            row,
                            value: value.to_string(),
                            from: data.dtype(),
                            to: dtype,
                        })?;
                        *to = T::from_bits(converted.to_bits());
                    }
                }
            }
        }
        Ok(())
    }
}

/// Copies a sample of `size` elements between arrays of one element type.
pub(super) fn copy_sample(to: &mut Data, at: usize, from: &Data, row: usize, size: usize) {
    macro_rules! copy {
        ($($variant:ident),*) => {
            match (to, from) {
                $((Data::$variant(to), Data::$variant(from)) => {
                    to[at * size..(at + 1) * size].copy_from_slice(&from[row * size..(row + 1) * size]);
                })*
                _ => debug_assert!(false, "samples of one type are copied"),
            }
        };
    }
    copy!(F32, F64, Bf16, F16, I64, I32, I16, I8, U64, U32, U16, U8, Bool);
}

/// The class that a number is: a whole one, not below 0.
pub(super) fn class_of(number: f64) -> Option<usize> {
    (number >= 0.0 && number.fract() == 0.0).then_some(number as usize)
}

/// An element in another type, where that has a meaning.
pub(super) fn convert(value: Scalar, to: DType) -> Option<Scalar> {
    let from = value.dtype();
    let converted = value.cast(to);
    let possible = match (from, to) {
        (a, b) if a == b => true,
        (a, b) if a.is_float() => b.is_float(),
        (_, b) if b.is_float() => true,
        // An integer or a truth value to an integer or a truth value: only if it is the same number.
        _ => converted.as_i128() == value.as_i128(),
    };
    possible.then_some(converted)
}

/// A view of elements that batches are copied into.
pub(crate) trait Item: Element {
    /// The element with these bits, as [`Scalar::to_bits`] gives them.
    fn from_bits(bits: u64) -> Self;

    /// Stored elements of this very type.
    fn view(data: &Data) -> Option<&[Self]>;

    /// A caller's elements of this very type.
    fn elements(array: ArrayView<'_>) -> Option<&[Self]>;
}

macro_rules! items {
    ($($ty:ty, $from:expr, $view:expr, $array:pat => $elements:expr;)*) => { $(
        impl Item for $ty {
            fn from_bits(bits: u64) -> Self {
                $from(bits)
            }

            fn view(data: &Data) -> Option<&[Self]> {
                $view(data)
            }

            fn elements(array: ArrayView<'_>) -> Option<&[Self]> {
                match array {
                    $array => $elements,
                    _ => None,
                }
            }
        }
    )* };
}

items! {
    f32, |bits| f32::from_bits(bits as u32), <f32 as Stored>::view, ArrayView::F32(elements) => Some(elements);
    f64, f64::from_bits, <f64 as Stored>::view, ArrayView::F64(elements) => Some(elements);
    i32, |bits| bits as u32 as i32, <i32 as Stored>::view, ArrayView::I32(elements) => Some(elements);
    i64, |bits| bits as i64, <i64 as Stored>::view, ArrayView::I64(elements) => Some(elements);
    i16, |bits| bits as u16 as i16, <i16 as Stored>::view, ArrayView::I16(elements) => Some(elements);
    i8, |bits| bits as u8 as i8, <i8 as Stored>::view, ArrayView::I8(elements) => Some(elements);
    u8, |bits| bits as u8, <u8 as Stored>::view, ArrayView::U8(elements) => Some(elements);
    u64, |bits| bits, <u64 as Stored>::view, ArrayView::U64(elements) => Some(elements);
    u32, |bits| bits as u32, <u32 as Stored>::view, ArrayView::U32(elements) => Some(elements);
    u16, |bits| bits as u16, <u16 as Stored>::view, ArrayView::U16(elements) => Some(elements);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered<T: Item + Default>(column: &Column, rows: &[usize], dtype: DType) -> Result<Vec<T>, DataError> {
        let mut out = vec![T::default(); rows.len() * column.sample().shape.numel()];
        column.gather("x", RowRefs::List(rows), dtype, &mut out)?;
        Ok(out)
    }

    #[test]
    fn bytes_become_fractions_or_stay_numbers() {
        let column = Column::new(array([2, 2], vec![0u8, 51, 255, 128]).unwrap()).unwrap();
        assert_eq!(gathered::<f32>(&column, &[1, 0], DType::F32).unwrap(), [255.0, 128.0, 0.0, 51.0]);
        let unit = column.scaled_to_unit();
        assert_eq!(gathered::<f32>(&unit, &[1, 0], DType::F32).unwrap(), [1.0, 128.0 / 255.0, 0.0, 0.2]);
        assert_eq!(gathered::<i32>(&unit, &[1], DType::I32).unwrap(), [255, 128]);
        let half = gathered::<u16>(&unit, &[1], DType::Bf16).unwrap();
        assert_eq!(half[0], 0x3f80);
    }

    #[test]
    fn conversions_keep_the_value_or_fail_by_name() {
        let labels = Column::new(array([3], vec![7i64, -1, 1 << 40]).unwrap()).unwrap();
        assert_eq!(gathered::<i32>(&labels, &[1, 0], DType::I32).unwrap(), [-1, 7]);
        let error = gathered::<i32>(&labels, &[0, 2], DType::I32).unwrap_err();
        assert_eq!(error.to_string(), "sample 2 of `x` holds 1099511627776 of i64, which is no value of i32");
        let floats = Column::new(array([2], vec![1.0f64, 2.5]).unwrap()).unwrap();
        assert_eq!(gathered::<f32>(&floats, &[1], DType::F32).unwrap(), [2.5]);
        assert!(gathered::<i32>(&floats, &[0], DType::I32).is_err(), "a float is no label");
        let truth = Column::new(array([2], vec![true, false]).unwrap()).unwrap();
        assert_eq!(gathered::<i32>(&truth, &[0, 1], DType::I32).unwrap(), [1, 0]);
        assert_eq!(gathered::<u8>(&truth, &[0, 1], DType::Bool).unwrap(), [1, 0]);
    }

    #[test]
    fn a_sample_can_be_given_other_extents_of_as_many_elements() {
        let column = Column::new(array([2, 4], vec![0u8; 8]).unwrap()).unwrap();
        assert_eq!(column.clone().reshaped([2, 2, 1]).unwrap().sample().to_string(), "u8[2,2,1]");
        assert!(column.reshaped([3]).is_err());
        assert!(Column::new(array([], vec![0u8]).unwrap()).is_err());
    }
}
