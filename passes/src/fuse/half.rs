//! `f32` made of 16-bit tensors: what waits in memory is the tensor that it is made of, in half the bytes.

use super::fuser::{Fuser, is_port};
use super::recompute::{MAX_IN_A_ROW, MIN_BYTES};
use crate::fuse::cluster::ClusterKind;
use ir::scalar::Cost;
use ir::{DType, NodeId, Op};

/// What isn't cheap is computed by that many clusters: the forward and the backward pass of an activation.
const MAX_CLUSTERS: usize = 2;

impl Fuser<'_> {
    /// True if several loop clusters use a node that is computed from one 16-bit tensor of its size and small ones, a few ops away: the argument of an activation, say, and what the
    /// activation multiplies it by.
    pub(super) fn repeats_half(&self, node: NodeId) -> bool {
        let graph = &*self.graph;
        if graph.ty(node).size_bytes() < MIN_BYTES || self.to_results.contains(&node) || !self.is_of_half(node) {
            return false;
        }
        let users = self.user_clusters(node);
        let in_loops = users.iter().all(|&c| self.info(c).is_some_and(|info| info.kind == ClusterKind::Loop));
        let cheap = !matches!(graph.op(node), Op::Elementwise(op) if op.def().cost != Cost::Cheap);
        users.len() > 1 && (cheap || users.len() <= MAX_CLUSTERS) && in_loops && self.adds_up_little(node)
    }

    /// True if a node is `f32` of a 16-bit tensor, or computed from that and what is much smaller.
    fn is_of_half(&self, node: NodeId) -> bool {
        let graph = &*self.graph;
        let mut at = node;
        for _ in 0..=MAX_IN_A_ROW {
            if self.is_wide_copy(at) {
                return true;
            }
            let computed = matches!(graph.op(at), Op::Elementwise(_)) && graph.ty(at).dtype == DType::F32;
            let mut whole = graph.operands(at).iter().copied().filter(|&o| !self.is_small(at, o));
            let Some(operand) = whole.next().filter(|_| computed) else { return false };
            if whole.any(|other| other != operand) {
                return false;
            }
            at = operand;
        }
        false
    }

    /// True if a node is `f32` of a 16-bit tensor.
    fn is_wide_copy(&self, node: NodeId) -> bool {
        let graph = &*self.graph;
        let is_wide = matches!(graph.op(node), Op::Cast(cast) if cast.dtype == DType::F32);
        is_wide && graph.ty(graph.operands(node)[0]).dtype.is_short_float()
    }

    /// True if a node is a copy in `f32` that several contractions read, made of what is computed: in a cluster of its own it can be made for each of them.
    pub(super) fn is_copy_for_several(&self, node: NodeId) -> bool {
        let made_of_port = is_port(self.graph.op(self.graph.operands(node).first().copied().unwrap_or(node)));
        self.forced.contains(&node)
            && self.is_wide_copy(node)
            && !made_of_port
            && self.graph.ty(node).size_bytes() >= MIN_BYTES
            && self.user_clusters(node).len() > 1
    }
}
