//! Offsets from lifetimes: the largest buffer first, each at the lowest place that is free while it lives.

use super::Life;
use crate::PassError;
use kernel::Program;

/// Offsets are multiples of this: a cache line, and the widest vector.
const ALIGN: usize = 64;

/// Buffers that share memory, as one.
struct Group {
    root: usize,
    size: usize,
    life: Life,
}

/// Sets the offsets and the arena's size.
///
/// # Errors
/// If the arena would be larger than an address space.
pub(super) fn assign(program: &mut Program, roots: &[usize], lives: &[Life]) -> Result<(), PassError> {
    let mut groups: Vec<Group> = vec![];
    for (buffer, &root) in roots.iter().enumerate() {
        let size = program.buffers[buffer].size_bytes();
        match groups.iter_mut().find(|g| g.root == root) {
            Some(group) => {
                group.size = group.size.max(size);
                group.life = group.life.union(lives[buffer]);
            }
            None => groups.push(Group { root, size, life: lives[buffer] }),
        }
    }
    groups.sort_by_key(|g| (std::cmp::Reverse(g.size), g.root));
    let mut placed: Vec<(usize, usize, Life)> = vec![];
    let mut offsets = vec![0; roots.len()];
    let mut arena = 0usize;
    for group in &groups {
        let offset = lowest(&placed, group)?;
        let end = offset.checked_add(group.size).ok_or_else(too_large)?;
        placed.push((offset, end, group.life));
        placed.sort_by_key(|p| p.0);
        offsets[group.root] = offset;
        arena = arena.max(end);
    }
    for (buffer, &root) in roots.iter().enumerate() {
        program.buffers[buffer].offset = Some(offsets[root]);
    }
    program.arena_bytes = Some(align(arena)?);
    Ok(())
}

/// The lowest aligned offset at which no group overlaps that is alive at the same time; `placed` ascends by offset.
fn lowest(placed: &[(usize, usize, Life)], group: &Group) -> Result<usize, PassError> {
    let mut offset = 0usize;
    for &(start, end, life) in placed {
        if !life.overlaps(group.life) {
            continue;
        }
        if start >= offset.checked_add(group.size).ok_or_else(too_large)? {
            break;
        }
        offset = offset.max(align(end)?);
    }
    Ok(offset)
}

fn align(bytes: usize) -> Result<usize, PassError> {
    bytes.checked_next_multiple_of(ALIGN).ok_or_else(too_large)
}

fn too_large() -> PassError {
    PassError::Unsupported { what: "the arena is larger than an address space: use a smaller batch".into(), loc: None }
}
