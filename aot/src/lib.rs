//! Compiled steps as object files: machine code that a C, C++ or Rust program links and calls, with no compiler and no runtime library.
//!
//! ```
//! use aot::{CompileObject, ObjectOptions};
//! use gradc::prelude::*;
//! let model = Sequential::new([4]).dense(3).tanh().dense(2);
//! let step = model.training_graph(8, &MeanSquaredError, &[], &Adam::default())?;
//! let files = step.compile_object(&ObjectOptions::named("tiny_train"))?;
//! assert!(files.header.contains("int32_t tiny_train_step(tiny_train_context *context);"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`build`] takes the loops of one step, for one or several processors, and the values its states start with; it gives [`Files`]: an object, a static
//! library, a C header, and a manifest for whoever generates bindings. `docs/aot.md` describes the interface. The machine code is that of
//! [`codegen::emit()`], as in a process that compiles just in time; what is added are the functions around it (`wrapper`), which check what the caller
//! gives, and never allocate, call the system or keep anything outside of the caller's memory.

mod archive;
mod data;
mod entry;
mod error;
mod header;
mod identifier;
mod layout;
mod link;
mod manifest;
mod shared;
mod states;
mod status;
mod step;
mod wrapper;

pub use entry::{EntryPoint, Initial, Variant};
pub use error::AotError;
pub use layout::ABI_VERSION;
pub use shared::link_shared;
pub use step::{CompileObject, ObjectOptions, compile_graph, compile_graphs, compile_steps, targets, values_of_states};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use target_lexicon::{BinaryFormat, Triple};

/// What is built of a step: the contents of files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Files {
    /// The prefix of all symbols, and the name of the files.
    pub name: String,
    /// A relocatable object: ELF, Mach-O or COFF, by the target's triple.
    pub object: Vec<u8>,
    /// A static library of that object.
    pub library: Vec<u8>,
    /// The C header.
    pub header: String,
    /// Ports, sizes and needs, as JSON.
    pub manifest: String,
    /// The system that they are for.
    triple: Triple,
}

impl Files {
    /// Writes `NAME.o`, `libNAME.a`, `NAME.h` and `NAME.json` into a folder, which is made if it isn't there (for Windows, `NAME.obj` and `NAME.lib`).
    /// Each file is there whole or not at all.
    ///
    /// # Errors
    /// What the system refuses, with the path.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>, AotError> {
        let library = match is_coff(&self.triple) {
            false => format!("lib{}.a", self.name),
            true => format!("{}.lib", self.name),
        };
        std::fs::create_dir_all(folder).map_err(|error| AotError::Folder { path: folder.to_owned(), error })?;
        let files: [(String, &[u8]); 4] = [
            (self.object_name(), &self.object),
            (library, &self.library),
            (format!("{}.h", self.name), self.header.as_bytes()),
            (format!("{}.json", self.name), self.manifest.as_bytes()),
        ];
        let mut written = vec![];
        for (name, bytes) in files {
            let path = folder.join(name);
            gradc::io::write_atomically(&path, bytes)?;
            written.push(path);
        }
        Ok(written)
    }

    /// How the object's file is called.
    fn object_name(&self) -> String {
        format!("{}.{}", self.name, if is_coff(&self.triple) { "obj" } else { "o" })
    }
}

/// Compiles an entry. The same entry gives the same bytes.
///
/// # Errors
/// A name that C doesn't allow, variants that differ in more than their code, a program that is invalid or isn't planned, a target that there is no code
/// generator for.
pub fn build(entry: &EntryPoint) -> Result<Files, AotError> {
    build_on(entry, &states::StateBlock::of(std::slice::from_ref(entry))?)
}

/// Compiles entries that run on one block of states, such as training and prediction of one model: each header and manifest has the offsets of all states of all
/// entries, and any entry's `NAME_init` starts them all. The files come in the order of the entries.
///
/// # Errors
/// As [`build`]; entries of one name, or which say different things about a state.
pub fn build_entries(entries: &[EntryPoint]) -> Result<Vec<Files>, AotError> {
    let mut names = BTreeSet::new();
    if let Some(again) = entries.iter().find(|entry| !names.insert(entry.name.to_lowercase())) {
        return Err(AotError::SameName { name: again.name.clone() });
    }
    let states = states::StateBlock::of(entries)?;
    entries.iter().map(|entry| build_on(entry, &states)).collect()
}

fn build_on(entry: &EntryPoint, states: &states::StateBlock) -> Result<Files, AotError> {
    let layout = layout::Layout::of(entry, states)?;
    let objects = entry.compile()?;
    let arena = layout::ArenaLayout::of(states, &objects);
    let manifest = manifest::manifest(&layout, &arena, &objects);
    let object = link::link(&layout, &arena, &objects, &manifest)?;
    Ok(Files {
        name: entry.name.clone(),
        library: archive::library(&entry.name, &object, is_coff(&layout.triple))?,
        header: header::header(entry, &layout, &arena),
        manifest,
        object,
        triple: layout.triple.clone(),
    })
}

/// Whether a system's files are named as Windows names them.
fn is_coff(triple: &Triple) -> bool {
    triple.binary_format == BinaryFormat::Coff
}

/// The programs in the page on objects, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/aot.md")]
struct Page;
