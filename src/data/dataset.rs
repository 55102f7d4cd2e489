//! Data sets: named columns of inputs and a target, and views of them.

use super::batches::{Batches, RowRefs};
use super::folds::check_fraction;
use super::shuffle::permutation;
use super::source::{BatchReader, Epoch, Source};
use super::{Column, DataError, Field, Schema};
use crate::model::TARGET;
use ir::{TensorType, Value};
use std::ops::Range;
use std::sync::Arc;

/// Samples to train on, to evaluate with, or to predict from. Cheap to clone: clones and parts share the elements.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// By the model's input names; the target is called [`TARGET`].
    columns: Vec<(String, Column)>,
    rows: Rows,
}

/// Which samples of the stored ones belong to the data set.
#[derive(Clone, Debug)]
enum Rows {
    Range(Range<usize>),
    List(Arc<[usize]>),
}

impl Dataset {
    /// Samples `x` with their targets `y`; both count samples along the first axis.
    ///
    /// # Errors
    /// If the two have different numbers of samples, or one is a scalar.
    pub fn new(x: Value, y: Value) -> Result<Self, DataError> {
        Self::unlabelled(x)?.with(TARGET, Column::new(y)?)
    }

    /// Samples without targets, to predict from.
    ///
    /// # Errors
    /// If `x` is a scalar.
    pub fn unlabelled(x: Value) -> Result<Self, DataError> {
        Ok(Self::of("x", Column::new(x)?))
    }

    /// Samples with labels, images for instance: `images` of bytes is read as fractions of 255.
    ///
    /// # Errors
    /// As [`Dataset::new`].
    pub fn images(images: Column, labels: Column) -> Result<Self, DataError> {
        Self::of("x", images.scaled_to_unit()).with(TARGET, labels)
    }

    /// A data set of one column, for the model's input of that name.
    pub fn of(name: &str, column: Column) -> Self {
        let rows = Rows::Range(0..column.rows());
        Self { columns: vec![(name.into(), column)], rows }
    }

    /// A data set of columns with as many samples each.
    pub(super) fn of_columns(columns: Vec<(String, Column)>, samples: usize) -> Self {
        Self { columns, rows: Rows::Range(0..samples) }
    }

    /// With a further column, for the model's input of that name (`y` is the target). One of the same name is replaced.
    ///
    /// # Errors
    /// If it has another number of samples than the columns there are.
    pub fn with(mut self, name: &str, column: Column) -> Result<Self, DataError> {
        if let Some((other, stored)) = self.columns.first()
            && stored.rows() != column.rows()
        {
            let (a, b) = (stored.rows(), column.rows());
            return Err(DataError::Dataset(format!("`{other}` has {a} samples, `{name}` has {b}")));
        }
        self.columns.retain(|(n, _)| n != name);
        self.columns.push((name.into(), column));
        Ok(self)
    }

    /// The number of samples; at least 1.
    pub fn len(&self) -> usize {
        match &self.rows {
            Rows::Range(range) => range.len(),
            Rows::List(list) => list.len(),
        }
    }

    /// Never true: a data set has at least one sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type of one sample of a column, as stored.
    pub fn sample(&self, name: &str) -> Option<TensorType> {
        self.column(name).map(Column::sample)
    }

    /// The column of that name, all of it, whatever part of it this data set is.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|(n, _)| n == name).map(|(_, column)| column)
    }

    /// The column of that name, which must be there.
    pub(super) fn required(&self, name: &str) -> Result<&Column, DataError> {
        let known = || self.names().map(String::from).collect();
        self.column(name).ok_or_else(|| DataError::Missing { name: name.into(), known: known() })
    }

    /// The columns' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// The columns, all of them.
    pub(super) fn columns(&self) -> &[(String, Column)] {
        &self.columns
    }

    /// The same, to write to.
    pub(super) fn columns_mut(&mut self) -> &mut [(String, Column)] {
        &mut self.columns
    }

    /// How many samples the columns hold, whatever part of them this data set is.
    pub(super) fn stored(&self) -> usize {
        self.columns.first().map_or(0, |(_, column)| column.rows())
    }

    /// Where all samples are stored.
    pub(super) fn all_rows(&self) -> Vec<usize> {
        (0..self.len()).map(|i| self.row(i)).collect()
    }

    /// Where sample `i` is stored.
    pub(super) fn row(&self, i: usize) -> usize {
        match &self.rows {
            Rows::Range(range) => range.start + i,
            Rows::List(list) => list[i],
        }
    }

    /// The samples of a range.
    ///
    /// # Errors
    /// If the range is empty or ends beyond the last sample.
    pub fn part(&self, range: Range<usize>) -> Result<Self, DataError> {
        if range.is_empty() || range.end > self.len() {
            let (start, end, len) = (range.start, range.end, self.len());
            return Err(DataError::Dataset(format!("samples {start}..{end} of {len}: no part of the data set")));
        }
        let rows = match &self.rows {
            Rows::Range(own) => Rows::Range(own.start + range.start..own.start + range.end),
            Rows::List(list) => Rows::List(list[range].into()),
        };
        Ok(Self { columns: self.columns.clone(), rows })
    }

    /// The samples at these places, in this order; a place may be named several times.
    ///
    /// # Errors
    /// If there is no such place, or none is named.
    pub fn select(&self, places: &[usize]) -> Result<Self, DataError> {
        let len = self.len();
        if let Some(wrong) = places.iter().find(|place| **place >= len) {
            return Err(DataError::Dataset(format!("sample {wrong} of {len}: there is no such sample")));
        }
        if places.is_empty() {
            return Err(DataError::Dataset("a selection of no sample: no part of the data set".into()));
        }
        let rows = places.iter().map(|place| self.row(*place)).collect();
        Ok(Self { columns: self.columns.clone(), rows: Rows::List(rows) })
    }

    /// These samples, and then the other's. Parts of one data set are joined without a copy.
    ///
    /// # Errors
    /// If the two haven't columns of the same names and types.
    pub fn join(&self, other: &Self) -> Result<Self, DataError> {
        let (own, others) = (self.schema(), other.schema());
        for field in own.fields().iter().chain(others.fields()) {
            let (a, b) = (own.field(&field.name), others.field(&field.name));
            if a != b {
                let ty = |field: Option<&Field>| field.map_or("nothing".into(), |field| field.ty.to_string());
                let what = format!("column `{}` is {} in one data set and {} in the other", field.name, ty(a), ty(b));
                return Err(DataError::Dataset(what));
            }
        }
        let same = |(name, column): &(String, Column)| other.column(name).is_some_and(|c| c.is_shared_with(column));
        if self.columns.iter().all(same) {
            let rows = [self.all_rows(), other.all_rows()].concat();
            return Ok(Self { columns: self.columns.clone(), rows: Rows::List(rows.into()) });
        }
        Self::concatenated(&[self.clone(), other.clone()])
    }

    /// A new data set of the samples of several with the same columns.
    pub(super) fn concatenated(parts: &[Self]) -> Result<Self, DataError> {
        let first = parts.first().ok_or_else(|| DataError::Dataset("a data set of no samples".into()))?;
        let rows: Vec<Vec<usize>> = parts.iter().map(Self::all_rows).collect();
        let column = |(name, _): &(String, Column)| {
            let of = parts.iter().zip(&rows).filter_map(|(part, rows)| Some((part.column(name)?, &rows[..])));
            Ok((name.clone(), Column::gathered(of)?))
        };
        let columns: Result<Vec<_>, DataError> = first.columns.iter().map(column).collect();
        Ok(Self::of_columns(columns?, rows.iter().map(Vec::len).sum()))
    }

    /// The samples stored at `rows`.
    pub(super) fn at_rows(&self, rows: RowRefs<'_>) -> Self {
        Self { columns: self.columns.clone(), rows: Rows::List(rows.iter().collect()) }
    }

    /// Where all samples are stored, without a copy.
    pub(super) fn row_refs(&self) -> RowRefs<'_> {
        match &self.rows {
            Rows::Range(range) => RowRefs::Span { first: range.start, len: range.len() },
            Rows::List(list) => RowRefs::List(list),
        }
    }

    /// The samples of a column as one array, in the stored type: bytes stay bytes.
    ///
    /// # Errors
    /// If there is no such column.
    pub fn value(&self, name: &str) -> Result<Value, DataError> {
        let column = self.required(name)?;
        Ok(Column::gathered([(column, &self.all_rows()[..])])?.value().clone())
    }

    /// The samples in batches of that many, in their order; the last one has as many as are left. For loops of one's own: each batch is a data set,
    /// whose columns [`Dataset::value`] gives.
    ///
    /// ```
    /// use gradc::data::{Dataset, array};
    /// let data = Dataset::new(array([3, 1], vec![1.0f32, 2.0, 3.0])?, array([3], vec![0i32, 1, 0])?)?;
    /// let sizes: Vec<usize> = data.shuffled(7).batches(2).map(|batch| batch.len()).collect();
    /// assert_eq!(sizes, [2, 1]);
    /// # Ok::<(), gradc::data::DataError>(())
    /// ```
    pub fn batches(&self, size: usize) -> impl ExactSizeIterator<Item = Self> {
        let size = size.max(1);
        let batch = move |i: usize| {
            let rows = (i * size..self.len().min((i + 1) * size)).map(|at| self.row(at)).collect();
            Self { columns: self.columns.clone(), rows: Rows::List(rows) }
        };
        (0..self.len().div_ceil(size)).map(batch)
    }

    /// The first `n` samples.
    ///
    /// # Errors
    /// If there are fewer, or `n` is 0.
    pub fn take(&self, n: usize) -> Result<Self, DataError> {
        self.part(0..n)
    }

    /// The first `n` samples and the others.
    ///
    /// # Errors
    /// If one of the two would be empty.
    pub fn split_at(&self, n: usize) -> Result<(Self, Self), DataError> {
        Ok((self.part(0..n)?, self.part(n..self.len())?))
    }

    /// All but the last `fraction` of the samples, and those: training and validation or test. The order stays; [`Dataset::shuffled`]
    /// before it makes the choice random.
    ///
    /// # Errors
    /// If the fraction isn't between 0 and 1, or one of the two would be empty.
    pub fn split(&self, fraction: f64) -> Result<(Self, Self), DataError> {
        check_fraction(fraction)?;
        // Rounded down, as in Keras: int(n * (1 - fraction)).
        self.split_at((self.len() as f64 * (1.0 - fraction)) as usize)
    }

    /// The same samples in a random order, which the seed alone decides.
    pub fn shuffled(&self, seed: u64) -> Self {
        let order = permutation(self.len(), seed, 0);
        Self { columns: self.columns.clone(), rows: Rows::List(order.iter().map(|&i| self.row(i)).collect()) }
    }
}

impl Source for Dataset {
    fn schema(&self) -> Schema {
        let field = |(name, column): &(String, Column)| Field {
            name: name.clone(),
            ty: column.sample(),
            unit: column.is_unit(),
        };
        self.columns.iter().map(field).collect()
    }

    fn samples(&self) -> Option<usize> {
        Some(self.len())
    }

    fn open(&self, epoch: Epoch) -> Result<Box<dyn BatchReader + '_>, DataError> {
        Ok(Box::new(Batches::new(self, epoch)))
    }

    fn split_off(&self, fraction: f64) -> Result<(Self, Self), DataError> {
        self.split(fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::array;

    fn ten() -> Dataset {
        let x = array([10, 2], (0..20).map(|i| i as f32).collect()).unwrap();
        Dataset::new(x, array([10], (0..10).collect::<Vec<i32>>()).unwrap()).unwrap()
    }

    fn rows(data: &Dataset) -> Vec<usize> {
        (0..data.len()).map(|i| data.row(i)).collect()
    }

    #[test]
    fn parts_are_views_of_parts() {
        let (train, test) = ten().split(0.3).unwrap();
        assert_eq!((rows(&train), rows(&test)), ((0..7).collect(), vec![7, 8, 9]));
        assert_eq!(rows(&test.part(1..3).unwrap()), [8, 9]);
        let shuffled = ten().shuffled(3);
        assert_eq!(rows(&shuffled.part(2..5).unwrap()), rows(&shuffled)[2..5]);
        assert_ne!(rows(&shuffled), rows(&ten()));
        assert_eq!(rows(&shuffled), rows(&ten().shuffled(3)));
    }

    #[test]
    fn empty_parts_and_unequal_columns_are_errors() {
        assert!(ten().part(3..3).is_err());
        assert!(ten().part(0..11).is_err());
        assert!(ten().split_at(10).is_err());
        for fraction in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(ten().split(fraction).is_err());
        }
        let (x, y) = (array([3, 1], vec![0.0f32; 3]).unwrap(), array([2], vec![0i32; 2]).unwrap());
        assert_eq!(Dataset::new(x, y).unwrap_err().to_string(), "`x` has 3 samples, `y` has 2");
    }

    #[test]
    fn samples_are_selected_and_joined_without_copies_of_one_array() {
        let data = ten();
        let some = data.select(&[9, 0, 9]).unwrap();
        assert_eq!(some.value("y").unwrap().to_f64_vec(), [9.0, 0.0, 9.0]);
        assert_eq!(some.value("x").unwrap().to_f64_vec(), [18.0, 19.0, 0.0, 1.0, 18.0, 19.0]);
        assert_eq!(some.select(&[1]).unwrap().value("y").unwrap().to_f64_vec(), [0.0]);
        assert!(some.select(&[3]).is_err() && data.select(&[]).is_err() && data.value("z").is_err());
        let joined = some.join(&data.part(4..6).unwrap()).unwrap();
        assert_eq!(rows(&joined), [9, 0, 9, 4, 5]);
        // Of two arrays a third one is made.
        let joined = some.join(&ten().part(4..6).unwrap()).unwrap();
        assert_eq!(rows(&joined), [0, 1, 2, 3, 4]);
        assert_eq!(joined.value("y").unwrap().to_f64_vec(), [9.0, 0.0, 9.0, 4.0, 5.0]);
        let other = Dataset::unlabelled(array([1, 2], vec![0.0f32; 2]).unwrap()).unwrap();
        let error = data.join(&other).unwrap_err().to_string();
        assert_eq!(error, "column `y` is i32[] in one data set and nothing in the other");
    }

    #[test]
    fn batches_are_the_samples_in_order() {
        let shuffled = ten().shuffled(3);
        let all: Vec<usize> = shuffled.batches(4).flat_map(|batch| rows(&batch)).collect();
        assert_eq!((all, shuffled.batches(4).len()), (rows(&shuffled), 3));
    }
}
