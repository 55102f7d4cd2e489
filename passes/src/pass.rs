//! What a pass is, and what it is given.

use crate::simplify::RewriteRule;
use crate::stage::Stage;
use crate::{PassError, bodies};
use ir::Graph;
use kernel::{Program, Target};

/// What passes may know besides the program.
#[derive(Clone, PartialEq, Debug)]
pub struct PassContext {
    /// The machine that is compiled for.
    pub target: Target,
    /// What the user chose.
    pub options: PassOptions,
}

impl PassContext {
    /// The default options on a target.
    pub fn new(target: Target) -> Self {
        Self { target, options: PassOptions::default() }
    }
}

/// Choices that change what passes produce, never the results that the program was declared with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PassOptions {
    /// `fold` evaluates a node only if its result has at most that many elements.
    pub fold_elements: usize,
    /// The arena has at most that many bytes: inputs, constants, outputs and all that lies between, not states, which have memory of their own. Activations
    /// are computed again in the backward pass as far as that needs it. `None`: nothing is computed again for memory's sake.
    ///
    /// [`crate::compile`] keeps it, or fails with [`PassError::MemoryLimit`]; `rematerialize` by itself brings its estimate below it.
    pub memory_limit: Option<usize>,
    /// The program looks for infinite elements and NaN in what it computes; `check_numerics` says how.
    pub check_numerics: bool,
}

impl Default for PassOptions {
    fn default() -> Self {
        Self { fold_elements: 4096, memory_limit: None, check_numerics: false }
    }
}

/// The function of a pass.
#[derive(Clone, Copy, Debug)]
pub enum PassFn {
    /// From graph to graph, and on the bodies of scans likewise.
    Graph(fn(&mut Graph, &PassContext) -> Result<(), PassError>),
    /// Rewrite rules, which [`crate::simplify::apply`] applies until none fires, on the bodies of scans likewise.
    Rules(fn() -> Vec<&'static RewriteRule>),
    /// From graph to graph, but not on the bodies of scans.
    Step(fn(&mut Graph, &PassContext) -> Result<(), PassError>),
    /// From a graph to loops.
    Lower(fn(&Graph, &PassContext) -> Result<Program, PassError>),
    /// From loops to loops.
    Program(fn(&mut Program, &PassContext) -> Result<(), PassError>),
}

/// A pass and its place in the pipeline.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Its name.
    pub name: &'static str,
    /// What it runs.
    pub run: PassFn,
    /// The stage a program must have reached.
    pub requires: Stage,
    /// The stage the program has reached after it, unless it had passed that before.
    pub ensures: Stage,
    /// Why it stands where it does.
    pub why: &'static str,
}

/// A pass on graphs.
pub(crate) const fn graph_pass(
    name: &'static str,
    run: fn(&mut Graph, &PassContext) -> Result<(), PassError>,
    (requires, ensures): (Stage, Stage),
    why: &'static str,
) -> Pass {
    Pass { name, run: PassFn::Graph(run), requires, ensures, why }
}

/// A pass that applies rules.
pub(crate) const fn rules_pass(
    name: &'static str,
    rules: fn() -> Vec<&'static RewriteRule>,
    (requires, ensures): (Stage, Stage),
    why: &'static str,
) -> Pass {
    Pass { name, run: PassFn::Rules(rules), requires, ensures, why }
}

impl Stage {
    /// The stage that loops are in, by what stands in them.
    pub fn of_program(program: &Program) -> Self {
        match program.arena_bytes {
            Some(_) => Self::Planned,
            None if kernel::verify(program, kernel::Spec::DECOMPOSED).is_ok() => Self::Decomposed,
            None => Self::Lowered,
        }
    }

    /// The stage that a graph is in, by what stands in it.
    pub fn of(graph: &Graph) -> Self {
        if bodies::any(graph, &|op| op.family() == ir::Family::Control) {
            Self::Declared
        } else if graph.ids().all(|id| graph.cluster(id).is_none()) {
            Self::Differentiated
        } else if ir::verify(graph, ir::Spec::SCHEDULED).is_ok() {
            Self::Scheduled
        } else {
            Self::Fused
        }
    }
}
