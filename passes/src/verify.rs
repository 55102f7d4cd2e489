//! Checks a program against the stage it has reached, with the verifier of its floor; and tells programs apart by numbers, so that what hasn't changed isn't checked
//! again.

use crate::{Module, PassError, Stage};
use kernel::Fingerprint;
use std::collections::BTreeSet;

/// What a program was before a pass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum BeforePass {
    /// The version of a graph.
    Graph(u64),
    /// The numbers of a program.
    Program(Fingerprint),
}

impl BeforePass {
    pub(crate) fn of(module: &Module) -> Self {
        match module {
            Module::Graph(graph) => Self::Graph(graph.version()),
            Module::Program(program) => Self::Program(program.fingerprint()),
        }
    }
}

/// What has been checked so far.
#[derive(Default)]
pub(crate) struct Verified {
    /// The program that was checked last, against which stage.
    last: Option<(BeforePass, Stage)>,
    /// Kernels that have been checked: against which spec, in a program with how many checks, and their numbers.
    kernels: Option<(kernel::Spec, usize, BTreeSet<u64>)>,
}

impl Verified {
    /// Checks a program, which `state` is of, where that hasn't been done.
    ///
    /// # Errors
    /// Its text, with what is broken under each line.
    pub(crate) fn verify(&mut self, module: &Module, state: &BeforePass, stage: Stage) -> Result<(), PassError> {
        let now = (state.clone(), stage);
        if self.last.as_ref() == Some(&now) {
            return Ok(());
        }
        match (module, state) {
            (Module::Graph(graph), _) => {
                ir::verify(graph, graph_spec(stage)).map_err(|e| PassError::Invalid(e.to_string()))?;
            }
            (Module::Program(program), BeforePass::Program(numbers)) => {
                let context = (program_spec(stage), program.checks.len());
                let known = self.kernels.take().filter(|(spec, checks, _)| (*spec, *checks) == context);
                let mut sound = known.map(|(.., sound)| sound).unwrap_or_default();
                kernel::verify_but(program, numbers, context.0, &sound)
                    .map_err(|e| PassError::Invalid(e.to_string()))?;
                sound.extend(&numbers.kernels);
                self.kernels = Some((context.0, context.1, sound));
            }
            (Module::Program(program), BeforePass::Graph(_)) => {
                kernel::verify(program, program_spec(stage)).map_err(|e| PassError::Invalid(e.to_string()))?;
            }
        }
        self.last = Some(now);
        Ok(())
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
