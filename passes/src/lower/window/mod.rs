//! Window clusters: pooling, its gradients, and the elementwise ops on their results.
//!
//! All kernels walk the windows: batch, window positions, channels, and inside the taps of one window. Where windows tile the input
//! (stride = size, no padding) each element of a gradient belongs to one tap and is stored once, with the elementwise ops that
//! follow; otherwise the gradient is cleared first and taps are added.

mod gradient;
mod pool;

pub(crate) use pool::tap_type;

use super::Lowering;
use super::cx::{Placed, flatten};
use super::expr::Emit;
use crate::PassError;
use crate::fuse::cluster::outputs;
use ir::op::window::{Pool, PoolArgMax, Window};
use ir::{DType, NodeId, Op, Scalar, ScalarOp, TensorType};
use kernel::{Affine, IndexExpr};

/// True if every element of the input belongs to at most one tap of one window.
pub(crate) fn tiles(window: &Window) -> bool {
    window.size == window.stride
        && window.dilation.iter().all(|&d| d == 1)
        && window.pad.iter().all(|&(before, after)| before == 0 && after == 0)
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
enum Places {
    /// All of them.
    All,
    /// That of the maximum of this tensor.
    Find(NodeId),
    /// The tap that this tensor names.
    Given(NodeId),
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
            let places = Places::Find(operands[0]);
            gradient::lower(lowering, &cluster, &around(&op.window, anchor), &places, operands[1])
        }
        Op::PoolSumGrad(op) => {
            gradient::lower(lowering, &cluster, &around(&op.window, anchor), &Places::All, operands[0])
        }
        Op::Unpool(op) => {
            let places = Places::Given(operands[0]);
            gradient::lower(lowering, &cluster, &around(&op.window, anchor), &places, operands[1])
        }
        op => Err(lowering.defect(anchor, &format!("`{op}` is no window op"))),
    }
}

impl Walk<'_> {
    /// Where tap `k` of the window at `out` stands in the input, and whether it does.
    fn tap(&self, emit: &mut Emit<'_, '_>, out: &[Affine], k: &[Affine]) -> Tap {
        let mut at = vec![out[0].clone()];
        let mut inside: Option<Placed> = None;
        for (d, tap) in k.iter().enumerate() {
            let extent = self.input.shape[d + 1] as i64;
            let place = out[d + 1]
                .scale(self.window.stride[d] as i64)
                .add(&tap.scale(self.window.dilation[d] as i64))
                .plus(-(self.window.pad[d].0 as i64));
            let (lo, hi) = emit.cx.range(&place);
            if lo >= 0 && hi < extent {
                at.push(place);
                continue;
            }
            for (op, bound) in [(ScalarOp::GE, 0), (ScalarOp::LT, extent)] {
                let value = emit.cx.index_value(&place, DType::I32);
                let bound = emit.cx.constant(Scalar::I32(bound as i32));
                let test = emit.cx.apply(op, &[value, bound]);
                inside = Some(match inside {
                    Some(all) => emit.cx.apply(ScalarOp::AND, &[all, test]),
                    None => test,
                });
            }
            let level = emit.cx.level_of(&place);
            at.push(emit.cx.let_index(IndexExpr::Clamp(place, 0, extent - 1), level));
        }
        at.push(out[out.len() - 1].clone());
        Tap { at, inside }
    }

    /// The tap's number in its window, as an index.
    fn number(&self, k: &[Affine]) -> Affine {
        flatten(k, &self.window.size)
    }

    /// The coordinates in the window of every tap, in the order of their numbers.
    fn taps(&self) -> Vec<Vec<Affine>> {
        let size = &self.window.size;
        let coordinate = |tap: usize, axis: usize| tap / size[axis + 1..].iter().product::<usize>() % size[axis];
        let of_tap = |tap| (0..size.len()).map(|axis| Affine::constant(coordinate(tap, axis) as i64)).collect();
        (0..self.window.taps()).map(of_tap).collect()
    }

    /// Whether tap `k` is the chosen one.
    fn is_chosen(&self, emit: &mut Emit<'_, '_>, chosen: &Chosen, k: &[Affine]) -> Placed {
        let number = emit.cx.index_value(&self.number(k), chosen.dtype);
        emit.cx.apply(ScalarOp::EQ, &[chosen.number.clone(), number])
    }
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

fn begin<'a, 'g>(
    lowering: &'a mut Lowering<'g>,
    cluster: &Cluster<'_>,
    outer: &[usize],
) -> (Emit<'a, 'g>, Vec<Affine>) {
    let mut emit = Emit::new(lowering, Some(cluster.number));
    let at = emit.cx.open_all(outer);
    emit.cx.floor = usize::from(!at.is_empty());
    (emit, at)
}
