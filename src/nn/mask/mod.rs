//! Reductions over the steps that count.

use crate::dsl::Tensor;

/// A mask `bool[batch, time]` with axes of extent 1 after it, as many as `x [batch, time, ...]` has.
#[track_caller]
fn aligned(mask: &Tensor, x: &Tensor) -> Tensor {
    let rank = x.shape().map_or(0, |shape| shape.rank());
    (2..rank).fold(mask.clone(), |mask, _| mask.unsqueeze(-1))
}

/// The mean of `x [batch, time, ...]` over axes, of the elements at steps where `mask`, `bool[batch, time]`, holds; 0 where none does.
#[track_caller]
pub(super) fn mean_where(x: &Tensor, mask: &Tensor, axes: &[isize]) -> Tensor {
    let Some(ty) = x.ty() else { return x.clone() };
    let kept = aligned(mask, x);
    // Axes after the time have the same elements at each step.
    let of_step: usize = axes.iter().filter(|&&axis| axis > 1).map(|&axis| ty.shape[axis as usize]).product();
    let count = kept.cast(ty.dtype).sum_keepdims(axes) * of_step as f64;
    (kept.select(x, 0).sum_keepdims(axes) / count.maximum(1.0)).squeeze(axes)
}

/// The largest element of `x [batch, time, ...]` over the steps where `mask`, `bool[batch, time]`, holds, `[batch, ...]`; 0 for a sequence without any.
#[track_caller]
pub(super) fn max_where(x: &Tensor, mask: &Tensor) -> Tensor {
    let Some(ty) = x.ty() else { return x.clone() };
    let kept = aligned(mask, x);
    let any = kept.cast(ty.dtype).max_axes([1]).gt(0.5);
    any.select(&kept.select(x, f64::NEG_INFINITY).max_axes([1]), 0)
}

#[cfg(test)]
mod tests;
