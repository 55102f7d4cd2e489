//! Orders of evaluation.

use super::{Graph, NodeId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

impl Graph {
    /// All nodes, operands before users; among those that are ready the smallest id first, so the order is the same on every run.
    /// Nodes on a cycle, which only a defective pass can make, are left out.
    pub fn topological(&self) -> Vec<NodeId> {
        let mut missing: BTreeMap<NodeId, usize> = BTreeMap::new();
        let mut ready = BinaryHeap::new();
        for id in self.ids() {
            let operands: BTreeSet<_> = self.operands(id).iter().collect();
            missing.insert(id, operands.len());
            if operands.is_empty() {
                ready.push(Reverse(id));
            }
        }
        let mut order = Vec::with_capacity(self.len());
        while let Some(Reverse(id)) = ready.pop() {
            order.push(id);
            for user in self.users(id) {
                if let Some(n) = missing.get_mut(&user) {
                    *n -= 1;
                    if *n == 0 {
                        ready.push(Reverse(user));
                    }
                }
            }
        }
        order
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
}
