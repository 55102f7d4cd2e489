//! CSV files as tables.

use super::cells::{Cells, Texts};
use super::lines::Lines;
use super::{Preprocessing, STREAMED, Table, TableBuilder, stream, tables};
use crate::data::{DataError, Stream};
use std::fs::File;
use std::path::PathBuf;

/// Texts that say that a cell is missing, besides an empty one.
const MISSING: [&str; 6] = ["NA", "N/A", "NaN", "nan", "null", "?"];

/// A CSV file to read: separator, header, which cells are missing.
///
/// ```no_run
/// use gradc::data::{Csv, FeatureSpace};
/// let (train, test) = Csv::new("iris.csv").read()?.split(0.2, 7)?;
/// let features = FeatureSpace::new().numbers(["length", "width"]).target("species").fit(&train)?;
/// let (train, test) = (features.apply(&train)?, features.apply(&test)?);
/// println!("{} classes: {:?}", features.classes().len(), features.classes());
/// # Ok::<(), gradc::data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Csv {
    path: PathBuf,
    separator: u8,
    header: bool,
    missing: Vec<String>,
}

impl Csv {
    /// A file with a header, separated by commas. Cells are missing that are empty, `NA`, `N/A`, `NaN`, `nan`, `null` or `?`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let missing = MISSING.iter().map(ToString::to_string).collect();
        Self { path: path.into(), separator: b',', header: true, missing }
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

    /// Which texts say that a cell is missing, besides an empty one.
    pub fn missing<N: Into<String>>(mut self, texts: impl IntoIterator<Item = N>) -> Self {
        self.missing = texts.into_iter().map(Into::into).collect();
        self
    }

    /// Reads the file. White space around cells doesn't belong to them.
    ///
    /// # Errors
    /// If it can't be read, has no rows, or a line has another number of fields or isn't UTF-8: the error names the line.
    pub fn read(&self) -> Result<Table, DataError> {
        self.open(usize::MAX)?.next().unwrap_or_else(|| Err(DataError::file(&self.path, "the file has no samples")))
    }

    /// What a model gets of the rows, read as they are used: a file may be larger than memory.
    ///
    /// # Errors
    /// If two columns of the model have one name.
    pub fn stream(&self, preprocessing: &Preprocessing) -> Result<Stream, DataError> {
        let csv = self.clone();
        stream(preprocessing, move || csv.open(STREAMED))
    }

    fn open(&self, rows: usize) -> Result<impl Iterator<Item = Result<Table, DataError>> + use<>, DataError> {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(self.separator)
            .has_headers(self.header)
            .trim(csv::Trim::All)
            .from_reader(Lines::new(File::open(&self.path).map_err(|e| DataError::io(&self.path, e))?));
        let mut names = None;
        if self.header {
            match reader.headers() {
                Ok(headers) => names = Some(headers.iter().map(String::from).collect()),
                Err(e) => return Err(self.wrap(e, reader.get_mut())),
            }
        }
        let record = csv::StringRecord::new();
        let mut source = CsvTables { csv: self.clone(), reader, record, rows, builder: None };
        if let Some(names) = names {
            source.builder = Some(source.builder(names)?);
        }
        Ok(tables(move || source.read()))
    }

    fn wrap(&self, error: csv::Error, lines: &mut Lines<File>) -> DataError {
        let line = error.position().map(|position| lines.at(position.byte()));
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

/// The file's rows, some at a time.
struct CsvTables {
    csv: Csv,
    reader: csv::Reader<Lines<File>>,
    record: csv::StringRecord,
    rows: usize,
    builder: Option<TableBuilder>,
}

impl CsvTables {
    fn builder(&self, names: Vec<String>) -> Result<TableBuilder, DataError> {
        if let Some(twice) = (1..names.len()).find(|i| names[..*i].contains(&names[*i])) {
            return Err(DataError::file(&self.csv.path, format!("two columns are called `{}`", names[twice])));
        }
        let columns = names.into_iter().map(|name| (name, Cells::Texts(Texts::default()))).collect();
        Ok(TableBuilder::new(&self.csv.path, columns, true))
    }

    fn read(&mut self) -> Result<Option<Table>, DataError> {
        let mut read = 0;
        while read < self.rows {
            match self.reader.read_record(&mut self.record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(e) => return Err(self.csv.wrap(e, self.reader.get_mut())),
            }
            let byte = self.record.position().map_or(0, csv::Position::byte);
            let line = self.reader.get_mut().at(byte);
            let mut builder = match self.builder.take() {
                Some(builder) => builder,
                None => self.builder((0..self.record.len()).map(|i| i.to_string()).collect())?,
            };
            let missing = |cell: &str| cell.is_empty() || self.csv.missing.iter().any(|text| text == cell);
            for ((_, cells), cell) in builder.columns.iter_mut().zip(&self.record) {
                if let Cells::Texts(texts) = cells {
                    texts.push(Some(cell).filter(|cell| !missing(cell)));
                }
            }
            builder.rows.push(line);
            self.builder = Some(builder);
            read += 1;
        }
        Ok(self.builder.as_mut().and_then(TableBuilder::take))
    }
}
