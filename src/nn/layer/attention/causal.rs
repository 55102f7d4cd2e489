//! Causal attention in groups of queries: each group has scores with the keys up to its own end only, so that most of those that nobody sees are
//! computed in no product, forward or backward, and have no exponentials.

use super::function::{AttentionMask, scores, weighted_mean};
use crate::dsl::Tensor;
use crate::nn::layer::Dropout;
use std::ops::Range;

/// With four groups five eighths of the scores are computed, with eight nine sixteenths; what a graph has of attention, and the time to compile
/// it, grows with their number.
const MOST_GROUPS: usize = 4;
/// Groups of blocks have scratch memory each, which grows with their number.
const MOST_GROUPS_OF_BLOCKS: usize = 2;
/// Fewer queries than that make products of few rows.
const LEAST_ROWS: usize = 64;
/// Groups start at multiples of the widest vectors.
const STEP: usize = 16;

/// The groups of so many queries.
pub(super) fn groups(queries: usize) -> Vec<Range<usize>> {
    cut(queries, (queries / LEAST_ROWS).clamp(1, MOST_GROUPS), STEP)
}

/// The groups of so many blocks of queries.
pub(super) fn groups_of_blocks(blocks: usize) -> Vec<Range<usize>> {
    cut(blocks, MOST_GROUPS_OF_BLOCKS, 1)
}

/// At most `count` ranges that start at multiples of `step`, as even as can be.
fn cut(extent: usize, count: usize, step: usize) -> Vec<Range<usize>> {
    let size = extent.div_ceil(count).next_multiple_of(step);
    (0..extent).step_by(size).map(|start| start..(start + size).min(extent)).collect()
}

/// Attention as the function of that name defines it, under a causal mask, in groups of positions. Operands have been checked.
#[track_caller]
pub(super) fn attend(
    [q, k, v]: [&Tensor; 3],
    mask: &AttentionMask,
    dropout: &Dropout,
    groups: &[Range<usize>],
) -> Tensor {
    let (keys, values) = (up_to_each(k, 1, groups), up_to_each(v, 1, groups));
    let results: Vec<Tensor> = (groups.iter().zip(keys).zip(values))
        .map(|((rows, k), v)| {
            let keys = rows.end;
            let rows = rows.start * mask.rows..rows.end * mask.rows;
            let q = part(q, 1, &rows);
            let truth = mask.truth(&q, rows.clone(), keys);
            let scores = mask.biased(scores(&q, &k), &rows, keys);
            weighted_mean(&scores, &v, truth.as_ref(), mask.keys.is_some(), dropout)
        })
        .collect();
    joined(&results, 1)
}

/// What stands before the end of each range, which are one after the other.
///
/// Put together of parts without overlap: gradients are then added up part by part, instead of as whole tensors of padding.
#[track_caller]
pub(super) fn up_to_each(x: &Tensor, axis: isize, ranges: &[Range<usize>]) -> Vec<Tensor> {
    let parts: Vec<Tensor> = ranges.iter().map(|range| part(x, axis, range)).collect();
    (1..=parts.len()).map(|count| joined(&parts[..count], axis)).collect()
}

/// A range along an axis; all of `x` as it is.
#[track_caller]
pub(super) fn part(x: &Tensor, axis: isize, range: &Range<usize>) -> Tensor {
    let is_all = x.shape().is_some_and(|shape| range.len() == shape[axis as usize]);
    if is_all { x.clone() } else { x.slice_axis(axis, range.clone()) }
}

/// Tensors one after the other along an axis.
#[track_caller]
pub(super) fn joined(parts: &[Tensor], axis: isize) -> Tensor {
    let others: Vec<&Tensor> = parts[1..].iter().collect();
    if others.is_empty() { parts[0].clone() } else { parts[0].concat(&others, axis) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_cover_all_queries_in_order() {
        for queries in 1..700 {
            let groups = groups(queries);
            assert!(groups.len() <= MOST_GROUPS && (queries < LEAST_ROWS || groups.len() <= queries / LEAST_ROWS));
            let ends = groups.iter().fold(0, |end, group| {
                assert!(group.start == end && group.start % STEP == 0 && !group.is_empty(), "{groups:?}");
                group.end
            });
            assert_eq!(ends, queries);
        }
        assert_eq!(groups(128), [0..64, 64..128]);
        assert_eq!(groups_of_blocks(5), [0..3, 3..5]);
    }
}
