//! Programs by signature, each with its own states: what has been made once is not made again.

use super::{CompileError, CompileOptions, CompiledProgram};
use crate::dsl::{ModelErrors, Step};
use std::collections::BTreeMap;

/// Compiled programs by a signature, which says all that distinguishes them: what for, at which batch size.
#[derive(Debug)]
pub struct ProgramCache<K> {
    options: CompileOptions,
    programs: BTreeMap<K, CompiledProgram>,
    /// Whether each program has states of its own.
    own_states: bool,
}

impl<K: Ord + Copy> ProgramCache<K> {
    /// An empty cache; everything in it will be compiled with these options.
    pub fn new(options: CompileOptions) -> Self {
        Self { options, programs: BTreeMap::new(), own_states: true }
    }

    /// An empty cache whose programs have no states: for who has one block for them all.
    pub fn without_states(options: CompileOptions) -> Self {
        Self { own_states: false, ..Self::new(options) }
    }

    /// The options.
    pub fn options(&self) -> &CompileOptions {
        &self.options
    }

    /// The program of that signature, if it has been compiled.
    pub fn get(&mut self, signature: K) -> Option<&mut CompiledProgram> {
        self.programs.get_mut(&signature)
    }

    /// Declares and compiles the program of that signature, unless it has been. True if it has just been compiled.
    ///
    /// # Errors
    /// What is wrong with the declared step or with compiling it.
    pub fn ensure(
        &mut self,
        signature: K,
        declare: impl FnOnce() -> Result<Step, ModelErrors>,
    ) -> Result<bool, CompileError> {
        if self.programs.contains_key(&signature) {
            return Ok(false);
        }
        let step = declare()?;
        let compiled =
            if self.own_states { step.compile(&self.options) } else { step.compile_without_states(&self.options) };
        let program = compiled?;
        self.programs.insert(signature, program);
        Ok(true)
    }

    /// All programs compiled so far.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &CompiledProgram)> {
        self.programs.iter()
    }
}
