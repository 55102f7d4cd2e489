//! Axes as users write them: negative ones count from the end.

/// The axis, from 0.
pub(crate) fn resolve_axis(axis: isize, rank: usize) -> Result<usize, String> {
    let resolved = if axis < 0 { axis + rank as isize } else { axis };
    if (0..rank as isize).contains(&resolved) {
        return Ok(resolved as usize);
    }
    if rank == 0 {
        return Err(format!("axis {axis} is out of range: a scalar has no axes"));
    }
    Err(format!("axis {axis} is out of range: valid are -{rank} to {}", rank - 1))
}

/// The axes in the order given, each at most once.
pub(crate) fn resolve_list(axes: &[isize], rank: usize) -> Result<Vec<usize>, String> {
    let mut resolved = Vec::with_capacity(axes.len());
    for &axis in axes {
        let at = resolve_axis(axis, rank)?;
        if resolved.contains(&at) {
            return Err(format!("axis {at} is given twice in {axes:?}"));
        }
        resolved.push(at);
    }
    Ok(resolved)
}

/// The axes ascending; all of them for `None`.
pub(crate) fn resolve_axes(axes: Option<&[isize]>, rank: usize) -> Result<Vec<usize>, String> {
    let Some(axes) = axes else { return Ok((0..rank).collect()) };
    let mut resolved = resolve_list(axes, rank)?;
    resolved.sort_unstable();
    Ok(resolved)
}
