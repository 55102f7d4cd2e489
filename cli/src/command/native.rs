//! A graph on given values as machine code, and from where the interpreter can say what it computes.

use super::given::step_from;
use ::passes::{Module, PassContext, RunOptions, Stage, pipeline};
use gradc::compile::{CompileOptions, CompiledProgram};
use ir::Graph;
use ir::eval::RunResults;
use ir::shrink::GraphCase;
use std::error::Error;

/// The graph with its gradients derived.
pub(super) fn differentiated(graph: &Graph, cx: &PassContext) -> Result<Graph, Box<dyn Error>> {
    if Stage::of(graph) > Stage::Declared {
        return Ok(graph.clone());
    }
    let list = [*pipeline::find("autodiff")?];
    let outcome = ::passes::run(Module::Graph(graph.clone()), &list, cx, &RunOptions::default())?;
    Ok(outcome.module.graph().cloned().unwrap_or_else(|| graph.clone()))
}

/// A compiled graph with the values that it runs on.
pub(super) struct Native<'c> {
    case: &'c GraphCase,
    program: CompiledProgram,
}

impl<'c> Native<'c> {
    /// Compiles the graph.
    pub(super) fn new(case: &'c GraphCase, threads: usize) -> Result<Self, Box<dyn Error>> {
        let step = step_from(case.graph.clone());
        Ok(Self { case, program: step.compile(&CompileOptions::threads(threads))? })
    }

    /// One step from the states that the case begins with.
    pub(super) fn run(&mut self) -> Result<RunResults, Box<dyn Error>> {
        self.program.set_states(&self.case.states)?;
        let outputs = self.program.run(&self.case.inputs)?;
        let names = self.program.states().iter().map(|state| state.name.clone()).collect::<Vec<_>>();
        let states = names.into_iter().map(|name| Ok((name.clone(), self.program.state_value(&name)?)));
        Ok(RunResults { outputs, states: states.collect::<Result<_, Box<dyn Error>>>()? })
    }

    /// A further step, from the states that the last one left.
    pub(super) fn step(&mut self) -> Result<(), Box<dyn Error>> {
        Ok(self.program.step()?)
    }
}
