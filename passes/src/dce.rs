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

/// What [`remove_dead`] did.
#[derive(Default)]
pub(crate) struct Removed {
    /// The nodes that are gone.
    pub(crate) nodes: Vec<NodeId>,
    /// Operands of theirs that may have other users, and have fewer now.
    pub(crate) operands: Vec<NodeId>,
}

/// Removes `id` and what only it used, where nothing uses it.
pub(crate) fn remove_dead(graph: &mut Graph, id: NodeId) -> Removed {
    let mut stack = vec![id];
    let mut removed = Removed::default();
    while let Some(id) = stack.pop() {
        if !graph.contains(id) {
            continue;
        }
        if is_port(graph, id) || graph.is_result(id) || graph.has_users(id) {
            removed.operands.push(id);
        } else {
            stack.extend_from_slice(graph.operands(id));
            graph.remove(id);
            removed.nodes.push(id);
        }
    }
    removed
}
