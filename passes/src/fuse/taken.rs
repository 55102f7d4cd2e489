//! Elements taken from rows that a cluster reduces: labels' logits in a cross-entropy.
//!
//! Such an element may be needed by another cluster only, the mean of a loss, say. Taken there, the rows would have to stay in memory until then, where their gradient
//! is written over them otherwise. So it is taken by the cluster that walks the row, before it does.

use super::fuser::{Fuser, is_port};
use ir::{Family, NodeId, Op};
use std::collections::BTreeSet;

impl Fuser<'_> {
    /// Moves what takes one element of each row of `table`, which is about to be placed, to a cluster that reduces these rows.
    pub(super) fn gather_takes(&mut self, table: NodeId) {
        let mut moved = false;
        for take in self.graph.users(table) {
            let Some(from) = self.graph.cluster(take).filter(|_| self.takes_one(take, table)) else { continue };
            let to = self.user_clusters(table).into_iter().find(|&c| c != from && self.walks_rows(take, table, c));
            if let Some(to) = to {
                self.move_take(take, from, to);
                moved = true;
            }
        }
        if moved {
            self.find_uses(table);
        }
    }

    /// True if a node takes one element of each row, and at places that are known before the step.
    fn takes_one(&self, take: NodeId, table: NodeId) -> bool {
        let graph = &*self.graph;
        let &[from, mut indices] = graph.operands(take) else { return false };
        while graph.op(indices).family() == Family::Movement && graph.operands(indices).len() == 1 {
            indices = graph.operands(indices)[0];
        }
        let one = graph.ty(take).shape.rank() < graph.ty(table).shape.rank();
        matches!(graph.op(take), Op::TakeAlongAxis(_)) && from == table && one && is_port(graph.op(indices))
    }

    /// True if a cluster reduces the rows that elements are taken from, and can do so before anything uses them.
    fn walks_rows(&self, take: NodeId, table: NodeId, cluster: u32) -> bool {
        let Op::TakeAlongAxis(op) = self.graph.op(take) else { return false };
        let reduces = self.info(cluster).is_some_and(|info| info.reduced == [op.axis] && info.cuts.is_empty());
        let users = self.user_clusters(take);
        reduces
            && self.reads_whole(table, cluster, &self.sites(table, cluster))
            && users.into_iter().all(|user| user == cluster || !self.reach.leads(user, cluster))
    }

    fn move_take(&mut self, take: NodeId, from: u32, to: u32) {
        let left = self.info(from).map(|info| {
            let nodes = info.nodes.iter().copied().filter(|&node| node != take).collect::<BTreeSet<NodeId>>();
            let reads = nodes.iter().flat_map(|&node| self.graph.operands(node)).copied();
            let reads = reads.filter(|read| !nodes.contains(read)).collect();
            (nodes, reads)
        });
        if let (Some(info), Some((nodes, reads))) = (self.info_mut(from), left) {
            (info.nodes, info.reads) = (nodes, reads);
            if info.nodes.is_empty() {
                self.clusters[from as usize] = None;
                self.merged[from as usize] = to;
            }
        }
        self.add(take, to);
    }
}
