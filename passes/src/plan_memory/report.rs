//! What a plan needs, and what no plan could do without.

use super::{Life, lives};
use kernel::{BufferKind, Program};
use std::collections::BTreeSet;
use std::fmt;

/// Sizes of a planned program, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryReport {
    /// The whole arena.
    pub arena: usize,
    /// Inputs, states and constants, which live always.
    pub persistent: usize,
    /// The largest sum of the sizes of buffers that are alive during one launch, memory on purpose shared counted once: no plan needs
    /// less.
    pub lower_bound: usize,
}

impl fmt::Display for MemoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "arena {:.2} MiB (persistent {:.2} MiB), lower bound {:.2} MiB",
            mb(self.arena),
            mb(self.persistent),
            mb(self.lower_bound)
        )
    }
}

/// Measures a planned program.
pub fn report(program: &Program) -> MemoryReport {
    let lives = lives(program);
    let persistent = |kind: &BufferKind| {
        matches!(kind, BufferKind::Input { .. } | BufferKind::State { .. } | BufferKind::Constant { .. })
    };
    let live_at = |t: usize| {
        let now = Life { first: t, last: t };
        let mut places = BTreeSet::new();
        let alive = |b: &usize| lives[*b].overlaps(now);
        (0..program.buffers.len())
            .filter(alive)
            .filter(|&b| program.buffers[b].offset.is_none_or(|o| places.insert(o)))
            .map(|b| program.buffers[b].size_bytes())
            .sum::<usize>()
    };
    MemoryReport {
        arena: program.arena_bytes.unwrap_or(0),
        persistent: program.buffers.iter().filter(|b| persistent(&b.kind)).map(kernel::Buffer::size_bytes).sum(),
        lower_bound: (0..program.launches.len().max(1)).map(live_at).max().unwrap_or(0),
    }
}
