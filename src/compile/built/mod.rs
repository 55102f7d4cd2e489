//! Models whose code was compiled ahead of time: shared libraries that `gradc build --shared` made.
//!
//! A library is read before it is loaded (`contents.rs`, `manifest.rs`), and loaded only if its file can be trusted (`load.rs`). The reasons are in
//! `docs/decisions/0122-built-libraries-are-read-before-they-are-loaded.md`.

mod contents;
mod error;
mod load;
mod manifest;

pub use contents::library_entries;
pub use error::BuiltError;
pub use manifest::BuiltEntry;

use super::{CompileOptions, PortAccess, PortTypes, RunError};
use ir::TensorType;
use load::TrustedBytes;
use runtime::{
    LibraryExecutable, LibraryStates, LibraryStepError, LoadError, PortMemory, ProgramInputs, StepError, StepLibrary,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A model that predicts by a library's entries, one for each size of a batch, on one block of states.
pub(crate) struct BuiltModel {
    library: Arc<StepLibrary>,
    states: Arc<LibraryStates>,
    entries: PredictingEntries,
    threads: usize,
}

impl BuiltModel {
    /// Loads the library in a file; states start as they were built, random ones from the options' seed.
    pub(crate) fn load(path: &Path, options: &CompileOptions) -> Result<Self, BuiltError> {
        let file = TrustedBytes::read(path)?;
        let entries = PredictingEntries::of(library_entries(file.bytes())?)?;
        let library = file.load(&entries.by_size.values().collect::<Vec<_>>())?;
        let states = Arc::new(library.states(0, options.seed)?);
        Ok(Self { library, states, entries, threads: options.threads })
    }

    /// Whether arrays are whole: the one entry has no axis that counts samples.
    pub(crate) fn is_whole(&self) -> bool {
        self.entries.is_whole
    }

    /// Samples of the batches, from the smallest to the largest.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = usize> {
        self.entries.by_size.keys().copied()
    }

    /// The entry of the largest batch.
    pub(crate) fn largest(&self) -> Option<&BuiltEntry> {
        self.entries.by_size.values().next_back()
    }

    /// Bytes of the states.
    pub(crate) fn state_bytes(&self) -> usize {
        self.states.bytes()
    }

    /// A program for batches of that size.
    pub(crate) fn program(&self, samples: usize) -> Result<BuiltProgram, LoadError> {
        let all = &self.entries.by_size;
        let found = all.iter().enumerate().find(|(_, (size, _))| **size == samples);
        let missing = || LoadError::Library(format!("the library has no entry for batches of {samples}"));
        let (number, (_, entry)) = found.ok_or_else(missing)?;
        let (library, states) = (Arc::clone(&self.library), Arc::clone(&self.states));
        Ok(BuiltProgram {
            executable: LibraryExecutable::new(library, number, states, self.threads)?,
            types: PortTypes {
                inputs: entry.inputs.iter().cloned().collect(),
                outputs: entry.outputs.iter().cloned().collect(),
            },
        })
    }
}

/// A library's entry with memory to run in.
pub(crate) struct BuiltProgram {
    executable: LibraryExecutable,
    types: PortTypes,
}

impl BuiltProgram {
    /// Bytes of its memory, states apart.
    pub(crate) fn bytes(&self) -> usize {
        self.executable.bytes()
    }
}

impl PortAccess for BuiltProgram {
    fn ports(&self) -> (&PortTypes, &PortMemory) {
        (&self.types, &self.executable)
    }

    fn inputs_mut(&mut self) -> (&PortTypes, ProgramInputs<'_>) {
        (&self.types, self.executable.inputs())
    }

    fn run_step(&mut self) -> Result<(), RunError> {
        self.executable.step().map_err(|error| match error {
            LibraryStepError::Check(message) => StepError { message, loc: None }.into(),
            refused @ LibraryStepError::Refused(_) => RunError::Refused(refused),
        })
    }
}

/// The entries of one model that predict.
struct PredictingEntries {
    by_size: BTreeMap<usize, BuiltEntry>,
    is_whole: bool,
}

impl PredictingEntries {
    /// Those that change no states: one, or several that differ in the size of the batch alone.
    fn of(entries: Vec<BuiltEntry>) -> Result<Self, BuiltError> {
        let mut predicting: Vec<BuiltEntry> = entries.into_iter().filter(|entry| !entry.changes_states).collect();
        if let [entry] = &predicting[..]
            && samples(entry).is_none()
        {
            return Ok(Self {
                by_size: predicting.pop().map(|entry| (1, entry)).into_iter().collect(),
                is_whole: true,
            });
        }
        let mut by_size: BTreeMap<usize, BuiltEntry> = BTreeMap::new();
        for entry in predicting {
            let refused = |what: &str| Err(BuiltError::Entries(format!("its entry `{}` {what}", entry.name)));
            let Some(size) = samples(&entry) else {
                return refused("has inputs or outputs that count no samples, and there are others");
            };
            if let Some((_, first)) = by_size.first_key_value() {
                if (&entry.states, entry.state_bytes) != (&first.states, first.state_bytes) {
                    return refused("has other states than those before it: build the entries of one model together");
                }
                if !are_alike(&entry, first) {
                    return refused("has other inputs or outputs than those before it, apart from the batch");
                }
            }
            if by_size.contains_key(&size) {
                return refused("is for batches of the same size as another one");
            }
            by_size.insert(size, entry);
        }
        match by_size.is_empty() {
            true => Err(BuiltError::Entries("all of its entries change states: one of prediction is needed, as `gradc build --entry infer` makes it".into())),
            false => Ok(Self { by_size, is_whole: false }),
        }
    }
}

/// All ports of an entry.
fn ports(entry: &BuiltEntry) -> impl Iterator<Item = &(String, TensorType)> {
    entry.inputs.iter().chain(&entry.outputs)
}

/// How many samples an entry takes at once, if all ports count them along their first axis.
fn samples(entry: &BuiltEntry) -> Option<usize> {
    let first = *entry.inputs.first()?.1.shape.first()?;
    ports(entry).all(|(_, ty)| ty.shape.first() == Some(&first)).then_some(first)
}

/// Whether entries take and give the same for each sample.
fn are_alike(a: &BuiltEntry, b: &BuiltEntry) -> bool {
    a.inputs.len() == b.inputs.len() && ports(a).map(of_sample).eq(ports(b).map(of_sample))
}

/// A port's name and type, without the axis that counts samples.
fn of_sample((name, ty): &(String, TensorType)) -> (&str, ir::DType, &[usize]) {
    (name, ty.dtype, ty.shape.get(1..).unwrap_or_default())
}
