//! Offsets from lifetimes: the largest buffer first, each at the lowest place that is free while it lives.

use super::lanes::{Lanes, align, too_large};
use super::life::Life;
use crate::PassError;
use kernel::{BufferKind, Program};
use std::collections::BTreeMap;

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
    groups.sort_unstable_by_key(|g| (std::cmp::Reverse(g.size), g.root));
    let mut placed = Lanes::new(Life { first: 0, last: program.launches.len() });
    let mut offsets = vec![None; roots.len()];
    let mut arena = 0usize;
    for group in &groups {
        let offset = placed.lowest(group.size, group.life)?;
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
