//! When a node joins a cluster that uses it.

use super::cluster::{Kind, reaches_result, through_inlined};
use super::map::AxisMap;
use super::{Fuser, Info, is_port};
use crate::lower::tiles;
use ir::op::reduce::Reduce;
use ir::op::window::{Pool, PoolArgMax, PoolKind, Window};
use ir::scalar::Cost;
use ir::{Family, NodeId, Op};
use std::collections::BTreeSet;

impl Fuser<'_> {
    /// The clusters that use a node.
    pub(super) fn user_clusters(&self, node: NodeId) -> Vec<u32> {
        let clusters: BTreeSet<u32> =
            through_inlined(self.graph, node).into_iter().filter_map(|u| self.graph.cluster(u)).collect();
        clusters.into_iter().collect()
    }

    /// True if `cluster` has to wait for another one that uses the node.
    fn waits_for_user(&self, cluster: u32, node: NodeId) -> bool {
        self.user_clusters(node).into_iter().any(|user| user != cluster && self.reach.leads(user, cluster))
    }

    /// Tries to put a node in a cluster that uses it.
    pub(super) fn join_users(&mut self, node: NodeId) -> bool {
        let mut users = self.user_clusters(node);
        if users.len() > 1 && self.graph.op(node).family() != Family::Reduce && self.merge_all(node, &users) {
            users = self.user_clusters(node);
        }
        if let [only] = users[..] {
            let stored = self.forced.contains(&node) || reaches_result(self.graph, node);
            return self.try_join(node, only, stored);
        }
        // As one more result of a cluster that computes with it, if no other user has to run before.
        users.iter().any(|&cluster| {
            let waits = users.iter().any(|&user| user != cluster && self.reach.leads(user, cluster));
            !waits && self.try_join(node, cluster, true)
        })
    }

    /// Puts `node` in `cluster` if that is possible and worth it. `stored`: its elements are needed in memory as well.
    fn try_join(&mut self, node: NodeId, cluster: u32, stored: bool) -> bool {
        let Some(info) = self.info(cluster).cloned() else { return false };
        let map = self.map_of(node, cluster);
        let joins = match info.kind {
            Kind::Loop => match self.graph.op(node).clone() {
                Op::Reduce(op) => return self.join_reduce(node, cluster, &info, &op, &map),
                _ => self.fits_loop(node, &info, &map, stored),
            },
            Kind::Contraction(_) | Kind::Window(_) => {
                self.follows_anchor(node, &info) && is_identity(&map, info.space.rank())
            }
            Kind::Opaque(_) | Kind::Scan(_) => false,
        };
        if joins {
            self.add(node, cluster);
        }
        joins
    }

    /// An elementwise or random node, or a gather, in a loop cluster.
    fn fits_loop(&self, node: NodeId, info: &Info, map: &AxisMap, stored: bool) -> bool {
        let shape = &self.graph.ty(node).shape;
        let full = *shape == info.space && is_identity(map, info.space.rank());
        if stored {
            let rows = info.reduced.is_empty() || is_trailing(&info.reduced, info.space.rank());
            return (full && rows) || (!info.reduced.is_empty() && is_outer(info, map));
        }
        full || repetition(info, map, shape.numel()) <= 1 || self.is_cheap(node)
    }

    fn is_cheap(&self, node: NodeId) -> bool {
        match self.graph.op(node) {
            Op::Elementwise(op) => op.def().cost == Cost::Cheap,
            Op::Cast(_) | Op::CheckIndex(_) => true,
            _ => false,
        }
    }

    /// A reduction in a loop cluster: as what its elementwise ops start from, or as an earlier stage over the same rows.
    fn join_reduce(&mut self, node: NodeId, cluster: u32, info: &Info, op: &Reduce, map: &AxisMap) -> bool {
        let input = self.graph.ty(self.graph.operands(node)[0]).shape.clone();
        let kept: Vec<usize> = (0..input.rank()).filter(|a| !op.axes.contains(a)).collect();
        let along_rows = input == info.space && map.as_ref() == Some(&kept);
        let trailing = is_trailing(&op.axes, input.rank());
        let joins = if info.reduced.is_empty() {
            let starts = self.graph.ty(node).shape == info.space && is_identity(map, info.space.rank());
            (along_rows && trailing) || starts
        } else {
            along_rows && info.reduced == op.axes && (trailing || self.feeds_outer_only(node, cluster, info))
        };
        let joins = joins && self.is_used_in_place(node, cluster);
        if joins {
            if let Some(Some(grown)) = self.clusters.get_mut(cluster as usize) {
                grown.space = input;
                grown.reduced = op.axes.clone();
            }
            self.add(node, cluster);
        }
        joins
    }

    /// True if what the cluster computes from the node is used at the place where it is computed: a sum is there for one row at a time, so
    /// that nothing made of it can be computed anew for a neighbour.
    fn is_used_in_place(&self, node: NodeId, cluster: u32) -> bool {
        let (mut seen, mut stack) = (BTreeSet::new(), vec![node]);
        while let Some(at) = stack.pop() {
            let users = through_inlined(self.graph, at).into_iter();
            let inside: Vec<NodeId> = users.filter(|&u| self.graph.cluster(u) == Some(cluster)).collect();
            if at != node && !inside.is_empty() {
                let map = self.map_of(at, cluster);
                if map.is_none() || map != self.own_map(at, cluster) {
                    return false;
                }
            }
            stack.extend(inside.into_iter().filter(|u| seen.insert(*u)));
        }
        true
    }

    /// True if no reduction and no row of the cluster needs the node.
    fn feeds_outer_only(&self, node: NodeId, cluster: u32, info: &Info) -> bool {
        let mut stack = vec![node];
        while let Some(at) = stack.pop() {
            for user in through_inlined(self.graph, at) {
                if self.graph.cluster(user) != Some(cluster) {
                    continue;
                }
                if self.graph.ty(user).shape == info.space || matches!(self.graph.op(user), Op::Reduce(_)) {
                    return false;
                }
                stack.push(user);
            }
        }
        true
    }

    /// Makes a contraction or a window the anchor of the elementwise cluster that uses it.
    pub(super) fn join_as_anchor(&mut self, node: NodeId, kind: Kind) -> bool {
        let fusible = match self.graph.op(node) {
            Op::PoolMaxGrad(op) => tiles(&op.window),
            Op::PoolSumGrad(op) => tiles(&op.window),
            Op::Unpool(op) => tiles(&op.window),
            _ => !matches!(kind, Kind::Opaque(_) | Kind::Scan(_)),
        };
        let found = self.user_clusters(node).into_iter().find(|&c| fusible && self.can_anchor(node, c));
        if let Some(cluster) = found {
            if let Some(Some(grown)) = self.clusters.get_mut(cluster as usize) {
                grown.kind = kind;
            }
            self.add(node, cluster);
        }
        found.is_some()
    }

    /// Puts the maxima of windows and the places of the same maxima in one cluster: one trip finds both.
    pub(super) fn join_sibling(&mut self, node: NodeId) {
        let Some(window) = max_window(self.graph.op(node)) else { return };
        let (Some(own), x) = (self.graph.cluster(node), self.graph.operands(node)[0]) else { return };
        let other = self.graph.users(x).into_iter().find_map(|user| {
            let alike = max_window(self.graph.op(user)) == Some(window);
            let cluster = self.graph.cluster(user).filter(|&c| alike && c != own)?;
            // One maximum and one place: places in another type are found by another trip.
            let twice = self.finds_alike(own, user) || self.finds_alike(cluster, node);
            (!twice && !self.any_waits(&[own, cluster])).then_some(cluster)
        });
        if let Some(other) = other {
            self.merge(own, other);
        }
    }

    /// True if a cluster has an op on maxima of windows of the kind that a node is.
    fn finds_alike(&self, cluster: u32, node: NodeId) -> bool {
        let name = self.graph.op(node).name();
        let alike = |n: &NodeId| max_window(self.graph.op(*n)).is_some() && self.graph.op(*n).name() == name;
        self.info(cluster).is_some_and(|info| info.nodes.iter().any(alike))
    }

    fn can_anchor(&self, node: NodeId, cluster: u32) -> bool {
        let Some(info) = self.info(cluster) else { return false };
        let with_anchor = |n: NodeId| n == node || info.nodes.contains(&n);
        info.kind == Kind::Loop
            && info.reduced.is_empty()
            && info.space == self.graph.ty(node).shape
            && is_identity(&self.map_of(node, cluster), info.space.rank())
            && info.nodes.iter().all(|&n| self.follows(n, info, with_anchor))
            && self.streams_fit(node, info)
            && !self.waits_for_user(cluster, node)
    }

    /// True if what the cluster reads and writes at the anchor's place, element by element, is one operand and one result, or stays in
    /// the cache while tiles walk over it in columns: an optimizer's moments of a large weight are better streamed by a loop.
    fn streams_fit(&self, anchor: NodeId, info: &Info) -> bool {
        let outside = |n: &NodeId| *n != anchor && !info.nodes.contains(n) && self.graph.ty(*n).shape == info.space;
        let varies = |n: &NodeId| !matches!(self.graph.op(*n), Op::Broadcast(_) | Op::Full(_));
        let operands = info.nodes.iter().flat_map(|&n| self.graph.operands(n)).copied();
        let reads: BTreeSet<NodeId> = operands.filter(|n| outside(n) && varies(n)).collect();
        let inside = |u: &NodeId| info.nodes.contains(u);
        let is_written = |n: &&NodeId| self.graph.is_result(**n) || !self.graph.users(**n).iter().all(inside);
        let streams = reads.len() + info.nodes.iter().filter(is_written).count();
        streams <= 2 || streams * self.graph.ty(anchor).size_bytes() <= self.cache_bytes
    }

    /// True if a node can run on a tile of the anchor's result.
    fn follows_anchor(&self, node: NodeId, info: &Info) -> bool {
        self.follows(node, info, |n| info.nodes.contains(&n))
    }

    /// Elementwise over the space; operands that aren't `inside` are read at the same place, or along some of the axes.
    fn follows(&self, node: NodeId, info: &Info, inside: impl Fn(NodeId) -> bool) -> bool {
        matches!(self.graph.op(node), Op::Elementwise(_) | Op::Cast(_))
            && self.graph.ty(node).shape == info.space
            && self.graph.operands(node).iter().all(|&o| inside(o) || self.simple_operand(o))
    }

    /// Something with a buffer, a constant, or a broadcast of such.
    fn simple_operand(&self, operand: NodeId) -> bool {
        let mut from = operand;
        if matches!(self.graph.op(from), Op::Broadcast(_)) {
            from = self.graph.operands(from)[0];
            while matches!(self.graph.op(from), Op::Reshape(_)) {
                from = self.graph.operands(from)[0];
            }
        }
        match self.graph.op(from).family() {
            Family::Source => is_port(self.graph.op(from)) || matches!(self.graph.op(from), Op::Full(_)),
            Family::Movement | Family::Control => false,
            Family::Loop => true,
            // What is trivially computed would be computed here, by rules that tiles don't have.
            Family::Elementwise => !self.trivial(from) && !self.recomputed.contains(&from),
            Family::Index | Family::Random => true,
            Family::Reduce | Family::Window | Family::Contraction => true,
        }
    }

    /// Merges loop clusters over one space that all read `node`, if none waits for another.
    fn merge_all(&mut self, node: NodeId, clusters: &[u32]) -> bool {
        let infos: Option<Vec<(u32, &Info)>> = clusters.iter().map(|&c| Some((c, self.info(c)?))).collect();
        let Some(infos) = infos else { return false };
        let Some(&(first, lead)) = infos.first() else { return false };
        let reduced = infos.iter().map(|(_, i)| &i.reduced).find(|r| !r.is_empty()).cloned().unwrap_or_default();
        let trailing = is_trailing(&reduced, lead.space.rank());
        let alike = infos.iter().all(|(c, i)| {
            i.kind == Kind::Loop
                && i.space == lead.space
                && (i.reduced == reduced || (i.reduced.is_empty() && trailing))
                && is_identity(&self.map_of(node, *c), lead.space.rank())
        });
        if !alike || self.graph.ty(node).shape != lead.space || self.any_waits(clusters) {
            return false;
        }
        for &other in &clusters[1..] {
            self.merge(first, other);
        }
        if let Some(Some(merged)) = self.clusters.get_mut(first as usize) {
            merged.reduced = reduced;
        }
        true
    }

    /// True if one of the clusters depends on another one.
    pub(super) fn any_waits(&self, clusters: &[u32]) -> bool {
        clusters.iter().any(|&a| clusters.iter().any(|&b| a != b && self.reach.leads(a, b)))
    }
}

/// The window whose maximum an op finds, or the place of it.
fn max_window(op: &Op) -> Option<&Window> {
    match op {
        Op::Pool(Pool { kind: PoolKind::Max, window }) | Op::PoolArgMax(PoolArgMax { window, .. }) => Some(window),
        _ => None,
    }
}

/// How often each element would be computed, if a node were computed in the cluster's loops: loops over axes that it doesn't
/// run along repeat it, unless they are inside all those that it does run along.
fn repetition(info: &Info, map: &AxisMap, numel: usize) -> usize {
    let space = &info.space;
    let Some(map) = map else { return space.numel().div_ceil(numel.min(space.numel())) };
    let outer = (0..space.rank()).filter(|a| !info.reduced.contains(a));
    let order: Vec<usize> = outer.chain(info.reduced.iter().copied()).collect();
    let last = order.iter().rposition(|a| map.contains(a)).map_or(0, |p| p + 1);
    order[..last].iter().filter(|a| !map.contains(a)).map(|&a| space[a]).product()
}

fn is_identity(map: &AxisMap, rank: usize) -> bool {
    map.as_ref().is_some_and(|m| m.len() == rank && m.iter().enumerate().all(|(i, &a)| i == a))
}

/// True if a map runs along exactly the axes that aren't reduced.
fn is_outer(info: &Info, map: &AxisMap) -> bool {
    let outer: Vec<usize> = (0..info.space.rank()).filter(|a| !info.reduced.contains(a)).collect();
    map.as_ref() == Some(&outer)
}

/// True if the axes are the last ones.
fn is_trailing(axes: &[usize], rank: usize) -> bool {
    axes.iter().enumerate().all(|(i, &a)| a + axes.len() == rank + i)
}
