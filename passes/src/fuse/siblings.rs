//! Reductions that walk one tensor side by side, in one loop.

use super::{Fuser, Info};
use crate::fuse::cluster::{Kind, through_inlined};
use ir::{NodeId, Op};
use std::collections::BTreeSet;

/// More reductions than these in one loop would keep too many sums in registers.
const MAX_REDUCTIONS: usize = 4;

impl Fuser<'_> {
    /// Merges clusters that reduce the same axes and read the same tensor, where none waits for another: it is read once.
    pub(super) fn merge_siblings(&mut self, order: &[NodeId]) {
        for &node in order {
            let users: BTreeSet<u32> =
                through_inlined(self.graph, node).into_iter().filter_map(|u| self.graph.cluster(u)).collect();
            let users: Vec<u32> = users.into_iter().filter(|&c| self.reads_whole(node, c)).collect();
            for (at, &first) in users.iter().enumerate() {
                for &second in &users[at + 1..] {
                    self.merge_reductions(first, second);
                }
            }
        }
    }

    /// True if a cluster reduces a tensor, or what it computes from it place by place.
    fn reads_whole(&self, node: NodeId, cluster: u32) -> bool {
        self.info(cluster).is_some_and(|info| {
            info.kind == Kind::Loop
                && !info.reduced.is_empty()
                && info.space == self.graph.ty(node).shape
                && self.map_of(node, cluster).is_some_and(|map| map.iter().enumerate().all(|(i, &a)| i == a))
        })
    }

    fn merge_reductions(&mut self, first: u32, second: u32) {
        let (Some(a), Some(b)) = (self.info(first), self.info(second)) else { return };
        let count = |info: &Info| info.nodes.iter().filter(|&&n| matches!(self.graph.op(n), Op::Reduce(_))).count();
        let alike = a.space == b.space && a.reduced == b.reduced && count(a) + count(b) <= MAX_REDUCTIONS;
        if alike && !self.any_waits(&[first, second]) {
            self.merge(first, second);
        }
    }
}
