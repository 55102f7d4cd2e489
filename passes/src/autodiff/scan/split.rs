//! Which values of a forward step are kept for the backward step, and which are computed again.

use super::joint::{Joint, below};
use crate::{PassError, bodies};
use ir::op::scan::{BodyPort, Scan};
use ir::scalar::Cost;
use ir::{Family, Graph, NodeId, Op};
use std::collections::{BTreeMap, BTreeSet};

/// What a backward step is made of.
pub(super) struct Split {
    /// The nodes that depend on a cotangent.
    pub(super) backward: BTreeSet<NodeId>,
    /// The forward values that are kept: costly ones that backward nodes, or cheap forward nodes before them, start from; and carries, which no
    /// sequence has.
    pub(super) residuals: BTreeSet<NodeId>,
    /// Whether costly values are computed again too.
    pub(super) recompute: bool,
}

impl Split {
    pub(super) fn new(joint: &Joint, recompute: bool) -> Self {
        let graph = &joint.graph;
        let backward = below(graph, &joint.cotangents());
        let mut split = Self { backward, residuals: BTreeSet::new(), recompute };
        let frontier = split.frontier(joint);
        // What has to be kept in any case comes first: a cheap value on top of it is then computed again.
        let mut above = vec![];
        for id in frontier {
            let leaves = split.leaves(joint, id);
            if leaves.len() == 1 {
                split.residuals.extend(leaves);
            } else {
                above.push((id, leaves));
            }
        }
        for (id, leaves) in above {
            let more = leaves.difference(&split.residuals).count();
            if more <= 1 || recompute {
                split.residuals.extend(leaves);
            } else {
                split.residuals.insert(id);
            }
        }
        split
    }

    /// The forward nodes that backward nodes take operands from, or that are all of a gradient, operands first.
    fn frontier(&self, joint: &Joint) -> Vec<NodeId> {
        let graph = &joint.graph;
        let gradients: BTreeSet<NodeId> = joint.inputs().filter_map(|(i, _)| joint.gradient(i)).collect();
        let users = |id: NodeId| graph.users(id).iter().any(|user| self.backward.contains(user));
        let is_needed = |id: &NodeId| gradients.contains(id) || users(*id);
        graph.topological().into_iter().filter(|id| !self.backward.contains(id) && is_needed(id)).collect()
    }

    /// The costly values and the carries that a forward node is computed from by cheap ops.
    fn leaves(&self, joint: &Joint, id: NodeId) -> BTreeSet<NodeId> {
        let graph = &joint.graph;
        let (mut leaves, mut seen, mut stack) = (BTreeSet::new(), BTreeSet::new(), vec![id]);
        while let Some(at) = stack.pop() {
            if !seen.insert(at) {
                continue;
            }
            match graph.op(at) {
                Op::Input(_) if joint.carries.contains(&at) => {
                    leaves.insert(at);
                }
                op if op.family() == Family::Source => {}
                op if self.recompute || is_cheap(op) => stack.extend(graph.operands(at)),
                _ => {
                    leaves.insert(at);
                }
            }
        }
        leaves
    }
}

fn is_cheap(op: &Op) -> bool {
    match op {
        Op::Elementwise(op) => op.def().cost == Cost::Cheap,
        Op::Cast(_) | Op::CheckIndex(_) => true,
        _ => op.family() == Family::Movement,
    }
}

/// Gives the nodes of the scan a body whose last stacked results are the residuals, and says what the scan is now.
pub(super) fn keep(
    graph: &mut Graph,
    id: NodeId,
    scan: &Scan,
    joint: &Joint,
    split: &Split,
) -> Result<Scan, PassError> {
    let mut forward = Copy::new(joint, scan.body.graph().name());
    for (_, input) in joint.inputs() {
        forward.input(input, None)?;
    }
    let outputs = joint.graph.outputs().iter().filter(|(name, _)| BodyPort::of_output(name).is_some());
    let mut results: Vec<(String, NodeId)> = outputs.cloned().collect();
    let first = scan.body.stacked().len();
    results.extend(
        split.residuals.iter().enumerate().map(|(i, &residual)| (BodyPort::stacked(first + i).to_string(), residual)),
    );
    forward.finish(&results)?;
    let body = bodies::new(forward.to)?;
    for (node, _) in graph.same_scan(id) {
        graph.set_body(node, body.clone())?;
    }
    Ok(Scan { body, ..scan.clone() })
}

/// A part of the joint graph as a graph of its own.
pub(super) struct Copy<'j> {
    from: &'j Joint,
    pub(super) to: Graph,
    map: BTreeMap<NodeId, NodeId>,
}

impl<'j> Copy<'j> {
    pub(super) fn new(from: &'j Joint, name: &str) -> Self {
        Self { from, to: Graph::new(name), map: BTreeMap::new() }
    }

    /// Makes a node of the joint graph an input; without a name, under the name it has as an input there.
    pub(super) fn input(&mut self, id: NodeId, name: Option<String>) -> Result<NodeId, PassError> {
        let graph = &self.from.graph;
        let own = match graph.op(id) {
            Op::Input(input) => Some(input.name.clone()),
            _ => None,
        };
        let name = name.or(own).ok_or_else(|| PassError::defect(graph, id, "an input needs a name"))?;
        let input = ir::op::source::Input { name, ty: graph.ty(id).clone() };
        let new = self.to.add(Op::Input(input), &[], graph.loc(id).cloned())?;
        self.map.insert(id, new);
        Ok(new)
    }

    /// Copies what outputs need, and sets them.
    pub(super) fn finish(&mut self, outputs: &[(String, NodeId)]) -> Result<(), PassError> {
        for (name, id) in outputs {
            let new = self.node(*id)?;
            self.to.set_output(name, new);
        }
        Ok(())
    }

    /// The copy of a node.
    pub(super) fn node(&mut self, id: NodeId) -> Result<NodeId, PassError> {
        let graph = &self.from.graph;
        let mut stack = vec![id];
        while let Some(&at) = stack.last() {
            if self.map.contains_key(&at) {
                stack.pop();
                continue;
            }
            let missing: Vec<NodeId> =
                graph.operands(at).iter().copied().filter(|o| !self.map.contains_key(o)).collect();
            if !missing.is_empty() {
                stack.extend(missing);
                continue;
            }
            let operands: Vec<NodeId> = graph.operands(at).iter().map(|o| self.map[o]).collect();
            let new = self.to.add(graph.op(at).clone(), &operands, graph.loc(at).cloned())?;
            self.map.insert(at, new);
            stack.pop();
        }
        Ok(self.map[&id])
    }
}
