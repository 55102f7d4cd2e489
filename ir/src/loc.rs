//! Where a node comes from: the line of the user's source, the layer, the section of a training step.

use crate::RuleError;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A place in the user's source: what `#[track_caller]` saw, or what a text file said; and what was being declared there. Passes hand it on from the nodes that they
/// replace, so that layers and sections are known as long as places are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Loc {
    /// The file, as the compiler named it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// The section of the step, once the pass `autodiff` has said it.
    pub section: Option<Section>,
    /// The path of the layer, `encoder/dense`, for nodes of a layer.
    pub layer: Option<Arc<str>>,
}

impl Loc {
    /// A place; of no layer and no section.
    pub fn new(file: impl Into<Arc<str>>, line: u32, column: u32) -> Self {
        Self { file: file.into(), line, column, section: None, layer: None }
    }

    /// The caller's place, if the functions between are `#[track_caller]`.
    #[track_caller]
    pub fn caller() -> Self {
        let at = std::panic::Location::caller();
        Self::new(at.file(), at.line(), at.column())
    }
}

/// The place alone: `src/main.rs:12:9`.
impl fmt::Display for Loc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A source location as [`Loc`] prints it; the file's name may have colons in it.
impl FromStr for Loc {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let mut parts = text.rsplitn(3, ':');
        let mut number = || parts.next()?.parse().ok();
        let place = number().zip(number());
        match (place, parts.next()) {
            (Some((column, line)), Some(file)) => Ok(Self::new(file, line, column)),
            _ => Err(RuleError(format!("{text:?} is no source location: it is `file:line:column`"))),
        }
    }
}

/// A part of a training step. Its text form is its name: `forward`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Section {
    /// What losses and other outputs are computed by.
    Forward,
    /// What the pass `autodiff` adds: gradients.
    Backward,
    /// What only the states' next values need: the optimizer, running statistics.
    Update,
}

impl Section {
    /// All of them, in the order in which a step runs.
    pub const ALL: [Self; 3] = [Self::Forward, Self::Backward, Self::Update];

    /// The name in text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::Update => "update",
        }
    }

    /// The section of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.name() == name)
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
