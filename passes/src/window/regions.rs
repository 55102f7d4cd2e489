//! The regions of a padded convolution's result: in each, all places have the same taps inside of the operand.

use ir::op::window::Window;
use ir::{DType, TensorType};

/// Fewer images are too few for threads to share: only whole images are, where regions differ, or whole planes of volumes.
const MIN_IMAGES: usize = 8;
/// Places of a longer line aren't looked at one by one: an image of a terabyte is refused elsewhere, but must come there.
const MAX_LINE: usize = 1 << 22;
/// Regions pay where the one in the middle, in which all taps are inside, has that many places along each axis.
const MIN_MIDDLE: usize = 6;

/// So many neighbouring places at the most are computed together where each channel has a kernel of its own: these sums, as many elements of an image and one of the kernel stay
/// in 16 registers.
pub(crate) const DEPTHWISE_PLACES: usize = 7;
/// As large a part of the products at most must be left.
const ENOUGH_LEFT: f64 = 0.9;
/// So many products at the most stand in the code of all regions of a convolution in which each channel has a kernel of its own.
const MAX_PRODUCTS: usize = 1024;

/// Whether a convolution is computed region by region, and needs no padded copy of its operand.
pub(crate) fn in_regions(window: &Window, x: &TensorType, y: &TensorType, groups: usize) -> bool {
    y.shape[window.size.len() + 1] > groups && has_regions(window, x, y)
}

/// The same of one in which each channel has a kernel of its own. With a stride the padded copy would be larger than the result, and without one regions pay where they leave out enough products:
/// measured, 3x3 on 28x28 took 1.2 times as long as with a copy, 5x5 on 14x14 0.76 times, 3x3 with a stride of 2 on 56x56 a third.
pub(crate) fn depthwise_in_regions(window: &Window, x: &TensorType, y: &TensorType, groups: usize) -> bool {
    let spatial = window.size.len();
    if spatial > 2 || [x, y].map(|ty| ty.shape[spatial + 1]) != [groups; 2] || !has_regions(window, x, y) {
        return false;
    }
    // Of each region as many places as the lowering computes together.
    let (mut products, mut left) = (1, 1.0);
    for d in 0..spatial {
        let runs = runs(window, d, x.shape[d + 1], y.shape[d + 1]);
        let places = |run: &TapRun| if d + 1 == spatial { run.count.min(DEPTHWISE_PLACES) } else { 1 };
        products *= runs.iter().map(|run| run.taps * places(run)).sum::<usize>();
        let inside: usize = runs.iter().map(|run| run.taps * run.count).sum();
        left *= inside as f64 / (window.size[d] * y.shape[d + 1]) as f64;
    }
    let pays = window.stride.iter().any(|&stride| stride > 1) || left <= ENOUGH_LEFT;
    pays && products <= MAX_PRODUCTS
}

fn has_regions(window: &Window, x: &TensorType, y: &TensorType) -> bool {
    let spatial = window.size.len();
    if !matches!(x.dtype, DType::F32 | DType::F64)
        || spatial > 3
        || spatial < 3 && x.shape[0] < MIN_IMAGES
        || y.shape[1..=spatial].iter().any(|&places| places > MAX_LINE)
    {
        return false;
    }
    let middles: Vec<usize> = (0..spatial).map(|d| middle(window, d, x.shape[d + 1], y.shape[d + 1])).collect();
    let planes = if spatial < 3 { 1 } else { middles[0] };
    middles.iter().all(|&places| places >= MIN_MIDDLE) && x.shape[0].saturating_mul(planes) >= MIN_IMAGES
}

/// How many places along an axis have all taps inside of the operand. None, where one has no tap at all: a sum of nothing, which no tile computes.
fn middle(window: &Window, d: usize, input: usize, output: usize) -> usize {
    let runs = runs(window, d, input, output);
    let whole = runs.iter().filter(|run| run.taps == window.size[d]).map(|run| run.count).max();
    whole.filter(|_| runs.iter().all(|run| run.taps > 0)).unwrap_or(0)
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
    // The first tap that lies at `end` or behind it.
    let taps_before =
        |place: usize, end: usize| end.saturating_sub(place * stride).div_ceil(dilation).min(window.size[d]);
    let mut runs: Vec<TapRun> = vec![];
    for place in 0..output {
        let (first_tap, end) = (taps_before(place, before), taps_before(place, before + input));
        let taps = end - first_tap;
        match runs.last_mut() {
            Some(run) if (run.first_tap, run.taps) == (first_tap, taps) => run.count += 1,
            _ => runs.push(TapRun { start: place, count: 1, first_tap, taps }),
        }
    }
    runs
}
