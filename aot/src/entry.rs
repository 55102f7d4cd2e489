//! What is built: a step's loops, for each processor that code is wanted for, and what its states start with.

use crate::AotError;
use codegen::{EmitOptions, Object};
use gradc::dsl::Initializer;
use ir::TensorType;
use kernel::{Program, Target};
use std::collections::BTreeMap;

/// A step to be built.
#[derive(Clone, Debug)]
pub struct EntryPoint {
    /// The prefix of all symbols: `cnn_train`.
    pub name: String,
    /// What the header says it is, a line or more: a layer's listing, where it comes from.
    pub about: String,
    /// The step for one or several processors of one system. A machine runs the last one whose instructions it has, of those in ascending order.
    pub variants: Vec<Variant>,
    /// The shapes of inputs and outputs, for the header: those that aren't named are flat.
    pub shapes: BTreeMap<String, Vec<usize>>,
    /// The shapes of states, for the header and the manifest: those that aren't named are flat.
    pub state_shapes: BTreeMap<String, Vec<usize>>,
    /// What states start with; those that aren't named start with zeros.
    pub initial: BTreeMap<String, Initial>,
}

/// A step's loops for one processor.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The processor, and the system.
    pub target: Target,
    /// The loops, with a memory plan.
    pub program: Program,
}

/// What a state starts with: the values of [`Initializer::value`] for the seed that `NAME_init` gets.
#[derive(Clone, PartialEq, Debug)]
pub struct Initial {
    /// The state's type.
    pub ty: TensorType,
    /// How its elements are made.
    pub init: Initializer,
}

impl EntryPoint {
    /// Compiles the variants, in the order of their instruction sets, after checking that their code can be trusted.
    pub(crate) fn compile(&self) -> Result<Vec<Object>, AotError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let compile = |variant: &Variant| {
            runtime::check_program(&variant.program)?;
            let options =
                EmitOptions { threads, position_independent: true, ..EmitOptions::new(variant.target.clone()) };
            Ok(codegen::emit(variant.program.clone(), &options)?)
        };
        self.sorted().into_iter().map(compile).collect()
    }

    /// The variants, in the order of their instruction sets.
    pub(crate) fn sorted(&self) -> Vec<&Variant> {
        let mut variants: Vec<&Variant> = self.variants.iter().collect();
        variants.sort_by_key(|variant| variant.target.instruction_set());
        variants
    }
}
