//! Checks of axis lists that several ops share.

use crate::RuleError;

/// Checks that one axis is below the rank; `what` names it in the message ("reduced axis").
pub(super) fn check_axis(what: &str, axis: usize, rank: usize) -> Result<(), RuleError> {
    if axis < rank { Ok(()) } else { Err(format!("{what} {axis} is out of range for rank {rank}").into()) }
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
