//! What is learnt from training rows: means, deviations, categories.

use super::feature_space::{FeatureSpace, Impute};
use super::preprocessing::{CategoryColumn, NumberColumn, Preprocessing, TargetColumn};
use super::{DataError, Table};
use std::collections::BTreeSet;

impl FeatureSpace {
    /// Learns from training rows what is needed to give any rows to a model: fit on these alone, what the model is judged by stays unseen.
    ///
    /// # Errors
    /// If a column isn't there or is named twice, a cell is no number, all numbers of a column are missing, a target is, or no column is left for the model.
    pub fn fit(&self, training: &Table) -> Result<Preprocessing, DataError> {
        let named = [&self.numbers, &self.categories, &self.embedded].into_iter().flatten();
        let mut seen = BTreeSet::new();
        if let Some(twice) =
            named.clone().chain(self.target.as_ref().map(|(name, _)| name)).find(|name| !seen.insert(*name))
        {
            return Err(DataError::Dataset(format!("the column `{twice}` is named twice among the features")));
        }
        if named.count() == 0 {
            return Err(DataError::Dataset("no column is named for the features".into()));
        }
        let numbers = self.numbers.iter().map(|name| self.number(training, name)).collect::<Result<_, _>>()?;
        let categories = self.categories.iter().map(|name| category(training, name)).collect::<Result<_, _>>()?;
        let embedded = self.embedded.iter().map(|name| category(training, name)).collect::<Result<_, _>>()?;
        let target = self.target.as_ref().map(|(name, numeric)| target(training, name, *numeric)).transpose()?;
        Ok(Preprocessing { numbers, categories, embedded, target, weights: self.weights.clone() })
    }

    fn number(&self, table: &Table, name: &str) -> Result<NumberColumn, DataError> {
        let cells: Result<Vec<_>, _> = (0..table.rows()).map(|row| table.number(name, row)).collect();
        let cells = cells?;
        let mut present: Vec<f64> = cells.iter().flatten().copied().collect();
        if present.is_empty() {
            // A column that isn't there is told apart.
            table.column(name, 0)?;
            return Err(DataError::Dataset(format!("column `{name}` has no number in the training rows")));
        }
        let count = present.len() as f64;
        let mean = present.iter().sum::<f64>() / count;
        let variance = present.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        let fill = match self.impute {
            Impute::Mean => mean,
            Impute::Median => median(&mut present),
            Impute::Constant(number) => number,
        };
        let (mean, deviation) = if self.raw { (0.0, 1.0) } else { (mean, deviation) };
        let indicator = self.indicate && cells.iter().any(Option::is_none);
        Ok(NumberColumn { name: name.into(), fill, mean, deviation, indicator })
    }
}

/// The median of at least one number.
fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let (half, odd) = (numbers.len() / 2, numbers.len() % 2 == 1);
    if odd { numbers[half] } else { f64::midpoint(numbers[half - 1], numbers[half]) }
}

fn category(table: &Table, name: &str) -> Result<CategoryColumn, DataError> {
    let mut values = BTreeSet::new();
    let mut missing = false;
    for row in 0..table.rows() {
        match table.text(name, row)? {
            Some(text) => drop(values.insert(text.into_owned())),
            None => missing = true,
        }
    }
    if values.is_empty() {
        table.column(name, 0)?;
    }
    Ok(CategoryColumn { name: name.into(), values: ordered(values), missing })
}

fn target(table: &Table, name: &str, numeric: bool) -> Result<TargetColumn, DataError> {
    if numeric {
        table.column(name, 0)?;
        return Ok(TargetColumn { name: name.into(), classes: None });
    }
    let column = category(table, name)?;
    Ok(TargetColumn { name: name.into(), classes: Some(column.values) })
}

/// Ascending: as numbers if all are integers, else as text.
fn ordered(values: BTreeSet<String>) -> Vec<String> {
    let mut values: Vec<String> = values.into_iter().collect();
    if values.iter().all(|value| value.parse::<i64>().is_ok()) {
        values.sort_by_key(|value| value.parse::<i64>().unwrap_or(0));
    }
    values
}
