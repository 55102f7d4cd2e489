//! What code depends on, as one number; and what a step says about places in the user's source, which code doesn't depend on.

use super::super::CompileOptions;
use ir::{Graph, Op};
use kernel::{Check, Target};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// The SHA-256 of all that a step's code depends on. Prints as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub(super) [u8; 32]);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// A hash that text can be written to.
struct Hasher(Sha256);

impl Write for Hasher {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

impl Key {
    /// The key of a declared graph. It covers the graph's text (all names, ops, attributes and types), which nodes share a place in the
    /// source, the target, the options of passes, and the compiler: its version and its own source, as far as that was there when it was built.
    pub(super) fn of(graph: &Graph, places: &SourceLocations, target: &Target, options: &CompileOptions) -> Self {
        let mut hasher = Hasher(Sha256::new());
        let (format, built) = (codegen::object::FORMAT_VERSION, env!("GRADC_SOURCE_HASH"));
        let compiler = format!("{} {built} {format}", env!("CARGO_PKG_VERSION"));
        let chosen = format!("{:?} verify {}", options.passes, options.verify);
        // Parts can't run into one another: a line each, then the graph, which ends with a brace on a line.
        let written = write!(hasher, "{compiler}\n{target}\n{chosen}\n{graph}");
        debug_assert!(written.is_ok(), "a hash takes everything");
        for place in &places.of_nodes {
            hasher.0.update([u8::from(place.is_some())]);
            hasher.0.update(place.unwrap_or_default().to_le_bytes());
        }
        Self(hasher.0.finalize().into())
    }
}

/// The places in the user's source that the nodes of a graph come from, each once, in the order of the graph's text.
pub(super) struct SourceLocations {
    texts: Vec<String>,
    /// For each node, in the order of the text, the number of its place.
    of_nodes: Vec<Option<u32>>,
}

impl SourceLocations {
    pub(super) fn of(graph: &Graph) -> Self {
        let mut places = Self { texts: vec![], of_nodes: vec![] };
        places.add(graph, &mut BTreeMap::new());
        places
    }

    /// Adds the places of a graph and of the bodies in it.
    fn add(&mut self, graph: &Graph, numbers: &mut BTreeMap<String, u32>) {
        for id in graph.schedule_order() {
            let number = graph.loc(id).map(|loc| {
                let text = loc.to_string();
                *numbers.entry(text.clone()).or_insert_with(|| {
                    self.texts.push(text);
                    self.texts.len() as u32 - 1
                })
            });
            self.of_nodes.push(number);
            if let Op::Scan(scan) = graph.op(id) {
                self.add(scan.body.graph(), numbers);
            }
        }
    }

    /// A place as text.
    pub(super) fn text(&self, place: Option<u32>) -> Option<String> {
        self.texts.get(place? as usize).cloned()
    }

    /// Which place each check names; `None` if one names a place that isn't the graph's.
    pub(super) fn find_all(&self, checks: &[Check]) -> Option<Vec<Option<u32>>> {
        let find = |check: &Check| match &check.loc {
            None => Some(None),
            Some(loc) => Some(Some(self.texts.iter().position(|text| text == loc)? as u32)),
        };
        checks.iter().map(find).collect()
    }
}
