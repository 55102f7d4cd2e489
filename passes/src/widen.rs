//! Accumulates 16-bit floats in `f32`.
//!
//! # Does
//! Sums and products of many elements of `bf16` or `f16` (reductions, contractions, pooling by sums and its gradients, scattered sums) get their operands as
//! `f32`, and their result is rounded once, at the end: a sum in 16 bits stops growing after a few hundred terms.
//! # Requires
//! Stage `differentiated`.
//! # Ensures
//! No op that adds up elements, or multiplies them up, has a result of 16 bits, but running sums, whose own kernel converts.
//! # Example
//! `%1 = reduce_sum %0 {axes=[0]} : bf16[]` becomes `%1 = cast %0 {to=f32}`, `%2 = reduce_sum %1 {axes=[0]} : f32[]`, `%3 = cast %2 {to=bf16}`.

use crate::{PassContext, PassError};
use ir::op::reduce::ReduceKind;
use ir::op::window::{PoolKind, PoolMaxGrad, Unpool};
use ir::{Builder, DType, Graph, NodeId, Op};

/// Runs the pass.
///
/// # Errors
/// If a rewrite doesn't type, which is a defect of this pass.
pub fn run(graph: &mut Graph, _: &PassContext) -> Result<(), PassError> {
    for node in graph.topological() {
        let dtype = graph.ty(node).dtype;
        if !dtype.is_short_float() || !accumulates(graph.op(node)) {
            continue;
        }
        let op = graph.op(node).clone();
        let operands = graph.operands(node).to_vec();
        let loc = graph.loc(node).cloned();
        let mut build = Builder::new(graph, loc);
        let widened =
            operands.into_iter().map(|operand| widened(&mut build, operand)).collect::<Result<Vec<_>, _>>()?;
        let wide = build.add(op, &widened)?;
        let new = build.cast(wide, dtype)?;
        graph.replace_uses(node, new);
        graph.remove(node);
    }
    Ok(())
}

/// The operand as `f32` if it is a 16-bit float; indices stay what they are.
fn widened(build: &mut Builder<'_>, operand: NodeId) -> Result<NodeId, PassError> {
    Ok(if build.ty(operand).dtype.is_short_float() { build.cast(operand, DType::F32)? } else { operand })
}

/// Whether an element of the result is made of many elements by adding or multiplying.
fn accumulates(op: &Op) -> bool {
    match op {
        Op::Reduce(op) => matches!(op.kind, ReduceKind::Sum | ReduceKind::Prod),
        Op::Pool(op) => op.kind == PoolKind::Sum,
        // Where windows don't overlap, a gradient goes to one place each.
        Op::PoolMaxGrad(PoolMaxGrad { window }) | Op::Unpool(Unpool { window, .. }) => {
            !window.is_apart().is_ok_and(|apart| apart)
        }
        Op::Dot(_)
        | Op::Conv(_)
        | Op::ConvInputGrad(_)
        | Op::ConvWeightGrad(_)
        | Op::PoolSumGrad(_)
        | Op::ScatterAdd(_) => true,
        _ => false,
    }
}
