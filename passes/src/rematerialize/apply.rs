//! Makes a graph run its clusters in an order in which some run again.

use super::facts::GraphFacts;
use super::order::{ClusterRun, walk};
use crate::PassError;
use crate::fuse::cluster::Clusters;
use ir::{Graph, NodeId, map_of};
use std::collections::{BTreeMap, BTreeSet};

/// Adds a copy of a cluster for each run but the first, has every read take what was computed last before it, and numbers clusters by their place in the order.
///
/// # Errors
/// If a copy of a node doesn't type, which no node of a valid graph does.
pub(super) fn apply(graph: &mut Graph, facts: &GraphFacts, order: &[ClusterRun]) -> Result<(), PassError> {
    let mut stored = vec![vec![]; order.len()];
    walk(facts, order, &mut |run| stored[run.at] = run.stored.to_vec());
    let old = graph.clone();
    let clusters = Clusters::of(&old);
    let places = map_of(old.topological().into_iter().zip(0..));
    let mut copier =
        Copier { old: &old, new: graph, places, last: BTreeMap::new(), here: BTreeMap::new(), numbers: vec![] };
    for (number, (run, stored)) in order.iter().zip(stored).enumerate() {
        let cluster = facts.clusters[run.cluster].cluster;
        let nodes = clusters.nodes.get(&cluster).map_or(&[][..], Vec::as_slice);
        copier.here.clear();
        if run.again {
            let wanted: Vec<NodeId> = stored.iter().map(|&value| facts.values[value].node).collect();
            copier.run_again(nodes, cluster, &wanted, number as u32)?;
        } else {
            copier.run_first(nodes, cluster, number as u32)?;
        }
    }
    let numbers = copier.numbers;
    graph.sweep();
    number_clusters(graph, &numbers);
    Ok(())
}

/// Gives nodes that are still there the numbers of their runs, without gaps.
fn number_clusters(graph: &mut Graph, numbers: &[(NodeId, u32)]) {
    let there: Vec<(NodeId, u32)> = numbers.iter().copied().filter(|(id, _)| graph.contains(*id)).collect();
    let runs: BTreeSet<u32> = there.iter().map(|(_, number)| *number).collect();
    let dense = map_of(runs.into_iter().zip(0u32..));
    for (id, number) in there {
        graph.set_cluster(id, dense[&number]);
    }
}

struct Copier<'g> {
    /// The graph as it was.
    old: &'g Graph,
    new: &'g mut Graph,
    /// Where each node stands in an order of evaluation.
    places: BTreeMap<NodeId, usize>,
    /// For each value that has been computed again, what was computed last.
    last: BTreeMap<NodeId, NodeId>,
    /// What nodes are in the run at hand, where they aren't themselves.
    here: BTreeMap<NodeId, NodeId>,
    /// Which run nodes belong to.
    numbers: Vec<(NodeId, u32)>,
}

impl Copier<'_> {
    fn run_first(&mut self, nodes: &[NodeId], cluster: u32, number: u32) -> Result<(), PassError> {
        for &node in nodes {
            for (i, operand) in self.operands(node, cluster)?.into_iter().enumerate() {
                self.new.set_operand(node, i, operand);
            }
            self.numbers.push((node, number));
        }
        Ok(())
    }

    fn run_again(&mut self, nodes: &[NodeId], cluster: u32, wanted: &[NodeId], number: u32) -> Result<(), PassError> {
        let needed = self.needed(cluster, wanted);
        for &node in nodes.iter().filter(|node| needed.contains(node)) {
            let operands = self.operands(node, cluster)?;
            let copy = self.new.add(self.old.op(node).clone(), &operands, self.old.loc(node).cloned())?;
            self.here.insert(node, copy);
            self.numbers.push((copy, number));
        }
        for node in wanted {
            self.last.insert(*node, self.here[node]);
        }
        Ok(())
    }

    /// The nodes of a cluster that some of its nodes depend on, themselves included, and those without a cluster between them.
    fn needed(&self, cluster: u32, wanted: &[NodeId]) -> BTreeSet<NodeId> {
        let (mut needed, mut stack) = (BTreeSet::new(), wanted.to_vec());
        while let Some(node) = stack.pop() {
            if needed.insert(node) {
                let inside = |o: &NodeId| self.old.cluster(*o).is_none_or(|other| other == cluster);
                stack.extend(self.old.operands(node).iter().copied().filter(inside));
            }
        }
        needed
    }

    /// The operands of a node in the run at hand. Nodes without a cluster are copied where they stand for something else than before.
    fn operands(&mut self, node: NodeId, cluster: u32) -> Result<Vec<NodeId>, PassError> {
        let old = self.old;
        let (mut between, mut stack) = (BTreeSet::new(), vec![node]);
        while let Some(at) = stack.pop() {
            let free = |o: &&NodeId| old.cluster(**o).is_none() && !self.here.contains_key(*o);
            for &operand in old.operands(at).iter().filter(free) {
                if between.insert((self.places[&operand], operand)) {
                    stack.push(operand);
                }
            }
        }
        for (_, id) in between {
            let operands: Vec<NodeId> = old.operands(id).iter().map(|&o| self.current(o, cluster)).collect();
            let is_same = operands == old.operands(id);
            let copy = if is_same { id } else { self.new.add(old.op(id).clone(), &operands, old.loc(id).cloned())? };
            self.here.insert(id, copy);
        }
        Ok(old.operands(node).iter().map(|&o| self.current(o, cluster)).collect())
    }

    /// What a node is in the run at hand.
    fn current(&self, node: NodeId, cluster: u32) -> NodeId {
        let here = self.here.get(&node);
        let elsewhere = || if self.old.cluster(node) == Some(cluster) { None } else { self.last.get(&node) };
        here.or_else(elsewhere).copied().unwrap_or(node)
    }
}
