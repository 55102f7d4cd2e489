//! What each stage promises, checked after each pass on top of the verifiers of `ir` and `kernel`.
//!
//! 1. From *differentiated* on, a graph has no gradients to be derived and no barriers to them.

use crate::{Module, PassError, Stage};
use ir::{Family, Graph};

/// Checks a program against its stage.
///
/// # Errors
/// The text of all that is broken.
pub(crate) fn verify(module: &Module, stage: Stage) -> Result<(), PassError> {
    let Module::Graph(graph) = module else { return Ok(()) };
    let broken = stage_errors(graph, stage);
    if broken.is_empty() { Ok(()) } else { Err(PassError::Invalid(broken.join("\n"))) }
}

fn stage_errors(graph: &Graph, stage: Stage) -> Vec<String> {
    let mut broken = Vec::new();
    if stage >= Stage::Differentiated {
        for id in graph.ids().filter(|&id| graph.op(id).family() == Family::Control) {
            broken.push(format!("{id}: a `{}` is left in a program that is {stage}", graph.op(id).name()));
        }
    }
    broken
}
