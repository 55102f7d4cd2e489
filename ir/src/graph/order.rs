//! Orders of evaluation, and what no result needs.

use super::{Graph, NodeId};
use petgraph::visit::NodeIndexable;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

impl Graph {
    /// All nodes, operands before users; among those that are ready the smallest id first, so the order is the same on every run.
    /// Nodes on a cycle or behind one, which only a defective pass can make, are left out.
    pub fn topological(&self) -> Vec<NodeId> {
        // Where nodes stand behind their operands already, no order begins with smaller ids.
        if self.ids().all(|id| self.operands(id).iter().all(|&o| o < id && self.contains(o))) {
            return self.ids().collect();
        }
        let bound = self.dag.node_bound();
        let mut missing = vec![0usize; bound];
        // The users of node `n` are `users[first[n]..first[n + 1]]`.
        let mut first = vec![0usize; bound + 1];
        let known = |id: NodeId| self.operands(id).iter().filter(|o| self.contains(**o));
        self.ids().flat_map(known).for_each(|o| first[o.index() + 1] += 1);
        (0..bound).for_each(|n| first[n + 1] += first[n]);
        let mut users = vec![NodeId(0); first[bound]];
        let mut next = first.clone();
        let mut ready = BinaryHeap::new();
        for id in self.ids() {
            missing[id.index()] = self.operands(id).len();
            for operand in known(id) {
                users[next[operand.index()]] = id;
                next[operand.index()] += 1;
            }
            if self.operands(id).is_empty() {
                ready.push(Reverse(id));
            }
        }
        let mut order = Vec::with_capacity(self.len());
        while let Some(Reverse(id)) = ready.pop() {
            order.push(id);
            for &user in &users[first[id.index()]..first[id.index() + 1]] {
                missing[user.index()] -= 1;
                if missing[user.index()] == 0 {
                    ready.push(Reverse(user));
                }
            }
        }
        order
    }

    /// The nodes on cycles, ascending.
    pub(crate) fn cyclic(&self) -> Vec<NodeId> {
        if self.topological().len() == self.len() {
            return vec![];
        }
        // Kosaraju's algorithm as petgraph has it keeps its own stack; Tarjan's calls itself, as deep as the graph is.
        let mut edges = self.dag.map(|_, _| (), |_, ()| ());
        for id in self.ids() {
            for operand in self.operands(id).iter().filter(|operand| self.contains(**operand)) {
                edges.add_edge(operand.raw(), id.raw(), ());
            }
        }
        let circles = petgraph::algo::kosaraju_scc(&edges).into_iter();
        let own = |id: petgraph::stable_graph::NodeIndex| edges.find_edge(id, id).is_some();
        let cyclic = circles.filter(|scc| scc.len() > 1 || own(scc[0]));
        let mut nodes: Vec<NodeId> = cyclic.flatten().map(NodeId::from_raw).collect();
        nodes.sort_unstable();
        nodes
    }

    /// The nodes that outputs and updates depend on, themselves included.
    pub fn live(&self) -> BTreeSet<NodeId> {
        let mut live = BTreeSet::new();
        let mut stack: Vec<NodeId> = self.outputs().iter().chain(self.updates()).map(|(_, id)| *id).collect();
        while let Some(id) = stack.pop() {
            if self.contains(id) && live.insert(id) {
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
        let is_dead = |id: &NodeId| !live.contains(id) && !is_port(*id);
        // Mostly there are none, and no order is needed.
        if !self.ids().any(|id| is_dead(&id)) {
            return vec![];
        }
        self.topological().into_iter().rev().filter(is_dead).collect()
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
