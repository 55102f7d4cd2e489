//! What has been learnt from training rows, and how it makes of any rows what the model gets.

use super::{DataError, Table};
use crate::data::{Column, Dataset, Schema, array};
use crate::dsl::TypeSpec;
use crate::io::write_atomically;
use crate::model::{SAMPLE_WEIGHT, TARGET};
use ir::DType;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Makes of a table's rows what a model gets, as [`FeatureSpace::fit`](super::FeatureSpace::fit) learnt it from training rows. Belongs to the trained model: keep it beside the weights
/// ([`Preprocessing::save`]) or in their file ([`Trainer::set_metadata`](crate::train::Trainer::set_metadata)).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Preprocessing {
    pub(super) numbers: Vec<NumberColumn>,
    pub(super) categories: Vec<CategoryColumn>,
    pub(super) embedded: Vec<CategoryColumn>,
    pub(super) target: Option<TargetColumn>,
    pub(super) weights: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct NumberColumn {
    pub(super) name: String,
    /// What stands for a missing one.
    pub(super) fill: f64,
    pub(super) mean: f64,
    pub(super) deviation: f64,
    /// Whether an element says that it is missing.
    pub(super) indicator: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct CategoryColumn {
    pub(super) name: String,
    pub(super) values: Vec<String>,
    /// Whether missing is a category, the last.
    pub(super) missing: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct TargetColumn {
    pub(super) name: String,
    /// None for numbers.
    pub(super) classes: Option<Vec<String>>,
}

impl CategoryColumn {
    fn len(&self) -> usize {
        self.values.len() + usize::from(self.missing)
    }

    /// The category of a row, if it is known.
    fn find(&self, table: &Table, row: usize) -> Result<Option<usize>, DataError> {
        Ok(match table.text(&self.name, row)? {
            Some(text) => self.values.iter().position(|value| *value == text),
            None => self.missing.then_some(self.values.len()),
        })
    }
}

impl Preprocessing {
    /// The elements of the input `x`, `f32[width]`; 0 if there is no such input.
    pub fn width(&self) -> usize {
        let numbers: usize = self.numbers.iter().map(|column| 1 + usize::from(column.indicator)).sum();
        numbers + self.categories.iter().map(CategoryColumn::len).sum::<usize>()
    }

    /// The classes' names by number; empty if the target is no class.
    pub fn classes(&self) -> &[String] {
        self.target.as_ref().and_then(|target| target.classes.as_deref()).unwrap_or_default()
    }

    /// How many ids an embedded column has, the one for unknown categories included: the vocabulary of its [`Embedding`](crate::nn::Embedding).
    pub fn cardinality(&self, name: &str) -> Option<usize> {
        self.embedded.iter().find(|column| column.name == name).map(|column| 1 + column.len())
    }

    /// The columns of what a model is trained on.
    ///
    /// # Errors
    /// If two have one name.
    pub fn schema(&self) -> Result<Schema, DataError> {
        let mut schema = Schema::new();
        if self.width() > 0 {
            schema = schema.column("x", TypeSpec::new(DType::F32, [self.width()]))?;
        }
        for column in &self.embedded {
            schema = schema.column(&column.name, TypeSpec::new(DType::I32, []))?;
        }
        if let Some(target) = &self.target {
            let numeric = TypeSpec::new(DType::F32, [1]);
            let ty = if target.classes.is_none() { numeric } else { TypeSpec::new(DType::I32, []) };
            schema = schema.column(TARGET, ty)?;
        }
        match &self.weights {
            Some(_) => schema.column(SAMPLE_WEIGHT, TypeSpec::new(DType::F32, [])),
            None => Ok(schema),
        }
    }

    /// What a model gets of a table's rows. A table without the target's column gives samples without targets, to predict from; so it is with weights.
    ///
    /// # Errors
    /// If a column isn't there, a cell is no number, or a target or a weight is missing or a class that no training row has.
    pub fn apply(&self, table: &Table) -> Result<Dataset, DataError> {
        let rows = table.rows();
        let mut columns = Vec::new();
        if self.width() > 0 {
            let mut x = Vec::with_capacity(rows * self.width());
            (0..rows).try_for_each(|row| self.push_row(table, row, &mut x))?;
            columns.push(("x", array([rows, self.width()], x)?));
        }
        for column in &self.embedded {
            let id = |row| Ok(column.find(table, row)?.map_or(0, |category| 1 + category as i32));
            let ids: Result<Vec<i32>, DataError> = (0..rows).map(id).collect();
            columns.push((&column.name, array([rows], ids?)?));
        }
        if let Some(target) = self.target.as_ref().filter(|target| table.find(&target.name).is_some()) {
            columns.push((TARGET, target.of(table)?));
        }
        if let Some(name) = self.weights.as_ref().filter(|name| table.find(name).is_some()) {
            columns.push((SAMPLE_WEIGHT, array([rows], present(table, name)?)?));
        }
        let mut columns = columns.into_iter();
        let (name, value) = columns.next().ok_or_else(|| DataError::Dataset("no features".into()))?;
        let data = Dataset::of(name, Column::new(value)?);
        columns.try_fold(data, |data, (name, value)| data.with(name, Column::new(value)?))
    }

    /// The elements of `x` of a row.
    fn push_row(&self, table: &Table, row: usize, x: &mut Vec<f32>) -> Result<(), DataError> {
        for column in &self.numbers {
            let cell = table.number(&column.name, row)?;
            x.push(((cell.unwrap_or(column.fill) - column.mean) / column.deviation) as f32);
            if column.indicator {
                x.push(if cell.is_none() { 1.0 } else { 0.0 });
            }
        }
        for column in &self.categories {
            let start = x.len();
            x.resize(start + column.len(), 0.0);
            if let Some(category) = column.find(table, row)? {
                x[start + category] = 1.0;
            }
        }
        Ok(())
    }

    /// As JSON.
    ///
    /// # Errors
    /// None that a fitted one has: numbers are finite.
    pub fn to_json(&self) -> Result<String, DataError> {
        serde_json::to_string(self).map_err(|e| DataError::Dataset(format!("the preprocessing as JSON: {e}")))
    }

    /// From what [`to_json`](Self::to_json) gave; equal to the bit.
    ///
    /// # Errors
    /// If it is no such text.
    pub fn from_json(text: &str) -> Result<Self, DataError> {
        serde_json::from_str(text).map_err(|e| DataError::Dataset(format!("the preprocessing from JSON: {e}")))
    }

    /// Saves it as a file of JSON, atomically.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        let path = path.as_ref();
        write_atomically(path, self.to_json()?.as_bytes()).map_err(|e| DataError::file(path, e.to_string()))
    }

    /// Loads what [`save`](Self::save) saved.
    ///
    /// # Errors
    /// If the file can't be read, or is another one.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|e| DataError::io(path, e))?;
        Self::from_json(&text).map_err(|e| DataError::file(path, e.to_string()))
    }
}

impl TargetColumn {
    fn of(&self, table: &Table) -> Result<ir::Value, DataError> {
        let rows = table.rows();
        let Some(classes) = &self.classes else {
            return array([rows, 1], present(table, &self.name)?);
        };
        let label = |row: usize| {
            let name = &self.name;
            let text = table.text(name, row)?.ok_or_else(|| table.wrong(row, format!("column `{name}` is missing")))?;
            let class = classes.iter().position(|class| *class == text);
            let unknown =
                || table.wrong(row, format!("column `{name}`: {text:?} is none of the {} classes", classes.len()));
            class.map(|class| class as i32).ok_or_else(unknown)
        };
        array([rows], (0..rows).map(label).collect::<Result<Vec<_>, _>>()?)
    }
}

/// The numbers of a column, of which none may be missing.
fn present(table: &Table, name: &str) -> Result<Vec<f32>, DataError> {
    let missing = |row| table.wrong(row, format!("column `{name}` is missing"));
    let number = |row| Ok(table.number(name, row)?.ok_or_else(|| missing(row))? as f32);
    (0..table.rows()).map(number).collect()
}
