//! When a node joins a cluster that uses it.

use super::cluster::{ClusterKind, through_inlined};
use super::fuser::{FEW_AGAIN, Fuser, Info, MAX_EVALUATIONS, MAX_REDUCTIONS_IN_A_ROW, MAX_SIZE, MAX_WORK, is_port};
use super::sites::{AxisMap, Sites};
use crate::window::{stores_once, tiles};
use ir::op::reduce::Reduce;
use ir::op::window::{Pool, PoolArgMax, PoolKind, Window};
use ir::scalar::Cost;
use ir::{Family, NodeId, Op, Shape};
use std::collections::BTreeSet;

impl Fuser<'_> {
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
            let stored = self.forced.contains(&node) || self.to_results.contains(&node);
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
        let sites = self.sites(node, cluster);
        let Some(info) = self.info(cluster) else { return false };
        if self.copies.contains(&cluster)
            || info.size as f64 + self.cost(node) > MAX_SIZE as f64
            || !self.parts_stay_few(info)
        {
            return false;
        }
        let is_drawn = self.drawn.contains(&node);
        if is_drawn != info.draws {
            return false;
        }
        let joins = match (info.kind, self.graph.op(node)) {
            (ClusterKind::Loop, _) if is_drawn => info.space == self.graph.ty(node).shape,
            (ClusterKind::Loop, Op::Reduce(op)) => self.fits_reduce(node, (cluster, info), op, &sites),
            (ClusterKind::Loop, Op::Concat(_) | Op::Pad(_)) => self.fits_cut_loop(node, cluster, info, &sites),
            (ClusterKind::Loop, _) => self.fits_loop(node, info, &sites, stored),
            (ClusterKind::Contraction(_) | ClusterKind::Window(_), _) => {
                self.follows_anchor(node, info) && is_identity(&sites.map(), info.space.rank())
            }
            (ClusterKind::Opaque(_) | ClusterKind::Scan(_), _) => false,
        };
        if joins {
            self.fold_axes(node, cluster);
            self.add(node, cluster);
        }
        joins
    }

    /// Makes the axes that a reduction folds those of its cluster, with their space.
    fn fold_axes(&mut self, node: NodeId, cluster: u32) {
        let Op::Reduce(op) = self.graph.op(node) else { return };
        let (axes, space) = (op.axes.clone(), self.graph.ty(self.graph.operands(node)[0]).shape.clone());
        if let Some(grown) = self.info_mut(cluster) {
            grown.epoch += u32::from(grown.space != space);
            grown.space = space;
            grown.reduced = axes;
        }
    }

    /// An elementwise or random node, or a gather, in a loop cluster.
    fn fits_loop(&self, node: NodeId, info: &Info, sites: &Sites, stored: bool) -> bool {
        let (shape, map) = (&self.graph.ty(node).shape, sites.map());
        let full = *shape == info.space && is_identity(&map, info.space.rank());
        if stored {
            let rows = info.reduced.is_empty() || is_trailing(&info.reduced, info.space.rank());
            return (full && rows) || (!info.reduced.is_empty() && is_outer(info, &map));
        }
        full || self.repeats_little(node, info, sites)
    }

    /// True if a cluster computes each element of a node once, or what it computes again is cheap and little beside the rest of its work.
    fn repeats_little(&self, node: NodeId, info: &Info, sites: &Sites) -> bool {
        let (numel, evaluations) = (self.graph.ty(node).shape.numel() as f64, sites.evaluations());
        if sites.many {
            return false;
        }
        if evaluations <= FEW_AGAIN * numel {
            return true;
        }
        let cost = self.cost(node);
        let repeated = info.repeated + (evaluations - numel) * cost;
        let in_bounds = info.work + cost * numel + repeated <= MAX_WORK * (info.work + cost * numel);
        // At several places it loads its operands several times, where its own elements could be loaded.
        let few = || evaluations <= MAX_EVALUATIONS * numel && self.whole_operands(node) <= 1;
        self.is_cheap(node) && in_bounds && (sites.places.len() == 1 || few())
    }

    fn is_cheap(&self, node: NodeId) -> bool {
        match self.graph.op(node) {
            Op::Elementwise(op) => op.def().cost == Cost::Cheap,
            Op::Cast(_) | Op::Pair(_) => true,
            // A check is no vector code, and what is around it then isn't either.
            _ => false,
        }
    }

    /// A reduction in a loop cluster: as what its elementwise ops start from, or as an earlier stage over the same rows.
    fn fits_reduce(&self, node: NodeId, (cluster, info): (u32, &Info), op: &Reduce, sites: &Sites) -> bool {
        let map = &sites.map();
        let input = self.graph.ty(self.graph.operands(node)[0]).shape.clone();
        let kept: Vec<usize> = (0..input.rank()).filter(|a| !op.axes.contains(a)).collect();
        let along_rows = input == info.space && map.as_deref() == Some(&kept[..]);
        let trailing = is_trailing(&op.axes, input.rank());
        let joins = if info.reduced.is_empty() {
            let starts = self.graph.ty(node).shape == info.space && is_identity(map, info.space.rank());
            (along_rows && trailing) || starts
        } else {
            along_rows && info.reduced == op.axes && (trailing || self.feeds_outer_only(node, cluster, info))
        };
        // What starts from the reduction runs along the axes of its result.
        let all: Vec<usize> = (0..info.space.rank()).collect();
        let in_place = if along_rows { &kept } else { &all };
        let is_cut =
            op.axes.iter().any(|a| info.cuts.contains_key(a)) || (!info.cuts.is_empty() && input != info.space);
        let in_a_row = sites.reductions_after >= MAX_REDUCTIONS_IN_A_ROW;
        joins && !is_cut && !in_a_row && self.is_used_in_place(node, cluster, &info.space, in_place)
    }

    /// True if what the cluster computes from the node is used at the place where it is computed: a sum is there for one row at a time, so
    /// that nothing made of it can be computed anew for a neighbour.
    fn is_used_in_place(&self, node: NodeId, cluster: u32, space: &Shape, kept: &[usize]) -> bool {
        let (mut seen, mut stack) = (BTreeSet::new(), vec![node]);
        while let Some(at) = stack.pop() {
            let users = through_inlined(self.graph, at).into_iter();
            let inside: Vec<NodeId> = users.filter(|&u| self.graph.cluster(u) == Some(cluster)).collect();
            if at != node && !inside.is_empty() {
                let (map, rank) = (self.sites(at, cluster).map(), space.rank());
                let full = self.graph.ty(at).shape == *space;
                if !(full && is_identity(&map, rank)) && map.as_deref() != Some(kept) {
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
    pub(super) fn join_as_anchor(&mut self, node: NodeId, kind: ClusterKind) -> bool {
        let fusible = match self.graph.op(node) {
            Op::PoolMaxGrad(op) => tiles(&op.window),
            Op::PoolSumGrad(op) => stores_once(&op.window),
            Op::Unpool(op) => stores_once(&op.window),
            _ => !matches!(kind, ClusterKind::Opaque(_) | ClusterKind::Scan(_)),
        };
        let found = self.user_clusters(node).into_iter().find(|&c| fusible && self.can_anchor(node, c));
        if let Some(cluster) = found {
            if let Some(grown) = self.info_mut(cluster) {
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
            let alike = max_window(self.graph.op(user)).is_some_and(|found| found.window == window.window);
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
        let finds = |n: NodeId| max_window(self.graph.op(n)).map(|found| found.finds);
        let own = finds(node);
        let alike = |n: &NodeId| own.is_some() && finds(*n) == own;
        self.info(cluster).is_some_and(|info| info.nodes.iter().any(alike))
    }

    fn can_anchor(&self, node: NodeId, cluster: u32) -> bool {
        let map = self.sites(node, cluster).map();
        let Some(info) = self.info(cluster) else { return false };
        let with_anchor = |n: NodeId| n == node || info.nodes.contains(&n);
        info.kind == ClusterKind::Loop
            && !self.copies.contains(&cluster)
            && !info.draws
            && info.reduced.is_empty()
            && info.space == self.graph.ty(node).shape
            && is_identity(&map, info.space.rank())
            && self.streams_fit(node, info)
            && info.nodes.iter().all(|&n| self.follows(n, info, with_anchor))
            && !self.waits_for_user(cluster, node)
    }

    /// True if what the cluster reads and writes at the anchor's place, element by element, is one operand and one result, or stays in
    /// the cache while tiles walk over it in columns: an optimizer's moments of a large weight are better streamed by a loop.
    fn streams_fit(&self, anchor: NodeId, info: &Info) -> bool {
        let most = (self.cache_bytes / self.graph.ty(anchor).size_bytes()).max(2);
        let streamed = |n: &&NodeId| **n != anchor && self.varies(**n) && self.graph.ty(**n).shape == info.space;
        let inside = |u: &NodeId| info.nodes.contains(u);
        let is_written = |n: &&NodeId| self.graph.is_result(**n) || !self.graph.users(**n).iter().all(inside);
        // Counting ends where it is clear.
        let streams = info.reads.iter().filter(streamed).chain(info.nodes.iter().filter(is_written));
        streams.take(most + 1).count() <= most
    }

    /// True if a node has an element of its own at each place, rather than those of something smaller, or what an op makes of them.
    fn varies(&self, node: NodeId) -> bool {
        let repeats = |n: NodeId| matches!(self.graph.op(n), Op::Broadcast(_) | Op::Full(_));
        let computed = matches!(self.graph.op(node), Op::Elementwise(_) | Op::Cast(_) | Op::Pair(_));
        !(repeats(node) || computed && self.graph.operands(node).iter().all(|&o| repeats(o)))
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
            Family::Elementwise => !self.trivial(from) && !self.recomputed.contains_key(&from),
            Family::Index | Family::Random => true,
            Family::Reduce | Family::Window | Family::Contraction => true,
        }
    }

    /// Merges loop clusters over one space that all read `node`, if none waits for another.
    fn merge_all(&mut self, node: NodeId, clusters: &[u32]) -> bool {
        let maps: Vec<AxisMap> = clusters.iter().map(|&c| self.sites(node, c).map()).collect();
        let infos: Option<Vec<&Info>> = clusters.iter().map(|&c| self.info(c)).collect();
        let (Some(infos), Some(&first)) = (infos, clusters.first()) else { return false };
        let lead = infos[0];
        let reduced = infos.iter().map(|i| &i.reduced).find(|r| !r.is_empty()).cloned().unwrap_or_default();
        let trailing = is_trailing(&reduced, lead.space.rank());
        let alike = infos.iter().zip(&maps).all(|(i, map)| {
            i.kind == ClusterKind::Loop
                && i.space == lead.space
                && (i.reduced == reduced || (i.reduced.is_empty() && trailing))
                && is_identity(map, lead.space.rank())
        });
        if !alike
            || !fit_together(&infos, &reduced)
            || self.graph.ty(node).shape != lead.space
            || self.any_waits(clusters)
            || clusters.iter().any(|c| self.copies.contains(c))
        {
            return false;
        }
        for &other in &clusters[1..] {
            self.merge(first, other);
        }
        if let Some(merged) = self.info_mut(first) {
            merged.reduced = reduced;
        }
        true
    }

    /// True if one of the clusters depends on another one.
    pub(super) fn any_waits(&self, clusters: &[u32]) -> bool {
        clusters.iter().any(|&a| clusters.iter().any(|&b| a != b && self.reach.leads(a, b)))
    }
}

/// What an op finds in windows of its operand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finds {
    Max,
    ArgMax,
}

/// An op that looks for maxima of windows.
struct MaxWindow<'g> {
    window: &'g Window,
    finds: Finds,
}

/// The windows whose maxima an op finds, or the places of them.
fn max_window(op: &Op) -> Option<MaxWindow<'_>> {
    match op {
        Op::Pool(Pool { kind: PoolKind::Max, window }) => Some(MaxWindow { window, finds: Finds::Max }),
        Op::PoolArgMax(PoolArgMax { window, .. }) => Some(MaxWindow { window, finds: Finds::ArgMax }),
        _ => None,
    }
}

/// True if clusters can be one that reduces these axes: it isn't too large, and nothing speaks against where its loops are cut.
pub(super) fn fit_together(infos: &[&Info], reduced: &[usize]) -> bool {
    let size: usize = infos.iter().map(|i| i.size).sum();
    let cut = |axis: &usize| infos.iter().any(|i| i.cuts.contains_key(axis));
    let draws = infos.iter().filter(|i| i.draws).count();
    size <= MAX_SIZE && (draws == 0 || draws == infos.len()) && !reduced.iter().any(cut)
}

pub(super) fn is_identity(map: &AxisMap, rank: usize) -> bool {
    map.as_ref().is_some_and(|m| m.len() == rank && m.iter().enumerate().all(|(i, &a)| i == a))
}

/// True if a map runs along exactly the axes that aren't reduced.
fn is_outer(info: &Info, map: &AxisMap) -> bool {
    let outer: Vec<usize> = (0..info.space.rank()).filter(|a| !info.reduced.contains(a)).collect();
    map.as_deref() == Some(&outer[..])
}

/// True if the axes are the last ones.
fn is_trailing(axes: &[usize], rank: usize) -> bool {
    axes.iter().enumerate().all(|(i, &a)| a + axes.len() == rank + i)
}
