//! How far a program has come on its way from a declared graph to loops with a place in memory.

use std::fmt;

/// How far a program has come. Each stage includes what the earlier ones ensure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// A graph as the user declared it.
    Declared,
    /// A graph without gradients to be derived or barriers to them.
    Differentiated,
    /// A graph whose nodes stand in clusters, each to become one or a few kernels.
    Fused,
    /// A graph whose clusters are numbered in the order they run.
    Scheduled,
    /// Loops.
    Lowered,
    /// Loops with scalar ops only that every emitter has.
    Decomposed,
    /// Loops with a place in the arena for each buffer: ready for an emitter.
    Planned,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Declared => "declared",
            Self::Differentiated => "differentiated",
            Self::Fused => "fused",
            Self::Scheduled => "scheduled",
            Self::Lowered => "lowered",
            Self::Decomposed => "decomposed",
            Self::Planned => "planned",
        })
    }
}
