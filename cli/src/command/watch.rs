//! `gradc watch`: a page that follows runs of training.

use super::print;
use crate::watch::{RunHistory, html};
use clap::Args;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Which runs to follow, and where to write the page.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WatchRuns {
    /// A folder with a .jsonl file for each run, or one such file, as the callback `JsonLogger` writes it
    runs: PathBuf,
    /// Where to write the page; without it, to `watch.html` in the folder
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the page once and end, instead of writing it whenever a run has written a line
    #[arg(long)]
    once: bool,
}

const EXAMPLES: &str = "The page has a chart for each metric and a line for each run, reads itself again every other second, and needs no network. Ctrl-C ends it.

Examples:
  A run that trains with the callback `JsonLogger::new(\"runs/first.jsonl\")`:
      gradc watch runs
  A picture of runs that have ended, to keep:
      gradc watch runs --once -o runs.html";

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A file as it was: its length and when it was written.
type FileState = (PathBuf, u64, Option<SystemTime>);

impl WatchRuns {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let output = self.output();
        gradc::io::check_destination(&output)?;
        let mut before = self.files()?;
        self.write(&before, &output)?;
        print(&format!("the page is in {}: open it in a browser\n", output.display()))?;
        if self.once {
            return Ok(());
        }
        loop {
            std::thread::sleep(LOOK);
            let now = self.files()?;
            if now != before {
                self.write(&now, &output)?;
                before = now;
            }
        }
    }

    fn output(&self) -> PathBuf {
        let folder = || if self.runs.is_dir() { self.runs.clone() } else { self.runs.with_file_name("") };
        self.output.clone().unwrap_or_else(|| folder().join("watch.html"))
    }

    /// The runs' files, by name.
    fn files(&self) -> Result<Vec<FileState>, Box<dyn Error>> {
        let failed = |e: std::io::Error| {
            format!("{}: {e}; runs write there with the callback `JsonLogger`", self.runs.display())
        };
        let mut paths = vec![self.runs.clone()];
        if self.runs.is_dir() {
            let entries = std::fs::read_dir(&self.runs).map_err(failed)?;
            paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<_, _>>().map_err(failed)?;
            paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
            paths.sort();
        }
        let state = |path: PathBuf| {
            let file = std::fs::metadata(&path).map_err(failed)?;
            Ok((path, file.len(), file.modified().ok()))
        };
        paths.into_iter().map(state).collect()
    }

    fn write(&self, files: &[FileState], output: &Path) -> Result<(), Box<dyn Error>> {
        let name = |path: &Path| path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let runs = files.iter().map(|(path, ..)| RunHistory::read(path, name(path)));
        let runs: Vec<RunHistory> = runs.collect::<Result<_, _>>()?;
        let page = html(&format!("Runs in {}", self.runs.display()), &runs, !self.once)?;
        Ok(gradc::io::write_atomically(output, page.as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::parsed;
    use super::*;

    #[test]
    fn a_page_is_written_of_all_runs() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for run in ["b", "a"] {
            std::fs::write(at(&format!("{run}.jsonl")), "{\"epoch\":1,\"loss\":0.5}\n").unwrap();
        }
        std::fs::write(at("notes.txt"), "nothing of a run").unwrap();
        parsed::<WatchRuns>(&format!("{} --once", dir.path().display())).run().unwrap();
        let page = std::fs::read_to_string(at("watch.html")).unwrap();
        assert!(page.find(r#""name":"a""#).unwrap() < page.find(r#""name":"b""#).unwrap());
        parsed::<WatchRuns>(&format!("{} --once -o {}", at("a.jsonl").display(), at("a.html").display()))
            .run()
            .unwrap();
        assert!(!std::fs::read_to_string(at("a.html")).unwrap().contains(r#""name":"b""#));
        let error = parsed::<WatchRuns>(&format!("{} --once", at("none").display())).run().unwrap_err().to_string();
        assert!(error.contains("none: ") && error.contains("JsonLogger"), "{error}");
    }
}
