//! Refuses graphs that no memory holds before any is allocated, and says of memory that isn't to be had what it was for.

use super::CompileError;
use crate::dsl::StateSpec;
use ir::{Graph, NodeId, Op, TensorType};
use runtime::LoadError;

/// Bytes that a process can address on the machines there are: 47 bits. No tensor is larger, whether it would have to be in memory or not.
pub const ADDRESSABLE: u128 = 1 << 47;

fn bytes(ty: &TensorType) -> u128 {
    ty.shape.numel() as u128 * ty.dtype.size_bytes() as u128
}

/// A node as an error names it.
fn describe(graph: &Graph, node: NodeId) -> String {
    let ty = graph.ty(node);
    match graph.op(node) {
        Op::Input(input) => format!("input `{}`, {ty},", input.name),
        Op::State(state) => format!("`{}`, {ty},", state.name),
        op => format!("the result of `{}`, {ty},", op.name()),
    }
}

fn too_large(graph: &Graph, node: NodeId, what: String, bytes: u128) -> CompileError {
    CompileError::Memory { what, bytes, loc: graph.loc(node).cloned() }
}

/// Checks the sizes of a graph's tensors, and of all that it keeps from step to step.
///
/// # Errors
/// If one of them, or the sum, is more than can be addressed.
pub(super) fn check(graph: &Graph) -> Result<(), CompileError> {
    for node in graph.ids() {
        let bytes = bytes(graph.ty(node));
        if bytes > ADDRESSABLE {
            let what = format!("{} takes {bytes} bytes, and {ADDRESSABLE} can be addressed", describe(graph, node));
            return Err(too_large(graph, node, what, bytes));
        }
    }
    let kept = kept(graph);
    let sum: u128 = kept.iter().map(|&node| bytes(graph.ty(node))).sum();
    match largest(graph, &kept) {
        Some(node) if sum > ADDRESSABLE => {
            let what = format!(
                "inputs, states and outputs take {sum} bytes, and {ADDRESSABLE} can be addressed; the largest, {} takes {}",
                describe(graph, node),
                bytes(graph.ty(node))
            );
            Err(too_large(graph, node, what, sum))
        }
        _ => Ok(()),
    }
}

/// Inputs, states and outputs.
fn kept(graph: &Graph) -> Vec<NodeId> {
    let ports = graph.ids().filter(|&node| matches!(graph.op(node), Op::Input(_) | Op::State(_)));
    ports.chain(graph.outputs().iter().map(|(_, node)| *node)).collect()
}

/// The first of the largest.
fn largest(graph: &Graph, nodes: &[NodeId]) -> Option<NodeId> {
    nodes.iter().copied().max_by_key(|&node| (bytes(graph.ty(node)), std::cmp::Reverse(node)))
}

/// What to say where a step's memory isn't to be had: the tensor that takes most of it, with its place.
pub(super) fn explain(graph: &Graph, error: LoadError) -> CompileError {
    match error {
        LoadError::OutOfMemory { what, bytes: asked } => {
            let all: Vec<NodeId> = graph.ids().collect();
            let Some(node) = largest(graph, &all) else { return error.into() };
            let (part, own) = (describe(graph, node), bytes(graph.ty(node)));
            let what = format!("no memory for {what}: {asked} bytes; the largest tensor, {part} takes {own}");
            too_large(graph, node, what, asked as u128)
        }
        error => error.into(),
    }
}

/// Makes sure that a state's initial value can be made.
///
/// # Errors
/// If there is no memory for it.
pub(super) fn reserve(graph: &Graph, state: &StateSpec) -> Result<(), CompileError> {
    let asked = state.init.bytes(&state.ty);
    let is_there = usize::try_from(asked).is_ok_and(|asked| Vec::<u8>::new().try_reserve_exact(asked).is_ok());
    if is_there {
        return Ok(());
    }
    let node = graph.states().find(|(_, port)| port.name == state.name).map(|(node, _)| node);
    let what = format!("no memory for the initial value of `{}`, {}: {asked} bytes", state.name, state.ty);
    Err(CompileError::Memory { what, bytes: asked, loc: node.and_then(|node| graph.loc(node).cloned()) })
}
