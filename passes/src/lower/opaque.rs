//! Ops with a kernel of their own: scatter-add, running sums, orders, and plain copies.

use super::cx::{Placed, flatten};
use super::expr::ValueEmitter;
use super::{Lowering, argsort, cumsum};
use crate::PassError;
use ir::{NodeId, Op, ScalarOp};
use kernel::{Access, Affine, BufferKind};

/// Lowers the op `anchor`.
pub(super) fn lower(lowering: &mut Lowering<'_>, cluster: u32, anchor: NodeId) -> Result<(), PassError> {
    match lowering.graph.op(anchor).clone() {
        Op::ScatterAdd(_) => scatter_add(lowering, cluster, anchor),
        Op::ArgSort(op) => argsort::lower(lowering, anchor, &op),
        Op::CumSum(op) => cumsum::lower(lowering, anchor, &op),
        op => Err(lowering.defect(anchor, &format!("`{op}` has no kernel"))),
    }
}

/// Copies a node's elements to a new buffer of that kind.
pub(super) fn copy(lowering: &mut Lowering<'_>, node: NodeId, kind: BufferKind) -> Result<(), PassError> {
    let ty = lowering.graph.ty(node).clone();
    let to = lowering.add_buffer(ty.dtype, ty.shape.numel(), kind);
    let mut emit = ValueEmitter::new(lowering, None);
    let at = emit.cx.open_all(&ty.shape);
    emit.cx.floor = usize::from(!at.is_empty());
    let value = emit.value(node, &at)?;
    let buf = emit.cx.param(to, ty.dtype, ty.shape.numel(), Access::Write);
    emit.cx.store(buf, &flatten(&at, &ty.shape), value.expr);
    emit.finish("copy".into());
    Ok(())
}

/// Copies the table, then adds row by row in the order of the indices.
fn scatter_add(lowering: &mut Lowering<'_>, cluster: u32, anchor: NodeId) -> Result<(), PassError> {
    let graph = lowering.graph;
    let [table, indices, updates] = [0, 1, 2].map(|i| graph.operands(anchor)[i]);
    let ty = graph.ty(anchor).clone();
    let mut copy = ValueEmitter::new(lowering, Some(cluster));
    let at = copy.cx.open_all(&ty.shape);
    copy.cx.floor = usize::from(!at.is_empty());
    let value = copy.value(table, &at)?;
    copy.store_node(anchor, &at, value.expr);
    copy.finish("scatter_init".into());

    let index_shape = graph.ty(indices).shape.clone();
    let mut emit = ValueEmitter::new(lowering, Some(cluster));
    let index_at = emit.cx.open_all(&index_shape);
    let position = emit.value(indices, &index_at)?;
    let level = emit.cx.depth();
    let row = emit.checked(anchor, indices, Placed { expr: position.expr, level }, ty.shape[0]);
    let row_at = emit.cx.open_all(&ty.shape[1..]);
    let update_at: Vec<Affine> = index_at.iter().chain(&row_at).cloned().collect();
    let update = emit.value(updates, &update_at)?;
    let at: Vec<Affine> = std::iter::once(row).chain(row_at).collect();
    let buffer = emit.lowering.result_buffer(anchor);
    let buf = emit.cx.param(buffer, ty.dtype, ty.shape.numel(), Access::ReadWrite);
    let depth = emit.cx.depth();
    let old = emit.cx.load_at(buf, &flatten(&at, &ty.shape), depth);
    let sum = emit.cx.apply(ScalarOp::ADD, &[old, Placed { expr: update.expr, level: depth }]);
    emit.cx.store(buf, &flatten(&at, &ty.shape), sum.expr);
    emit.finish("scatter_add".into());
    Ok(())
}
