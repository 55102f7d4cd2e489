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

/// A state, and what it was made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsedTensor {
    /// The state.
    pub state: String,
    /// The tensors, by their names in the file.
    pub sources: Vec<String>,
    /// Whether axes or gates were moved, or several tensors joined.
    pub rearranged: bool,
    /// The element type in the file, if it is another than the state's.
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

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, convention, used, missing, unused, ignored } = self;
        let (states, tensors) = (used.len() + missing.len(), used.iter().map(|used| used.sources.len()).sum::<usize>());
        write!(f, "{}: {} of {states} states from {tensors} tensors", path.display(), used.len())?;
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
        let lists = [("missing, as they were", missing), ("left over in the file", unused), ("left out", ignored)];
        for (what, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
            write!(f, "\n  {what}: {}", list(names))?;
        }
        Ok(())
    }
}
