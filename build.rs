//! Puts a hash of the compiler's own source into the build, which keys of compiled code contain: a changed compiler makes other code under
//! the same version. The standard library's will do to tell a developer's builds apart, and spares every first build a cryptographic one. In a
//! published package only this crate's source is there; the other crates' versions are in its manifest.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// What code depends on.
const SOURCES: [&str; 8] =
    ["Cargo.toml", "Cargo.lock", "ir/src", "kernel/src", "passes/src", "codegen/src", "runtime/src", "src/compile"];

fn main() -> io::Result<()> {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut hash = DefaultHasher::new();
    for source in SOURCES {
        let path = root.join(source);
        if path.exists() {
            println!("cargo::rerun-if-changed={source}");
            add(&mut hash, &path)?;
        }
    }
    println!("cargo::rustc-env=GRADC_SOURCE_HASH={:016x}", hash.finish());
    Ok(())
}

/// Adds a file, or all files of a directory in the order of their names.
fn add(hash: &mut DefaultHasher, path: &Path) -> io::Result<()> {
    if path.is_dir() {
        let mut inside = fs::read_dir(path)?.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>()?;
        inside.sort();
        return inside.iter().try_for_each(|path| add(hash, path));
    }
    let text = fs::read(path)?;
    hash.write(path.file_name().unwrap_or_default().as_encoded_bytes());
    hash.write_usize(text.len());
    hash.write(&text);
    Ok(())
}
