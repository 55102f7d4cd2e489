//! CSV files: numbers by column, and a column to predict.

use super::{Column, DataError, Dataset, array};
use crate::model::TARGET;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the target column means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TargetKind {
    /// Classes: each distinct text is one, numbered in ascending order (as numbers if all are integers, else as text).
    #[default]
    Classes,
    /// Numbers, for regression: targets are `f32[1]`, like the output of a dense layer of one unit.
    Numbers,
}

/// A CSV file to read: separator, header, which column is the target.
///
/// ```no_run
/// use gradc::data::Csv;
/// let table = Csv::new("iris.csv").target("species").read()?;
/// println!("{} classes: {:?}", table.classes.len(), table.classes);
/// # Ok::<(), gradc::data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Csv {
    path: PathBuf,
    separator: u8,
    header: bool,
    target: Option<String>,
    kind: TargetKind,
    skip: Vec<String>,
}

/// What a CSV file holds.
#[derive(Clone, Debug)]
pub struct Table {
    /// The samples: features `f32[n]`, and the target if there is one.
    pub data: Dataset,
    /// The features' names, in order.
    pub features: Vec<String>,
    /// The classes' names by number; empty if the target is no class.
    pub classes: Vec<String>,
}

impl Csv {
    /// A file with a header, separated by commas, without a target.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            separator: b',',
            header: true,
            target: None,
            kind: TargetKind::Classes,
            skip: Vec::new(),
        }
    }

    /// With another separator, a tab for instance.
    pub fn separator(mut self, separator: u8) -> Self {
        self.separator = separator;
        self
    }

    /// Whether the first line names the columns. Without it they are called `0`, `1`...
    pub fn header(mut self, header: bool) -> Self {
        self.header = header;
        self
    }

    /// The column of classes to predict.
    pub fn target(mut self, name: impl Into<String>) -> Self {
        self.target = Some(name.into());
        self
    }

    /// The column of numbers to predict.
    pub fn numeric_target(mut self, name: impl Into<String>) -> Self {
        self.kind = TargetKind::Numbers;
        self.target(name)
    }

    /// Leaves a column out: a row number, a name.
    pub fn skip(mut self, name: impl Into<String>) -> Self {
        self.skip.push(name.into());
        self
    }

    /// Reads the file.
    ///
    /// # Errors
    /// If it can't be read, a column that was asked for isn't there, or a line has another number of fields or a field that is no
    /// finite number: the error names the line, and the column.
    pub fn read(&self) -> Result<Table, DataError> {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(self.separator)
            .has_headers(self.header)
            .trim(csv::Trim::All)
            .from_path(&self.path)
            .map_err(|e| self.wrap(e))?;
        let mut columns: Option<ColumnBuilders> = None;
        if self.header {
            let names = reader.headers().map_err(|e| self.wrap(e))?.iter().map(String::from).collect();
            columns = Some(ColumnBuilders::new(self, names)?);
        }
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(|e| self.wrap(e))? {
            if columns.is_none() {
                columns = Some(ColumnBuilders::new(self, (0..record.len()).map(|i| i.to_string()).collect())?);
            }
            if let Some(columns) = &mut columns {
                let line = record.position().map_or(0, csv::Position::line);
                columns.push(&record).map_err(|what| DataError::Line { path: self.path.clone(), line, what })?;
            }
        }
        match columns {
            Some(columns) if columns.rows > 0 => columns.finish(self),
            _ => Err(DataError::file(&self.path, "the file has no samples")),
        }
    }

    fn wrap(&self, error: csv::Error) -> DataError {
        let line = error.position().map(csv::Position::line);
        let what = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("{len} fields, where the lines before have {expected_len}")
            }
            csv::ErrorKind::Utf8 { err, .. } => format!("field {} is not UTF-8", err.field() + 1),
            _ => error.to_string(),
        };
        match (error.into_kind(), line) {
            (csv::ErrorKind::Io(e), _) => DataError::io(&self.path, e),
            (_, Some(line)) => DataError::Line { path: self.path.clone(), line, what },
            _ => DataError::file(&self.path, what),
        }
    }
}

/// The columns while they are read.
struct ColumnBuilders {
    names: Vec<String>,
    /// Positions of the features.
    features: Vec<usize>,
    target: Option<usize>,
    kind: TargetKind,
    values: Vec<f32>,
    targets: Vec<f32>,
    /// Each distinct class with the number it was met as.
    classes: BTreeMap<String, i32>,
    labels: Vec<i32>,
    rows: usize,
}

fn number(name: &str, text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ if text.is_empty() => Err(format!("column `{name}` is empty")),
        _ => Err(format!("column `{name}`: {text:?} is no finite number")),
    }
}

impl ColumnBuilders {
    fn new(csv: &Csv, names: Vec<String>) -> Result<Self, DataError> {
        let find = |name: &String| {
            names.iter().position(|n| n == name).ok_or_else(|| {
                DataError::file(&csv.path, format!("there is no column `{name}`; there are {}", names.join(", ")))
            })
        };
        let target = csv.target.as_ref().map(find).transpose()?;
        let skip = csv.skip.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let features: Vec<usize> = (0..names.len()).filter(|i| Some(*i) != target && !skip.contains(i)).collect();
        if features.is_empty() {
            return Err(DataError::file(&csv.path, "no column is left for the features"));
        }
        Ok(Self {
            names,
            features,
            target,
            kind: csv.kind,
            values: Vec::new(),
            targets: Vec::new(),
            classes: BTreeMap::new(),
            labels: Vec::new(),
            rows: 0,
        })
    }

    fn push(&mut self, record: &csv::StringRecord) -> Result<(), String> {
        let field = |i: usize| record.get(i).unwrap_or_default();
        for &i in &self.features {
            self.values.push(number(&self.names[i], field(i))?);
        }
        match (self.target, self.kind) {
            (Some(i), TargetKind::Numbers) => self.targets.push(number(&self.names[i], field(i))?),
            (Some(i), TargetKind::Classes) if field(i).is_empty() => {
                return Err(format!("column `{}` is empty", self.names[i]));
            }
            (Some(i), TargetKind::Classes) => {
                let next = self.classes.len() as i32;
                let label = *self.classes.entry(field(i).to_string()).or_insert(next);
                self.labels.push(label);
            }
            (None, _) => {}
        }
        self.rows += 1;
        Ok(())
    }

    fn finish(self, csv: &Csv) -> Result<Table, DataError> {
        let features = self.features.iter().map(|&i| self.names[i].clone()).collect();
        let mut data = Dataset::unlabelled(array([self.rows, self.features.len()], self.values)?)?;
        let mut classes = Vec::new();
        match (self.target, csv.kind) {
            (Some(_), TargetKind::Numbers) => {
                data = data.with(TARGET, Column::new(array([self.rows, 1], self.targets)?)?)?;
            }
            (Some(_), TargetKind::Classes) => {
                let (names, numbers) = ordered(&self.classes);
                let labels = self.labels.iter().map(|met| numbers[*met as usize]).collect();
                data = data.with(TARGET, Column::new(array([self.rows], labels)?)?)?;
                classes = names;
            }
            (None, _) => {}
        }
        Ok(Table { data, features, classes })
    }
}

/// The classes' names in ascending order, and the final number of each by the number it was met as.
fn ordered(classes: &BTreeMap<String, i32>) -> (Vec<String>, Vec<i32>) {
    let mut names: Vec<(&String, i32)> = classes.iter().map(|(name, met)| (name, *met)).collect();
    // A BTreeMap is in order of text already.
    if names.iter().all(|(name, _)| name.parse::<i64>().is_ok()) {
        names.sort_by_key(|(name, _)| name.parse::<i64>().unwrap_or(0));
    }
    let mut numbers = vec![0; names.len()];
    for (number, (_, met)) in names.iter().enumerate() {
        numbers[*met as usize] = number as i32;
    }
    (names.into_iter().map(|(name, _)| name.clone()).collect(), numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(text: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        file
    }

    fn message(text: &[u8], csv: impl Fn(Csv) -> Csv) -> String {
        let file = file(text);
        let error = csv(Csv::new(file.path())).read().unwrap_err().to_string();
        error.replace(&file.path().display().to_string(), "F")
    }

    #[test]
    fn reads_features_and_classes() {
        let file = file(b"id,a, b ,kind\n1,0.5,2,cat\n2,1,3,\"ant, red\"\n3,-1e3,4,cat\n");
        let table = Csv::new(file.path()).target("kind").skip("id").read().unwrap();
        assert_eq!(table.features, ["a", "b"]);
        assert_eq!(table.classes, ["ant, red", "cat"]);
        assert_eq!(table.data.column("x").unwrap().value().to_f64_vec(), [0.5, 2.0, 1.0, 3.0, -1000.0, 4.0]);
        assert_eq!(table.data.column("y").unwrap().value().to_f64_vec(), [1.0, 0.0, 1.0]);
    }

    #[test]
    fn integer_classes_are_ordered_as_numbers() {
        let file = file(b"10;1.5\n9;2.5\n10;3.5\n");
        let table = Csv::new(file.path()).header(false).separator(b';').target("0").read().unwrap();
        assert_eq!(table.classes, ["9", "10"]);
        assert_eq!(table.data.column("y").unwrap().value().to_f64_vec(), [1.0, 0.0, 1.0]);
    }

    #[test]
    fn numbers_to_predict_have_the_shape_of_an_output() {
        let file = file(b"a,price\n1,10\n2,20\n");
        let table = Csv::new(file.path()).numeric_target("price").read().unwrap();
        assert_eq!(table.data.sample("y").unwrap().to_string(), "f32[1]");
        assert!(table.classes.is_empty());
    }

    #[test]
    fn errors_name_line_and_column() {
        assert_eq!(message(b"a,b\n1,2\n1,x\n", |c| c), "F:3: column `b`: \"x\" is no finite number");
        assert_eq!(message(b"a,b\n1,2\n,4\n", |c| c), "F:3: column `a` is empty");
        assert_eq!(message(b"a,b\n1,nan\n", |c| c), "F:2: column `b`: \"nan\" is no finite number");
        assert_eq!(message(b"a,b\n1,2\n3\n", |c| c), "F:3: 1 fields, where the lines before have 2");
        assert_eq!(message(b"a,b\n1,2\n", |c| c.target("y")), "F: there is no column `y`; there are a, b");
        assert_eq!(message(b"a,b\n", |c| c), "F: the file has no samples");
        assert_eq!(message(b"", |c| c.header(false)), "F: the file has no samples");
        assert_eq!(message(b"a\nx\n", |c| c.target("a")), "F: no column is left for the features");
        assert_eq!(message(b"a,b\n1,\xff\n", |c| c), "F:2: field 2 is not UTF-8");
    }
}
