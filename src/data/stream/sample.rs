//! One sample of a stream, to read and to write in place.

use crate::data::column::Stored;
use crate::data::{Column, DataError, Dataset};
use ir::TensorType;

/// A sample's elements in each column, in the block that a batch is made of.
pub struct SampleMut<'a> {
    columns: &'a mut [(String, Column)],
    row: usize,
}

impl<'a> SampleMut<'a> {
    pub(super) fn new(block: &'a mut Dataset, row: usize) -> Self {
        Self { columns: block.columns_mut(), row }
    }

    /// The elements in the column of that name, row-major.
    ///
    /// # Errors
    /// If there is no such column, or its elements aren't `T`.
    pub fn get<T: Stored>(&self, name: &str) -> Result<&[T], DataError> {
        let column = self.find(name)?;
        let size = column.sample().shape.numel();
        let elements = T::view(column.value().data()).ok_or_else(|| other::<T>(name, column))?;
        Ok(&elements[self.row * size..(self.row + 1) * size])
    }

    /// The same, to write.
    ///
    /// # Errors
    /// As [`SampleMut::get`].
    pub fn get_mut<T: Stored>(&mut self, name: &str) -> Result<&mut [T], DataError> {
        let (row, column) = (self.row, self.find(name)?);
        let size = column.sample().shape.numel();
        if T::view(column.value().data()).is_none() {
            return Err(other::<T>(name, column));
        }
        let column = self.columns.iter_mut().find(|(known, _)| known == name);
        let elements = column.and_then(|(_, column)| T::view_mut(column.data_mut()));
        let missing = || DataError::Dataset(format!("the stream has no column `{name}`"));
        Ok(&mut elements.ok_or_else(missing)?[row * size..(row + 1) * size])
    }

    /// Writes the elements of a column.
    ///
    /// # Errors
    /// As [`SampleMut::get`], and if a sample has another number of elements.
    pub fn put<T: Stored + Copy>(&mut self, name: &str, elements: &[T]) -> Result<(), DataError> {
        let to = self.get_mut::<T>(name)?;
        if to.len() != elements.len() {
            let (found, want) = (elements.len(), to.len());
            return Err(DataError::Dataset(format!("a sample of `{name}` has {want} elements, not {found}")));
        }
        to.copy_from_slice(elements);
        Ok(())
    }

    /// The type of a sample in the column of that name.
    ///
    /// # Errors
    /// If there is no such column.
    pub fn ty(&self, name: &str) -> Result<TensorType, DataError> {
        Ok(self.find(name)?.sample())
    }

    /// The names of the columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// The columns, and the row in them that is this sample's.
    pub(in crate::data) fn parts(&mut self) -> (&mut [(String, Column)], usize) {
        (self.columns, self.row)
    }

    /// The same, to read.
    pub(in crate::data) fn parts_ref(&self) -> (&[(String, Column)], usize) {
        (self.columns, self.row)
    }

    fn find(&self, name: &str) -> Result<&Column, DataError> {
        let column = self.columns.iter().find(|(known, _)| known == name).map(|(_, column)| column);
        column.ok_or_else(|| {
            let known: Vec<&str> = self.names().collect();
            DataError::Dataset(format!("the stream has no column `{name}`; it has {}", known.join(", ")))
        })
    }
}

/// The elements are asked for as what they are not.
fn other<T>(name: &str, column: &Column) -> DataError {
    let asked = std::any::type_name::<T>();
    DataError::Dataset(format!("`{name}` holds {}, not elements of {asked}", column.sample()))
}

/// The samples of a batch, in the order in which a step gets them.
pub struct BatchMut<'a> {
    block: &'a mut Dataset,
    rows: usize,
}

impl<'a> BatchMut<'a> {
    pub(super) fn new(block: &'a mut Dataset, rows: usize) -> Self {
        Self { block, rows }
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Sample `i`.
    ///
    /// # Errors
    /// If there are no more than `i`.
    pub fn sample(&mut self, i: usize) -> Result<SampleMut<'_>, DataError> {
        if i >= self.rows {
            return Err(DataError::Dataset(format!("sample {i} of a batch of {}", self.rows)));
        }
        Ok(SampleMut::new(self.block, i))
    }

    /// All elements of a column, sample by sample, to write.
    ///
    /// # Errors
    /// If there is no such column, or its elements aren't `T`.
    pub fn get_mut<T: Stored>(&mut self, name: &str) -> Result<&mut [T], DataError> {
        let rows = self.rows;
        let column = self.block.columns_mut().iter_mut().find(|(known, _)| known == name);
        let missing = || DataError::Dataset(format!("the stream has no column `{name}`"));
        let (_, column) = column.ok_or_else(missing)?;
        let size = column.sample().shape.numel();
        let wrong = other::<T>(name, column);
        Ok(&mut T::view_mut(column.data_mut()).ok_or(wrong)?[..rows * size])
    }
}
