//! A graph on given values as machine code, and from where the interpreter can say what it computes.

use super::given::step_from;
use ::passes::{Module, PassContext, RunOptions, Stage, pipeline};
use gradc::compile::{CompileOptions, CompiledProgram, compile_loops};
use ir::eval::RunResults;
use ir::shrink::GraphCase;
use ir::{Graph, Value};
use kernel::Program;
use std::collections::BTreeMap;
use std::error::Error;

/// Values by name.
pub(super) type PortValues = BTreeMap<String, Value>;

/// The graph with its gradients derived.
pub(super) fn differentiated(graph: &Graph, cx: &PassContext) -> Result<Graph, Box<dyn Error>> {
    if Stage::of(graph) > Stage::Declared {
        return Ok(graph.clone());
    }
    let list = [*pipeline::find("autodiff")?];
    let outcome = ::passes::run(Module::Graph(graph.clone()), &list, cx, &RunOptions::default())?;
    Ok(outcome.module.graph().cloned().unwrap_or_else(|| graph.clone()))
}

/// A compiled graph, or compiled loops, with the values that they run on.
pub(super) struct Native<'c> {
    inputs: &'c PortValues,
    states: &'c PortValues,
    program: CompiledProgram,
}

impl<'c> Native<'c> {
    /// Compiles the graph.
    pub(super) fn new(case: &'c GraphCase, threads: usize) -> Result<Self, Box<dyn Error>> {
        let program = step_from(case.graph.clone()).compile(&CompileOptions::threads(threads))?;
        Ok(Self { inputs: &case.inputs, states: &case.states, program })
    }

    /// Compiles loops that have their places in memory.
    pub(super) fn of_loops(
        loops: Program,
        (inputs, states): (&'c PortValues, &'c PortValues),
        threads: usize,
    ) -> Result<Self, Box<dyn Error>> {
        Ok(Self { inputs, states, program: compile_loops(loops, &CompileOptions::threads(threads))? })
    }

    /// One step from the states that the case begins with.
    pub(super) fn run(&mut self) -> Result<RunResults, Box<dyn Error>> {
        self.program.set_states(self.states)?;
        let outputs = self.program.run(self.inputs)?;
        let names = self.program.states().iter().map(|state| state.name.clone()).collect::<Vec<_>>();
        let states = names.into_iter().map(|name| Ok((name.clone(), self.program.state_value(&name)?)));
        Ok(RunResults { outputs, states: states.collect::<Result<_, Box<dyn Error>>>()? })
    }

    /// A further step, from the states that the last one left.
    pub(super) fn step(&mut self) -> Result<(), Box<dyn Error>> {
        Ok(self.program.step()?)
    }
}
