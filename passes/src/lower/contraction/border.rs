//! Padded convolutions without padding: the result is cut into regions whose places have the same taps inside of the operand.

use super::spec::{BatchedMatmul, Dim, IterationOrigin, numbers, unpadded};
use crate::lower::Lowering;
use crate::window::{TapRun, runs};
use ir::op::contraction::Conv;
use ir::{NodeId, Op, TensorType};

impl BatchedMatmul {
    /// Its parts, those of each kernel: all of it, or, with padding, regions of the result that have the same taps inside of the operand.
    pub(super) fn parts(&self, lowering: &Lowering<'_>, anchor: NodeId) -> Vec<Vec<Self>> {
        let graph = lowering.graph;
        match &numbers(graph.op(anchor)) {
            Op::Conv(op) if !unpadded(&op.window.pad) => {
                // Only spatial extents are asked for, which quads leave.
                regions(self, op, graph.ty(graph.operands(anchor)[0]), graph.ty(anchor))
            }
            _ => vec![vec![self.clone()]],
        }
    }
}

/// The regions of a convolution: the product of the runs along its axes. Images become a dimension of the batch, which all regions of a kernel share; of volumes, which are few and large, the planes
/// of a run do, too, so that threads have enough to share, and each run has a kernel of its own.
fn regions(whole: &BatchedMatmul, op: &Conv, x: &TensorType, y: &TensorType) -> Vec<Vec<BatchedMatmul>> {
    let spatial = op.window.size.len();
    let mut base = whole.clone();
    let images = base.m.remove(0);
    base.batch.push(images);
    base.origin.at = vec![0; spatial + 2];
    let axes: Vec<Vec<TapRun>> = (0..spatial).map(|d| runs(&op.window, d, x.shape[d + 1], y.shape[d + 1])).collect();
    let along = |part: &BatchedMatmul, d: usize| -> Vec<BatchedMatmul> {
        axes[d].iter().map(|&run| restricted(part, d, run, op)).collect()
    };
    let mut kernels = if spatial < 3 { vec![base] } else { along(&base, 0) };
    // Each kernel has panels of its own taps.
    kernels.iter_mut().for_each(|kernel| kernel.origin.steps = 0);
    let regions = |kernel: BatchedMatmul| {
        let mut parts = vec![kernel];
        for d in spatial.saturating_sub(2)..spatial {
            parts = parts.iter().flat_map(|part| along(part, d)).collect();
        }
        parts.iter_mut().for_each(order_axes);
        parts
    };
    kernels.into_iter().map(regions).collect()
}

/// Planes become a dimension of the batch, and a tile's rows run along the longer side of a narrow region.
fn order_axes(part: &mut BatchedMatmul) {
    if part.m.len() == 3 {
        let planes = part.m.remove(0);
        part.batch.push(planes);
    }
    if let [first, last] = part.m[..]
        && last.extent < 4
        && first.extent > last.extent
    {
        part.m.swap(0, 1);
    }
}

/// A part whose places along a spatial axis are those of a run.
fn restricted(part: &BatchedMatmul, d: usize, run: TapRun, op: &Conv) -> BatchedMatmul {
    let mut part = part.clone();
    let (places, taps): (&mut Dim, &mut Dim) = (&mut part.m[d], &mut part.k[d]);
    (places.extent, taps.extent) = (run.count, run.taps);
    // One element of the operand along the axis, whatever the stride.
    let element = places.a / op.window.stride[d] as i64;
    let IterationOrigin { a, b, steps, at } = &mut part.origin;
    *a += places.a * run.start as i64 + taps.a * run.first_tap as i64 - element * op.window.pad[d].0 as i64;
    *b += taps.b * run.first_tap as i64;
    *steps += taps.steps * run.first_tap;
    at[d + 1] = run.start;
    part
}
