//! Parquet files as tables.

use super::cells::{Cells, Texts};
use super::{Preprocessing, STREAMED, Table, TableBuilder, stream, tables};
use crate::data::{DataError, Stream};
use parquet::basic::Type as Physical;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use std::fs::File;
use std::path::PathBuf;

/// A Parquet file to read, compressed or not. Numbers, truth values (0 and 1), dates (days since 1970) and times are numbers; strings are texts; columns of other
/// types and nested ones are refused. A null is missing. Integers beyond 2^53 are rounded.
///
/// ```no_run
/// use gradc::data::{FeatureSpace, Parquet};
/// let (train, test) = Parquet::new("trips.parquet").read()?.split(0.2, 7)?;
/// let features = FeatureSpace::new().numbers(["distance"]).categories(["zone"]).numeric_target("fare").fit(&train)?;
/// # Ok::<(), gradc::data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Parquet {
    path: PathBuf,
    columns: Option<Vec<String>>,
}

impl Parquet {
    /// All columns of a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), columns: None }
    }

    /// Some of its columns: others aren't read.
    pub fn columns<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.columns = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Reads the file.
    ///
    /// # Errors
    /// If it can't be read, is damaged, has no rows, or lacks a column; a column that is neither of numbers nor of strings. The error names the file and the row.
    pub fn read(&self) -> Result<Table, DataError> {
        self.open(usize::MAX)?.next().unwrap_or_else(|| Err(DataError::file(&self.path, "the file has no samples")))
    }

    /// What a model gets of the rows, read as they are used: a file may be larger than memory.
    ///
    /// # Errors
    /// If two columns of the model have one name.
    pub fn stream(&self, preprocessing: &Preprocessing) -> Result<Stream, DataError> {
        let file = self.clone();
        stream(preprocessing, move || file.open(STREAMED))
    }

    fn open(&self, rows: usize) -> Result<impl Iterator<Item = Result<Table, DataError>> + use<>, DataError> {
        let file = File::open(&self.path).map_err(|e| DataError::io(&self.path, e))?;
        let wrong = |e: parquet::errors::ParquetError| DataError::file(&self.path, e.to_string());
        let reader = SerializedFileReader::new(file).map_err(wrong)?;
        let schema = reader.metadata().file_metadata().schema().clone();
        let fields: Vec<_> = match &self.columns {
            None => schema.get_fields().to_vec(),
            Some(names) => names.iter().map(|name| self.field(&schema, name)).collect::<Result<_, _>>()?,
        };
        let columns = fields.iter().map(|field| Ok((field.name().into(), self.cells(field)?)));
        let columns: Vec<(String, Cells)> = columns.collect::<Result<_, DataError>>()?;
        let projection = Type::group_type_builder(schema.name()).with_fields(fields).build().map_err(wrong)?;
        let source = RowIter::from_file_into(Box::new(reader)).project(Some(projection)).map_err(wrong)?;
        let builder = TableBuilder::new(&self.path, columns, false);
        let mut source = ParquetTables { path: self.path.clone(), source, rows, read: 0, builder };
        Ok(tables(move || source.read()))
    }

    fn field(&self, schema: &Type, name: &str) -> Result<std::sync::Arc<Type>, DataError> {
        let fields = schema.get_fields();
        let known = || fields.iter().map(|field| field.name()).collect::<Vec<_>>().join(", ");
        let missing = || DataError::file(&self.path, format!("there is no column `{name}`; there are {}", known()));
        fields.iter().find(|field| field.name() == name).cloned().ok_or_else(missing)
    }

    /// An empty column for a field's cells.
    fn cells(&self, field: &Type) -> Result<Cells, DataError> {
        let nested =
            || DataError::file(&self.path, format!("column `{}` is nested: it is no column of a table", field.name()));
        if !field.is_primitive() || field.get_basic_info().repetition() == parquet::basic::Repetition::REPEATED {
            return Err(nested());
        }
        Ok(match field.get_physical_type() {
            Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY => Cells::Texts(Texts::default()),
            _ => Cells::Numbers(Vec::new()),
        })
    }
}

/// The file's rows, some at a time.
struct ParquetTables {
    path: PathBuf,
    source: RowIter<'static>,
    rows: usize,
    read: u64,
    builder: TableBuilder,
}

impl ParquetTables {
    fn read(&mut self) -> Result<Option<Table>, DataError> {
        for row in self.source.by_ref().take(self.rows) {
            self.read += 1;
            let wrong = |what: String| DataError::file(&self.path, format!("row {}: {what}", self.read));
            let row = row.map_err(|e| wrong(e.to_string()))?;
            push(&mut self.builder, &row).map_err(wrong)?;
            self.builder.rows.push(self.read);
        }
        Ok(self.builder.take())
    }
}

/// Appends a row.
fn push(builder: &mut TableBuilder, row: &Row) -> Result<(), String> {
    for ((name, cells), (_, field)) in builder.columns.iter_mut().zip(row.get_column_iter()) {
        match (cells, field) {
            (Cells::Texts(texts), Field::Null) => texts.push(None),
            (Cells::Texts(texts), Field::Str(text)) => texts.push(Some(text)),
            (Cells::Numbers(numbers), field) => match number(field) {
                Some(number) => numbers.push(number),
                None => return Err(format!("column `{name}` holds {field}, which is no number")),
            },
            (Cells::Texts(_), _) => return Err(format!("column `{name}` holds {field}, which is no string")),
        }
    }
    Ok(())
}

/// A cell as a number; NaN is missing.
fn number(field: &Field) -> Option<f64> {
    Some(match *field {
        Field::Null => f64::NAN,
        Field::Bool(x) => f64::from(u8::from(x)),
        Field::Byte(x) => x.into(),
        Field::Short(x) => x.into(),
        Field::Int(x) | Field::Date(x) => x.into(),
        Field::Long(x) | Field::TimestampMillis(x) | Field::TimestampMicros(x) => x as f64,
        Field::UByte(x) => x.into(),
        Field::UShort(x) => x.into(),
        Field::UInt(x) => x.into(),
        Field::ULong(x) => x as f64,
        Field::Float(x) => x.into(),
        Field::Double(x) => x,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use parquet::basic::Compression;
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use std::path::Path;
    use std::sync::Arc;

    const SCHEMA: &str = "message rows { required int64 id; optional double a; optional binary b (UTF8); }";

    /// Rows in two groups: `a` is missing in every third, `b` in every fourth.
    fn write(path: &Path, compression: Compression, rows: usize) {
        let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
        let properties = WriterProperties::builder().set_compression(compression).build();
        let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
        for group in [0..rows / 2, rows / 2..rows] {
            let mut columns = writer.next_row_group().unwrap();
            let present = |every: usize| group.clone().filter(move |i| !i.is_multiple_of(every));
            let levels = |every: usize| group.clone().map(|i| i16::from(!i.is_multiple_of(every))).collect::<Vec<_>>();
            let mut column = columns.next_column().unwrap().unwrap();
            let ids: Vec<i64> = group.clone().map(|i| i as i64).collect();
            column.typed::<Int64Type>().write_batch(&ids, None, None).unwrap();
            column.close().unwrap();
            let mut column = columns.next_column().unwrap().unwrap();
            let numbers: Vec<f64> = present(3).map(|i| i as f64 / 2.0).collect();
            column.typed::<DoubleType>().write_batch(&numbers, Some(&levels(3)), None).unwrap();
            column.close().unwrap();
            let mut column = columns.next_column().unwrap().unwrap();
            let texts: Vec<ByteArray> = present(4).map(|i| ["u", "v"][i % 2].into()).collect();
            column.typed::<ByteArrayType>().write_batch(&texts, Some(&levels(4)), None).unwrap();
            column.close().unwrap();
            columns.close().unwrap();
        }
        writer.close().unwrap();
    }

    fn check(table: &Table) {
        for row in 0..table.rows() {
            let id = table.number("id", row).unwrap().unwrap() as usize;
            assert_eq!(table.number("a", row).unwrap(), (!id.is_multiple_of(3)).then_some(id as f64 / 2.0));
            let text = (!id.is_multiple_of(4)).then_some(["u", "v"][id % 2]);
            assert_eq!(table.text("b", row).unwrap().as_deref(), text);
        }
    }

    #[test]
    fn files_are_read_however_they_are_compressed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.parquet");
        let gzip = Compression::GZIP(parquet::basic::GzipLevel::default());
        let zstd = Compression::ZSTD(parquet::basic::ZstdLevel::default());
        for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, gzip, zstd, Compression::LZ4_RAW] {
            write(&path, compression, 50);
            let table = Parquet::new(&path).read().unwrap();
            assert_eq!((table.rows(), table.names().collect::<Vec<_>>()), (50, vec!["id", "a", "b"]));
            check(&table);
        }
        let some = Parquet::new(&path).columns(["b", "id"]).read().unwrap();
        assert_eq!(some.names().collect::<Vec<_>>(), ["b", "id"]);
        assert_eq!(some.text("b", 1).unwrap().as_deref(), Some("v"));
        let error = Parquet::new(&path).columns(["c"]).read().unwrap_err().to_string();
        assert!(error.contains("rows.parquet: there is no column `c`; there are id, a, b"), "{error}");
        let bytes = std::fs::read(&path).unwrap();
        for len in [0, 10, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..len]).unwrap();
            assert!(Parquet::new(&path).read().unwrap_err().to_string().contains("rows.parquet"));
        }
    }

    #[test]
    fn a_file_is_a_stream_of_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.parquet");
        write(&path, Compression::SNAPPY, 3000);
        let file = Parquet::new(&path);
        let table = file.read().unwrap();
        let features = crate::data::FeatureSpace::new().numbers(["a"]).categories(["b"]).numeric_target("id");
        let features = features.fit(&table).unwrap();
        let (want, stream) = (features.apply(&table).unwrap(), file.stream(&features).unwrap());
        assert_eq!(stream.schema(), want.schema());
        let got = stream.collect(0).unwrap();
        for name in ["x", "y"] {
            assert_eq!(got.value(name).unwrap(), want.value(name).unwrap());
        }
    }
}
