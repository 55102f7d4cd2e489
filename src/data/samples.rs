//! The samples of one step, from wherever a caller has them: a data set, a batch of a source, or arrays by name.

use super::column::{Item, class_of, convert};
use super::{BatchView, DataError, Dataset};
use ir::{DType, Data, Scalar, Shape, TensorType, Value};
use std::ops::Range;

/// Elements that a caller keeps, sample after sample. The model knows the extents of a sample, so that they aren't given.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ArrayView<'a> {
    /// Of `f32`.
    F32(&'a [f32]),
    /// Of `f64`.
    F64(&'a [f64]),
    /// Of `i32`.
    I32(&'a [i32]),
    /// Of `i64`.
    I64(&'a [i64]),
    /// Of `i16`.
    I16(&'a [i16]),
    /// Of `i8`.
    I8(&'a [i8]),
    /// Of `u64`.
    U64(&'a [u64]),
    /// Of `u32`.
    U32(&'a [u32]),
    /// Of `u16`.
    U16(&'a [u16]),
    /// Of `u8`.
    U8(&'a [u8]),
    /// Truth values.
    Bool(&'a [bool]),
    /// Of any type.
    Value(&'a Value),
}

impl<'a> From<&'a Value> for ArrayView<'a> {
    fn from(value: &'a Value) -> Self {
        match value.data() {
            Data::F32(elements) => Self::F32(elements),
            Data::F64(elements) => Self::F64(elements),
            Data::I32(elements) => Self::I32(elements),
            Data::I64(elements) => Self::I64(elements),
            Data::I16(elements) => Self::I16(elements),
            Data::I8(elements) => Self::I8(elements),
            Data::U64(elements) => Self::U64(elements),
            Data::U32(elements) => Self::U32(elements),
            Data::U16(elements) => Self::U16(elements),
            Data::U8(elements) => Self::U8(elements),
            Data::Bool(elements) => Self::Bool(elements),
            Data::Bf16(_) | Data::F16(_) => Self::Value(value),
        }
    }
}

macro_rules! views {
    ($($ty:ty => $variant:ident),*) => { $(
        impl<'a> From<&'a [$ty]> for ArrayView<'a> {
            fn from(elements: &'a [$ty]) -> Self {
                Self::$variant(elements)
            }
        }

        impl<'a> From<&'a Vec<$ty>> for ArrayView<'a> {
            fn from(elements: &'a Vec<$ty>) -> Self {
                Self::$variant(elements)
            }
        }

        impl<'a, const N: usize> From<&'a [$ty; N]> for ArrayView<'a> {
            fn from(elements: &'a [$ty; N]) -> Self {
                Self::$variant(elements)
            }
        }
    )* };
}

views!(f32 => F32, f64 => F64, i32 => I32, i64 => I64, i16 => I16, i8 => I8, u64 => U64, u32 => U32, u16 => U16, u8 => U8, bool => Bool);

impl ArrayView<'_> {
    fn len(self) -> usize {
        match self {
            Self::F32(elements) => elements.len(),
            Self::F64(elements) => elements.len(),
            Self::I32(elements) => elements.len(),
            Self::I64(elements) => elements.len(),
            Self::I16(elements) => elements.len(),
            Self::I8(elements) => elements.len(),
            Self::U64(elements) => elements.len(),
            Self::U32(elements) => elements.len(),
            Self::U16(elements) => elements.len(),
            Self::U8(elements) => elements.len(),
            Self::Bool(elements) => elements.len(),
            Self::Value(value) => value.data().len(),
        }
    }

    fn dtype(self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::F64(_) => DType::F64,
            Self::I32(_) => DType::I32,
            Self::I64(_) => DType::I64,
            Self::I16(_) => DType::I16,
            Self::I8(_) => DType::I8,
            Self::U64(_) => DType::U64,
            Self::U32(_) => DType::U32,
            Self::U16(_) => DType::U16,
            Self::U8(_) => DType::U8,
            Self::Bool(_) => DType::Bool,
            Self::Value(value) => value.ty().dtype,
        }
    }

    fn get(self, i: usize) -> Scalar {
        match self {
            Self::F32(elements) => Scalar::F32(elements[i]),
            Self::F64(elements) => Scalar::F64(elements[i]),
            Self::I32(elements) => Scalar::I32(elements[i]),
            Self::I64(elements) => Scalar::I64(elements[i]),
            Self::I16(elements) => Scalar::I16(elements[i]),
            Self::I8(elements) => Scalar::I8(elements[i]),
            Self::U64(elements) => Scalar::U64(elements[i]),
            Self::U32(elements) => Scalar::U32(elements[i]),
            Self::U16(elements) => Scalar::U16(elements[i]),
            Self::U8(elements) => Scalar::U8(elements[i]),
            Self::Bool(elements) => Scalar::Bool(elements[i]),
            Self::Value(value) => value.get(i),
        }
    }

    /// Copies elements `from..` to all of `out`, converted as those of a [`Column`](super::Column) are.
    fn copy<T: Item>(self, name: &str, size: usize, from: usize, dtype: DType, out: &mut [T]) -> Result<(), DataError> {
        match T::elements(self) {
            Some(elements) if self.dtype() == dtype => out.copy_from_slice(&elements[from..from + out.len()]),
            _ => {
                for (i, to) in (from..).zip(out) {
                    let value = self.get(i);
                    let converted = convert(value, dtype).ok_or_else(|| DataError::Element {
                        name: name.into(),
                        row: i / size.max(1),
                        value: value.to_string(),
                        from: self.dtype(),
                        to: dtype,
                    })?;
                    *to = T::from_bits(converted.to_bits());
                }
            }
        }
        Ok(())
    }
}

/// The samples of one step. Made, without a copy, of `&Dataset` (what [`Dataset::batches`] gives, for instance), of a [`BatchView`], or of arrays by the names of the
/// model's inputs and targets: `&[("x", (&pixels).into()), ("y", (&labels).into())]`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Samples<'a> {
    /// Samples of columns.
    Batch(BatchView<'a>),
    /// Arrays by name, each with as many samples.
    Arrays(&'a [(&'a str, ArrayView<'a>)]),
}

impl<'a> From<&'a Dataset> for Samples<'a> {
    fn from(data: &'a Dataset) -> Self {
        Self::Batch(BatchView::whole(data))
    }
}

impl<'a> From<BatchView<'a>> for Samples<'a> {
    fn from(batch: BatchView<'a>) -> Self {
        Self::Batch(batch)
    }
}

impl<'a> From<&'a [(&'a str, ArrayView<'a>)]> for Samples<'a> {
    fn from(arrays: &'a [(&'a str, ArrayView<'a>)]) -> Self {
        Self::Arrays(arrays)
    }
}

impl<'a, const N: usize> From<&'a [(&'a str, ArrayView<'a>); N]> for Samples<'a> {
    fn from(arrays: &'a [(&'a str, ArrayView<'a>); N]) -> Self {
        Self::Arrays(arrays)
    }
}

impl Samples<'_> {
    /// How many there are, for a model with these inputs: names, and elements of a sample.
    ///
    /// # Errors
    /// If there are none, or arrays that begin no whole number of them.
    pub(crate) fn len(&self, inputs: &[(String, usize)]) -> Result<usize, DataError> {
        let samples = match self {
            Self::Batch(batch) => batch.len(),
            Self::Arrays(arrays) => {
                let first = inputs.iter().find_map(|(name, size)| Some((name, array(arrays, name)?, *size)));
                let Some((name, array, size)) = first else { return Err(missing(arrays, inputs)) };
                if size == 0 || array.len() % size != 0 {
                    let what = format!("`{name}` has {} elements, but a sample has {size}", array.len());
                    return Err(DataError::Dataset(what));
                }
                array.len() / size
            }
        };
        if samples == 0 { Err(DataError::Dataset("a step of no samples".into())) } else { Ok(samples) }
    }

    /// Whether there is a column or an array of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Self::Batch(batch) => batch.find(name).is_some(),
            Self::Arrays(arrays) => array(arrays, name).is_some(),
        }
    }

    /// Copies the samples of a range into the input `name` of a program, converted to its type `ty`. If the program takes more, the last sample fills the rest.
    pub(crate) fn copy<T: Item>(
        &self,
        range: Range<usize>,
        name: &str,
        ty: &TensorType,
        out: &mut [T],
    ) -> Result<(), DataError> {
        let size = out.len() / ty.shape.first().copied().unwrap_or(1).max(1);
        let filled = range.len() * size;
        match self {
            Self::Batch(batch) => {
                let rows = batch.rows().part(range);
                batch.column(name, ty)?.gather(name, rows, ty.dtype, &mut out[..filled])?;
            }
            Self::Arrays(arrays) => {
                let found = array(arrays, name).ok_or_else(|| unknown(arrays, name))?;
                if found.len() < range.end * size {
                    let sample = Shape::new(ty.shape.get(1..).unwrap_or_default()).unwrap_or_default();
                    let (sample, samples) = (ty.with_shape(sample), range.end);
                    let what = format!("`{name}` has {} elements, not {samples} samples of {sample}", found.len());
                    return Err(DataError::Dataset(what));
                }
                found.copy(name, size, range.start * size, ty.dtype, &mut out[..filled])?;
            }
        }
        (filled..out.len()).for_each(|i| out[i] = out[i - size]);
        Ok(())
    }

    /// Sample `i` of a column of numbers.
    pub(crate) fn number(&self, name: &str, i: usize) -> Option<f64> {
        match self {
            Self::Batch(batch) => batch.find(name).and_then(|column| column.number(batch.rows().get(i))),
            Self::Arrays(arrays) => array(arrays, name).filter(|a| i < a.len()).map(|a| a.get(i).as_f64()),
        }
    }

    /// The class of sample `i`, by a column of labels.
    ///
    /// # Errors
    /// That it has none, in words.
    pub(crate) fn class(&self, name: &str, i: usize) -> Result<usize, String> {
        let no_column = || format!("there is no column `{name}` of labels; there are {}", self.names().join(", "));
        match self {
            Self::Batch(batch) => {
                let column = batch.find(name).ok_or_else(no_column)?;
                column.class(name, batch.rows().get(i), batch.sample(i))
            }
            Self::Arrays(_) => {
                let number = self.number(name, i).ok_or_else(no_column)?;
                class_of(number).ok_or_else(|| format!("sample {i} of `{name}` is no class"))
            }
        }
    }

    fn names(&self) -> Vec<&str> {
        match self {
            Self::Batch(batch) => batch.names().collect(),
            Self::Arrays(arrays) => arrays.iter().map(|(name, _)| *name).collect(),
        }
    }

    /// The number by which messages name sample `i`.
    pub(crate) fn name_of(&self, i: usize) -> usize {
        match self {
            Self::Batch(batch) => batch.sample(i),
            Self::Arrays(_) => i,
        }
    }
}

fn array<'a>(arrays: &[(&'a str, ArrayView<'a>)], name: &str) -> Option<ArrayView<'a>> {
    arrays.iter().find(|(found, _)| *found == name).map(|(_, array)| *array)
}

fn unknown(arrays: &[(&str, ArrayView<'_>)], name: &str) -> DataError {
    DataError::Missing { name: name.into(), known: arrays.iter().map(|(name, _)| (*name).into()).collect() }
}

/// None of the model's inputs is there.
fn missing(arrays: &[(&str, ArrayView<'_>)], inputs: &[(String, usize)]) -> DataError {
    unknown(arrays, inputs.first().map_or("x", |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::array as tensor;

    fn ty(dtype: DType, dims: &[usize]) -> TensorType {
        TensorType::new(dtype, Shape::new(dims).unwrap())
    }

    fn copied(samples: Samples<'_>, range: Range<usize>, name: &str, ty: &TensorType) -> Result<Vec<f32>, DataError> {
        let mut out = vec![0.0f32; ty.shape.numel()];
        samples.copy(range, name, ty, &mut out)?;
        Ok(out)
    }

    #[test]
    fn all_kinds_give_the_same_elements_and_the_last_fills_the_rest() {
        let elements: Vec<f32> = (0..6).map(|i| i as f32).collect();
        let x = tensor([3, 2], elements.clone()).unwrap();
        let data = Dataset::unlabelled(x.clone()).unwrap();
        let inputs = [("x".to_string(), 2)];
        let (arrays, value) = ([("x", (&elements).into())], [("x", (&x).into())]);
        let reversed: Vec<f64> = elements.iter().map(|x| f64::from(*x)).collect();
        let converted = [("x", ArrayView::from(&reversed))];
        let (wide, wanted) = (ty(DType::F32, &[4, 2]), [2.0, 3.0, 4.0, 5.0, 4.0, 5.0, 4.0, 5.0]);
        for samples in [Samples::from(&data), (&arrays).into(), (&value).into(), (&converted).into()] {
            assert_eq!(samples.len(&inputs).unwrap(), 3);
            assert_eq!(copied(samples, 1..3, "x", &wide).unwrap(), wanted);
        }
        let shuffled = data.select(&[2, 0]).unwrap();
        assert_eq!(copied((&shuffled).into(), 0..2, "x", &ty(DType::F32, &[2, 2])).unwrap(), [4.0, 5.0, 0.0, 1.0]);
        assert_eq!(
            copied((&data.part(1..3).unwrap()).into(), 0..1, "x", &ty(DType::F32, &[1, 2])).unwrap(),
            [2.0, 3.0]
        );
    }

    #[test]
    fn arrays_that_do_not_fit_are_named() {
        let (x, y) = ([0.0f32; 6], [1.5f64, 2.0]);
        let arrays = [("x", ArrayView::from(&x)), ("y", ArrayView::from(&y))];
        let samples = Samples::from(&arrays);
        let error = |result: Result<usize, DataError>| result.unwrap_err().to_string();
        assert!(error(samples.len(&[("x".into(), 4)])).contains("`x` has 6 elements, but a sample has 4"));
        assert!(error(samples.len(&[("z".into(), 4)])).contains("`z` has no data; the data set has x, y"));
        assert!(error(Samples::Arrays(&[]).len(&[("x".into(), 2)])).contains("`x` has no data"));
        let (few, none) =
            (copied(samples, 0..3, "y", &ty(DType::F32, &[3])), copied(samples, 0..3, "z", &ty(DType::F32, &[3])));
        assert!(few.unwrap_err().to_string().contains("`y` has 2 elements, not 3 samples of f32[]"));
        assert!(none.unwrap_err().to_string().contains("`z` has no data"));
        let mut labels = [0i32; 2];
        let error = samples.copy(0..2, "y", &ty(DType::I32, &[2]), &mut labels).unwrap_err().to_string();
        assert!(error.contains("sample 0 of `y` holds 1.5"), "{error}");
    }
}
