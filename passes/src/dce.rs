//! Dead code elimination.
//!
//! # Does
//! Removes every node that no output and no update depends on. Inputs and states stay: they are the program's ports. A `check_index`
//! whose result nothing uses goes too, and its check with it.
//!
//! # Requires
//! Nothing.
//!
//! # Ensures
//! Every node but inputs and states is needed by a result.
//!
//! # Example
//! ```text
//! %0 = input {name="x"} : f32[4]          %0 = input {name="x"} : f32[4]
//! %1 = exp %0 : f32[4]               →    %1 = neg %0 : f32[4]
//! %2 = neg %0 : f32[4]                    output "y" = %1
//! output "y" = %2
//! ```

use crate::{PassContext, PassError};
use ir::{Graph, NodeId, Op};

/// The pass.
///
/// # Errors
/// None.
pub fn run(graph: &mut Graph, _: &PassContext) -> Result<(), PassError> {
    graph.sweep();
    Ok(())
}

/// True for the nodes that stay whether they are used or not.
pub(crate) fn is_port(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.op(id), Op::Input(_) | Op::State(_))
}

/// Removes `id` and what only it used, where nothing uses it; gives what has been removed.
pub(crate) fn remove_dead(graph: &mut Graph, id: NodeId) -> Vec<NodeId> {
    let mut stack = vec![id];
    let mut removed = Vec::new();
    while let Some(id) = stack.pop() {
        if graph.contains(id) && !is_port(graph, id) && !graph.is_result(id) && !graph.has_users(id) {
            stack.extend_from_slice(graph.operands(id));
            graph.remove(id);
            removed.push(id);
        }
    }
    removed
}
