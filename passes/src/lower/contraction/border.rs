//! Padded convolutions without padding: the result is cut into regions whose places have the same taps inside of the operand.

use super::spec::{BatchedMatmul, Dim, IterationOrigin, numbers, unpadded};
use crate::lower::Lowering;
use crate::window::{TapRun, runs};
use ir::op::contraction::Conv;
use ir::{NodeId, Op, TensorType};

impl BatchedMatmul {
    /// Its parts: all of it, or, with padding, regions of the result that have the same taps inside of the operand.
    pub(super) fn parts(&self, lowering: &Lowering<'_>, anchor: NodeId) -> Vec<Self> {
        let graph = lowering.graph;
        match &numbers(graph.op(anchor)) {
            Op::Conv(op) if !unpadded(&op.window.pad) => {
                // Only spatial extents are asked for, which quads leave.
                regions(self, op, graph.ty(graph.operands(anchor)[0]), graph.ty(anchor))
            }
            _ => vec![self.clone()],
        }
    }
}

/// The regions of a convolution: the product of the runs along its axes. Images become a dimension of the batch, which all regions share.
fn regions(whole: &BatchedMatmul, op: &Conv, x: &TensorType, y: &TensorType) -> Vec<BatchedMatmul> {
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
fn restricted(part: &BatchedMatmul, d: usize, run: TapRun, pad: i64, op: &Conv) -> BatchedMatmul {
    let mut part = part.clone();
    let (places, taps): (&mut Dim, &mut Dim) = (&mut part.m[d], &mut part.k[d]);
    (places.extent, taps.extent) = (run.count, run.taps);
    // One element of the operand along the axis, whatever the stride.
    let element = places.a / op.window.stride[d] as i64;
    let IterationOrigin { a, b, steps, at } = &mut part.origin;
    *a += places.a * run.start as i64 + taps.a * run.first_tap as i64 - element * pad;
    *b += taps.b * run.first_tap as i64;
    *steps += taps.steps * run.first_tap;
    at[d + 1] = run.start;
    part
}
