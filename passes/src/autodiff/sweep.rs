//! One reverse sweep: the gradients of a scalar by any number of nodes.

use super::scan;
use crate::{PassContext, PassError};
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
    cx: &PassContext,
) -> Result<BTreeMap<NodeId, NodeId>, PassError> {
    let loc = graph.loc(loss).cloned();
    let seed = Builder::new(graph, loc).full_like(loss, 1.0)?;
    pull_back(graph, &[(loss, seed)], wrt, cx)
}

/// As [`reverse`], from cotangents of any number of nodes, `(node, cotangent)`; several for one node are added.
///
/// # Errors
/// As [`reverse`].
pub(super) fn pull_back(
    graph: &mut Graph,
    seeds: &[(NodeId, NodeId)],
    wrt: &BTreeSet<NodeId>,
    cx: &PassContext,
) -> Result<BTreeMap<NodeId, NodeId>, PassError> {
    let roots: Vec<NodeId> = seeds.iter().map(|(node, _)| *node).collect();
    let path = on_path(graph, &roots, wrt);
    let on_path: BTreeSet<NodeId> = path.iter().copied().collect();
    let mut sweep = Sweep { pending: BTreeMap::new(), scans: Scans::of(graph, &path), on_path };
    for &(node, cotangent) in seeds {
        sweep.send(node, cotangent);
    }
    let mut found = BTreeMap::new();
    for &id in path.iter().rev() {
        let parts = sweep.pending.remove(&id);
        let dy = parts.map(|parts| sum(graph, id, &parts)).transpose()?;
        if let Some(dy) = dy.filter(|_| wrt.contains(&id)) {
            found.insert(id, dy);
        }
        if matches!(graph.op(id), Op::Scan(_)) {
            // All results of a scan are differentiated together, when the last of their cotangents is known.
            if let Some(cotangents) = sweep.scans.arrived(id, dy) {
                let gradients = scan::gradients(graph, id, &cotangents, &sweep.on_path, cx)?;
                sweep.send_all(graph.operands(id), gradients);
            }
        } else if let Some(dy) = dy
            && graph.operands(id).iter().any(|o| sweep.on_path.contains(o))
        {
            let gradients = derivative(graph, id, dy)?;
            sweep.send_all(graph.operands(id), gradients);
        }
    }
    Ok(found)
}

/// What is under way in a sweep.
struct Sweep {
    /// The cotangents that have arrived at a node.
    pending: BTreeMap<NodeId, Vec<NodeId>>,
    scans: Scans,
    on_path: BTreeSet<NodeId>,
}

impl Sweep {
    fn send(&mut self, to: NodeId, cotangent: NodeId) {
        if self.on_path.contains(&to) {
            self.pending.entry(to).or_default().push(cotangent);
        }
    }

    fn send_all(&mut self, operands: &[NodeId], gradients: Vec<Option<NodeId>>) {
        for (&operand, gradient) in operands.iter().zip(gradients) {
            if let Some(gradient) = gradient {
                self.send(operand, gradient);
            }
        }
    }
}

/// The scans on a path: the cotangents of their results, until the first of their nodes is reached, which comes last in a reverse sweep.
struct Scans {
    /// The first node of each node's scan.
    first: BTreeMap<NodeId, NodeId>,
    arrived: BTreeMap<NodeId, BTreeMap<NodeId, NodeId>>,
}

impl Scans {
    fn of(graph: &Graph, path: &[NodeId]) -> Self {
        let mut first = BTreeMap::new();
        for &id in path.iter().filter(|&&id| matches!(graph.op(id), Op::Scan(_))) {
            for (node, _) in graph.same_scan(id) {
                first.entry(node).or_insert(id);
            }
        }
        Self { first, arrived: BTreeMap::new() }
    }

    /// Takes the cotangent of a scan's node; gives those of the whole scan, by node, once there are no more to come.
    fn arrived(&mut self, id: NodeId, dy: Option<NodeId>) -> Option<BTreeMap<NodeId, NodeId>> {
        let first = *self.first.get(&id)?;
        let all = self.arrived.entry(first).or_default();
        if let Some(dy) = dy {
            all.insert(id, dy);
        }
        let all = if id == first { self.arrived.remove(&first) } else { None };
        all.filter(|cotangents| !cotangents.is_empty())
    }
}

/// The nodes on a path from `wrt` to a root that a gradient can flow along, operands before users.
fn on_path(graph: &Graph, roots: &[NodeId], wrt: &BTreeSet<NodeId>) -> Vec<NodeId> {
    let mut needed = BTreeSet::new();
    let mut stack = roots.to_vec();
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
