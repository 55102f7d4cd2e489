//! Groups nodes into clusters, each to become one kernel.
//!
//! # Does
//! Walks the graph from results to inputs. A node joins the cluster of its users where that saves a trip to memory and costs no
//! repeated work: elementwise chains with several results, producers into reductions, reductions with what follows them, rows that
//! are reduced and used again (softmax, layer norm, cross-entropy and their gradients), and the elementwise ops after a
//! contraction or a window. Reductions of one tensor that don't wait for each other are one cluster. What is cheap to compute from a tensor
//! that is kept anyway has no cluster: it is computed again wherever it is used. Movement ops, constants and what is trivially computed from inputs stay outside: they become index
//! arithmetic and expressions wherever they are used.
//! # Requires
//! Stage `differentiated`, with convolutions legalized.
//! # Ensures
//! Stage `fused`: every node that needs a kernel is in a cluster, and no two clusters wait for each other.
//! # Example
//! `%2 = add %0, %1`, `%3 = relu %2`, both `f32[8]`, only `%3` used further: both get `@0`, and `%2` never reaches memory.

pub(crate) mod cluster;
mod join;
mod map;
mod reach;
mod recompute;
mod siblings;

use crate::{PassContext, PassError};
use cluster::{Kind, anchor_kind};
use ir::scalar::Cost;
use ir::{Family, Graph, NodeId, Op, Shape};
use reach::Reach;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a cluster while it grows.
#[derive(Clone, Debug)]
struct Info {
    kind: Kind,
    /// The iteration space.
    space: Shape,
    /// The axes of the space that reductions fold.
    reduced: Vec<usize>,
    nodes: BTreeSet<NodeId>,
}

struct Fuser<'g> {
    graph: &'g mut Graph,
    clusters: Vec<Option<Info>>,
    reach: Reach,
    /// Nodes that must have a buffer because a contraction or a scan reads them at addresses of its own.
    forced: BTreeSet<NodeId>,
    /// Nodes that are computed wherever they are used, though they aren't trivial.
    recomputed: BTreeSet<NodeId>,
    /// What tiles may touch besides their own result before it leaves the cache.
    cache_bytes: usize,
}

/// Runs the pass.
///
/// # Errors
/// None of its own.
pub fn run(graph: &mut Graph, context: &PassContext) -> Result<(), PassError> {
    graph.clear_clusters();
    let forced = forced(graph);
    let mut fuser = Fuser {
        graph,
        clusters: vec![],
        reach: Reach::default(),
        forced,
        recomputed: BTreeSet::new(),
        cache_bytes: context.target.l2_bytes,
    };
    let order = fuser.graph.topological();
    let live = fuser.graph.live();
    for &node in order.iter().rev().filter(|n| live.contains(n)) {
        fuser.place(node);
    }
    fuser.merge_siblings(&order);
    fuser.renumber(&order);
    Ok(())
}

/// What contractions and scans read: through reshapes, which share memory, down to the node that has to be computed.
fn forced(graph: &Graph) -> BTreeSet<NodeId> {
    let mut forced = BTreeSet::new();
    let reads = |n: &NodeId| matches!(graph.op(*n).family(), Family::Contraction | Family::Loop);
    for node in graph.ids().filter(reads) {
        for &operand in graph.operands(node).iter().filter(|&&o| !starts_alike(graph, node, o)) {
            let mut root = operand;
            while matches!(graph.op(root), Op::Reshape(_)) {
                root = graph.operands(root)[0];
            }
            forced.insert(root);
        }
    }
    forced
}

/// True if an operand is a first carry of a scan and one element everywhere, and nothing but a carry of it.
fn starts_alike(graph: &Graph, node: NodeId, operand: NodeId) -> bool {
    let Op::Scan(scan) = graph.op(node) else { return false };
    let carries = scan.body.carries().len();
    matches!(graph.op(operand), Op::Full(_)) && !graph.operands(node)[carries..].contains(&operand)
}

fn is_port(op: &Op) -> bool {
    matches!(op, Op::Input(_) | Op::State(_) | Op::Constant(_))
}

impl Fuser<'_> {
    /// Puts a node, whose users have been placed, in a cluster, or leaves it to be computed wherever it is used.
    fn place(&mut self, node: NodeId) {
        let forced = self.forced.contains(&node);
        let family = self.graph.op(node).family();
        let inline = match family {
            Family::Source => is_port(self.graph.op(node)) || !forced,
            Family::Movement => !forced,
            Family::Elementwise => !forced && self.trivial(node),
            _ => false,
        };
        if inline {
            return;
        }
        if matches!(family, Family::Loop) {
            self.place_scan(node);
            return;
        }
        if let Some(kind) = anchor_kind(self.graph, node) {
            if !self.join_as_anchor(node, kind) {
                self.start(node, kind);
            }
            self.join_sibling(node);
            return;
        }
        let copied = matches!(family, Family::Source | Family::Movement);
        let may_repeat = !copied && !forced;
        if may_repeat && self.repeats_kept(node) {
            self.recomputed.insert(node);
            return;
        }
        if copied || !self.join_users(node) {
            if may_repeat && self.is_recomputed(node) {
                self.recomputed.insert(node);
                return;
            }
            self.start(node, Kind::Loop);
        }
    }

    /// Puts all results of a scan in one cluster: none of them depends on another.
    fn place_scan(&mut self, node: NodeId) {
        if let Some(cluster) = self.graph.cluster(node) {
            // It came along with another result of the scan, maybe before its own users had clusters.
            self.reach.grow(cluster, self.user_clusters(node));
            return;
        }
        self.start(node, Kind::Scan(node));
        let live = self.graph.live();
        if let Some(cluster) = self.graph.cluster(node) {
            for (other, _) in self.graph.same_scan(node).into_iter().filter(|(other, _)| live.contains(other)) {
                self.add(other, cluster);
            }
        }
    }

    /// Cheap, and computed from constants and integer inputs alone: repeating it costs no more than loading its result.
    fn trivial(&self, node: NodeId) -> bool {
        let cheap = match self.graph.op(node) {
            Op::Elementwise(op) => op.def().cost == Cost::Cheap,
            Op::Cast(_) => true,
            _ => false,
        };
        let leaf = |mut at: NodeId| {
            while self.graph.op(at).family() == Family::Movement && self.graph.operands(at).len() == 1 {
                at = self.graph.operands(at)[0];
            }
            let integer_input = matches!(self.graph.op(at), Op::Input(_)) && self.graph.ty(at).dtype.is_int();
            integer_input || matches!(self.graph.op(at), Op::Full(_) | Op::Iota(_))
        };
        cheap && self.graph.operands(node).iter().all(|&o| leaf(o)) && !self.graph.is_result(node)
    }

    /// A new cluster of one node.
    fn start(&mut self, node: NodeId, kind: Kind) {
        let (space, reduced) = match self.graph.op(node) {
            Op::Reduce(op) => (self.graph.ty(self.graph.operands(node)[0]).shape.clone(), op.axes.clone()),
            _ => (self.graph.ty(node).shape.clone(), vec![]),
        };
        let id = self.clusters.len() as u32;
        self.reach.start(self.user_clusters(node));
        self.clusters.push(Some(Info { kind, space, reduced, nodes: BTreeSet::from([node]) }));
        self.graph.set_cluster(node, id);
    }

    fn info(&self, cluster: u32) -> Option<&Info> {
        self.clusters.get(cluster as usize)?.as_ref()
    }

    fn add(&mut self, node: NodeId, cluster: u32) {
        if let Some(Some(info)) = self.clusters.get_mut(cluster as usize) {
            info.nodes.insert(node);
            self.reach.grow(cluster, self.user_clusters(node));
            self.graph.set_cluster(node, cluster);
        }
    }

    /// Puts all nodes of a cluster in another one.
    fn merge(&mut self, into: u32, from: u32) {
        let Some(info) = self.clusters[from as usize].take() else { return };
        self.reach.merge(into, from);
        for node in info.nodes {
            if let Some(Some(grown)) = self.clusters.get_mut(into as usize) {
                grown.nodes.insert(node);
            }
            self.graph.set_cluster(node, into);
        }
    }

    /// Numbers clusters from 0 by their first node.
    fn renumber(&mut self, order: &[NodeId]) {
        let mut numbers: BTreeMap<u32, u32> = BTreeMap::new();
        for &node in order {
            if let Some(old) = self.graph.cluster(node) {
                let next = numbers.len() as u32;
                self.graph.set_cluster(node, *numbers.entry(old).or_insert(next));
            }
        }
    }
}
