//! Reductions that walk one tensor side by side, in one loop.

use super::fuser::{Fuser, Info};
use super::join::{fit_together, is_identity};
use super::sites::Sites;
use crate::fuse::cluster::ClusterKind;
use ir::{NodeId, Op};

/// More reductions than these in one loop would keep too many sums in registers.
const MAX_REDUCTIONS: usize = 4;
/// Of the reductions of one tensor each is compared with so many that follow.
const MAX_TRIED: usize = 16;

impl Fuser<'_> {
    /// Merges clusters that reduce the same axes and read the same tensor, where none waits for another: it is read once.
    pub(super) fn merge_siblings(&mut self, order: &[NodeId]) {
        for &node in order {
            let users: Vec<u32> = self
                .all_sites(node)
                .into_iter()
                .filter(|(cluster, sites)| self.reads_whole(node, *cluster, sites))
                .map(|(cluster, _)| cluster)
                .collect();
            for (at, &first) in users.iter().enumerate() {
                for &second in users[at + 1..].iter().take(MAX_TRIED) {
                    self.merge_reductions(first, second);
                }
            }
        }
    }

    /// True if a cluster reduces a tensor, or what it computes from it place by place.
    pub(super) fn reads_whole(&self, node: NodeId, cluster: u32, sites: &Sites) -> bool {
        let map = sites.map();
        self.info(cluster).is_some_and(|info| {
            info.kind == ClusterKind::Loop
                && !info.reduced.is_empty()
                && info.space == self.graph.ty(node).shape
                && is_identity(&map, info.space.rank())
        })
    }

    fn merge_reductions(&mut self, first: u32, second: u32) {
        let (Some(a), Some(b)) = (self.info(first), self.info(second)) else { return };
        let count = |info: &Info| info.nodes.iter().filter(|&&n| matches!(self.graph.op(n), Op::Reduce(_))).count();
        let alike = a.space == b.space && a.reduced == b.reduced && count(a) + count(b) <= MAX_REDUCTIONS;
        let alike = alike && fit_together(&[a, b], &a.reduced);
        if alike && !self.any_waits(&[first, second]) {
            self.merge(first, second);
        }
    }
}
