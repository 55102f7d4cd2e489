//! Labelled texts: lines of a label, a tab, a text.

use super::TextError;
use crate::data::DataError;
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

/// Reads a file of lines `label<TAB>text` without header or quoting: a quote is a character like others. Lines end in `\n` or `\r\n`. The label must be one of
/// `classes`.
///
/// # Errors
/// If the file can't be read, is not UTF-8, is empty, or has a line without exactly one tab or with a label that is no class: the error names the line.
pub fn read_labelled(path: impl AsRef<Path>, classes: &[&str]) -> Result<Labelled, TextError> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| DataError::io(path, source))?;
    if bytes.is_empty() {
        return Err(DataError::file(path, "the file has no line").into());
    }
    let mut found = Labelled { texts: Vec::new(), labels: Vec::new() };
    let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    for (line, bytes) in (1..).zip(whole.split(|byte| *byte == b'\n')) {
        let wrong = |what| TextError::from(DataError::Line { path: path.into(), line, what });
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let fields: Vec<&str> = match std::str::from_utf8(bytes) {
            Ok(text) => text.split('\t').collect(),
            Err(e) => return Err(wrong(format!("not UTF-8: the byte {} of the line", e.valid_up_to() + 1))),
        };
        let [label, text] = fields[..] else {
            return Err(wrong(format!("a line is a label, a tab, a text; this one has {} tabs", fields.len() - 1)));
        };
        let Some(class) = classes.iter().position(|class| *class == label) else {
            return Err(wrong(format!("the label {label:?} is none of {classes:?}")));
        };
        found.texts.push(text.into());
        found.labels.push(class as i32);
    }
    Ok(found)
}
