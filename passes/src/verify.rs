//! Checks a program against the stage it has reached, with the verifier of its floor.

use crate::{Module, PassError, Stage};

/// Checks a program.
///
/// # Errors
/// Its text, with what is broken under each line.
pub(crate) fn verify(module: &Module, stage: Stage) -> Result<(), PassError> {
    match module {
        Module::Graph(graph) => ir::verify(graph, graph_spec(stage)).map_err(|e| PassError::Invalid(e.to_string())),
        Module::Program(program) => {
            kernel::verify(program, program_spec(stage)).map_err(|e| PassError::Invalid(e.to_string()))
        }
    }
}

fn graph_spec(stage: Stage) -> ir::Spec {
    match stage {
        Stage::Declared => ir::Spec::DECLARED,
        Stage::Differentiated => ir::Spec::DIFFERENTIATED,
        Stage::Fused => ir::Spec::FUSED,
        // A graph is in no later stage.
        _ => ir::Spec::SCHEDULED,
    }
}

fn program_spec(stage: Stage) -> kernel::Spec {
    kernel::Spec { decomposed: stage >= Stage::Decomposed, planned: stage >= Stage::Planned }
}
