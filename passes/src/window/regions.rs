//! The regions of a padded convolution's result: in each, all places have the same taps inside of the operand.

use ir::op::window::Window;
use ir::{DType, TensorType};

/// Fewer images are too few for threads to share: only whole images are, where regions differ.
const MIN_IMAGES: usize = 8;
/// Regions pay where the one in the middle, in which all taps are inside, has that many places along each axis.
const MIN_MIDDLE: usize = 6;

/// Whether a convolution is computed region by region, and needs no padded copy of its operand.
pub(crate) fn in_regions(window: &Window, x: &TensorType, y: &TensorType, groups: usize) -> bool {
    let spatial = window.size.len();
    let pays = |d: usize| {
        let runs = runs(window, d, x.shape[d + 1], y.shape[d + 1]);
        let middle = runs.iter().filter(|r| r.taps == window.size[d]).map(|r| r.count).max();
        // A place without any tap is a sum of nothing, which no tile computes.
        middle.is_some_and(|count| count >= MIN_MIDDLE) && runs.iter().all(|r| r.taps > 0)
    };
    matches!(x.dtype, DType::F32 | DType::F64)
        && spatial <= 2
        && x.shape[0] >= MIN_IMAGES
        && y.shape[spatial + 1] > groups
        && (0..spatial).all(pays)
}

/// Places along an axis that have the same taps inside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TapRun {
    pub(crate) start: usize,
    pub(crate) count: usize,
    pub(crate) first_tap: usize,
    pub(crate) taps: usize,
}

/// The runs of places along a spatial axis.
pub(crate) fn runs(window: &Window, d: usize, input: usize, output: usize) -> Vec<TapRun> {
    let (stride, dilation, before) = (window.stride[d], window.dilation[d], window.pad[d].0);
    let mut runs: Vec<TapRun> = vec![];
    for place in 0..output {
        let inside = |tap: &usize| (before..before + input).contains(&(place * stride + tap * dilation));
        let first_tap = (0..window.size[d]).find(inside).unwrap_or(0);
        let taps = (0..window.size[d]).filter(inside).count();
        match runs.last_mut() {
            Some(run) if (run.first_tap, run.taps) == (first_tap, taps) => run.count += 1,
            _ => runs.push(TapRun { start: place, count: 1, first_tap, taps }),
        }
    }
    runs
}
