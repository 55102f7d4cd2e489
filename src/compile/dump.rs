//! `GRADC_DUMP=DIR`: every program that a process compiles as text, as it was declared and after each pass that changed it.
//!
//! Each program has a folder of its own, `0000-cnn`, with a file `00-declared.ir`, and `01-autodiff.ir` and so on. They are written as the passes run: after one that
//! fails, what it was given is there.

use super::CompileError;
use crate::io::write_atomically;
use ir::Graph;
use passes::Module;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The environment variable.
const VARIABLE: &str = "GRADC_DUMP";
/// Most characters of a graph's name in that of a folder.
const MOST_CHARS: usize = 40;

/// Where programs are written to, if anywhere.
pub(super) fn directory() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).filter(|dir| !dir.is_empty()).map(PathBuf::from)
}

/// The folder of one program.
pub(super) struct PassDump {
    folder: PathBuf,
    number: usize,
    last: String,
    failed: Option<CompileError>,
}

impl PassDump {
    /// A folder with the graph as it was declared; `None` if nobody asked.
    pub(super) fn begin(graph: &Graph) -> Result<Option<Self>, CompileError> {
        directory().map(|dir| Self::within(&dir, graph)).transpose()
    }

    fn within(dir: &Path, graph: &Graph) -> Result<Self, CompileError> {
        let folder = new_folder(dir, graph.name()).map_err(|e| wrong(dir, &e))?;
        let mut dump = Self { folder, number: 0, last: String::new(), failed: None };
        dump.write("declared", graph.display().locations(true).comments(true).to_string());
        Ok(dump)
    }

    /// Writes a program after a pass, if that changed it.
    pub(super) fn after(&mut self, pass: &str, module: &Module) {
        self.number += 1;
        let text = module.text_with_locations();
        if text != self.last {
            self.write(pass, text);
        }
    }

    fn write(&mut self, name: &str, text: String) {
        let path = self.folder.join(format!("{:02}-{name}.ir", self.number));
        if let Err(e) = write_atomically(&path, text.as_bytes()) {
            self.failed.get_or_insert(wrong(&self.folder, &e));
        }
        self.last = text;
    }

    /// Says what couldn't be written.
    pub(super) fn end(self) -> Result<(), CompileError> {
        self.failed.map_or(Ok(()), Err)
    }
}

fn wrong(dir: &Path, why: &dyn std::fmt::Display) -> CompileError {
    let why = format!("programs can't be written to {}: {why}", dir.display());
    CompileError::Environment { variable: VARIABLE, why }
}

/// Makes a folder that nobody else has, processes that run at the same time among them.
fn new_folder(dir: &Path, name: &str) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(dir)?;
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let name: String = name.chars().take(MOST_CHARS).map(plain).collect();
    let mut number = std::fs::read_dir(dir)?.count();
    loop {
        let folder = dir.join(format!("{number:04}-{name}"));
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsl::{GraphBuilder, f32};
    use kernel::Target;
    use passes::{PassContext, RunOptions};

    #[test]
    fn what_changes_is_written_and_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let g = GraphBuilder::new("a/b: c");
        let x = g.input("x", f32([4]));
        g.output("y", &(&x * &x + 0.0).sum());
        let graph = g.finish().unwrap().graph;
        for _ in 0..2 {
            let mut dump = PassDump::within(dir.path(), &graph).unwrap();
            let cx = PassContext::new(Target::avx2());
            let mut watch = |pass: &passes::Pass, module: &Module| dump.after(pass.name, module);
            passes::compile_watched(graph.clone(), &cx, &RunOptions::default(), &mut watch).unwrap();
            dump.end().unwrap();
        }
        let folder = dir.path().join("0001-a_b__c");
        let mut names: Vec<String> =
            std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert!(names[0] == "00-declared.ir" && names.last().unwrap().ends_with("-plan_memory.ir"), "{names:?}");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let declared = Graph::parse(&read(&names[0])).unwrap();
        assert!(declared.same_as(&graph) && declared.same_places_as(&graph));
        read(names.last().unwrap()).parse::<kernel::Program>().unwrap();
        let texts: Vec<String> = names.iter().map(|name| read(name)).collect();
        assert!(texts.windows(2).all(|pair| pair[0] != pair[1]), "only what changed is written");
    }

    #[test]
    fn a_directory_that_is_a_file_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = PassDump::within(file.path(), &Graph::new("g")).err().unwrap().to_string();
        assert!(error.contains("GRADC_DUMP") && error.contains("can't be written to"), "{error}");
    }
}
