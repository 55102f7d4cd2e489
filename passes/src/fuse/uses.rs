//! Where the clusters that use a node see it, and how many of its elements they would compute: the cost model.
//!
//! A node that a cluster computes rather than loads is evaluated once at each place its users there ask for: an elementwise user asks for the
//! element at its own place, a slice for a shifted one, a broadcast for one that many of its elements share. Nodes are placed after
//! all their users, so that what is known of those gives a node's sites by one step along each edge.

use super::fuser::{Fuser, Info};
use super::sites::{AxisMap, IndexingMap, Sites};
use crate::fuse::cluster::ClusterKind;
use ir::op::batch::Batching;
use ir::{Family, NodeId, Op};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;

impl Fuser<'_> {
    /// Finds out which clusters use a node and where, from what is known of its users.
    pub(super) fn find_uses(&mut self, node: NodeId) {
        let mut found: Vec<(u32, Rc<Sites>)> = vec![];
        for user in self.graph.users(node) {
            match self.graph.cluster(user) {
                Some(cluster) => self.add_uses(node, user, (cluster, &self.own(user)), &mut found),
                None => {
                    for (cluster, sites) in self.places.uses(user) {
                        self.add_uses(node, user, (self.current(*cluster), sites), &mut found);
                    }
                }
            }
        }
        found.sort_by_key(|(cluster, _)| *cluster);
        found.dedup_by(|(cluster, sites), (other, all)| {
            let same = cluster == other;
            if same && sites != all {
                Rc::make_mut(all).add_all(sites);
            }
            same
        });
        self.places.set_uses(node, found);
    }

    /// Adds how a cluster uses a node through one of its users, which has those sites there.
    fn add_uses(
        &self,
        node: NodeId,
        user: NodeId,
        (cluster, sites): (u32, &Rc<Sites>),
        found: &mut Vec<(u32, Rc<Sites>)>,
    ) {
        let sites = self.in_space(cluster, sites);
        if self.keeps_place(user) {
            found.push((cluster, sites));
            return;
        }
        for (position, _) in self.graph.operands(user).iter().enumerate().filter(|(_, o)| **o == node) {
            found.push((cluster, Rc::new(self.through(user, position, cluster, &sites))));
        }
    }

    /// How a cluster uses a node that has been placed, or is about to be.
    pub(super) fn sites(&self, node: NodeId, cluster: u32) -> Rc<Sites> {
        let mut uses = self.places.uses(node).iter().filter(|(c, _)| self.current(*c) == cluster);
        let Some((_, first)) = uses.next() else {
            return Rc::new(Sites { epoch: self.epoch(cluster), ..Sites::default() });
        };
        let mut all = self.in_space(cluster, first);
        for (_, more) in uses {
            let more = self.in_space(cluster, more);
            Rc::make_mut(&mut all).add_all(&more);
        }
        all
    }

    /// How each cluster that uses a node does, by ascending number.
    pub(super) fn all_sites(&self, node: NodeId) -> BTreeMap<u32, Rc<Sites>> {
        let mut all: BTreeMap<u32, Rc<Sites>> = BTreeMap::new();
        for (cluster, sites) in self.places.uses(node) {
            let cluster = self.current(*cluster);
            let sites = self.in_space(cluster, sites);
            match all.entry(cluster) {
                Entry::Vacant(entry) => drop(entry.insert(sites)),
                Entry::Occupied(entry) => Rc::make_mut(entry.into_mut()).add_all(&sites),
            }
        }
        all
    }

    /// The clusters that use a node.
    pub(super) fn user_clusters(&self, node: NodeId) -> Vec<u32> {
        let mut clusters: Vec<u32> = self.places.uses(node).iter().map(|(c, _)| self.current(*c)).collect();
        clusters.sort_unstable();
        clusters.dedup();
        clusters
    }

    /// Says that a node is computed in a cluster, where that uses it.
    pub(super) fn set_own(&mut self, node: NodeId, cluster: u32) -> Rc<Sites> {
        let own = self.sites(node, cluster);
        self.places.set_own(node, own.clone());
        own
    }

    /// True if a node, which has been placed, is computed at places that run along axes of its cluster's space: in all parts of it, if there are parts.
    pub(super) fn is_in_all_parts(&self, node: NodeId) -> bool {
        self.own(node).places.iter().any(|p| p.map.is_some())
    }

    /// Says that a node is what a new cluster computes.
    pub(super) fn start_own(&mut self, node: NodeId, cluster: u32) {
        let (shape, folds) = (&self.graph.ty(node).shape, matches!(self.graph.op(node), Op::Reduce(_)));
        let map: Vec<usize> = match self.info(cluster) {
            Some(info) if folds => info.outer(),
            _ => (0..shape.rank()).collect(),
        };
        let evaluations = shape.numel() as f64;
        let place = self.places.mapped(&map, evaluations);
        self.places.set_own(node, Rc::new(Sites { places: vec![place], ..Sites::default() }));
    }

    fn own(&self, node: NodeId) -> Rc<Sites> {
        self.places.own.get(node.index()).cloned().flatten().unwrap_or_default()
    }

    /// The map of a node, which has been placed, in its cluster.
    pub(super) fn own_map(&self, node: NodeId) -> AxisMap {
        self.own(node).map()
    }

    fn epoch(&self, cluster: u32) -> u32 {
        self.info(cluster).map_or(0, |info| info.epoch)
    }

    /// The same sites in the space that a cluster has now: a reduction that it starts from may have added axes.
    fn in_space(&self, cluster: u32, sites: &Rc<Sites>) -> Rc<Sites> {
        let epoch = self.epoch(cluster);
        if sites.epoch == epoch {
            return sites.clone();
        }
        let axes = self.info(cluster).map(|info| info.outer()).unwrap_or_default();
        let mut sites = Sites { epoch, ..Sites::clone(sites) };
        for place in &mut sites.places {
            let moved = place.map.as_ref().and_then(|m| m.iter().map(|&a| axes.get(a).copied()).collect());
            let moved: Option<Vec<usize>> = moved;
            if let Some(map) = moved {
                *place = self.places.mapped(&map, place.evaluations);
            }
        }
        Rc::new(sites)
    }

    /// The sites of an operand, given those of its user in a cluster.
    fn through(&self, user: NodeId, position: usize, cluster: u32, sites: &Sites) -> Sites {
        let folds = matches!(self.graph.op(user), Op::Reduce(_)) && self.graph.cluster(user) == Some(cluster);
        let mut out = Sites {
            places: vec![],
            many: sites.many && !folds,
            reductions_after: sites.reductions_after + usize::from(folds),
            epoch: sites.epoch,
        };
        for place in &sites.places {
            let (map, evaluations) = self.operand_place(user, position, cluster, place);
            out.add(match map {
                Some(map) => self.places.mapped(&map, evaluations),
                None => self.places.passed((place.id, user, position), evaluations),
            });
        }
        out
    }

    fn keeps_place(&self, user: NodeId) -> bool {
        matches!(self.graph.op(user).rules().batching(), Batching::Elementwise)
    }

    /// The map of an operand at a place of its user, and how many of its elements are computed there.
    fn operand_place(
        &self,
        user: NodeId,
        position: usize,
        cluster: u32,
        place: &IndexingMap,
    ) -> (Option<Vec<usize>>, f64) {
        let operand = &self.graph.ty(self.graph.operands(user)[position]).shape;
        let (numel, of_user) = (operand.numel() as f64, self.graph.ty(user).shape.numel() as f64);
        let repeated = |map: &Option<Vec<usize>>| match (map, self.info(cluster)) {
            (Some(map), Some(info)) => numel * repetition(info, map) as f64,
            _ => place.evaluations,
        };
        match self.graph.op(user) {
            // The space of its cluster is its operand's shape.
            Op::Reduce(_) => (Some((0..operand.rank()).collect()), numel),
            Op::Concat(op) if self.is_cut(cluster, place, &[op.axis]) => (None, place.evaluations * numel / of_user),
            Op::Pad(op) if self.is_cut(cluster, place, &op.padded()) => (None, place.evaluations * numel / of_user),
            op => match self.axes_along(user, position) {
                // Each element of it once for each of the user's, or as often as the loops around it repeat it.
                Some(axes) => {
                    let map = place.map.as_ref().map(|map| axes.iter().map(|&axis| map[axis]).collect());
                    let evaluations = if numel == of_user { place.evaluations } else { repeated(&map) };
                    (map, evaluations)
                }
                // One element for each of the user's, wherever it is.
                None if op.family() == Family::Movement || op.family() == Family::Index && position == 0 => {
                    (None, place.evaluations)
                }
                None => (None, numel),
            },
        }
    }

    /// For each axis of a user's operand the axis of the user that runs with it, if there is one for each.
    fn axes_along(&self, user: NodeId, position: usize) -> Option<Vec<usize>> {
        let mut axes = vec![None; self.graph.ty(self.graph.operands(user)[position]).shape.rank()];
        for axis in 0..self.graph.ty(user).shape.rank() {
            if let Some(own) = self.graph.along(user, axis).and_then(|along| along[position]) {
                axes[own] = Some(axis);
            }
        }
        axes.into_iter().collect()
    }

    /// True if the loops of a cluster can be cut where the parts of a node at that place begin along some of its axes.
    pub(super) fn is_cut(&self, cluster: u32, place: &IndexingMap, axes: &[usize]) -> bool {
        let Some(info) = self.info(cluster) else { return false };
        let along = |map: &Rc<[usize]>| axes.iter().all(|&a| !info.reduced.contains(&map[a]));
        info.kind == ClusterKind::Loop && !info.draws && place.map.as_ref().is_some_and(along)
    }
}

/// How often each element would be computed, if a node with that map were computed in the cluster's loops: loops over axes that it doesn't
/// run along repeat it, unless they are inside all those that it does run along.
fn repetition(info: &Info, map: &[usize]) -> usize {
    let order: Vec<usize> = info.outer().into_iter().chain(info.reduced.iter().copied()).collect();
    let last = order.iter().rposition(|a| map.contains(a)).map_or(0, |p| p + 1);
    order[..last].iter().filter(|a| !map.contains(a)).map(|&a| info.space[a]).product()
}
