//! Groups nodes into clusters, each to become one kernel.
//!
//! # Does
//! Walks the graph from results to inputs. A node joins the cluster of its users where that saves a trip to memory and costs no
//! repeated work: elementwise chains with several results, producers into reductions, reductions with what follows them, rows that
//! are reduced and used again (softmax, layer norm, cross-entropy and their gradients), and the elementwise ops after a
//! contraction or a window. Reductions of one tensor that don't wait for each other are one cluster. What is cheap to compute from a tensor
//! that is kept anyway has no cluster: it is computed again wherever it is used. So is `f32` of a 16-bit tensor, with a few ops on it, that loops far apart read: what is kept is the 16 bits.
//! A copy in `f32` that several contractions read is a cluster of its own, which `rematerialize` may run for each; gradients of kernels convert their right factor where they pack it. Movement ops, constants and what is trivially computed from inputs stay outside: they become index
//! arithmetic and expressions wherever they are used. Random numbers, and what is made of them alone, have clusters of their own. Concatenations, and padded tensors unless a user's loops can be cut where the padding ends, are
//! results of a cluster: one loop for each part, in which what the part is made of is computed, and what the whole is used for if that is done place by place.
//!
//! The cost model (`uses`) counts at how many places a cluster would compute a node, and how many of its elements there. A node joins if
//! each element is computed once, and at most an eighth of them again. A cheap one may be computed twice (`MAX_EVALUATIONS`), where users see it at several places and it is made of one
//! tensor of its size, and as often as a broadcast repeats it, as long as the cluster's work with all repetitions is at most 16 times (`MAX_WORK`) the sum of its
//! nodes' elements times their cost. A row is walked at most once more for each of 4 (`MAX_REDUCTIONS_IN_A_ROW`) reductions. In builds with debug
//! assertions `lower` counts the operations of each loop cluster's kernels and fails beyond that bound.
//! # Requires
//! Stage `differentiated`, with convolutions legalized.
//! # Ensures
//! Stage `fused`: every node that needs a kernel is in a cluster, and no two clusters wait for each other.
//! # Example
//! `%2 = add %0, %1`, `%3 = relu %2`, both `f32[8]`, only `%3` used further: both get `@0`, and `%2` never reaches memory.

pub(crate) mod cluster;
mod cut;
mod fuser;
mod half;
mod join;
mod reach;
mod recompute;
mod siblings;
mod sites;
mod taken;
mod uses;

pub(crate) use fuser::{MAX_WORK, operations};

use crate::{PassContext, PassError};
use cluster::{ClusterKind, anchor_kind, through_inlined};
use fuser::{Fuser, is_port};
use ir::scalar::Cost;
use ir::{Family, Graph, NodeId, Op};
use reach::Reach;
use sites::IndexingMaps;
use std::collections::{BTreeMap, BTreeSet};

/// Runs the pass.
///
/// # Errors
/// If a copy of a node doesn't type, which no node of a valid graph does.
pub fn run(graph: &mut Graph, context: &PassContext) -> Result<(), PassError> {
    graph.clear_clusters();
    let converted = half::converted_when_packed(graph)?;
    let forced = forced(graph, &converted);
    let drawn = drawn(graph);
    let results = graph.outputs().iter().chain(graph.updates()).map(|(_, id)| *id).collect();
    let live = graph.live();
    let mut fuser = Fuser {
        graph,
        clusters: vec![],
        merged: vec![],
        reach: Reach::default(),
        places: IndexingMaps::default(),
        forced,
        results,
        to_results: BTreeSet::new(),
        recomputed: BTreeMap::new(),
        copies: BTreeSet::new(),
        converted,
        drawn,
        live,
        cache_bytes: context.target.caches().l2_bytes,
    };
    let order = fuser.graph.topological();
    for &node in order.iter().rev() {
        if fuser.live.contains(&node) {
            fuser.place(node);
        }
    }
    fuser.merge_siblings(&order);
    fuser.renumber(&order);
    Ok(())
}

/// Random nodes, and what is computed from them place by place, with nothing else but constants and single numbers. They are drawn in clusters of their
/// own: elsewhere a block of random words would serve only one element, and what reads a mask finds bytes.
fn drawn(graph: &Graph) -> BTreeSet<NodeId> {
    let mut drawn = BTreeSet::new();
    for node in graph.topological() {
        let single = |o: NodeId| match graph.op(o) {
            Op::Full(_) => true,
            Op::Broadcast(_) => graph.ty(graph.operands(o)[0]).shape.rank() == 0,
            _ => false,
        };
        let operands = graph.operands(node);
        let is_drawn = match graph.op(node) {
            Op::Random(_) => true,
            Op::Elementwise(_) | Op::Cast(_) => {
                operands.iter().any(|o| drawn.contains(o)) && operands.iter().all(|&o| drawn.contains(&o) || single(o))
            }
            _ => false,
        };
        if is_drawn {
            drawn.insert(node);
        }
    }
    drawn
}

/// What contractions, scans, running sums and orders read: through reshapes, which share memory, and conversions of what is packed, down to the node that has to be computed.
fn forced(graph: &Graph, converted: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
    let mut forced = BTreeSet::new();
    let reads = |n: &NodeId| {
        let op = graph.op(*n);
        matches!(op.family(), Family::Contraction | Family::Loop) || matches!(op, Op::CumSum(_) | Op::ArgSort(_))
    };
    for node in graph.ids().filter(reads) {
        for &operand in graph.operands(node).iter().filter(|&&o| !starts_alike(graph, node, o)) {
            let mut root = operand;
            while matches!(graph.op(root), Op::Reshape(_)) || converted.contains(&root) {
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

impl Fuser<'_> {
    /// Puts a node, whose users have been placed, in a cluster, or leaves it to be computed wherever it is used.
    fn place(&mut self, node: NodeId) {
        self.find_uses(node);
        self.gather_takes(node);
        let unclustered = |u: &NodeId| self.graph.cluster(*u).is_none() && self.to_results.contains(u);
        if self.results.contains(&node) || self.graph.users(node).iter().any(unclustered) {
            self.to_results.insert(node);
        }
        let forced = self.forced.contains(&node);
        let family = self.graph.op(node).family();
        let inline = match family {
            Family::Source => is_port(self.graph.op(node)) || !forced,
            Family::Movement => !forced && self.is_read_through(node),
            Family::Elementwise => self.converted.contains(&node) || !forced && self.trivial(node),
            _ => false,
        };
        if inline {
            self.cut_users(node);
            return;
        }
        if matches!(family, Family::Loop) {
            self.place_scan(node);
            return;
        }
        if self.drawn.contains(&node) {
            if self.is_key(node) || !self.join_users(node) {
                self.start(node, ClusterKind::Loop);
            }
            return;
        }
        if let Some(kind) = anchor_kind(self.graph, node) {
            if !self.join_as_anchor(node, kind) {
                self.start(node, kind);
            }
            self.join_sibling(node);
            return;
        }
        let parts = matches!(self.graph.op(node), Op::Concat(_) | Op::Pad(_));
        let copied = !parts && matches!(family, Family::Source | Family::Movement);
        let may_repeat = !parts && !copied && !forced;
        if may_repeat && (self.repeats_kept(node) || self.repeats_half(node)) {
            self.recompute(node);
            return;
        }
        if self.is_copy_apart(node) {
            self.start(node, ClusterKind::Loop);
            self.copies.extend(self.graph.cluster(node));
            return;
        }
        if copied || !self.join_users(node) {
            if may_repeat && self.is_recomputed(node) {
                self.recompute(node);
                return;
            }
            self.start(node, ClusterKind::Loop);
        }
    }

    /// Puts all results of a scan in one cluster: none of them depends on another.
    fn place_scan(&mut self, node: NodeId) {
        if let Some(cluster) = self.graph.cluster(node) {
            // It came along with another result of the scan, maybe before its own users had clusters.
            self.reach.grow(cluster, self.user_clusters(node));
            return;
        }
        self.start(node, ClusterKind::Scan(node));
        if let Some(cluster) = self.graph.cluster(node) {
            for (other, _) in self.graph.same_scan(node) {
                if self.live.contains(&other) {
                    self.find_uses(other);
                    self.add(other, cluster);
                }
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

    /// True if random numbers are drawn by a node: it is there before them.
    fn is_key(&self, node: NodeId) -> bool {
        through_inlined(self.graph, node).into_iter().any(|user| matches!(self.graph.op(user), Op::Random(_)))
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
