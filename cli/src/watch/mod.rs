//! Runs of training as one HTML page: a chart for each metric, a line for each run, from the lines of JSON that `JsonLogger` and `History::save_jsonl` write.
//!
//! The page is a file by itself, as that of a report is. While it is written again and again, it reads itself again every other second.

use crate::page::PageParts;
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

const STYLE: &str = include_str!("watch.css");
const CHARTS: &str = include_str!("charts.html");
const SCRIPT: &str = include_str!("watch.js");
/// Seconds after which a page that is followed reads itself again.
const EVERY: u32 = 2;

/// Why a history can't be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file can't be.
    #[error("{}: {source}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is none of a history.
    #[error("{}:{line}: an object with the number `epoch` is expected, as `JsonLogger` writes for each epoch", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
}

/// What a run has measured so far.
#[derive(Serialize)]
pub struct RunHistory {
    name: String,
    epochs: Vec<Map<String, Value>>,
}

/// What the script draws.
#[derive(Serialize)]
struct WatchData<'r> {
    runs: &'r [RunHistory],
    every: Option<u32>,
}

impl RunHistory {
    /// From a file with a line for each epoch; a line that hasn't an end yet is left out. The run is called `name`.
    ///
    /// # Errors
    /// A file that can't be read; a line that isn't one of a history.
    pub fn read(path: &Path, name: String) -> Result<Self, HistoryError> {
        let failed = |source| HistoryError::Read { path: path.into(), source };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let epoch = |(at, line): (usize, &str)| {
            let epoch: Option<Map<String, Value>> = serde_json::from_str(line).ok();
            let epoch = epoch.filter(|epoch| epoch.get("epoch").is_some_and(Value::is_number));
            epoch.ok_or_else(|| HistoryError::Line { path: path.into(), line: at + 1 })
        };
        let lines = whole.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        Ok(Self { name, epochs: lines.map(epoch).collect::<Result<_, _>>()? })
    }
}

/// The page of these runs; one that is `followed` reads itself again and again.
///
/// # Errors
/// If the runs can't be written as JSON.
pub fn html(title: &str, runs: &[RunHistory], followed: bool) -> serde_json::Result<String> {
    let data = serde_json::to_string(&WatchData { runs, every: followed.then_some(EVERY) })?;
    Ok(PageParts { title, style: STYLE, header: "", main: CHARTS, data: &data, scripts: &[SCRIPT] }.html())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_whole_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.jsonl");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            RunHistory::read(&path, "run".into())
        };
        let run = read("{\"epoch\":1,\"loss\":0.5}\n\n{\"epoch\":2,\"loss\":null}\n{\"epoch\":3,\"lo").unwrap();
        assert_eq!(run.epochs.len(), 2);
        let page = html("a run", &[run], true).unwrap();
        assert!(page.contains(r#""every":2"#) && page.contains("a run"));
        let error = read("{\"epoch\":1}\n{\"loss\":1}\n").err().unwrap().to_string();
        assert!(error.contains("run.jsonl:2: ") && error.contains("JsonLogger"), "{error}");
        assert!(read("").unwrap().epochs.is_empty());
    }
}
