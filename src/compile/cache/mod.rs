//! Compiled code, kept for the next time the same step is compiled.
//!
//! A step's [`Key`] is a hash of all that its code depends on: the declared graph, the machine, the options, and the compiler itself. Code
//! that has been made under a key is kept in this process ([`Cache::Process`]), so that any number of programs of the same step share
//! it, and on request in files ([`Cache::Directory`]), so that the next process needs no passes and no code generation.
//!
//! Source lines in messages aren't part of the key: a line more at the top of the user's file changes no code. They are put in anew each
//! time.
//!
//! The cache never fails a compilation. What can't be read, isn't trusted or is damaged is compiled again, and the report says why. What a
//! file must be to be trusted is said in `compile/trust.rs`; the reasons are in `docs/decisions/0062-compiled-code-is-an-object.md`.

pub mod directory;
mod file;
mod key;
mod process;
#[cfg(test)]
#[cfg(unix)]
mod tests;

pub use key::Key;

use super::{CompileError, CompileOptions};
use crate::dsl::Step;
use key::SourceLocations;
use passes::plan_memory::MemoryReport;
use passes::{Report, Snapshots};
use runtime::Loaded;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The environment variable that says where compiled code is kept, for [`Cache::from_environment`].
pub const VARIABLE: &str = "GRADC_CACHE";

/// Where compiled code is kept and looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cache {
    /// Nowhere: every step is compiled.
    Off,
    /// In this process: up to 64 steps and 256 MiB; the ones used last stay.
    Process,
    /// In this process, and in files in this directory. Code from a file is run without further proof, so a file is used only if it and
    /// its directory are this user's alone; see `docs/decisions/0062-compiled-code-is-an-object.md`.
    Directory(PathBuf),
}

impl Cache {
    /// What the environment variable `GRADC_CACHE` says: a directory, or `off`; where it isn't set or is empty, [`Cache::Process`].
    pub fn from_environment() -> Self {
        match std::env::var_os(VARIABLE) {
            Some(value) if value == "off" => Self::Off,
            Some(value) if !value.is_empty() => Self::Directory(value.into()),
            _ => Self::Process,
        }
    }
}

/// Where a step's code came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CodeSource {
    /// It was compiled, and the cache wasn't asked: it is off, or the options want to see the compiler at work.
    Compiled,
    /// It was compiled, since the cache didn't have it.
    Missed,
    /// It had been made in this process before.
    Process,
    /// It was read from a file.
    File,
}

/// What the cache did for one compilation.
#[derive(Clone, PartialEq, Debug)]
pub struct CacheReport {
    /// Where the code came from.
    pub source: CodeSource,
    /// The step's key; none if the cache wasn't asked.
    pub key: Option<Key>,
    /// How long the look-up took, reading included.
    pub lookup_time: Duration,
    /// How long it took to keep the new code.
    pub store_time: Duration,
    /// Why a file wasn't used or couldn't be written.
    pub warnings: Vec<String>,
}

impl CacheReport {
    pub(super) fn of(source: CodeSource) -> Self {
        let (lookup_time, store_time) = (Duration::ZERO, Duration::ZERO);
        Self { source, key: None, lookup_time, store_time, warnings: vec![] }
    }

    /// Whether the code had not to be compiled.
    pub fn is_hit(&self) -> bool {
        matches!(self.source, CodeSource::Process | CodeSource::File)
    }
}

/// What is kept under a key.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) loaded: Arc<Loaded>,
    pub(super) memory: MemoryReport,
    /// For each check of the program, which of the step's [`SourceLocations`] it names.
    places: Vec<Option<u32>>,
}

/// What compiling gives beside the code.
pub(super) struct FreshCode {
    pub(super) loaded: Loaded,
    pub(super) memory: MemoryReport,
    pub(super) passes: Report,
    pub(super) passes_time: Duration,
}

/// Code for a step, old or new.
pub(super) struct FoundCode {
    pub(super) loaded: Arc<Loaded>,
    pub(super) memory: MemoryReport,
    /// The source line of each check; none where the code's own are right.
    pub(super) check_places: Option<Vec<Option<String>>>,
    /// The passes that ran, and how long they took.
    pub(super) passes: (Report, Duration),
    pub(super) report: CacheReport,
}

/// Gives a step's code, from the cache or from `compile`.
pub(super) fn find_or_compile(
    step: &Step,
    options: &CompileOptions,
    compile: impl FnOnce() -> Result<FreshCode, CompileError>,
) -> Result<FoundCode, CompileError> {
    let watched = options.snapshots != Snapshots::None || options.verify_code;
    if options.cache == Cache::Off || watched {
        return Ok(fresh(compile()?, CacheReport::of(CodeSource::Compiled)));
    }
    let start = Instant::now();
    let places = SourceLocations::of(&step.graph);
    let key = Key::of(&step.graph, &places, &options.target_or_host()?, options);
    let mut report = CacheReport { key: Some(key), ..CacheReport::of(CodeSource::Missed) };
    let found = look_up(key, &options.cache, &mut report);
    report.lookup_time = start.elapsed();
    if let Some(entry) = found {
        let check_places = Some(entry.places.iter().map(|place| places.text(*place)).collect());
        let passes = (Report::default(), Duration::ZERO);
        return Ok(FoundCode { loaded: entry.loaded, memory: entry.memory, check_places, passes, report });
    }
    let mut found = fresh(compile()?, report);
    let start = Instant::now();
    if let Some(check_places) = places.find_all(found.loaded.checks()) {
        let entry = Entry { loaded: Arc::clone(&found.loaded), memory: found.memory, places: check_places };
        if let Cache::Directory(directory) = &options.cache {
            found.report.warnings.extend(directory::write(directory, key, step.graph.name(), &entry).err());
        }
        process::keep(key, entry);
    }
    found.report.store_time = start.elapsed();
    Ok(found)
}

fn fresh(fresh: FreshCode, report: CacheReport) -> FoundCode {
    let passes = (fresh.passes, fresh.passes_time);
    FoundCode { loaded: Arc::new(fresh.loaded), memory: fresh.memory, check_places: None, passes, report }
}

fn look_up(key: Key, cache: &Cache, report: &mut CacheReport) -> Option<Entry> {
    if let Some(entry) = process::find(key) {
        report.source = CodeSource::Process;
        return Some(entry);
    }
    let Cache::Directory(directory) = cache else { return None };
    match directory::read(directory, key) {
        Ok(Some(entry)) => {
            report.source = CodeSource::File;
            process::keep(key, entry.clone());
            Some(entry)
        }
        Ok(None) => None,
        Err(why) => {
            report.warnings.push(why);
            None
        }
    }
}
