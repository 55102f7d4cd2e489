//! Concatenations that are written to memory: each part is stored where it belongs, without asking at each element which part it is in.

use super::Lowering;
use super::expr::Emit;
use crate::PassError;
use crate::fuse::cluster::outputs;
use ir::op::movement::Concat;
use ir::{NodeId, Op};
use kernel::Affine;

/// The concatenation that a loop cluster is, if it gives nothing else and folds nothing.
pub(super) fn root(lowering: &Lowering<'_>, cluster: u32, nodes: &[NodeId]) -> Option<(NodeId, usize)> {
    let graph = lowering.graph;
    let [node] = outputs(graph, cluster, nodes)[..] else { return None };
    let folds = nodes.iter().any(|&n| matches!(graph.op(n), Op::Reduce(_) | Op::Random(_)));
    match graph.op(node) {
        Op::Concat(Concat { axis }) if !folds => Some((node, *axis)),
        _ => None,
    }
}

/// One kernel: around all parts the loops over the axes before the one along which they follow one another; inside, a loop for each
/// part, or one for all if they are alike.
pub(super) fn lower(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    (node, axis): (NodeId, usize),
    nodes: &[NodeId],
) -> Result<(), PassError> {
    let graph = lowering.graph;
    let shape = graph.ty(node).shape.clone();
    let parts = graph.operands(node);
    let extent = |part: &NodeId| graph.ty(*part).shape[axis];
    let alike = parts.iter().all(|part| extent(part) == extent(&parts[0]));
    let groups: Vec<&[NodeId]> = if alike { vec![parts] } else { parts.chunks(1).collect() };
    let name = lowering.kernel_name(nodes);
    let mut emit = Emit::new(lowering, Some(cluster));
    let outer = emit.cx.open_all(&shape[..axis]);
    emit.cx.floor = usize::from(!outer.is_empty());
    let depth = emit.cx.depth();
    let mut start = 0;
    for group in groups {
        let inner = emit.cx.open_all(&graph.ty(group[0]).shape[axis..]);
        let at: Vec<Affine> = outer.iter().chain(&inner).cloned().collect();
        for part in group {
            let value = emit.value(*part, &at)?;
            let mut to = at.clone();
            to[axis] = to[axis].clone().plus(start);
            emit.store_node(node, &to, value.expr);
            start += extent(part) as i64;
        }
        emit.cx.close_to(depth);
        emit.values.drop_below(depth);
    }
    emit.finish(name);
    Ok(())
}
