//! Questions that rules ask about nodes.

use ir::op::movement::Broadcast;
use ir::op::source::Full;
use ir::{Graph, NodeId, Op, Scalar, ScalarOp};

/// The element of a `full`.
pub(super) fn full(graph: &Graph, id: NodeId) -> Option<Scalar> {
    match graph.op(id) {
        Op::Full(Full { value, .. }) => Some(*value),
        _ => None,
    }
}

/// True for a `full` or a `constant`.
pub(super) fn is_known(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.op(id), Op::Full(_) | Op::Constant(_))
}

/// The scalar op of an elementwise node with one operand, and the operand.
pub(super) fn unary(graph: &Graph, id: NodeId) -> Option<(ScalarOp, NodeId)> {
    match (graph.op(id), graph.operands(id)) {
        (Op::Elementwise(op), &[x]) => Some((*op, x)),
        _ => None,
    }
}

/// The scalar op of an elementwise node with two operands, and the operands.
pub(super) fn binary(graph: &Graph, id: NodeId) -> Option<(ScalarOp, NodeId, NodeId)> {
    match (graph.op(id), graph.operands(id)) {
        (Op::Elementwise(op), &[a, b]) => Some((*op, a, b)),
        _ => None,
    }
}

/// The operand of an elementwise node, if its scalar op is `op`.
pub(super) fn operand_of(graph: &Graph, id: NodeId, op: ScalarOp) -> Option<NodeId> {
    unary(graph, id).filter(|(found, _)| *found == op).map(|(_, x)| x)
}

/// The operands of an elementwise node, if its scalar op is `op`.
pub(super) fn operands_of(graph: &Graph, id: NodeId, op: ScalarOp) -> Option<(NodeId, NodeId)> {
    binary(graph, id).filter(|(found, ..)| *found == op).map(|(_, a, b)| (a, b))
}

/// Condition and choices of a `select`.
pub(super) fn select(graph: &Graph, id: NodeId) -> Option<(NodeId, NodeId, NodeId)> {
    match (graph.op(id), graph.operands(id)) {
        (Op::Elementwise(op), &[condition, on, off]) if *op == ScalarOp::SELECT => Some((condition, on, off)),
        _ => None,
    }
}

/// The attributes of a broadcast, and its operand.
pub(super) fn broadcast(graph: &Graph, id: NodeId) -> Option<(&Broadcast, NodeId)> {
    match graph.op(id) {
        Op::Broadcast(op) => Some((op, graph.operands(id)[0])),
        _ => None,
    }
}

/// The axes below `rank` that aren't in `axes`, ascending.
pub(super) fn rest(rank: usize, axes: &[usize]) -> Vec<usize> {
    (0..rank).filter(|axis| !axes.contains(axis)).collect()
}

/// True if each is larger than the one before.
pub(super) fn ascending(axes: &[usize]) -> bool {
    axes.windows(2).all(|pair| pair[0] < pair[1])
}
