//! Offsets from lifetimes: the largest buffer first, each at the lowest place that is free while it lives.

use super::Life;
use crate::PassError;
use kernel::{BufferKind, Program};
use std::collections::BTreeMap;

/// Offsets are multiples of this: a cache line, and the widest vector.
const ALIGN: usize = 64;

/// Buffers that share memory, as one.
struct Group {
    root: usize,
    size: usize,
    life: Life,
}

/// Sets the offsets and the arena's size. States, and what shares their memory, get none.
///
/// # Errors
/// If the arena would be larger than an address space.
pub(super) fn assign(program: &mut Program, roots: &[usize], lives: &[Life]) -> Result<(), PassError> {
    let mut of_root: BTreeMap<usize, Group> = BTreeMap::new();
    let in_arena = |root: usize| !matches!(program.buffers[root].kind, BufferKind::State { .. });
    for (buffer, &root) in roots.iter().enumerate().filter(|(_, root)| in_arena(**root)) {
        let (size, life) = (program.buffers[buffer].size_bytes(), lives[buffer]);
        let group = of_root.entry(root).or_insert(Group { root, size, life });
        group.size = group.size.max(size);
        group.life = group.life.union(life);
    }
    let mut groups: Vec<Group> = of_root.into_values().collect();
    groups.sort_by_key(|g| (std::cmp::Reverse(g.size), g.root));
    let mut placed = Placed { whole: Life { first: 0, last: program.launches.len() }, lanes: vec![] };
    let mut offsets = vec![None; roots.len()];
    let mut arena = 0usize;
    for group in &groups {
        let offset = placed.lowest(group)?;
        let end = offset.checked_add(group.size).ok_or_else(too_large)?;
        placed.insert(offset, end, group.life)?;
        offsets[group.root] = Some(offset);
        arena = arena.max(end);
    }
    for (buffer, &root) in roots.iter().enumerate() {
        program.buffers[buffer].offset = offsets[root];
    }
    program.arena_bytes = Some(align(arena)?);
    Ok(())
}

/// A stretch of memory and when groups occupy just this, one after the other: the first launch of each and its last.
struct Lane {
    start: usize,
    end: usize,
    lives: BTreeMap<usize, usize>,
}

impl Lane {
    fn is_taken(&self, life: Life) -> bool {
        self.lives.range(..=life.last).next_back().is_some_and(|(_, &last)| last >= life.first)
    }
}

/// What has been placed so far, ascending by start. There are far fewer lanes than groups: what lives always is one, and what follows one another has
/// the same place.
struct Placed {
    /// From the first launch beyond the last.
    whole: Life,
    lanes: Vec<Lane>,
}

impl Placed {
    /// The lowest aligned offset at which no group overlaps that is alive at the same time.
    fn lowest(&self, group: &Group) -> Result<usize, PassError> {
        let mut offset = 0usize;
        for lane in self.lanes.iter().filter(|lane| lane.is_taken(group.life)) {
            if lane.start >= offset.checked_add(group.size).ok_or_else(too_large)? {
                break;
            }
            offset = offset.max(align(lane.end)?);
        }
        Ok(offset)
    }

    fn insert(&mut self, start: usize, end: usize, life: Life) -> Result<(), PassError> {
        let at = self.lanes.partition_point(|lane| (lane.start, lane.end) < (start, end));
        if let Some(lane) = self.lanes.get_mut(at).filter(|lane| (lane.start, lane.end) == (start, end)) {
            lane.lives.insert(life.first, life.last);
            return Ok(());
        }
        if let Some(before) = at.checked_sub(1).map(|before| &mut self.lanes[before])
            && life == self.whole
            && before.lives.get(&life.first) == Some(&life.last)
            && align(before.end)? == start
        {
            before.end = end;
            return Ok(());
        }
        self.lanes.insert(at, Lane { start, end, lives: BTreeMap::from([(life.first, life.last)]) });
        Ok(())
    }
}

fn align(bytes: usize) -> Result<usize, PassError> {
    bytes.checked_next_multiple_of(ALIGN).ok_or_else(too_large)
}

fn too_large() -> PassError {
    PassError::Unsupported { what: "the arena is larger than an address space: use a smaller batch".into(), loc: None }
}
