//! Window clusters: pooling, its gradients, and the elementwise ops on their results.
//!
//! Pooling walks the windows: batch, window positions, channels, and inside the taps of one window. So does a gradient where windows tile the input
//! (stride = size): each of its elements belongs to one tap. Other gradients walk the places of the input, and inside the windows that have a
//! tap there. Either way an element is stored once, with the elementwise ops that follow. Only where windows are far apart, or strides large and windows
//! larger, is a gradient cleared first, and taps are added. Along each axis the places whose taps are all inside are walked apart from the others
//! (`pieces`), without a question.

mod gradient;
mod pieces;
mod pool;

pub(crate) use pieces::margins;
pub(in crate::lower) use pieces::of_places;
pub(crate) use pool::tap_type;

use super::Lowering;
use super::cx::Placed;
use super::expr::Emit;
use crate::PassError;
use crate::fuse::cluster::outputs;
use ir::op::window::{Pool, PoolArgMax, Window};
use ir::{DType, NodeId, Op, ScalarOp, TensorType};
use kernel::Affine;

/// Remainders by the strides, together, of which each becomes loops of its own.
const MAX_REMAINDERS: usize = 16;

/// True if the windows stand side by side: an element of the input belongs to one tap of one window, but for those behind the last one.
pub(crate) fn tiles(window: &Window) -> bool {
    window.size == window.stride && window.dilation.iter().all(|&d| d == 1)
}

/// True if an element of a gradient is stored once, when it is known, and elementwise ops on it may follow there.
pub(crate) fn stores_once(window: &Window) -> bool {
    tiles(window) || by_places(window)
}

/// True if a gradient walks the places of the input rather than windows.
fn by_places(window: &Window) -> bool {
    !tiles(window) && remainders(window).is_some()
}

/// How many remainders by the strides there are, if they are few enough to be walked one after the other.
pub(crate) fn remainders(window: &Window) -> Option<usize> {
    let all = window.stride.iter().try_fold(1usize, |n, &stride| n.checked_mul(stride));
    all.filter(|&n| n <= MAX_REMAINDERS)
}

/// One element of a window.
struct Tap {
    at: Vec<Affine>,
    inside: Option<Placed>,
}

/// The number of a tap, as a value.
struct Chosen {
    number: Placed,
    dtype: DType,
}

/// What is lowered: the node that walks windows, and the nodes that leave the cluster.
struct Cluster<'c> {
    number: u32,
    anchor: NodeId,
    results: &'c [NodeId],
}

/// Which places of its window a gradient goes to.
#[derive(Clone, Copy)]
enum Goes {
    /// All of them.
    All,
    /// That of the maximum of this tensor.
    Largest(NodeId),
    /// The tap that this tensor names.
    Named(NodeId),
}

/// How a window moves, and over what.
struct Walk<'w> {
    window: &'w Window,
    input: TensorType,
}

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

/// Whether a tap is the chosen one.
fn is_chosen(emit: &mut Emit<'_, '_>, chosen: &Chosen, number: &Affine) -> Placed {
    let number = emit.cx.index_value(number, chosen.dtype);
    emit.cx.apply(ScalarOp::EQ, &[chosen.number.clone(), number])
}

/// Stores the cluster's results at one element, given the anchor's value there.
fn store_results(
    emit: &mut Emit<'_, '_>,
    cluster: &Cluster<'_>,
    at: &[Affine],
    value: Placed,
) -> Result<(), PassError> {
    emit.values.set(cluster.anchor, at.to_vec(), value);
    for &node in cluster.results {
        let value = emit.value(node, at)?;
        emit.store_node(node, at, value.expr);
    }
    Ok(())
}
