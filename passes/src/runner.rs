//! Runs passes: checks stages, verifies after each where asked, times each, records what changed, stops where asked.

use crate::pipeline::find;
use crate::simplify::Rewrites;
use crate::verify::{BeforePass, Verified};
use crate::{Module, Pass, PassContext, PassError, Stage};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

/// Where a run ends.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Stop {
    /// After the last pass.
    #[default]
    End,
    /// After that many passes: for finding, by halving, the pass that breaks a program.
    AfterCount(usize),
    /// After the last pass of that name.
    AfterPass(String),
}

/// Which intermediate programs a run keeps as text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Snapshots {
    /// None.
    #[default]
    None,
    /// Those that a pass changed.
    Changed,
    /// Those after passes of these names, changed or not.
    After(Vec<String>),
}

/// How to run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunOptions {
    /// Verify the program after each pass, so that an error names the pass. Before the first one it is verified whatever this says.
    pub verify: bool,
    /// Where to end.
    pub stop: Stop,
    /// What to keep.
    pub snapshots: Snapshots,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { verify: true, stop: Stop::End, snapshots: Snapshots::None }
    }
}

/// What one pass did.
#[derive(Clone, PartialEq, Debug)]
pub struct PassRecord {
    /// The pass.
    pub name: &'static str,
    /// How long it took, without verification, in seconds.
    pub seconds: f64,
    /// Whether the pass changed the program: nodes, clusters or results of a graph, whatever of loops.
    pub changed: bool,
    /// Nodes (from `lower` on: kernels) before it.
    pub before: usize,
    /// Nodes (from `lower` on: kernels) after it.
    pub after: usize,
    /// How often each rewrite rule fired, of a pass that is made of rules; those that didn't aren't there.
    pub rules: BTreeMap<&'static str, usize>,
}

/// A program after a pass, as text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// The pass.
    pub pass: &'static str,
    /// The text.
    pub text: String,
}

/// What a run did, pass by pass.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Report {
    /// One record per pass, in the order they ran.
    pub passes: Vec<PassRecord>,
    /// What [`RunOptions::snapshots`] asked for.
    pub snapshots: Vec<Snapshot>,
}

/// The program after the last pass, and what happened on the way.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The program.
    pub module: Module,
    /// What happened.
    pub report: Report,
}

/// Sees the program after each pass.
pub type PassWatch<'w> = dyn FnMut(&Pass, &Module) + 'w;

/// Runs passes in the given order.
///
/// # Errors
/// What a pass can't do, or an invariant it broke; the error names the pass. A stop after a pass that isn't in the pipeline; a pass whose required stage the program hasn't reached.
pub fn run(module: Module, passes: &[Pass], cx: &PassContext, options: &RunOptions) -> Result<Outcome, PassError> {
    run_watched(module, passes, cx, options, &mut |_, _| {})
}

/// As [`run`]; shows the program to `watch` after each pass.
///
/// # Errors
/// As [`run`].
pub fn run_watched(
    module: Module,
    passes: &[Pass],
    cx: &PassContext,
    options: &RunOptions,
    watch: &mut PassWatch<'_>,
) -> Result<Outcome, PassError> {
    run_until(module, passes, cx, options, &mut |pass, module, _| {
        watch(pass, module);
        ControlFlow::Continue(())
    })
}

/// As [`run_watched`], until `watch` breaks it off, which also sees whether the pass changed anything.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_until(
    module: Module,
    passes: &[Pass],
    cx: &PassContext,
    options: &RunOptions,
    watch: &mut dyn FnMut(&Pass, &Module, bool) -> ControlFlow<()>,
) -> Result<Outcome, PassError> {
    let count = count(passes, &options.stop)?;
    let stage = match &module {
        Module::Graph(graph) => Stage::of(graph),
        Module::Program(program) => Stage::of_program(program),
    };
    let mut reached = Reached { state: BeforePass::of(&module), stage, verified: Verified::default() };
    reached.verify(&module)?;
    let mut outcome = Outcome { module, report: Report::default() };
    for pass in &passes[..count] {
        outcome = step(outcome, pass, &mut reached, cx, options)
            .map_err(|source| PassError::In { pass: pass.name, source: Box::new(source) })?;
        let changed = outcome.report.passes.last().is_none_or(|record| record.changed);
        if watch(pass, &outcome.module, changed).is_break() {
            break;
        }
    }
    Ok(outcome)
}

/// How far a program has come.
struct Reached {
    state: BeforePass,
    stage: Stage,
    verified: Verified,
}

impl Reached {
    fn verify(&mut self, module: &Module) -> Result<(), PassError> {
        self.verified.verify(module, &self.state, self.stage)
    }
}

/// How many of the passes run.
pub(crate) fn count(passes: &[Pass], stop: &Stop) -> Result<usize, PassError> {
    Ok(match stop {
        Stop::End => passes.len(),
        Stop::AfterCount(n) => passes.len().min(*n),
        Stop::AfterPass(name) => match passes.iter().rposition(|pass| pass.name == *name) {
            Some(at) => at + 1,
            None => {
                find(name)?;
                passes.len()
            }
        },
    })
}

fn step(
    outcome: Outcome,
    pass: &Pass,
    reached: &mut Reached,
    cx: &PassContext,
    options: &RunOptions,
) -> Result<Outcome, PassError> {
    if reached.stage < pass.requires {
        return Err(PassError::Stage { needs: pass.requires, is: reached.stage });
    }
    let Outcome { module, mut report } = outcome;
    let before = module.size();
    let start = Instant::now();
    let mut rewrites = Rewrites::default();
    let module = pass.apply(module, cx, &mut rewrites)?;
    let seconds = start.elapsed().as_secs_f64();
    reached.stage = reached.stage.max(pass.ensures);
    let state = BeforePass::of(&module);
    let changed = state != reached.state;
    reached.state = state;
    if options.verify {
        reached.verify(&module)?;
    }
    let (after, rules) = (module.size(), rewrites.fired);
    report.passes.push(PassRecord { name: pass.name, seconds, changed, before, after, rules });
    let keep = match &options.snapshots {
        Snapshots::None => false,
        Snapshots::Changed => changed,
        Snapshots::After(names) => names.iter().any(|name| name == pass.name),
    };
    if keep {
        report.snapshots.push(Snapshot { pass: pass.name, text: module.text() });
    }
    Ok(Outcome { module, report })
}
