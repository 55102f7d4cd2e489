//! Steps compiled ahead of time, called from C: the same bits as just in time, and a status for every fault of the call.
//!
//! The programs are compiled by `cc` and `c++`; where there are none, tests say so and check nothing.

mod built;
mod driver;
mod embedded;
mod faults;
mod infer;
mod initial;
mod same;

use aot::Files;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with what was built of a step, or of several.
struct Built {
    folder: tempfile::TempDir,
    /// Of the first entry.
    name: String,
    libraries: Vec<String>,
}

impl Built {
    fn new(files: &Files) -> Self {
        Self::of(std::slice::from_ref(files))
    }

    fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), name: String::new(), libraries: vec![] }
    }

    fn of(entries: &[Files]) -> Self {
        let mut built = Self::empty();
        built.name.clone_from(&entries[0].name);
        for files in entries {
            files.write(built.folder.path()).unwrap();
            built.libraries.push(format!("lib{}.a", files.name));
        }
        built
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Compiles a program by `compiler`, against the static library; nothing if there is no such compiler.
    fn compile(&self, compiler: &str, flags: &[&str], source: &Path, out: &str) -> Option<PathBuf> {
        self.compile_with(compiler, flags, source, out, &[])
    }

    /// The same with further libraries.
    fn compile_with(
        &self,
        compiler: &str,
        flags: &[&str],
        source: &Path,
        out: &str,
        libraries: &[&str],
    ) -> Option<PathBuf> {
        if !exists(compiler) {
            eprintln!("SKIPPED: there is no `{compiler}`");
            return None;
        }
        let program = self.path(out);
        let mut command = Command::new(compiler);
        command.args(flags).args(["-Wall", "-Wextra", "-Werror", "-g", "-I"]).arg(self.folder.path());
        // Some compilers take the language from the file's name, which is C's.
        command
            .args(if compiler.contains("++") { ["-x", "c++"] } else { ["-x", "c"] })
            .arg(source)
            .args(["-x", "none"]);
        command
            .args(self.libraries.iter().map(|library| self.path(library)))
            .args(libraries)
            .args(["-lpthread", "-lm", "-o"])
            .arg(&program);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
        Some(program)
    }
}

/// Whether a program can be started.
fn exists(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Runs a program; gives its output as text.
fn run(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    let mut command = Command::new(program);
    command.args(args);
    let output: Output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}
