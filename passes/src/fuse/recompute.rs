//! What is computed again wherever it is used, rather than kept in memory.

use super::fuser::{Fuser, MAX_EVALUATIONS, is_port};
use crate::fuse::cluster::{ClusterKind, through_inlined};
use ir::scalar::Cost;
use ir::{NodeId, Op};
use std::collections::BTreeSet;

/// Smaller tensors stay in the cache: keeping them costs nothing.
pub(super) const MIN_BYTES: usize = 64 << 10;
/// A broadcast of at most this part of a tensor's elements stays in the cache while the tensor is walked.
const SMALL_PART: usize = 8;
/// How many nodes are looked at to find out whether one depends on another.
const MAX_SEARCH: usize = 256;

/// A node is computed again by at most so many clusters.
const MAX_CLUSTERS: usize = 8;
/// So many nodes that are computed again may follow one another.
pub(super) const MAX_IN_A_ROW: usize = 3;

impl Fuser<'_> {
    /// Leaves a node to be computed wherever it is used.
    pub(super) fn recompute(&mut self, node: NodeId) {
        let in_a_row = self.recomputed_after(node) + 1;
        self.recomputed.insert(node, in_a_row);
    }

    /// How many nodes that are computed again use a node, one after the other.
    fn recomputed_after(&self, node: NodeId) -> usize {
        self.graph.users(node).iter().filter_map(|u| self.recomputed.get(u)).copied().max().unwrap_or(0)
    }

    /// True if computing a node again doesn't add up: few clusters do it, each at one place, and few such nodes follow one another.
    pub(super) fn adds_up_little(&self, node: NodeId) -> bool {
        let users = self.user_clusters(node);
        let once = |cluster: u32| {
            let sites = self.sites(node, cluster);
            let numel = self.graph.ty(node).shape.numel() as f64;
            !sites.many && sites.evaluations() <= MAX_EVALUATIONS * numel
        };
        users.len() <= MAX_CLUSTERS && self.recomputed_after(node) < MAX_IN_A_ROW && users.into_iter().all(once)
    }

    /// Tensors of about a node's size among its operands.
    pub(super) fn whole_operands(&self, node: NodeId) -> usize {
        let mut whole: Vec<NodeId> =
            self.graph.operands(node).iter().copied().filter(|&o| !self.is_small(node, o)).collect();
        whole.sort_unstable();
        whole.dedup();
        whole.len()
    }

    /// True if a node, computed from one tensor of its size that is in memory anyway and from small ones, costs no more than loading it:
    /// a centred value, say, in batch normalization. Its cluster would do nothing but copy.
    pub(super) fn is_recomputed(&self, node: NodeId) -> bool {
        self.costs_a_load(node) && self.adds_up_little(node)
    }

    fn costs_a_load(&self, node: NodeId) -> bool {
        let graph = &*self.graph;
        let cheap = matches!(graph.op(node), Op::Elementwise(op) if op.def().cost == Cost::Cheap);
        if !cheap || graph.ty(node).size_bytes() < MIN_BYTES || self.to_results.contains(&node) {
            return false;
        }
        let in_loops = through_inlined(graph, node).into_iter().all(|user| {
            let info = graph.cluster(user).and_then(|c| self.info(c));
            info.is_some_and(|info| info.kind == ClusterKind::Loop)
        });
        let mut whole: Vec<NodeId> =
            graph.operands(node).iter().copied().filter(|&o| !self.is_small(node, o)).collect();
        whole.dedup();
        let [tensor] = whole[..] else { return false };
        let same_size = graph.ty(tensor).size_bytes() <= graph.ty(node).size_bytes();
        let small = || graph.operands(node).iter().copied().filter(|&o| o != tensor);
        in_loops && same_size && (is_port(graph.op(tensor)) || small().any(|o| self.waits_for(o, tensor)))
    }

    /// True if several loop clusters use a node that costs no more than loading it, computed from one tensor of its size that several others have to
    /// load anyway: the argument of an activation, say, that differs from its input by a factor, where the gradient needs both.
    pub(super) fn repeats_kept(&self, node: NodeId) -> bool {
        self.follows_kept(node) && self.adds_up_little(node)
    }

    fn follows_kept(&self, node: NodeId) -> bool {
        let graph = &*self.graph;
        let cheap = matches!(graph.op(node), Op::Elementwise(op) if op.def().cost == Cost::Cheap);
        if !cheap || graph.ty(node).size_bytes() < MIN_BYTES || self.to_results.contains(&node) {
            return false;
        }
        let mut whole = graph.operands(node).iter().copied().filter(|&o| !self.is_small(node, o));
        let (Some(tensor), None) = (whole.next(), whole.next()) else { return false };
        let users = self.user_clusters(node);
        let in_loops = users.iter().all(|&c| self.info(c).is_some_and(|info| info.kind == ClusterKind::Loop));
        let is_alike = graph.ty(tensor).size_bytes() == graph.ty(node).size_bytes();
        let is_kept = || {
            let others = graph.users(tensor).into_iter().filter(|&user| user != node);
            let clusters = others.flat_map(|user| match graph.cluster(user) {
                Some(cluster) => vec![cluster],
                // It may not have been placed yet.
                None => through_inlined(graph, user).into_iter().filter_map(|u| graph.cluster(u)).collect(),
            });
            clusters.collect::<BTreeSet<u32>>().len() > 1
        };
        users.len() > 1 && in_loops && is_alike && is_kept()
    }

    /// A constant, or a broadcast of something much smaller.
    pub(super) fn is_small(&self, node: NodeId, operand: NodeId) -> bool {
        match self.graph.op(operand) {
            Op::Full(_) => true,
            Op::Broadcast(_) => {
                let source = self.graph.operands(operand)[0];
                self.graph.ty(source).shape.numel() * SMALL_PART <= self.graph.ty(node).shape.numel()
            }
            _ => false,
        }
    }

    /// True if `operand` is computed from a reduction of `tensor`: then that is computed, and kept, before.
    fn waits_for(&self, operand: NodeId, tensor: NodeId) -> bool {
        let mut seen = BTreeSet::new();
        let mut stack = vec![operand];
        while let Some(at) = stack.pop() {
            if at == tensor {
                return true;
            }
            if seen.len() < MAX_SEARCH && seen.insert(at) {
                stack.extend(self.graph.operands(at));
            }
        }
        false
    }
}
