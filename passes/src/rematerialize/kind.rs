//! Which clusters only make copies in another type.

use ir::{DType, Family, Graph, NodeId, Op};

/// True if nodes of a cluster only make pairs of 16-bit elements, or `f32` of them, or round inputs and states to 16 bits, and move them.
pub(super) fn only_copies(graph: &Graph, nodes: &[NodeId]) -> bool {
    let moves = |node: &NodeId| graph.op(*node).family() == Family::Movement;
    nodes.iter().any(|&node| copies(graph, node)) && nodes.iter().all(|node| moves(node) || copies(graph, *node))
}

fn copies(graph: &Graph, node: NodeId) -> bool {
    let &[operand, ..] = graph.operands(node) else { return false };
    let (from, to) = (graph.ty(operand).dtype, graph.ty(node).dtype);
    match graph.op(node) {
        Op::Pair(_) => true,
        Op::Cast(_) if to.is_short_float() => {
            from == DType::F32 && matches!(graph.op(operand), Op::Input(_) | Op::State(_))
        }
        Op::Cast(_) => to == DType::F32 && from.is_short_float(),
        _ => false,
    }
}

/// True if a graph may have clusters that only make such copies.
pub(super) fn may_copy(graph: &Graph) -> bool {
    graph.ids().any(|node| graph.cluster(node).is_some() && copies(graph, node))
}
