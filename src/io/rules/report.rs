//! What became of a file's tensors.

use super::Convention;
use ir::DType;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// What was loaded from a file, and what wasn't. Displayed, it is a few lines for a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadReport {
    /// The file.
    pub path: PathBuf,
    /// By whose names and axes.
    pub convention: Convention,
    /// The states that have got values, in the order of their names.
    pub used: Vec<UsedTensor>,
    /// The states that the file lacks: they are as they were.
    pub missing: Vec<String>,
    /// The tensors that are no state's, by their names in the file.
    pub unused: Vec<String>,
    /// The tensors that rules, or the convention, leave out.
    pub ignored: Vec<String>,
}

/// A state, and what it was made of, or has become.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsedTensor {
    /// The state.
    pub state: String,
    /// The tensors, by their names in the file.
    pub sources: Vec<String>,
    /// Whether axes or gates were moved, or several tensors joined.
    pub rearranged: bool,
    /// The element type before, in the file or of the state, if it is another than after.
    pub converted_from: Option<DType>,
}

/// At most so many names stand in a line.
const NAMED: usize = 8;

/// The first names of a list.
fn list(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let named = names[..names.len() - more].join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

/// Writes what states and tensors of a file have become of each other, and lists of what hasn't.
fn tell(
    f: &mut fmt::Formatter<'_>,
    convention: Convention,
    used: &[UsedTensor],
    lists: &[(&str, &Vec<String>)],
) -> fmt::Result {
    write!(f, ", by the conventions of {}", convention.name())?;
    let moved = used.iter().filter(|used| used.rearranged).count();
    if moved > 0 {
        write!(f, "\n  rearranged: {moved}")?;
    }
    let mut converted: BTreeMap<DType, usize> = BTreeMap::new();
    used.iter().filter_map(|used| used.converted_from).for_each(|from| *converted.entry(from).or_default() += 1);
    for (from, count) in converted {
        write!(f, "\n  converted from {from}: {count}")?;
    }
    for (what, names) in lists.iter().filter(|(_, names)| !names.is_empty()) {
        write!(f, "\n  {what}: {}", list(names))?;
    }
    Ok(())
}

/// How many tensors stand for states.
fn tensors(used: &[UsedTensor]) -> usize {
    used.iter().map(|used| used.sources.len()).sum()
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, convention, used, missing, unused, ignored } = self;
        let states = used.len() + missing.len();
        write!(f, "{}: {} of {states} states from {} tensors", path.display(), used.len(), tensors(used))?;
        let lists = [("missing, as they were", missing), ("left over in the file", unused), ("left out", ignored)];
        tell(f, *convention, used, &lists)
    }
}

/// What was written to a file, and what wasn't. Displayed, it is a few lines for a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SaveReport {
    /// The file.
    pub path: PathBuf,
    /// By whose names and axes.
    pub convention: Convention,
    /// The states that were written, in the order of their names, and the tensors that they have become.
    pub written: Vec<UsedTensor>,
    /// The states that the file whose names were taken has no tensor for: they weren't written.
    pub missing: Vec<String>,
    /// The tensors of that file that no state has become.
    pub unused: Vec<String>,
}

impl fmt::Display for SaveReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, convention, written, missing, unused } = self;
        let states = written.len() + missing.len();
        write!(f, "{}: {} of {states} states as {} tensors", path.display(), written.len(), tensors(written))?;
        tell(f, *convention, written, &[("without a name, not written", missing), ("of no state", unused)])
    }
}
