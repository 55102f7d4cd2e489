//! Orders of evaluation, and what no result needs.

use super::{Graph, NodeId};
use petgraph::visit::NodeIndexable;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

impl Graph {
    /// All nodes, operands before users; among those that are ready the smallest id first, so the order is the same on every run.
    /// Nodes on a cycle or behind one, which only a defective pass can make, are left out.
    pub fn topological(&self) -> Vec<NodeId> {
        let mut missing = vec![0usize; self.dag.node_bound()];
        let mut users: Vec<Vec<NodeId>> = vec![Vec::new(); missing.len()];
        let mut ready = BinaryHeap::new();
        for id in self.ids() {
            let operands = self.operands(id);
            missing[id.index()] = operands.len();
            operands.iter().filter(|o| self.contains(**o)).for_each(|o| users[o.index()].push(id));
            if operands.is_empty() {
                ready.push(Reverse(id));
            }
        }
        let mut order = Vec::with_capacity(self.len());
        while let Some(Reverse(id)) = ready.pop() {
            order.push(id);
            for &user in &users[id.index()] {
                missing[user.index()] -= 1;
                if missing[user.index()] == 0 {
                    ready.push(Reverse(user));
                }
            }
        }
        order
    }

    /// An order of evaluation that keeps each cluster together and takes the clusters by ascending number as far as they depend on
    /// each other that way; a node without a cluster stands right before the first cluster that needs it, those that no cluster
    /// needs stand at the end. It is the order of lines in text, and depends on nothing but the graph: numbering the nodes by it
    /// and asking again gives the same order.
    ///
    /// Where clusters depend on each other in a circle this is [`Graph::topological`].
    pub fn schedule_order(&self) -> Vec<NodeId> {
        let topological = self.topological();
        if self.clusters.is_empty() {
            return topological;
        }
        let mut members: BTreeMap<u32, Vec<NodeId>> = BTreeMap::new();
        for &id in &topological {
            if let Some(cluster) = self.cluster(id) {
                members.entry(cluster).or_default().push(id);
            }
        }
        Schedule::new(self, members).run(&topological).unwrap_or(topological)
    }

    /// The nodes that outputs and updates depend on, themselves included.
    pub fn live(&self) -> BTreeSet<NodeId> {
        let mut live = BTreeSet::new();
        let mut stack: Vec<NodeId> = self.outputs().iter().chain(self.updates()).map(|(_, id)| *id).collect();
        while let Some(id) = stack.pop() {
            if live.insert(id) {
                stack.extend(self.operands(id));
            }
        }
        live
    }

    /// The nodes that no output and no update depends on, users before operands, so that they can be removed in this order. Inputs
    /// and states are never among them: they are the graph's signature.
    pub fn dead_nodes(&self) -> Vec<NodeId> {
        let live = self.live();
        let is_port = |id: NodeId| matches!(self.op(id), crate::Op::Input(_) | crate::Op::State(_));
        self.topological().into_iter().rev().filter(|&id| !live.contains(&id) && !is_port(id)).collect()
    }

    /// Removes the [dead nodes](Graph::dead_nodes) and says how many there were.
    pub fn sweep(&mut self) -> usize {
        let dead = self.dead_nodes();
        for &id in &dead {
            self.remove(id);
        }
        dead.len()
    }
}

/// What is placed at once: a node without a cluster, or a cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Node(NodeId),
    Cluster(u32),
}

/// A depth-first walk over units, operands first, with its own stack so that deep graphs don't overflow the machine's.
struct Schedule<'g> {
    graph: &'g Graph,
    members: BTreeMap<u32, Vec<NodeId>>,
    placed: BTreeSet<Unit>,
    open: BTreeSet<Unit>,
    order: Vec<NodeId>,
}

impl<'g> Schedule<'g> {
    fn new(graph: &'g Graph, members: BTreeMap<u32, Vec<NodeId>>) -> Self {
        Self { graph, members, placed: BTreeSet::new(), open: BTreeSet::new(), order: Vec::with_capacity(graph.len()) }
    }

    /// The order, or `None` if units depend on each other in a circle.
    fn run(mut self, topological: &[NodeId]) -> Option<Vec<NodeId>> {
        let clusters: Vec<u32> = self.members.keys().copied().collect();
        for cluster in clusters {
            self.place(Unit::Cluster(cluster))?;
        }
        for &id in topological {
            self.place(self.unit(id))?;
        }
        Some(self.order)
    }

    fn unit(&self, id: NodeId) -> Unit {
        self.graph.cluster(id).map_or(Unit::Node(id), Unit::Cluster)
    }

    fn nodes(&self, unit: Unit) -> Vec<NodeId> {
        match unit {
            Unit::Node(id) => vec![id],
            Unit::Cluster(cluster) => self.members[&cluster].clone(),
        }
    }

    /// The other units that a unit's nodes take operands from, in the order in which the nodes name them.
    fn needs(&self, unit: Unit) -> Vec<Unit> {
        let operands = self.nodes(unit).into_iter().flat_map(|id| self.graph.operands(id));
        operands.map(|&o| self.unit(o)).filter(|&u| u != unit).collect()
    }

    /// Places a unit after all that it needs; `None` on a circle.
    fn place(&mut self, unit: Unit) -> Option<()> {
        let mut stack = Vec::new();
        self.enter(unit, &mut stack)?;
        while let Some((unit, needs)) = stack.last_mut() {
            match needs.next() {
                Some(next) => self.enter(next, &mut stack)?,
                None => {
                    let unit = *unit;
                    stack.pop();
                    self.open.remove(&unit);
                    self.placed.insert(unit);
                    let nodes = self.nodes(unit);
                    self.order.extend(nodes);
                }
            }
        }
        Some(())
    }

    fn enter(&mut self, unit: Unit, stack: &mut Vec<(Unit, std::vec::IntoIter<Unit>)>) -> Option<()> {
        if self.placed.contains(&unit) {
            return Some(());
        }
        if !self.open.insert(unit) {
            return None;
        }
        stack.push((unit, self.needs(unit).into_iter()));
        Some(())
    }
}
