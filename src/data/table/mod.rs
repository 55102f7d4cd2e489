//! Tables: named columns of numbers and texts, some of whose cells are missing, and what models get of them.

mod cells;
mod csv;
mod feature_space;
mod fit;
mod lines;
#[cfg(feature = "parquet")]
mod parquet;
mod preprocessing;
#[cfg(test)]
mod tests;

pub use csv::Csv;
pub use feature_space::{FeatureSpace, Impute};
#[cfg(feature = "parquet")]
pub use parquet::Parquet;
pub use preprocessing::Preprocessing;

use super::folds::check_fraction;
use super::shuffle::permutation;
use super::{DataError, Dataset, Schema, Stream};
use cells::{Cells, Texts};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Columns of numbers and texts as they were read, with as many rows each. What a model gets of them, a [`FeatureSpace`] says.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<(String, Cells)>,
    place: Option<Place>,
}

/// Where the rows stand.
#[derive(Clone, Debug)]
struct Place {
    path: Arc<Path>,
    /// For each row its line or its number, from 1.
    rows: Vec<u64>,
    /// Whether they are lines of a text.
    lines: bool,
}

impl Table {
    /// Without columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a further column, of numbers; `None`, and what is not finite, is missing.
    ///
    /// # Errors
    /// If there is a column of that name, or the columns have another number of rows.
    pub fn numbers(self, name: &str, cells: impl IntoIterator<Item = Option<f64>>) -> Result<Self, DataError> {
        let number = |cell: Option<f64>| cell.filter(|x| x.is_finite()).unwrap_or(f64::NAN);
        self.with(name, Cells::Numbers(cells.into_iter().map(number).collect()))
    }

    /// With a further column, of texts; `None` is missing.
    ///
    /// # Errors
    /// As [`Table::numbers`].
    pub fn texts<'t>(self, name: &str, cells: impl IntoIterator<Item = Option<&'t str>>) -> Result<Self, DataError> {
        let mut texts = Texts::default();
        cells.into_iter().for_each(|cell| texts.push(cell));
        self.with(name, Cells::Texts(texts))
    }

    fn with(mut self, name: &str, cells: Cells) -> Result<Self, DataError> {
        if self.find(name).is_some() {
            return Err(DataError::Dataset(format!("two columns are called `{name}`")));
        }
        if let Some((other, column)) = self.columns.first()
            && column.len() != cells.len()
        {
            let (a, b) = (column.len(), cells.len());
            return Err(DataError::Dataset(format!("column `{other}` has {a} rows, `{name}` has {b}")));
        }
        self.columns.push((name.into(), cells));
        Ok(self)
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |(_, cells)| cells.len())
    }

    /// The columns' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// The number in a cell, as it is or as its text says; `None` if it is missing.
    ///
    /// # Errors
    /// If there is no such cell, or its text is no finite number.
    pub fn number(&self, name: &str, row: usize) -> Result<Option<f64>, DataError> {
        match self.column(name, row)? {
            Cells::Numbers(numbers) => Ok(Some(numbers[row]).filter(|x| x.is_finite())),
            Cells::Texts(texts) => texts.get(row).map_or(Ok(None), |text| match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Some(number)),
                _ => Err(self.wrong(row, format!("column `{name}`: {text:?} is no finite number"))),
            }),
        }
    }

    /// The text in a cell, as it is or of its number; `None` if it is missing.
    ///
    /// # Errors
    /// If there is no such cell.
    pub fn text(&self, name: &str, row: usize) -> Result<Option<Cow<'_, str>>, DataError> {
        match self.column(name, row)? {
            Cells::Numbers(numbers) => {
                Ok(Some(numbers[row]).filter(|x| x.is_finite()).map(|number| number.to_string().into()))
            }
            Cells::Texts(texts) => Ok(texts.get(row).map(Cow::Borrowed)),
        }
    }

    /// The rows of these numbers, in this order.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn select(&self, rows: &[usize]) -> Result<Self, DataError> {
        let len = self.rows();
        if let Some(wrong) = rows.iter().find(|row| **row >= len) {
            return Err(DataError::Dataset(format!("row {wrong} of {len}: there is no such row")));
        }
        let columns = self.columns.iter().map(|(name, cells)| (name.clone(), cells.select(rows))).collect();
        let place = self.place.as_ref().map(|place| Place {
            path: place.path.clone(),
            rows: rows.iter().map(|row| place.rows[*row]).collect(),
            lines: place.lines,
        });
        Ok(Self { columns, place })
    }

    /// All but a `fraction` of the rows, and those, chosen at random as the seed decides: for training and for testing.
    ///
    /// # Errors
    /// If the fraction isn't between 0 and 1, or one part would be empty.
    pub fn split(&self, fraction: f64, seed: u64) -> Result<(Self, Self), DataError> {
        check_fraction(fraction)?;
        let rows = permutation(self.rows(), seed, 0);
        let (train, test) = rows.split_at((rows.len() as f64 * (1.0 - fraction)) as usize);
        if train.is_empty() || test.is_empty() {
            return Err(DataError::Dataset(format!("{} rows can't be split by {fraction}", rows.len())));
        }
        Ok((self.select(train)?, self.select(test)?))
    }

    fn find(&self, name: &str) -> Option<&Cells> {
        self.columns.iter().find(|(known, _)| known == name).map(|(_, cells)| cells)
    }

    /// The column of that name, if it has such a row.
    fn column(&self, name: &str, row: usize) -> Result<&Cells, DataError> {
        let cells = self.find(name).ok_or_else(|| self.no_column(name))?;
        if row < cells.len() {
            return Ok(cells);
        }
        Err(DataError::Dataset(format!("row {row} of {}: there is no such row", cells.len())))
    }

    fn no_column(&self, name: &str) -> DataError {
        let known: Vec<&str> = self.names().collect();
        let what = format!("there is no column `{name}`; there are {}", known.join(", "));
        match &self.place {
            Some(place) => DataError::file(&place.path, what),
            None => DataError::Dataset(what),
        }
    }

    /// What is wrong with a row, with its place.
    fn wrong(&self, row: usize, what: String) -> DataError {
        match &self.place {
            Some(Place { path, rows, lines: true }) => DataError::Line { path: (**path).into(), line: rows[row], what },
            Some(Place { path, rows, .. }) => DataError::file(path, format!("row {}: {what}", rows[row])),
            None => DataError::Dataset(format!("row {row}: {what}")),
        }
    }
}

/// Columns while they are read, row by row.
struct TableBuilder {
    columns: Vec<(String, Cells)>,
    path: PathBuf,
    rows: Vec<u64>,
    lines: bool,
}

impl TableBuilder {
    fn new(path: &Path, columns: Vec<(String, Cells)>, lines: bool) -> Self {
        Self { columns, path: path.into(), rows: Vec::new(), lines }
    }

    /// What has been read, if it is anything; reading goes on with no row.
    fn take(&mut self) -> Option<Table> {
        let rows = std::mem::take(&mut self.rows);
        let place = Place { path: self.path.as_path().into(), rows, lines: self.lines };
        (!place.rows.is_empty()).then(|| {
            let columns = self.columns.iter_mut().map(|(name, cells)| (name.clone(), cells.take())).collect();
            Table { columns, place: Some(place) }
        })
    }
}

/// Tables of a file that is opened anew for each pass, one after the other, as a stream of what a model gets of their rows.
fn stream<I>(
    preprocessing: &Preprocessing,
    open: impl Fn() -> Result<I, DataError> + Send + Sync + 'static,
) -> Result<Stream, DataError>
where
    I: Iterator<Item = Result<Table, DataError>> + Send + 'static,
{
    let preprocessing = preprocessing.clone();
    let schema: Schema = preprocessing.schema()?;
    let apply = move |table: Result<Table, DataError>, preprocessing: &Preprocessing| -> Result<Dataset, DataError> {
        preprocessing.apply(&table?)
    };
    Ok(Stream::iter(schema, move || {
        let preprocessing = preprocessing.clone();
        let (tables, error) = open().map_or_else(|e| (None, Some(Err(e))), |tables| (Some(tables), None));
        let tables = error.into_iter().chain(tables.into_iter().flatten());
        tables.map(move |table| apply(table, &preprocessing))
    }))
}

/// The tables that `read` gives, until there are no more rows or one can't be read.
fn tables(
    mut read: impl FnMut() -> Result<Option<Table>, DataError>,
) -> impl Iterator<Item = Result<Table, DataError>> {
    let mut over = false;
    std::iter::from_fn(move || {
        if over {
            return None;
        }
        let table = read().transpose();
        over = !matches!(table, Some(Ok(_)));
        table
    })
}

/// Rows in a table of a stream.
const STREAMED: usize = 1024;
