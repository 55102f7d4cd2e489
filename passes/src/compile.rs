//! Runs the whole pipeline; within a limit of memory, its later passes a few times: how large an arena is, is known when all have run.

use crate::pipeline::PIPELINE;
use crate::plan_memory::report;
use crate::runner::{PassWatch, count, run_watched};
use crate::{Module, Outcome, Pass, PassContext, PassError, Report, RunOptions, Stop, rematerialize};
use ir::Graph;

/// The passes from `rematerialize` on run at most so many times.
const MOST_ATTEMPTS: usize = 7;
/// An arena that is smaller than the limit by less than this part of it is near enough: less would be computed again for nothing.
const NEAR: usize = 32;
/// Tensors that an error names.
const NAMED: usize = 4;

/// Runs the whole pipeline, or the part of it that [`RunOptions::stop`] says, on a graph. With a [limit of memory](crate::PassOptions::memory_limit) the
/// passes from `rematerialize` on run several times, at most 7, until the arena is small enough; the report has the passes of all attempts.
///
/// # Errors
/// [`PassError::MemoryLimit`] if it can't be made so small; what a pass can't do, or an invariant it broke; the error names the pass. A stop after a pass that isn't in the pipeline.
pub fn compile(graph: Graph, cx: &PassContext, options: &RunOptions) -> Result<Outcome, PassError> {
    compile_watched(graph, cx, options, &mut |_, _| {})
}

/// As [`compile`]; shows the program to `watch` after each pass, of all attempts.
///
/// # Errors
/// As [`compile`].
pub fn compile_watched(
    graph: Graph,
    cx: &PassContext,
    options: &RunOptions,
    watch: &mut PassWatch<'_>,
) -> Result<Outcome, PassError> {
    let after = PIPELINE.iter().position(|pass| pass.name == "rematerialize").unwrap_or(PIPELINE.len());
    match cx.options.memory_limit {
        Some(limit) if count(PIPELINE, &options.stop)? > after => {
            let stop = match &options.stop {
                Stop::AfterCount(n) => Stop::AfterCount(n - after),
                other => other.clone(),
            };
            let options = RunOptions { stop, ..options.clone() };
            compile_within(graph, PIPELINE.split_at(after), cx, &options, (limit, watch))
        }
        _ => run_watched(Module::Graph(graph), PIPELINE, cx, options, watch),
    }
}

/// Runs all passes on a graph so that its arena has at most `limit` bytes, and of what is computed again for that as little as a few attempts find.
///
/// # Errors
/// As [`run`]; [`PassError::MemoryLimit`] if no attempt's arena is small enough.
fn compile_within(
    graph: Graph,
    (before, after): (&[Pass], &[Pass]),
    cx: &PassContext,
    options: &RunOptions,
    (limit, watch): (usize, &mut PassWatch<'_>),
) -> Result<Outcome, PassError> {
    let whole = RunOptions { stop: Stop::End, ..options.clone() };
    let Outcome { module, report } = run_watched(Module::Graph(graph), before, cx, &whole, watch)?;
    let Module::Graph(scheduled) = &module else { return Ok(Outcome { module, report }) };
    let mut attempts =
        Attempts { scheduled, after, cx, options: &whole, limit, watch, report, best: None, smallest: None };
    attempts.run_all()?;
    let Attempts { report, best, smallest, watch, .. } = attempts;
    match best {
        Some(Attempt { outcome, .. }) if options.stop == Stop::End => Ok(with_passes(report, outcome)),
        Some(Attempt { budget, .. }) => {
            let stopped = run_watched(module.clone(), after, &within(cx, budget), options, watch)?;
            Ok(with_passes(report, stopped))
        }
        None => {
            let (reached, budget) = smallest.unwrap_or((usize::MAX, None));
            let (_, live) = rematerialize::estimate(&recomputed(scheduled, &within(cx, budget))?, cx, NAMED)?;
            Err(PassError::MemoryLimit { limit, reached, live })
        }
    }
}

fn within(cx: &PassContext, budget: Option<usize>) -> PassContext {
    let mut cx = cx.clone();
    cx.options.memory_limit = budget;
    cx
}

fn recomputed(scheduled: &Graph, cx: &PassContext) -> Result<Graph, PassError> {
    let mut graph = scheduled.clone();
    rematerialize::run(&mut graph, cx)?;
    Ok(graph)
}

/// An outcome of the last passes, with what all others did.
fn with_passes(mut report: Report, outcome: Outcome) -> Outcome {
    report.snapshots.extend(outcome.report.snapshots);
    Outcome { module: outcome.module, report }
}

/// The later passes, once: the bytes that `rematerialize` was given, and what came out.
struct Attempt {
    budget: Option<usize>,
    outcome: Outcome,
}

struct Attempts<'g> {
    scheduled: &'g Graph,
    after: &'g [Pass],
    cx: &'g PassContext,
    options: &'g RunOptions,
    limit: usize,
    watch: &'g mut PassWatch<'g>,
    /// What all attempts' passes took.
    report: Report,
    /// Of those within the limit the one that computes least again.
    best: Option<Attempt>,
    /// The smallest arena so far, and its budget.
    smallest: Option<(usize, Option<usize>)>,
}

impl Attempts<'_> {
    /// Runs the later passes with a budget; gives the bytes of the arena.
    fn attempt(&mut self, budget: Option<usize>) -> Result<usize, PassError> {
        let module = Module::Graph(self.scheduled.clone());
        let mut outcome = run_watched(module, self.after, &within(self.cx, budget), self.options, self.watch)?;
        self.report.passes.append(&mut outcome.report.passes);
        let arena = outcome.module.program().map_or(0, |program| report(program).arena);
        if self.smallest.is_none_or(|(smallest, _)| arena < smallest) {
            self.smallest = Some((arena, budget));
        }
        let is_better = match &self.best {
            None => true,
            Some(best) => best.budget.is_some_and(|old| budget.is_none_or(|new| new > old)),
        };
        if arena <= self.limit && is_better {
            self.best = Some(Attempt { budget, outcome });
        }
        Ok(arena)
    }

    /// Tries budgets until an arena is as large as the limit allows, or nearly.
    fn run_all(&mut self) -> Result<(), PassError> {
        let arena = self.attempt(None)?;
        if arena <= self.limit {
            return Ok(());
        }
        let (estimated, _) = rematerialize::estimate(&recomputed(self.scheduled, &within(self.cx, None))?, self.cx, 0)?;
        // What the plan needs beyond the estimate it needs within the limit, too.
        let mut budget = (self.limit + estimated).saturating_sub(arena);
        let (mut fits, mut too_much, mut last) = (None, estimated, arena);
        for _ in 1..MOST_ATTEMPTS {
            let arena = self.attempt(Some(budget))?;
            if arena > self.limit {
                if fits.is_none() && arena >= last {
                    // Asking for less gave no less.
                    break;
                }
                last = arena;
                too_much = too_much.min(budget);
                budget = budget.saturating_sub(arena - self.limit);
            } else {
                fits = fits.max(Some(budget));
                budget += self.limit - arena;
                if self.limit - arena <= self.limit / NEAR {
                    break;
                }
            }
            // Between what fits and what doesn't.
            if budget >= too_much || fits.is_some_and(|fits| budget <= fits) {
                let low = fits.unwrap_or(0);
                if too_much - low <= self.limit / NEAR {
                    break;
                }
                budget = low + (too_much - low) / 2;
            }
        }
        Ok(())
    }
}
