//! What a loop cluster computes, beside what its nodes cost if each element is computed once: the bound that fusion promises.

use super::Lowering;
use crate::PassError;
use crate::fuse::{MAX_WORK, operations};
use ir::{Family, NodeId, Op};
use std::collections::BTreeSet;

/// Operations of a block of random words, for each element.
const RANDOM: f64 = 400.0;

/// Checks that the kernels from the one numbered `first` on, which a loop cluster became, do at most [`MAX_WORK`] times the work of its nodes for each
/// walk over its rows.
///
/// # Errors
/// What they do and what the nodes cost: a defect of fusion or lowering.
pub(super) fn check(
    lowering: &Lowering<'_>,
    cluster: u32,
    nodes: &[NodeId],
    first: usize,
    walks: usize,
) -> Result<(), PassError> {
    let computed: f64 = lowering.program.kernels[first..].iter().map(|kernel| kernel.work().operations).sum();
    let cost = cost_once(lowering, cluster, nodes);
    if computed <= MAX_WORK * walks as f64 * cost {
        return Ok(());
    }
    let rule =
        format!("its cluster computes {computed} operations where {cost} are enough: elements are computed again");
    Err(lowering.defect(nodes[0], &rule))
}

/// The cost of all elements of a cluster's nodes, and of what is computed in it though it isn't in a cluster.
fn cost_once(lowering: &Lowering<'_>, cluster: u32, nodes: &[NodeId]) -> f64 {
    let graph = lowering.graph;
    let mut seen: BTreeSet<NodeId> = nodes.iter().copied().collect();
    let mut stack = nodes.to_vec();
    let mut cost = 0.0;
    while let Some(node) = stack.pop() {
        cost += node_cost(lowering, node);
        let inside = |o: &NodeId| {
            graph.cluster(*o) == Some(cluster) || (graph.cluster(*o).is_none() && lowering.buffer_of(*o).is_none())
        };
        stack.extend(graph.operands(node).iter().copied().filter(|o| inside(o) && seen.insert(*o)));
    }
    cost
}

fn node_cost(lowering: &Lowering<'_>, node: NodeId) -> f64 {
    let graph = lowering.graph;
    let shape = &graph.ty(node).shape;
    let each = match graph.op(node) {
        Op::Elementwise(op) => operations(*op),
        Op::Reduce(_) => graph.ty(graph.operands(node)[0]).shape.numel() as f64 / shape.numel() as f64,
        Op::Random(_) => RANDOM,
        // Comparisons that say whether an element is padding, where loops can't be cut there.
        Op::Pad(op) => 4.0 * op.padded().len() as f64,
        // What has a place in the cluster is copied there, by as many stores; the others are other addresses.
        op if op.family() == Family::Movement => f64::from(u8::from(graph.cluster(node).is_some())),
        _ => 1.0,
    };
    each * shape.numel() as f64
}
