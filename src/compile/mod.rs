//! The driver: from a declared step to a program that runs.
//!
//! [`Step::compile`](crate::dsl::Step::compile) runs the passes, has the loops compiled to native code, gives the program its memory and
//! fills the states with their initial values.
//!
//! ```
//! use gradc::compile::CompileOptions;
//! use gradc::data::array;
//! use gradc::dsl::{f32, GraphBuilder, zeros};
//! use gradc::optim::Sgd;
//! let g = GraphBuilder::new("fit");
//! let w = g.param("w", f32([2]), zeros());
//! let loss = (g.input("x", f32([2])) - w).square().mean();
//! let step = g.minimize(loss, &Sgd::new(0.5))?;
//! let mut program = step.compile(&CompileOptions::default())?;
//! let x = array([2], vec![3.0f32, 5.0])?;
//! let out = program.run([("x", &x)])?;
//! assert_eq!(out["loss"].to_f64_vec(), [17.0]);
//! assert_eq!(program.state::<f32>("w")?, [1.5, 2.5]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "built")]
mod built;
pub mod cache;
mod dump;
mod error;
mod indices;
mod loops;
mod memory;
mod numerics;
mod options;
mod outputs;
mod ports;
mod program;
mod programs;
mod report;
mod stages;
#[cfg(test)]
mod tests;
mod trust;
mod values;

#[cfg(feature = "built")]
pub use built::{BuiltEntry, BuiltError, library_entries};
#[cfg(feature = "built")]
pub(crate) use built::{BuiltModel, BuiltProgram};
pub use cache::{Cache, CacheReport, CodeSource};
pub use error::{CompileError, RunError};
pub use loops::compile_loops;
pub use memory::ADDRESSABLE;
pub use numerics::{NumericsFault, OperandRange, ValueRange};
pub use options::CompileOptions;
pub use outputs::StepOutputs;
pub(crate) use ports::{PortAccess, PortTypes};
pub use program::CompiledProgram;
pub use programs::ProgramCache;
pub use report::{CompileReport, KernelReport};
pub(crate) use stages::Stages;
pub(crate) use values::{Elements, first, is_finite, read, read_all, write, write_initial};

pub use kernel::Target;
pub use passes::{PassOptions, Snapshots, Stop};
pub use runtime::{Refused, States};

use crate::dsl::Step;
use cache::FreshCode;
use ir::Graph;
use passes::{Outcome, PassContext, RunOptions};
use runtime::{Executable, LoadError, LoadOptions, Loaded};
use std::sync::Arc;
use std::time::Instant;

impl Step {
    /// Compiles the step for this machine: passes, memory plan, native code, unless the cache has the code already; states get their
    /// initial values.
    ///
    /// # Errors
    /// If a pass can't do what the graph asks for (the message names the pass, and the user's line where it is known), no code can be
    /// generated, memory or threads are not to be had, or tensors are larger than what can be addressed ([`ADDRESSABLE`]).
    pub fn compile(&self, options: &CompileOptions) -> Result<CompiledProgram, CompileError> {
        let mut compiled = self.compile_with(options, Executable::new)?;
        for state in self.states.iter().filter(|state| !state.init.is_zeros()) {
            memory::reserve(&self.graph, state)?;
        }
        compiled.initialize(options.seed)?;
        Ok(compiled)
    }

    /// The same without states: [`CompiledProgram::attach`] or [`CompiledProgram::share`] gives it those of another program of the model.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_without_states(&self, options: &CompileOptions) -> Result<CompiledProgram, CompileError> {
        self.compile_with(options, Executable::without_states)
    }

    fn compile_with(
        &self,
        options: &CompileOptions,
        load: fn(Arc<Loaded>, usize) -> Result<Executable, LoadError>,
    ) -> Result<CompiledProgram, CompileError> {
        let start = Instant::now();
        memory::check(&self.graph)?;
        // What the environment says is read once.
        let mut options = CompileOptions { target: Some(options.target_or_host()?), ..options.clone() };
        if dump::directory().is_some() {
            // Code from the cache would be of passes that don't run.
            options.cache = Cache::Off;
        }
        let options = &options;
        let found = cache::find_or_compile(self, options, || generate(&self.graph, options))?;
        let executable = load(Arc::clone(&found.loaded), options.threads);
        let mut executable = executable.map_err(|e| memory::explain(&self.graph, e))?;
        if let Some(places) = found.check_places.clone() {
            executable.set_check_locations(places);
        }
        let report = CompileReport::new(found, start.elapsed());
        CompiledProgram::new(self, executable, report, options)
    }
}

/// The loops of a graph, with a memory plan: what code is generated from, for whoever puts it elsewhere than in this process.
///
/// # Errors
/// As [`Step::compile`], but for code.
pub fn lower(graph: &Graph, options: &CompileOptions) -> Result<kernel::Program, CompileError> {
    memory::check(graph)?;
    Ok(run_all_passes(graph, options)?.0)
}

/// The loops of a graph, and what the passes did.
fn run_all_passes(graph: &Graph, options: &CompileOptions) -> Result<(kernel::Program, passes::Report), CompileError> {
    let Outcome { module, report } = run_passes(graph.clone(), options, Stop::End)?;
    match module {
        passes::Module::Program(program) => Ok((program, report)),
        passes::Module::Graph(_) => Err(CompileError::NotLowered),
    }
}

/// Runs the passes and generates code.
fn generate(graph: &Graph, options: &CompileOptions) -> Result<FreshCode, CompileError> {
    let start = Instant::now();
    let (program, passes) = run_all_passes(graph, options)?;
    let passes_time = start.elapsed();
    let memory = passes::plan_memory::report(&program);
    let target = Some(options.target_or_host()?);
    let load = LoadOptions { threads: options.threads, verify_code: options.verify_code, dump: false, target };
    let loaded = Loaded::compile(program, &load).map_err(|error| blame(error, graph, options))?;
    Ok(FreshCode { loaded, memory, passes, passes_time })
}

/// What is wrong with a program that could not be loaded. If it is no valid one, a pass broke it: they run again, each followed by verification,
/// so that the error names the pass.
fn blame(error: LoadError, graph: &Graph, options: &CompileOptions) -> CompileError {
    if matches!(error, LoadError::Invalid(_)) && !options.verify {
        let verified = CompileOptions { verify: true, ..options.clone() };
        if let Err(named) = run_passes(graph.clone(), &verified, Stop::End) {
            return named;
        }
    }
    error.into()
}

/// Runs the pipeline on a graph up to where `stop` says, for looking at what passes make.
///
/// # Errors
/// What a pass can't do, and a stop after a pass that doesn't exist.
pub fn run_passes(graph: Graph, options: &CompileOptions, stop: Stop) -> Result<Outcome, CompileError> {
    let cx = PassContext { target: options.target_or_host()?, options: options.passes.clone() };
    let run = RunOptions { verify: options.verify, stop, snapshots: options.snapshots.clone() };
    match dump::PassDump::begin(&graph)? {
        None => Ok(passes::compile(graph, &cx, &run)?),
        Some(mut dump) => {
            let outcome = passes::compile_watched(graph, &cx, &run, &mut |pass, module| dump.after(pass.name, module));
            dump.end()?;
            Ok(outcome?)
        }
    }
}
