//! The programs of a predictor: compiled here, or of a library that was compiled elsewhere.

use super::{ServedSize, TrainError, declare};
#[cfg(feature = "built")]
use crate::compile::{BuiltModel, BuiltProgram, CompileError};
use crate::compile::{CompileOptions, CompiledProgram, PortAccess, PortTypes, RunError, States};
use crate::model::Model;
use ir::{Loc, TensorType};
use runtime::{PortMemory, ProgramInputs};
use std::sync::Arc;

/// Where programs come from.
pub(super) enum ProgramSource {
    /// Steps, which are compiled.
    Steps {
        /// What all programs read.
        states: Arc<States>,
        options: CompileOptions,
        /// What declares steps, with the place where the user compiled it; none where all are there.
        model: Option<(Arc<dyn Model>, Loc)>,
    },
    /// A library that has their code.
    #[cfg(feature = "built")]
    Library(BuiltModel),
}

/// Names and types.
type NamedTypes = Vec<(String, TensorType)>;

impl ProgramSource {
    /// The states, if they have names.
    pub(super) fn states(&self) -> Option<&States> {
        match self {
            Self::Steps { states, .. } => Some(states),
            #[cfg(feature = "built")]
            Self::Library(_) => None,
        }
    }

    /// Bytes of the states.
    pub(super) fn state_bytes(&self) -> usize {
        match self {
            Self::Steps { states, .. } => states.bytes(),
            #[cfg(feature = "built")]
            Self::Library(model) => model.state_bytes(),
        }
    }

    /// Inputs and outputs of the largest batch, with the axis that counts samples.
    pub(super) fn port_types(&self, sizes: &[ServedSize]) -> (NamedTypes, NamedTypes) {
        match self {
            Self::Steps { .. } => {
                let Some(step) = sizes.iter().rev().find_map(|size| size.step.get()) else { return (vec![], vec![]) };
                let graph = &step.graph;
                let inputs = graph.inputs().map(|(_, input)| (input.name.clone(), input.ty.clone()));
                let outputs = graph.outputs().iter().map(|(name, node)| (name.clone(), graph.ty(*node).clone()));
                (inputs.collect(), outputs.collect())
            }
            #[cfg(feature = "built")]
            Self::Library(model) => {
                let largest = model.largest();
                largest.map_or((vec![], vec![]), |entry| (entry.inputs().to_vec(), entry.outputs().to_vec()))
            }
        }
    }

    /// Another program.
    pub(super) fn program(&self, size: &ServedSize) -> Result<ServedProgram, TrainError> {
        match self {
            Self::Steps { states, options, model } => {
                let step = match (size.step.get(), model) {
                    (Some(step), _) => step,
                    (None, Some((model, at))) => {
                        let step = declare(&**model, size.samples, at)?;
                        size.step.get_or_init(|| step)
                    }
                    (None, None) => return Err(TrainError::Setting("a step that was given is gone".into())),
                };
                let mut program = step.compile_without_states(options)?;
                program.share(Arc::clone(states))?;
                Ok(ServedProgram::Compiled(Box::new(program)))
            }
            #[cfg(feature = "built")]
            Self::Library(model) => {
                Ok(ServedProgram::Built(Box::new(model.program(size.samples).map_err(CompileError::from)?)))
            }
        }
    }
}

/// A program of one size of a batch.
pub(super) enum ServedProgram {
    /// Compiled here.
    Compiled(Box<CompiledProgram>),
    /// An entry of a library.
    #[cfg(feature = "built")]
    Built(Box<BuiltProgram>),
}

impl ServedProgram {
    /// Bytes of its memory, states apart.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Compiled(program) => program.report().memory.arena,
            #[cfg(feature = "built")]
            Self::Built(program) => program.bytes(),
        }
    }
}

impl PortAccess for ServedProgram {
    fn ports(&self) -> (&PortTypes, &PortMemory) {
        match self {
            Self::Compiled(program) => program.ports(),
            #[cfg(feature = "built")]
            Self::Built(program) => program.ports(),
        }
    }

    fn inputs_mut(&mut self) -> (&PortTypes, ProgramInputs<'_>) {
        match self {
            Self::Compiled(program) => program.inputs_mut(),
            #[cfg(feature = "built")]
            Self::Built(program) => program.inputs_mut(),
        }
    }

    fn run_step(&mut self) -> Result<(), RunError> {
        match self {
            Self::Compiled(program) => program.run_step(),
            #[cfg(feature = "built")]
            Self::Built(program) => program.run_step(),
        }
    }
}
