//! Objects as a shared library, by the system's C compiler.

use crate::{AotError, Files, is_coff};
use std::path::{Path, PathBuf};
use std::process::Command;
use target_lexicon::{BinaryFormat, Triple};

/// The environment variable that names the C compiler, with arguments if there are any; without it, `cc`.
const COMPILER: &str = "CC";

/// Links the objects that [`Files::write`] has written to a folder: `libNAME.so` there (`libNAME.dylib` on macOS), which programs load while they run, `gradc serve` among them. The file is there whole or not at all.
///
/// # Errors
/// Objects for another system, unless the environment variable `CC` names a compiler for it, and those for Windows; if there is no C compiler, or it refuses.
pub fn link_shared(files: &[Files], name: &str, folder: &Path) -> Result<PathBuf, AotError> {
    let first = files.first().ok_or_else(|| AotError::NoVariant { name: name.into() })?;
    let given = std::env::var(COMPILER).ok().filter(|text| !text.trim().is_empty());
    check_system(&first.triple, given.is_some())?;
    let (file, flags) = match first.triple.binary_format {
        BinaryFormat::Macho => {
            let file = format!("lib{name}.dylib");
            let named = format!("-Wl,-install_name,@rpath/{file}");
            (file, vec!["-Wl,-dead_strip".into(), named])
        }
        // What nobody finds is left out: tables that another object has, too.
        _ => (format!("lib{name}.so"), vec!["-Wl,--gc-sections".to_owned()]),
    };
    let library = folder.join(file);
    let failed = |error| AotError::Folder { path: folder.to_owned(), error };
    let aside = tempfile::Builder::new().prefix(".writing-").tempdir_in(folder).map_err(failed)?;
    let written = aside.path().join("library");
    let compiler = given.unwrap_or_else(|| "cc".into());
    let mut words = compiler.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("cc"));
    command.args(words).arg("-shared").args(flags).arg("-o").arg(&written);
    command.args(files.iter().map(|files| folder.join(files.object_name()))).arg("-lm");
    let output = command.output().map_err(|error| AotError::NoCompiler { compiler: compiler.clone(), error })?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(AotError::Shared { library, compiler, message });
    }
    std::fs::rename(&written, &library).map_err(failed)?;
    Ok(library)
}

/// Whether the C compiler links for that system.
fn check_system(triple: &Triple, is_given: bool) -> Result<(), AotError> {
    let host = runtime::host_target()?;
    let same = |host: &Triple| (host.architecture, host.binary_format) == (triple.architecture, triple.binary_format);
    match !is_coff(triple) && (is_given || same(host.triple())) {
        true => Ok(()),
        false => Err(AotError::SharedSystem { triple: triple.clone(), host: host.triple().clone() }),
    }
}
