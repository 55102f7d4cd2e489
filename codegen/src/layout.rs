//! What both emitters and the runtime agree on about a kernel's function: where its locals lie, and which iterations it can be called for.

use kernel::{Kernel, LoopKind, Stmt};

/// Where locals start in the scratch memory: multiples of a cache line.
const LOCAL_ALIGN: usize = 64;

/// Byte offsets of a kernel's locals in its scratch memory, and how much it needs.
pub(crate) fn scratch_layout(kernel: &Kernel) -> (Vec<i64>, usize) {
    let mut end = 0;
    let offsets = kernel
        .locals
        .iter()
        .map(|local| {
            let start = end;
            end = (start + local.len * local.dtype.size_bytes()).next_multiple_of(LOCAL_ALIGN);
            start as i64
        })
        .collect();
    (offsets, end)
}

/// The iterations of a kernel that may be run in ranges.
pub(crate) fn parallel_extent(kernel: &Kernel) -> Option<usize> {
    match kernel.body.as_slice() {
        [Stmt::For { kind: LoopKind::Parallel, extent, .. }] => Some(*extent),
        _ => None,
    }
}
