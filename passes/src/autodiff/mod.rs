//! Automatic differentiation, reverse mode, graph to graph.
//!
//! # Does
//! Replaces each `gradient %loss, %wrt` by nodes that compute it, each `stop_gradient` by its operand, and each `weighted_mean` by a product and a quotient. All gradients of one loss
//! share one reverse sweep (see `sweep`). A loss that depends on a gradient is differentiated after that gradient has been
//! expanded, through the nodes it was expanded to: gradients of gradients need nothing of their own. Where several gradients meet in
//! a node they are added in the order in which the sweep, from the last node in topological order to the first, produces them; the
//! order depends on the graph alone. All results of a scan are differentiated together, to another scan in the other direction (see `scan`).
//!
//! # Requires
//! Losses are float scalars (the verifier checks it).
//!
//! # Ensures
//! No `gradient`, `stop_gradient` or `weighted_mean` is left. New nodes carry the source location of the node whose derivative they belong to, and so its layer;
//! all nodes that have a place say which section of the step they are of: forward, backward or update.
//!
//! # Example
//! ```text
//! %0 = state {name="w"} : f32[4]              %0 = state {name="w"} : f32[4]
//! %1 = mul %0, %0 : f32[4]                    %1 = full {value=(1.0)} : f32[]
//! %2 = reduce_sum %1 {axes=[0]} : f32[]   →   %2 = broadcast %1 {axes=[]} : f32[4]
//! %3 = gradient %2, %0 : f32[4]               %3 = mul %2, %0 : f32[4]
//! output "dw" = %3                            %4 = mul %2, %0 : f32[4]
//!                                             %5 = add %3, %4 : f32[4]
//!                                             output "dw" = %5
//! ```
//! (The forward nodes, which nothing needs here, are left to `dce`.)

mod controls;
mod scan;
mod sweep;

use crate::{PassContext, PassError};
use controls::replace_controls;
use ir::{Builder, Graph, NodeId, Op, Section};
use std::collections::BTreeSet;

/// The pass.
///
/// # Errors
/// If an op on a path from a loss to what it is differentiated by has no derivative.
pub fn run(graph: &mut Graph, cx: &PassContext) -> Result<(), PassError> {
    for (id, section) in graph.sections() {
        graph.set_section(id, section);
    }
    while let Some(loss) = innermost_loss(graph) {
        expand(graph, loss, cx)?;
    }
    replace_controls(graph)
}

/// The loss of the first gradient in topological order: it depends on no other gradient.
fn innermost_loss(graph: &Graph) -> Option<NodeId> {
    let first = graph.topological().into_iter().find(|&id| is_gradient(graph, id))?;
    Some(graph.operands(first)[0])
}

fn is_gradient(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.op(id), Op::Gradient(_))
}

/// Replaces all gradients of `loss`.
fn expand(graph: &mut Graph, loss: NodeId, cx: &PassContext) -> Result<(), PassError> {
    let gradients: Vec<NodeId> =
        graph.users(loss).into_iter().filter(|&id| is_gradient(graph, id) && graph.operands(id)[0] == loss).collect();
    let wrt: BTreeSet<NodeId> = gradients.iter().map(|&id| graph.operands(id)[1]).collect();
    let before: BTreeSet<NodeId> = graph.ids().collect();
    let found = sweep::reverse(graph, loss, &wrt, cx)?;
    for id in graph.ids().filter(|id| !before.contains(id)).collect::<Vec<_>>() {
        graph.set_section(id, Section::Backward);
    }
    for id in gradients {
        // Looked up late: if it was itself a gradient of this loss, it has been replaced by now, and the loss does not depend on it.
        let wrt = graph.operands(id)[1];
        let gradient = match found.get(&wrt) {
            Some(&gradient) => gradient,
            None => {
                let loc = graph.loc(id).cloned();
                Builder::new(graph, loc).zeros_like(wrt)?
            }
        };
        graph.replace_uses(id, gradient);
        graph.remove(id);
    }
    Ok(())
}
