//! Window clusters: pooling, its gradients, and the elementwise ops on their results.
//!
//! Pooling walks the windows: batch, window positions, channels, and inside the taps of one window. So does a gradient where windows tile the input
//! (stride = size): each of its elements belongs to one tap. Other gradients walk the places of the input, and inside the windows that have a
//! tap there. Either way an element is stored once, with the elementwise ops that follow. Only where windows are far apart, or strides large and windows
//! larger, is a gradient cleared first, and taps are added. Along each axis the places whose taps are all inside are walked apart from the others
//! (`crate::window`), without a question.

mod gradient;
mod places;
mod pool;
mod walk;

use super::Lowering;
use crate::PassError;
use crate::fuse::cluster::outputs;
use ir::op::window::{Pool, PoolArgMax};
use ir::{NodeId, Op};
use walk::{Cluster, Goes, Walk};

/// Lowers the cluster around a pooling op or a gradient of one.
pub(super) fn lower(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    nodes: &[NodeId],
) -> Result<(), PassError> {
    let graph = lowering.graph;
    let results = outputs(graph, cluster, nodes);
    let operands = graph.operands(anchor);
    let around = |window, input: NodeId| Walk { window, input: graph.ty(input).clone() };
    let cluster = Cluster { number: cluster, anchor, results: &results };
    match graph.op(anchor) {
        Op::Pool(Pool { window, .. }) | Op::PoolArgMax(PoolArgMax { window, .. }) => {
            pool::lower(lowering, &cluster, nodes, &around(window, operands[0]))
        }
        Op::PoolMaxTake(op) => pool::take(lowering, &cluster, &around(&op.window, operands[0])),
        Op::PoolMaxGrad(op) => {
            let goes = Goes::Largest(operands[0]);
            gradient::lower(lowering, &cluster, &around(&op.window, anchor), goes, operands[1])
        }
        Op::PoolSumGrad(op) => gradient::lower(lowering, &cluster, &around(&op.window, anchor), Goes::All, operands[0]),
        Op::Unpool(op) => {
            let goes = Goes::Named(operands[0]);
            gradient::lower(lowering, &cluster, &around(&op.window, anchor), goes, operands[1])
        }
        op => Err(lowering.defect(anchor, &format!("`{op}` is no window op"))),
    }
}
