//! Batches: which samples go together, in which order.

use super::shuffle::permutation;
use super::source::{BatchReader, Epoch};
use super::{Column, DataError, Dataset};
use ir::TensorType;
use std::ops::Range;

/// Some samples of columns that somebody keeps: a batch, without a copy.
#[derive(Clone, Copy, Debug)]
pub struct BatchView<'a> {
    data: &'a Dataset,
    rows: RowRefs<'a>,
    first: usize,
}

/// Where samples are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RowRefs<'a> {
    /// One after the other, from the first on.
    Span { first: usize, len: usize },
    /// At these rows.
    List(&'a [usize]),
}

impl RowRefs<'_> {
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Span { len, .. } => len,
            Self::List(rows) => rows.len(),
        }
    }

    pub(crate) fn get(self, i: usize) -> usize {
        match self {
            Self::Span { first, .. } => first + i,
            Self::List(rows) => rows[i],
        }
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..self.len()).map(move |i| self.get(i))
    }

    /// Those of a range, which ends at [`Self::len`] at the latest.
    pub(crate) fn part(self, range: Range<usize>) -> Self {
        match self {
            Self::Span { first, .. } => Self::Span { first: first + range.start, len: range.len() },
            Self::List(rows) => Self::List(&rows[range]),
        }
    }
}

impl<'a> BatchView<'a> {
    /// The samples stored at `rows` of the data set's columns. Errors name a sample by its row and `first`, which is the number of samples before row 0.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn new(data: &'a Dataset, rows: &'a [usize], first: usize) -> Result<Self, DataError> {
        let stored = data.stored();
        match rows.iter().find(|row| **row >= stored) {
            Some(row) => Err(DataError::Dataset(format!("row {row} of {stored}: there is no such sample"))),
            None => Ok(Self { data, rows: RowRefs::List(rows), first }),
        }
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples as a data set, which shares the columns.
    pub fn to_dataset(&self) -> Dataset {
        self.data.at_rows(self.rows)
    }

    /// The samples of a range, which ends at [`Self::len`] at the latest.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        Self { rows: self.rows.part(range), ..*self }
    }

    /// CRC-32 of the elements in all columns, by which a batch is known again.
    pub(crate) fn digest(&self) -> u32 {
        let mut digest = crc32fast::Hasher::new();
        for (name, column) in self.data.columns() {
            let size = column.sample().shape.numel();
            digest.update(name.as_bytes());
            for row in self.rows.iter() {
                digest.update(&column.value().data().range(row * size..(row + 1) * size).to_bytes());
            }
        }
        digest.finalize()
    }

    /// All samples of a data set.
    pub(super) fn whole(data: &'a Dataset) -> Self {
        Self { data, rows: data.row_refs(), first: 0 }
    }

    /// The stored positions of the samples.
    pub(crate) fn rows(&self) -> RowRefs<'a> {
        self.rows
    }

    /// The number by which messages name sample `i` of the batch.
    pub(crate) fn sample(&self, i: usize) -> usize {
        self.first + self.rows.get(i)
    }

    /// The column of that name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<&'a Column> {
        self.data.column(name)
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.data.names()
    }

    /// The column for a program's input, whose samples fit it.
    pub(crate) fn column(&self, name: &str, input: &TensorType) -> Result<&'a Column, DataError> {
        let column = self.data.required(name)?;
        let found = column.sample();
        if Some(found.shape.dims()) != input.shape.get(1..) {
            let shape = ir::Shape::new(input.shape.get(1..).unwrap_or_default()).unwrap_or_default();
            return Err(DataError::Sample { name: name.into(), found, expected: input.with_shape(shape) });
        }
        Ok(column)
    }
}

/// The samples of one pass over a data set, in the order in which they are used.
pub(super) struct Batches<'d> {
    data: &'d Dataset,
    order: Vec<usize>,
    size: usize,
    at: usize,
}

impl<'d> Batches<'d> {
    pub(super) fn new(data: &'d Dataset, epoch: Epoch) -> Self {
        let order = if epoch.shuffle {
            permutation(data.len(), epoch.seed, epoch.number).into_iter().map(|i| data.row(i)).collect()
        } else {
            data.all_rows()
        };
        Self { data, order, size: epoch.batch.max(1), at: 0 }
    }
}

impl BatchReader for Batches<'_> {
    fn next_batch(&mut self) -> Result<Option<BatchView<'_>>, DataError> {
        let rows = &self.order[self.at..self.order.len().min(self.at.saturating_add(self.size))];
        self.at += rows.len();
        Ok((!rows.is_empty()).then_some(BatchView { data: self.data, rows: RowRefs::List(rows), first: 0 }))
    }

    fn skip(&mut self, batches: usize) -> Result<usize, DataError> {
        let left = (self.order.len() - self.at).div_ceil(self.size);
        self.at = self.order.len().min(self.at.saturating_add(batches.saturating_mul(self.size)));
        Ok(batches.min(left))
    }
}
