//! `f32` made of 16-bit tensors: what waits in memory is the tensor that it is made of, in half the bytes.

use super::fuser::{Fuser, is_port};
use super::recompute::{MAX_IN_A_ROW, MIN_BYTES};
use crate::PassError;
use crate::fuse::cluster::ClusterKind;
use ir::scalar::Cost;
use ir::{DType, Graph, NodeId, Op};
use std::collections::BTreeSet;

/// What isn't cheap is computed by that many clusters: the forward and the backward pass of an activation.
const MAX_CLUSTERS: usize = 2;

/// Gradients of kernels with fewer columns don't fill a vector.
const MIN_COLUMNS: usize = 16;

/// Gives gradients of kernels, whose right factor is `f32` of a 16-bit tensor, a cast of their own, and returns these casts: elements are converted where a block of that factor is packed, so
/// that the gradient of a convolution's whole result, often the largest tensor of a step, is in memory in 16 bits only.
pub(super) fn converted_when_packed(graph: &mut Graph) -> Result<BTreeSet<NodeId>, PassError> {
    let mut converted = BTreeSet::new();
    for node in graph.topological() {
        let Op::ConvWeightGrad(op) = graph.op(node) else { continue };
        let right = graph.operands(node)[1];
        let columns = graph.ty(right).shape.iter().last().map_or(0, |channels| channels / op.groups);
        if is_wide_copy(graph, right) && columns >= MIN_COLUMNS && graph.ty(right).size_bytes() >= MIN_BYTES {
            let (op, half) = (graph.op(right).clone(), graph.operands(right)[0]);
            let cast = graph.add(op, &[half], graph.loc(right).cloned())?;
            graph.set_operand(node, 1, cast);
            converted.insert(cast);
        }
    }
    graph.sweep();
    Ok(converted)
}

/// True if a node is `f32` of a 16-bit tensor.
fn is_wide_copy(graph: &Graph, node: NodeId) -> bool {
    let is_wide = matches!(graph.op(node), Op::Cast(cast) if cast.dtype == DType::F32);
    is_wide && graph.ty(graph.operands(node)[0]).dtype.is_short_float()
}

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
            if is_wide_copy(graph, at) {
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

    /// True if a node is a copy in `f32` for contractions of what is computed, and either several read it or its elements are in memory in 16 bits, too: in a cluster of its own it can be made right
    /// before each use.
    pub(super) fn is_copy_apart(&self, node: NodeId) -> bool {
        let graph = &*self.graph;
        if !self.forced.contains(&node) || !is_wide_copy(graph, node) || graph.ty(node).size_bytes() < MIN_BYTES {
            return false;
        }
        let half = graph.operands(node)[0];
        let several = self.user_clusters(node).len() > 1 || graph.users(half).len() > 1;
        several && !is_port(graph.op(half))
    }
}
