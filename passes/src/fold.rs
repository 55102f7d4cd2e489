//! Constant folding.
//!
//! # Does
//! Evaluates nodes whose operands are all known (`full` or `constant`) with the reference interpreter. An elementwise op on `full`
//! operands stays a `full`, whatever its size; any other node is evaluated only if its operands and its result have few elements
//! ([`crate::PassOptions::fold_elements`]), so that a program doesn't grow by its tables. Movement that makes no more elements than a
//! constant has (`permute`, `reshape`, `slice`) is done whatever the size: the weights of imported models would be turned at every step.
//! A result whose elements are all equal becomes a `full`. What would fail (an index out of range) is left for the run to report.
//!
//! # Requires
//! No gradients to be derived.
//!
//! # Ensures
//! No small node has known operands only, and no movement of a constant is left that keeps or lessens its elements.
//!
//! # Example
//! ```text
//! %0 = full {value=(3.0)} : f32[1024]
//! %1 = full {value=(0.5)} : f32[1024]
//! %2 = mul %0, %1 : f32[1024]           →    %2 = full {value=(1.5)} : f32[1024]
//! ```

use crate::dce::remove_dead;
use crate::{PassContext, PassError};
use ir::op::source::{Constant, Full};
use ir::{Family, Graph, NodeId, Op, Shape, TensorType, Value};

/// The pass.
///
/// # Errors
/// None; typed as the other passes.
pub fn run(graph: &mut Graph, cx: &PassContext) -> Result<(), PassError> {
    for id in graph.topological() {
        if let Some(op) = evaluate(graph, id, cx.options.fold_elements) {
            let loc = graph.loc(id).cloned();
            let known = graph.add(op, &[], loc)?;
            graph.replace_uses(id, known);
            remove_dead(graph, id);
        }
    }
    Ok(())
}

/// The `full` or `constant` that node `id` is, if it is known and small.
fn evaluate(graph: &Graph, id: NodeId, limit: usize) -> Option<Op> {
    let node = graph.node(id);
    let operands = node.operands();
    if operands.is_empty() {
        return None;
    }
    if node.op().family() == Family::Elementwise && operands.iter().all(|&o| matches!(graph.op(o), Op::Full(_))) {
        return evaluate_full(graph, id);
    }
    let small = |id: NodeId| graph.ty(id).shape.numel() <= limit;
    if !(small(id) && operands.iter().all(|&o| small(o)) || moves_constant(graph, id)) {
        return None;
    }
    let values: Vec<Value> = operands.iter().map(|&o| known(graph, o)).collect::<Option<_>>()?;
    let values: Vec<&Value> = values.iter().collect();
    let value = node.op().rules().eval(&values, node.ty()).ok()?;
    let first = value.get(0);
    if (1..value.data().len()).all(|i| value.get(i) == first) {
        return Some(Op::Full(Full { value: first, shape: node.ty().shape.clone() }));
    }
    Some(Op::Constant(Constant { value }))
}

/// True if the node moves a constant, and its table isn't larger than that one's.
fn moves_constant(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    let numel = |id: NodeId| graph.ty(id).shape.numel();
    match node.operands() {
        [x] if node.op().family() == Family::Movement => {
            matches!(graph.op(*x), Op::Constant(_)) && numel(id) <= numel(*x)
        }
        _ => false,
    }
}

/// An elementwise op on `full` operands is evaluated on one element.
fn evaluate_full(graph: &Graph, id: NodeId) -> Option<Op> {
    let node = graph.node(id);
    let mut elements = Vec::new();
    for &operand in node.operands() {
        let Op::Full(full) = graph.op(operand) else { return None };
        elements.push(Value::splat(full.value, Shape::scalar()));
    }
    let elements: Vec<&Value> = elements.iter().collect();
    let ty = TensorType::new(node.ty().dtype, Shape::scalar());
    let value = node.op().rules().eval(&elements, &ty).ok()?;
    Some(Op::Full(Full { value: value.get(0), shape: node.ty().shape.clone() }))
}

fn known(graph: &Graph, id: NodeId) -> Option<Value> {
    match graph.op(id) {
        Op::Full(full) => Some(Value::splat(full.value, full.shape.clone())),
        Op::Constant(constant) => Some(constant.value.clone()),
        _ => None,
    }
}
