//! Padded convolutions without padding: the result is cut into regions whose places have the same taps inside of the operand.

use super::spec::{Dim, Origin, Spec};
use ir::op::contraction::Conv;
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
struct Run {
    start: usize,
    count: usize,
    first_tap: usize,
    taps: usize,
}

/// The runs of places along a spatial axis.
fn runs(window: &Window, d: usize, input: usize, output: usize) -> Vec<Run> {
    let (stride, dilation, before) = (window.stride[d], window.dilation[d], window.pad[d].0);
    let mut runs: Vec<Run> = vec![];
    for place in 0..output {
        let inside = |tap: &usize| (before..before + input).contains(&(place * stride + tap * dilation));
        let first_tap = (0..window.size[d]).find(inside).unwrap_or(0);
        let taps = (0..window.size[d]).filter(inside).count();
        match runs.last_mut() {
            Some(run) if (run.first_tap, run.taps) == (first_tap, taps) => run.count += 1,
            _ => runs.push(Run { start: place, count: 1, first_tap, taps }),
        }
    }
    runs
}

/// The regions of a convolution: the product of the runs along its axes. Images become a dimension of the batch, which all regions share.
pub(super) fn parts(whole: &Spec, op: &Conv, x: &TensorType, y: &TensorType) -> Vec<Spec> {
    let spatial = op.window.size.len();
    let mut base = whole.clone();
    let images = base.m.remove(0);
    base.batch.push(images);
    base.origin.at = vec![0; spatial + 2];
    let mut parts = vec![base];
    for d in 0..spatial {
        let pad = op.window.pad[d].0 as i64;
        let runs = runs(&op.window, d, x.shape[d + 1], y.shape[d + 1]);
        parts = parts.iter().flat_map(|part| runs.iter().map(move |run| restricted(part, d, *run, pad, op))).collect();
    }
    for part in &mut parts {
        // A tile's rows run along the longer side of a narrow region.
        if let [first, last] = part.m[..]
            && last.extent < 4
            && first.extent > last.extent
        {
            part.m.swap(0, 1);
        }
    }
    parts
}

/// A part whose places along a spatial axis are those of a run.
fn restricted(part: &Spec, d: usize, run: Run, pad: i64, op: &Conv) -> Spec {
    let mut part = part.clone();
    let (places, taps): (&mut Dim, &mut Dim) = (&mut part.m[d], &mut part.k[d]);
    (places.extent, taps.extent) = (run.count, run.taps);
    // One element of the operand along the axis, whatever the stride.
    let element = places.a / op.window.stride[d] as i64;
    let Origin { a, b, steps, at } = &mut part.origin;
    *a += places.a * run.start as i64 + taps.a * run.first_tap as i64 - element * pad;
    *b += taps.b * run.first_tap as i64;
    *steps += taps.steps * run.first_tap;
    at[d + 1] = run.start;
    part
}
