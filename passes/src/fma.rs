//! Fuses products into the sums that alone use them.
//!
//! # Does
//! On targets that have the instruction, `a * b + c`, `a * b - c` and `c - a * b` become `fma`, rounded once, where nothing else uses the product
//! and it is `f32` or `f64`. Of two such products the first is fused.
//!
//! It is decided here, on the graph, because `fuse` may compute a tensor's elements in several places, and what each loop uses a product for differs:
//! decided there, two copies of an element could differ in rounding, and no element need equal the maximum that was found of the other copies.
//! # Requires
//! Stage `differentiated`.
//! # Ensures
//! Later passes round every elementwise op as it is written. Only what goes into a reduction is still fused with its sum, in `decompose`.
//! # Example
//! `%3 = mul %0, %1` and `%4 = sub %2, %3` become `%3 = neg %0` and `%4 = fma %3, %1, %2`.

use crate::{PassContext, PassError};
use ir::op::source::Full;
use ir::{Builder, DType, Graph, NodeId, Op, ScalarOp};

/// Runs the pass.
///
/// # Errors
/// If a rewrite doesn't type, which is a defect of this pass.
pub fn run(graph: &mut Graph, context: &PassContext) -> Result<(), PassError> {
    if !context.target.fma() {
        return Ok(());
    }
    for node in graph.topological() {
        let Op::Elementwise(op) = *graph.op(node) else { continue };
        if !(op == ScalarOp::ADD || op == ScalarOp::SUB) {
            continue;
        }
        let operands = [0, 1].map(|i| graph.operands(node)[i]);
        let Some(which) = (0..2).find(|&i| is_product_for(graph, operands[i], node)) else { continue };
        let (product, mut other) = (operands[which], operands[1 - which]);
        let mut factors = [0, 1].map(|i| graph.operands(product)[i]);
        let loc = graph.loc(node).cloned();
        let mut build = Builder::new(graph, loc);
        if op == ScalarOp::SUB && which == 0 {
            other = negated(&mut build, other)?;
        } else if op == ScalarOp::SUB {
            factors.sort_by_key(|&factor| negating_costs(build.graph(), factor));
            factors[0] = negated(&mut build, factors[0])?;
        }
        let new = build.add(Op::Elementwise(ScalarOp::FMA), &[factors[0], factors[1], other])?;
        graph.replace_uses(node, new);
        graph.remove(node);
        graph.remove(product);
    }
    Ok(())
}

/// Whether a node is a product of floats that goes into `sum` alone, and there once.
fn is_product_for(graph: &Graph, node: NodeId, sum: NodeId) -> bool {
    let fused = matches!(graph.op(node), Op::Elementwise(op) if *op == ScalarOp::MUL)
        && matches!(graph.ty(node).dtype, DType::F32 | DType::F64);
    let once = || graph.operands(sum).iter().filter(|&&operand| operand == node).count() == 1;
    fused && !graph.is_result(node) && graph.users(node) == [sum] && once()
}

/// Whether the sign of a constant has to change, of what is the same for many elements, or of an element each.
fn negating_costs(graph: &Graph, node: NodeId) -> u8 {
    match graph.op(node) {
        Op::Full(_) => 0,
        Op::Broadcast(_) => 1,
        _ => 2,
    }
}

fn negated(build: &mut Builder<'_>, node: NodeId) -> Result<NodeId, PassError> {
    if let Op::Full(Full { value, shape }) = build.graph().op(node).clone() {
        let value = (ScalarOp::NEG.def().eval)(&[value]);
        return Ok(build.full(value, shape)?);
    }
    Ok(build.unary(ScalarOp::NEG, node)?)
}
