//! Checks a program against the stage it has reached, with the verifier of its floor.

use crate::{Module, PassError, Stage};
use ir::Spec;

/// Checks a program.
///
/// # Errors
/// Its text, with what is broken under each line.
pub(crate) fn verify(module: &Module, stage: Stage) -> Result<(), PassError> {
    match module {
        Module::Graph(graph) => ir::verify(graph, spec(stage)).map_err(|e| PassError::Invalid(e.to_string())),
        Module::Program(_) => Ok(()),
    }
}

fn spec(stage: Stage) -> Spec {
    match stage {
        Stage::Declared => Spec::DECLARED,
        Stage::Differentiated => Spec::DIFFERENTIATED,
        Stage::Fused => Spec::FUSED,
        // A graph is in no later stage.
        _ => Spec::SCHEDULED,
    }
}
