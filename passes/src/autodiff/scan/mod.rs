//! The derivative of a scan: another scan, in the other direction, over what the first one kept.
//!
//! A step's forward and backward ops are first one graph, in which forward values are simplified together with what the derivative makes
//! of them. `split` then says which forward values are kept for the backward step (*residuals*) and which it computes again. The residuals
//! become further stacked results of the forward scan. The backward scan carries the cotangents of the carries; its sequences are
//! the residuals, the forward scan's sequences and the cotangents of its stacked results; its stacked results are the gradients of the sequences.
//!
//! The gradient of an invariant is the sum of what all steps contribute. A contribution that is a contraction or a sum is stacked
//! and summed after the scan (the pass `hoist` then makes one contraction over all steps of it); others are added up in a carry.

mod backward;
mod joint;
mod split;

use crate::{PassContext, PassError};
use ir::{Builder, Graph, NodeId, Op, ScalarOp};
use joint::Joint;
use std::collections::{BTreeMap, BTreeSet};

/// The gradients by the operands of the scan that node `id` is a result of, from the cotangents of its nodes. Operands that aren't `wanted` have
/// none. The scan's nodes get a body that gives residuals too.
///
/// # Errors
/// If an op of the body has no derivative.
pub(super) fn gradients(
    graph: &mut Graph,
    id: NodeId,
    cotangents: &BTreeMap<NodeId, NodeId>,
    wanted: &BTreeSet<NodeId>,
    cx: &PassContext,
) -> Result<Vec<Option<NodeId>>, PassError> {
    let Op::Scan(scan) = graph.op(id).clone() else {
        return Err(PassError::defect(graph, id, "this is no scan"));
    };
    let cotangents = by_result(graph, cotangents)?;
    let wanted: Vec<bool> = graph.operands(id).iter().map(|operand| wanted.contains(operand)).collect();
    let joint = Joint::new(&scan, &cotangents, &wanted, cx)?;
    let split = split::Split::new(&joint, scan.recompute);
    let scan = split::keep(graph, id, &scan, &joint, &split)?;
    backward::emit(graph, id, &scan, &joint, &split, &cotangents)
}

/// The cotangent of each result, by its number.
fn by_result(graph: &mut Graph, cotangents: &BTreeMap<NodeId, NodeId>) -> Result<BTreeMap<usize, NodeId>, PassError> {
    let mut sums: BTreeMap<usize, NodeId> = BTreeMap::new();
    for (&node, &cotangent) in cotangents {
        let Op::Scan(scan) = graph.op(node) else { continue };
        let (select, loc) = (scan.select, graph.loc(node).cloned());
        let sum = match sums.get(&select) {
            Some(&other) => Builder::new(graph, loc).binary(ScalarOp::ADD, other, cotangent)?,
            None => cotangent,
        };
        sums.insert(select, sum);
    }
    Ok(sums)
}
