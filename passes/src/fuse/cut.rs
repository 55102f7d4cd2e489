//! Nodes made of parts: concatenations, and tensors with padding around them. Loops are cut where a part begins, so that no element asks which
//! part it is in, and a part is computed only where it is.

use super::fuser::{Fuser, Info};
use super::join::is_identity;
use super::sites::Sites;
use crate::fuse::cluster::ClusterKind;
use ir::{Family, NodeId, Op};

/// Statements that a cluster with parts may come to, about: each part is a loop of its own with all that uses the whole.
const MAX_STATEMENTS: usize = 2048;
/// Padding is computed anew in so many clusters, rather than kept.
const MAX_CLUSTERS: usize = 2;
/// So many nodes with padding are computed in one cluster: a sum of the gradients of many slices would ask at each of their borders for all of them.
const MAX_PADDED: usize = 16;

impl Fuser<'_> {
    /// True if a movement op needs no memory: its users compute where its elements come from.
    pub(super) fn is_read_through(&self, node: NodeId) -> bool {
        match self.graph.op(node) {
            Op::Concat(_) => false,
            Op::Pad(_) => self.is_padded_in_place(node),
            _ => true,
        }
    }

    /// True if the loops of the few clusters that use a padded node can be cut where the padding ends, or walk windows.
    fn is_padded_in_place(&self, node: NodeId) -> bool {
        let users = self.user_clusters(node);
        let Op::Pad(op) = self.graph.op(node) else { return false };
        let axes = op.padded();
        !self.to_results.contains(&node)
            && users.len() <= MAX_CLUSTERS
            && users.into_iter().all(|cluster| {
                let sites = self.sites(node, cluster);
                let windows = self.info(cluster).is_some_and(|info| matches!(info.kind, ClusterKind::Window(_)));
                let once = sites.places.len() == 1 && !sites.many;
                once && (windows || self.is_cut(cluster, &sites.places[0], &axes))
                    && self.can_be_cut(node, cluster, &sites)
            })
    }

    /// True if a node of parts can be computed by a cluster's loops, cut where the parts begin.
    pub(super) fn fits_cut_loop(&self, node: NodeId, cluster: u32, info: &Info, sites: &Sites) -> bool {
        let full = self.graph.ty(node).shape == info.space && is_identity(&sites.map(), info.space.rank());
        full && info.kind == ClusterKind::Loop
            && info.reduced.is_empty()
            && !info.draws
            && self.can_be_cut(node, cluster, sites)
    }

    /// True if a cluster stays small with its loops cut where the parts of a node begin.
    pub(super) fn can_be_cut(&self, node: NodeId, cluster: u32, sites: &Sites) -> bool {
        let Some(info) = self.info(cluster).filter(|info| info.padded < MAX_PADDED) else { return false };
        let mut cuts = info.cuts.clone();
        let [place] = &sites.places[..] else { return false };
        let Some(map) = &place.map else { return true };
        for (axis, at) in self.boundaries(node) {
            cuts.entry(map[axis]).or_default().insert(at);
        }
        let parts: usize = cuts.values().map(|at| at.len() + 1).product();
        parts.saturating_mul(info.in_all_parts + 1) <= MAX_STATEMENTS
    }

    /// True if one more node can be computed in each part of a cluster.
    pub(super) fn parts_stay_few(&self, info: &Info) -> bool {
        if info.padded >= MAX_PADDED {
            return false;
        }
        let parts: usize = info.cuts.values().map(|at| at.len() + 1).product();
        parts.saturating_mul(info.in_all_parts + 1) <= MAX_STATEMENTS
    }

    /// Cuts the loops of the clusters that compute a padded node.
    pub(super) fn cut_users(&mut self, node: NodeId) {
        if !matches!(self.graph.op(node), Op::Pad(_)) {
            return;
        }
        for cluster in self.user_clusters(node) {
            let (map, boundaries) = (self.sites(node, cluster).map(), self.boundaries(node));
            if let (Some(map), Some(info)) = (map, self.info_mut(cluster).filter(|info| info.kind == ClusterKind::Loop))
            {
                info.padded += 1;
                boundaries.into_iter().for_each(|(axis, at)| {
                    info.cuts.entry(map[axis]).or_default().insert(at);
                });
            }
        }
    }

    /// Where a node that has been placed cuts the loops of its cluster.
    pub(super) fn cuts_of(&self, node: NodeId, cluster: u32) -> Vec<(usize, usize)> {
        if self.graph.op(node).family() != Family::Movement {
            return vec![];
        }
        let map = self.own_map(node).or_else(|| Some((0..self.info(cluster)?.space.rank()).collect()));
        let map = map.unwrap_or_default();
        self.boundaries(node).into_iter().filter_map(|(axis, at)| Some((*map.get(axis)?, at))).collect()
    }

    /// Along which axis of a node, and where, a part begins.
    fn boundaries(&self, node: NodeId) -> Vec<(usize, usize)> {
        match self.graph.op(node) {
            Op::Concat(op) => {
                let mut start = 0;
                let extents = self.graph.operands(node).iter().map(|&part| self.graph.ty(part).shape[op.axis]);
                let starts = extents.map(|extent| {
                    start += extent;
                    (op.axis, start)
                });
                let mut starts: Vec<_> = starts.collect();
                starts.pop();
                starts
            }
            Op::Pad(op) => {
                let shape = &self.graph.ty(node).shape;
                let axes = op.padded().into_iter();
                let both = axes.flat_map(|a| [(a, op.low[a]), (a, shape[a] - op.high[a])]);
                both.filter(|&(a, at)| at > 0 && at < shape[a]).collect()
            }
            _ => vec![],
        }
    }
}
