//! The clusters while they grow: what is known of each, and how a node is put in one.

use super::cluster::ClusterKind;
use super::reach::Reach;
use super::sites::IndexingMaps;
use ir::scalar::Cost;
use ir::{Graph, NodeId, Op, ScalarOp, Shape};
use std::collections::{BTreeMap, BTreeSet};

/// An element is computed at most that many times at places that aren't repetitions along axes which it doesn't have.
pub(super) const MAX_EVALUATIONS: f64 = 2.0;
/// Whatever it costs, it is computed by the users that ask for it so many times: each element once, and a few of them again.
pub(super) const FEW_AGAIN: f64 = 1.125;
/// The work of a cluster, repetitions included, is at most that many times the work of its nodes.
pub(crate) const MAX_WORK: f64 = 16.0;
/// A cluster is at most that large, in cheap ops: kernels stay compilable.
pub(super) const MAX_SIZE: usize = 1024;
/// A row is walked once more for each reduction that waits for another one, and what is cheap is computed anew in each walk.
pub(super) const MAX_REDUCTIONS_IN_A_ROW: usize = 4;

/// What a scalar op costs, in cheap ops.
pub(crate) fn operations(op: ScalarOp) -> f64 {
    match op.def().cost {
        Cost::Cheap if op == ScalarOp::FMA => 2.0,
        Cost::Cheap => 1.0,
        Cost::Moderate => 4.0,
        Cost::Expensive => 16.0,
    }
}

/// What is known of a cluster while it grows.
#[derive(Clone, Debug)]
pub(super) struct Info {
    pub(super) kind: ClusterKind,
    /// The iteration space.
    pub(super) space: Shape,
    /// The axes of the space that reductions fold.
    pub(super) reduced: Vec<usize>,
    pub(super) nodes: BTreeSet<NodeId>,
    /// What the nodes take from outside.
    pub(super) reads: BTreeSet<NodeId>,
    /// How often the space has changed.
    pub(super) epoch: u32,
    /// Random numbers are drawn in it, and it has nothing but what is made of them.
    pub(super) draws: bool,
    /// Where loops along an axis are cut.
    pub(super) cuts: BTreeMap<usize, BTreeSet<usize>>,
    /// How many of its nodes have padding that the cuts are for.
    pub(super) padded: usize,
    /// How many nodes are computed in each of the parts.
    pub(super) in_all_parts: usize,
    /// Its nodes in cheap ops.
    pub(super) size: usize,
    /// Elements times cost of its nodes, and what is computed again.
    pub(super) work: f64,
    pub(super) repeated: f64,
}

impl Info {
    pub(super) fn new(kind: ClusterKind, space: Shape, reduced: Vec<usize>) -> Self {
        Self {
            kind,
            space,
            reduced,
            nodes: BTreeSet::new(),
            reads: BTreeSet::new(),
            epoch: 0,
            draws: false,
            cuts: BTreeMap::new(),
            padded: 0,
            in_all_parts: 0,
            size: 0,
            work: 0.0,
            repeated: 0.0,
        }
    }

    /// The axes that aren't reduced.
    pub(super) fn outer(&self) -> Vec<usize> {
        (0..self.space.rank()).filter(|a| !self.reduced.contains(a)).collect()
    }

    /// Takes all that another cluster has.
    pub(super) fn take(&mut self, other: Self) {
        self.nodes.extend(other.nodes);
        self.reads.extend(other.reads);
        self.reads.retain(|read| !self.nodes.contains(read));
        self.draws |= other.draws;
        for (axis, cuts) in other.cuts {
            self.cuts.entry(axis).or_default().extend(cuts);
        }
        self.padded += other.padded;
        self.in_all_parts += other.in_all_parts;
        self.size += other.size;
        self.work += other.work;
        self.repeated += other.repeated;
    }
}

pub(super) struct Fuser<'g> {
    pub(super) graph: &'g mut Graph,
    pub(super) clusters: Vec<Option<Info>>,
    /// For each cluster the one it has become part of: itself, if none.
    pub(super) merged: Vec<u32>,
    pub(super) reach: Reach,
    pub(super) places: IndexingMaps,
    /// Nodes that must have a buffer because a contraction, a scan or a running sum reads them at addresses of its own.
    pub(super) forced: BTreeSet<NodeId>,
    /// Outputs and updates.
    pub(super) results: BTreeSet<NodeId>,
    /// Nodes that are results, or from which a result is computed without a cluster between.
    pub(super) to_results: BTreeSet<NodeId>,
    /// Nodes that are computed wherever they are used, though they aren't trivial, and how many such nodes follow one another there.
    pub(super) recomputed: BTreeMap<NodeId, usize>,
    /// Clusters that are a copy in a wider type and nothing else.
    pub(super) copies: BTreeSet<u32>,
    /// Casts that contractions make of a factor while they pack it.
    pub(super) converted: BTreeSet<NodeId>,
    /// Random nodes, and what is computed from them and constants alone, place by place.
    pub(super) drawn: BTreeSet<NodeId>,
    /// Nodes that results depend on.
    pub(super) live: BTreeSet<NodeId>,
    /// What tiles may touch besides their own result before it leaves the cache.
    pub(super) cache_bytes: usize,
}

pub(super) fn is_port(op: &Op) -> bool {
    matches!(op, Op::Input(_) | Op::State(_) | Op::Constant(_))
}

impl Fuser<'_> {
    /// A new cluster of one node.
    pub(super) fn start(&mut self, node: NodeId, kind: ClusterKind) {
        let (space, reduced) = match self.graph.op(node) {
            Op::Reduce(op) => (self.graph.ty(self.graph.operands(node)[0]).shape.clone(), op.axes.clone()),
            _ => (self.graph.ty(node).shape.clone(), vec![]),
        };
        let id = self.clusters.len() as u32;
        self.reach.start(self.user_clusters(node));
        self.clusters.push(Some(Info::new(kind, space, reduced)));
        self.merged.push(id);
        self.start_own(node, id);
        self.count(node, id, 0.0);
        self.graph.set_cluster(node, id);
    }

    pub(super) fn info(&self, cluster: u32) -> Option<&Info> {
        self.clusters.get(cluster as usize)?.as_ref()
    }

    pub(super) fn info_mut(&mut self, cluster: u32) -> Option<&mut Info> {
        self.clusters.get_mut(cluster as usize)?.as_mut()
    }

    /// The cluster that a cluster is part of by now.
    pub(super) fn current(&self, mut cluster: u32) -> u32 {
        while self.merged[cluster as usize] != cluster {
            cluster = self.merged[cluster as usize];
        }
        cluster
    }

    pub(super) fn add(&mut self, node: NodeId, cluster: u32) {
        let sites = self.set_own(node, cluster);
        let repeated = (sites.evaluations() - self.graph.ty(node).shape.numel() as f64).max(0.0);
        self.count(node, cluster, repeated);
        self.reach.grow(cluster, self.user_clusters(node));
        self.graph.set_cluster(node, cluster);
    }

    /// Counts a node in, of which so many elements are computed again.
    pub(super) fn count(&mut self, node: NodeId, cluster: u32, repeated: f64) {
        let (cost, numel) = (self.cost(node), self.graph.ty(node).shape.numel() as f64);
        let cuts = self.cuts_of(node, cluster);
        let (draws, padded) = (self.drawn.contains(&node), matches!(self.graph.op(node), Op::Pad(_)));
        let in_all_parts = self.is_in_all_parts(node);
        let operands = self.graph.operands(node).to_vec();
        let Some(info) = self.info_mut(cluster) else { return };
        info.nodes.insert(node);
        info.reads.remove(&node);
        info.reads.extend(operands.into_iter().filter(|o| !info.nodes.contains(o)));
        info.size += cost as usize;
        info.work += cost * numel;
        info.repeated += cost * repeated;
        info.draws |= draws;
        info.padded += usize::from(padded);
        info.in_all_parts += usize::from(in_all_parts);
        for (axis, at) in cuts {
            info.cuts.entry(axis).or_default().insert(at);
        }
    }

    /// What an element of a node costs, in cheap ops.
    pub(super) fn cost(&self, node: NodeId) -> f64 {
        match self.graph.op(node) {
            Op::Elementwise(op) => operations(*op),
            Op::Random(_) => 64.0,
            _ => 1.0,
        }
    }

    /// Puts all nodes of a cluster in another one.
    pub(super) fn merge(&mut self, into: u32, from: u32) {
        let Some(info) = self.clusters[from as usize].take() else { return };
        self.reach.merge(into, from);
        self.merged[from as usize] = into;
        for &node in &info.nodes {
            self.graph.set_cluster(node, into);
        }
        if let Some(grown) = self.info_mut(into) {
            grown.take(info);
        }
    }
}
