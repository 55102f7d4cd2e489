//! Gradients of strided convolutions by their input: one contraction for the places of each remainder by the strides, which have the same taps. None of
//! them multiplies by the zeros that a stride leaves between the outputs.

use super::spec::{BatchedMatmul, Dim};
use crate::PassError;
use crate::lower::Lowering;
use crate::lower::expr::ValueEmitter;
use crate::window::of_places;
use ir::op::contraction::ConvInputGrad;
use ir::{NodeId, Scalar, TensorType};
use kernel::Affine;

/// The places of one remainder along each spatial axis.
pub(super) struct Phase {
    /// Their contraction; `None` if they have no tap.
    pub(super) spec: Option<BatchedMatmul>,
    /// Along each axis of the result: the first, how far one is from the next, how many.
    axes: Vec<(usize, usize, usize)>,
}

/// The contractions that make up a gradient; `None` if a place has a tap outside.
pub(super) fn parts(op: &ConvInputGrad, dy: &TensorType, w: &TensorType, dx: &TensorType) -> Option<Vec<Phase>> {
    let spatial = op.window.rank();
    let strides = |ty: &TensorType| ty.shape.strides().iter().map(|&s| s as i64).collect::<Vec<i64>>();
    let (sy, sw, sx) = (strides(dy), strides(w), strides(dx));
    let (ci, co) = (w.shape[spatial], w.shape[spatial + 1] / op.groups);
    let channel = spatial + 1;
    let mut base = BatchedMatmul::default();
    base.batch.push(Dim { extent: op.groups, a: co as i64, b: co as i64, c: ci as i64, axis: channel, steps: 0 });
    base.m.push(Dim::row(dx.shape[0], sy[0], sx[0], 0));
    base.n.push(Dim::column(ci, sw[spatial], 1, channel));
    base.origin.at = vec![0; spatial + 2];
    let mut parts = vec![Phase { spec: Some(base), axes: vec![(0, 1, dx.shape[0])] }];
    for d in 0..spatial {
        let mut more = vec![];
        for part in &parts {
            for piece in of_places(&op.window, d, (dx.shape[d + 1], dy.shape[d + 1]), false) {
                let last = piece.at + piece.count - 1 + piece.per_tap * (piece.taps - 1);
                if piece.taps > 0 && (piece.at < 0 || last >= dy.shape[d + 1] as i64) {
                    return None;
                }
                let spec = part.spec.clone().filter(|_| piece.taps > 0).map(|mut spec| {
                    spec.m.push(Dim::row(piece.count as usize, sy[d + 1], sx[d + 1] * piece.step, d + 1));
                    spec.k.push(Dim::reduced(piece.taps as usize, sy[d + 1] * piece.per_tap, sw[d] * piece.tap_step));
                    spec.origin.a += sy[d + 1] * piece.at;
                    spec.origin.b += sw[d] * piece.first_tap;
                    spec.origin.at[d + 1] = piece.start as usize;
                    spec
                });
                let axis = (piece.start as usize, piece.step as usize, piece.count as usize);
                more.push(Phase { spec, axes: [&part.axes[..], &[axis]].concat() });
            }
        }
        parts = more;
    }
    for part in &mut parts {
        part.axes.push((0, 1, dx.shape[channel]));
        if let Some(spec) = &mut part.spec {
            spec.k.push(Dim::reduced(co, 1, 1));
            spec.count_steps();
        }
    }
    Some(parts)
}

/// A kernel for places without a tap: what the results are where the sum is 0.
pub(super) fn clear(
    lowering: &mut Lowering<'_>,
    (cluster, anchor): (u32, NodeId),
    results: &[NodeId],
    places: &Phase,
) -> Result<(), PassError> {
    let zero = Scalar::zero(lowering.graph.ty(anchor).dtype);
    let mut emit = ValueEmitter::new(lowering, Some(cluster));
    emit.cx.floor = 1;
    let along = |&(first, step, count): &(usize, usize, usize)| {
        Affine::term(emit.cx.open(count), step as i64).plus(first as i64)
    };
    let at: Vec<Affine> = places.axes.iter().map(along).collect();
    let zero = emit.cx.constant(zero);
    emit.values.set(anchor, at.clone(), zero);
    for &node in results {
        let value = emit.value(node, &at)?;
        emit.store_node(node, &at, value.expr);
    }
    emit.finish("clear".into());
    Ok(())
}
