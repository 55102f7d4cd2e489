//! One reverse sweep: the gradients of a scalar by any number of nodes.

use crate::PassError;
use ir::{Builder, Cotangent, Graph, NodeId, Op};
use std::collections::{BTreeMap, BTreeSet};

/// Adds the nodes that compute the gradients of `loss` by each node of `wrt`. A node that the loss does not depend on, through floats
/// and outside barriers, is not in the result: its gradient is zero.
///
/// Only nodes on a path from `wrt` to `loss` are visited. `loss` must not depend on a gradient that is yet to be derived.
///
/// # Errors
/// If an op on such a path has no derivative.
pub(super) fn reverse(
    graph: &mut Graph,
    loss: NodeId,
    wrt: &BTreeSet<NodeId>,
) -> Result<BTreeMap<NodeId, NodeId>, PassError> {
    let path = on_path(graph, loss, wrt);
    let mut pending: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
    let mut found = BTreeMap::new();
    if path.contains(&loss) {
        let loc = graph.loc(loss).cloned();
        let seed = Builder::new(graph, loc).full_like(loss, 1.0)?;
        pending.insert(loss, vec![seed]);
    }
    let on_path: BTreeSet<NodeId> = path.iter().copied().collect();
    for &id in path.iter().rev() {
        let Some(parts) = pending.remove(&id) else { continue };
        let dy = sum(graph, id, &parts)?;
        if wrt.contains(&id) {
            found.insert(id, dy);
        }
        let operands = graph.operands(id).to_vec();
        if operands.iter().any(|o| on_path.contains(o)) {
            let gradients = derivative(graph, id, dy)?;
            for (operand, gradient) in operands.into_iter().zip(gradients) {
                if let Some(gradient) = gradient
                    && on_path.contains(&operand)
                {
                    pending.entry(operand).or_default().push(gradient);
                }
            }
        }
    }
    Ok(found)
}

/// The nodes on a path from `wrt` to `loss` that a gradient can flow along, operands before users.
fn on_path(graph: &Graph, loss: NodeId, wrt: &BTreeSet<NodeId>) -> Vec<NodeId> {
    let mut needed = BTreeSet::new();
    let mut stack = vec![loss];
    while let Some(id) = stack.pop() {
        if needed.insert(id) {
            stack.extend(graph.operands(id));
        }
    }
    let mut reached = BTreeSet::new();
    let mut path = Vec::new();
    for id in graph.topological() {
        let from_operands =
            || !matches!(graph.op(id), Op::StopGradient(_)) && graph.operands(id).iter().any(|o| reached.contains(o));
        if needed.contains(&id) && graph.ty(id).dtype.is_float() && (wrt.contains(&id) || from_operands()) {
            reached.insert(id);
            path.push(id);
        }
    }
    path
}

/// The sum of what arrived at a node, from left to right.
fn sum(graph: &mut Graph, id: NodeId, parts: &[NodeId]) -> Result<NodeId, PassError> {
    let loc = graph.loc(id).cloned();
    let mut build = Builder::new(graph, loc);
    let mut total = parts[0];
    for &part in &parts[1..] {
        total = build.binary(ir::ScalarOp::ADD, total, part)?;
    }
    Ok(total)
}

/// What an op's rule says, checked: one gradient per operand, each of the operand's type.
fn derivative(graph: &mut Graph, id: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>, PassError> {
    let op = graph.op(id).clone();
    let loc = graph.loc(id).cloned();
    let operands = graph.operands(id).to_vec();
    let mut cotangent = Cotangent { build: Builder::new(graph, loc), operands: operands.clone(), result: id, dy };
    let gradients = op.rules().derivative(&mut cotangent)?;
    let fits = |(operand, gradient): (&NodeId, &Option<NodeId>)| {
        gradient.is_none_or(|gradient| graph.ty(gradient) == graph.ty(*operand))
    };
    if gradients.len() != operands.len() || !operands.iter().zip(&gradients).all(fits) {
        return Err(PassError::Invalid(format!(
            "the derivative rule of `{op}` gives no gradient per operand of its type"
        )));
    }
    Ok(gradients)
}
