//! Sums in one order: that of the ranks.

use std::ops::AddAssign;

/// `sum[i] = ((block 0 [i] + block 1 [i]) + block 2 [i]) + ...`, of blocks that stand one after the other.
pub(super) fn add_in_order<T: Copy + AddAssign>(blocks: &[T], sum: &mut [T]) {
    let mut blocks = blocks.chunks_exact(sum.len().max(1));
    if let Some(first) = blocks.next() {
        sum.copy_from_slice(first);
    }
    for block in blocks {
        sum.iter_mut().zip(block).for_each(|(sum, x)| *sum += *x);
    }
}
