//! Labelled texts: lines of a label, a tab, a text.

use super::TextError;
use std::path::Path;

/// Texts with their classes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Labelled {
    /// The texts.
    pub texts: Vec<String>,
    /// For each text its class: a place in the list of classes.
    pub labels: Vec<i32>,
}

impl Labelled {
    /// The texts, borrowed.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }
}

/// Reads a file of lines `label<TAB>text` without header or quoting: a quote is a character like others. The label must be one of `classes`.
///
/// # Errors
/// If the file can't be read, is not UTF-8, is empty, or has a line without exactly one tab or with a label that is no class: the error names the line.
pub fn read_labelled(path: impl AsRef<Path>, classes: &[&str]) -> Result<Labelled, TextError> {
    let path = path.as_ref();
    let file = std::fs::File::open(path).map_err(|source| TextError::Read { path: path.into(), source })?;
    let mut reader =
        csv::ReaderBuilder::new().delimiter(b'\t').has_headers(false).quoting(false).flexible(true).from_reader(file);
    let mut found = Labelled { texts: Vec::new(), labels: Vec::new() };
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|e| wrap(path, e))? {
        let line = record.position().map_or(0, csv::Position::line);
        let wrong = |what| TextError::Line { path: path.into(), line, what };
        let (Some(label), Some(text), 2) = (record.get(0), record.get(1), record.len()) else {
            return Err(wrong(format!("a line is a label, a tab, a text; this one has {} fields", record.len())));
        };
        let Some(class) = classes.iter().position(|class| *class == label) else {
            return Err(wrong(format!("the label {label:?} is none of {classes:?}")));
        };
        found.texts.push(text.into());
        found.labels.push(class as i32);
    }
    if found.texts.is_empty() {
        return Err(TextError::File { path: path.into(), what: "the file has no line".into() });
    }
    Ok(found)
}

fn wrap(path: &Path, error: csv::Error) -> TextError {
    let line = error.position().map_or(0, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(source) => TextError::Read { path: path.into(), source },
        csv::ErrorKind::Utf8 { err, .. } => {
            TextError::Line { path: path.into(), line, what: format!("not UTF-8: {err}") }
        }
        kind => TextError::Line { path: path.into(), line, what: format!("{kind:?}") },
    }
}
