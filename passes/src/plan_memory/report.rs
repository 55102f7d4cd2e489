//! What a plan needs, and what no plan could do without.

use super::life::Life;
use super::lives;
use kernel::{BufferKind, Program};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Sizes of a planned program, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryReport {
    /// The whole arena.
    pub arena: usize,
    /// Inputs and constants, which live in it always.
    pub persistent: usize,
    /// States, which have memory of their own.
    pub states: usize,
    /// The largest sum of the sizes of buffers in the arena that are alive during one launch, memory on purpose shared counted once: no plan needs
    /// less.
    pub lower_bound: usize,
}

impl fmt::Display for MemoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "states {:.2} MiB, arena {:.2} MiB (persistent {:.2} MiB), lower bound {:.2} MiB",
            mb(self.states),
            mb(self.arena),
            mb(self.persistent),
            mb(self.lower_bound)
        )
    }
}

/// Measures a planned program.
pub fn report(program: &Program) -> MemoryReport {
    let lives = lives(program);
    let sum = |of: fn(&BufferKind) -> bool| -> usize {
        program.buffers.iter().filter(|b| of(&b.kind)).map(kernel::Buffer::size_bytes).sum()
    };
    MemoryReport {
        arena: program.arena_bytes.unwrap_or(0),
        persistent: sum(|kind| matches!(kind, BufferKind::Input { .. } | BufferKind::Constant { .. })),
        states: sum(|kind| matches!(kind, BufferKind::State { .. })),
        lower_bound: lower_bound(program, &lives),
    }
}

/// The largest sum of the sizes of what is alive during one launch; of buffers at one offset the first counts.
fn lower_bound(program: &Program, lives: &[Life]) -> usize {
    let count = program.launches.len().max(1);
    let (mut born, mut dead) = (vec![vec![]; count], vec![vec![]; count]);
    let placed = |buffer: usize| program.buffers[buffer].offset.is_some();
    for (buffer, life) in lives.iter().enumerate().filter(|(at, life)| life.first < count && placed(*at)) {
        born[life.first].push(buffer);
        dead[life.last.min(count - 1)].push(buffer);
    }
    // What is alive at each place.
    let place = |buffer: usize| program.buffers[buffer].offset;
    let mut alive: BTreeMap<Option<usize>, BTreeSet<usize>> = BTreeMap::new();
    let counted = |at: Option<&BTreeSet<usize>>| {
        at.and_then(BTreeSet::first).map_or(0, |&first| program.buffers[first].size_bytes())
    };
    let (mut sum, mut most) = (0usize, 0usize);
    for (born, dead) in born.into_iter().zip(dead) {
        for buffer in born {
            let here = alive.entry(place(buffer)).or_default();
            sum -= counted(Some(here));
            here.insert(buffer);
            sum += counted(Some(here));
        }
        most = most.max(sum);
        for buffer in dead {
            if let Some(here) = alive.get_mut(&place(buffer)) {
                sum -= counted(Some(here));
                here.remove(&buffer);
                sum += counted(Some(here));
            }
        }
    }
    most
}
