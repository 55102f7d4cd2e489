//! Batches: which samples go together, in which order.

use super::shuffle::permutation;
use super::{Column, DataError, Dataset};
use ir::TensorType;

/// The samples of one pass over a data set, in the order in which they are used.
pub(crate) struct Batches<'d> {
    data: &'d Dataset,
    order: Vec<usize>,
    size: usize,
}

impl<'d> Batches<'d> {
    /// In the data set's order.
    pub(crate) fn in_order(data: &'d Dataset, size: usize) -> Self {
        let order = (0..data.len()).map(|i| data.row(i)).collect();
        Self { data, order, size: size.max(1) }
    }

    /// In a random order, which seed and epoch decide.
    pub(crate) fn shuffled(data: &'d Dataset, size: usize, seed: u64, epoch: u64) -> Self {
        let order = permutation(data.len(), seed, epoch).into_iter().map(|i| data.row(i)).collect();
        Self { data, order, size: size.max(1) }
    }

    /// The stored positions of each batch; the last one may hold fewer.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[usize]> {
        self.order.chunks(self.size)
    }

    /// What the samples stored at `rows` count together: the sum of their weights where the data set has such a column of numbers that are finite and at least 0, else how many they are.
    pub(crate) fn weight(&self, rows: &[usize], weights: Option<&str>) -> Result<f64, DataError> {
        let Some((name, column)) = weights.and_then(|name| Some((name, self.data.column(name)?))) else {
            return Ok(rows.len() as f64);
        };
        let weight = |&row: &usize| match column.number(row) {
            Some(weight) if weight >= 0.0 && weight.is_finite() => Ok(weight),
            found => {
                let found = found.map_or("something else".into(), |x| x.to_string());
                let rule = format!("sample {row} of `{name}` is {found}: a weight must be finite and at least 0");
                Err(DataError::Dataset(rule))
            }
        };
        rows.iter().map(weight).sum()
    }

    /// The column for a program's input, whose samples fit it.
    pub(crate) fn column(&self, name: &str, input: &TensorType) -> Result<&'d Column, DataError> {
        let known = || self.data.names().map(String::from).collect();
        let column = self.data.column(name).ok_or_else(|| DataError::Missing { name: name.into(), known: known() })?;
        let found = column.sample();
        if Some(found.shape.dims()) != input.shape.get(1..) {
            let shape = ir::Shape::new(input.shape.get(1..).unwrap_or_default()).unwrap_or_default();
            return Err(DataError::Sample { name: name.into(), found, expected: input.with_shape(shape) });
        }
        Ok(column)
    }
}
