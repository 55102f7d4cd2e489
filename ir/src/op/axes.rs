//! Checks of axis lists, and walks along an axis, that several ops share.

use crate::{RuleError, Shape};

/// Checks that one axis is below the rank; `what` names it in the message ("reduced axis").
pub(super) fn check_axis(what: &str, axis: usize, rank: usize) -> Result<(), RuleError> {
    if axis < rank { Ok(()) } else { Err(format!("{what} {axis} is out of range for rank {rank}").into()) }
}

/// Extents before an axis of the shape, along it, and after it.
pub(super) fn around_axis(axis: usize, shape: &Shape) -> [usize; 3] {
    let (before, rest) = shape.split_at(axis);
    [before.iter().product(), rest[0], rest[1..].iter().product()]
}

/// Where the lines along the middle of `[outer, n, inner]` begin, in row-major order.
pub(super) fn line_starts([outer, n, inner]: [usize; 3]) -> impl Iterator<Item = usize> {
    (0..outer).flat_map(move |o| (0..inner).map(move |i| o * n * inner + i))
}

/// Checks that axes are below the rank and strictly ascending.
pub(super) fn check_ascending(what: &str, axes: &[usize], rank: usize) -> Result<(), RuleError> {
    for &axis in axes {
        check_axis(what, axis, rank)?;
    }
    match axes.windows(2).find(|w| w[0] >= w[1]) {
        None => Ok(()),
        Some(w) if w[0] == w[1] => Err(format!("{what} {} is given twice", w[0]).into()),
        Some(w) => Err(format!("{what} {} stands after {}: they must ascend", w[1], w[0]).into()),
    }
}

/// Checks that a list has one entry per axis.
pub(super) fn check_per_axis(what: &str, len: usize, rank: usize) -> Result<(), RuleError> {
    if len == rank {
        Ok(())
    } else {
        Err(format!("`{what}` has {len} entries, the operand has rank {rank}: one per axis is needed").into())
    }
}

/// The axes of a tensor of that rank that are not in `axes`, ascending.
pub(super) fn other_axes(axes: &[usize], rank: usize) -> Vec<usize> {
    (0..rank).filter(|axis| !axes.contains(axis)).collect()
}
