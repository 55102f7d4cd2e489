//! Finds the pass that breaks a program, the rewrite rule if the pass has rules, and the least graph on which it does.
//!
//! What a program means is what its interpreter says ([`crate::interpret()`]): after each pass it must compute what the graph did, but for rounding, of which
//! [`ir::eval::Trials`] says how much it may be. A pass that fails, or panics, or leaves what its stage forbids, is at fault as well.
//!
//! Gradients are what `autodiff` makes of them: the interpreter can't say what they should be. So a declared graph is compared from there on.
//!
//! ```
//! use ir::shrink::GraphCase;
//! use ir::{BuildError, Builder, Family, Graph, NodeId, Op, Scalar, ScalarOp, Shape, Value};
//! use kernel::Target;
//! use passes::simplify::{self, Changes, RewriteRule};
//! use passes::{Pass, PassContext, PassFn, bisect, pipeline::PIPELINE};
//! use std::collections::BTreeMap;
//!
//! /// `a - b → b - a`, which is wrong.
//! fn turn(build: &mut Builder<'_>, id: NodeId) -> Result<Option<NodeId>, BuildError> {
//!     let (op, operands) = (build.graph().op(id), build.graph().operands(id).to_vec());
//!     let is_difference = matches!(op, Op::Elementwise(op) if *op == ScalarOp::SUB) && operands[0] < operands[1];
//!     if is_difference { build.binary(ScalarOp::SUB, operands[1], operands[0]).map(Some) } else { Ok(None) }
//! }
//! static TURN: RewriteRule =
//!     RewriteRule { name: "turn", doc: "a - b → b - a", root: Family::Elementwise, changes: Changes::Nothing, apply: turn };
//!
//! let text = r#"graph "g" {
//!   %0 = input {name="x"} : f32[4]
//!   %1 = exp %0 : f32[4]
//!   %2 = tanh %1 : f32[4]
//!   %3 = sub %1, %2 : f32[4]
//!   %4 = mul %3, %2 : f32[4]
//!   output "y" = %4
//! }"#;
//! let x = Value::from_fn(ir::TensorType::new(ir::DType::F32, Shape::new([4])?), |i| Scalar::F32(i as f32 / 4.0));
//! let inputs = BTreeMap::from([("x".to_string(), x)]);
//! let case = GraphCase { graph: Graph::parse(text)?, inputs, states: BTreeMap::new() };
//! let rules = || simplify::all().into_iter().chain([&TURN]).collect();
//! let broken = PIPELINE.iter().map(|pass| match pass.name {
//!     "simplify" => Pass { run: PassFn::Rules(rules), ..*pass },
//!     _ => *pass,
//! });
//! let found = bisect::bisect(&case, &broken.collect::<Vec<_>>(), &PassContext::new(Target::baseline()))?.expect("a fault");
//! assert_eq!((found.fault.pass, found.rule), ("simplify", Some("turn")));
//! assert_eq!(found.case.graph.len(), 3); // two inputs, and their difference
//! assert!(bisect::bisect(&case, PIPELINE, &PassContext::new(Target::baseline()))?.is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::runner::run_until;
use crate::simplify::Rewrites;
use crate::{InterpretError, Module, Pass, PassContext, PassError, PassFn, RunOptions, Stage, interpret};
use ir::Value;
use ir::eval::LazyTrials;
use ir::shrink::{GraphCase, shrink};
use std::any::Any;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Results by name, as [`ir::eval::RunResults::named`] gives them.
type NamedResults = BTreeMap<String, Value>;

/// Says how two results differ, if they do.
pub type Difference<'d> = &'d dyn Fn(&NamedResults, &NamedResults) -> Option<String>;

/// The first pass after which something is wrong.
#[derive(Clone, Debug)]
pub struct PassFault {
    /// Its position in the list, from 0.
    pub position: usize,
    /// Its name.
    pub pass: &'static str,
    /// What is wrong: which result differs, or the error.
    pub what: String,
    /// The program before it.
    pub before: Module,
    /// The program after it, if there is one.
    pub after: Option<Module>,
}

/// What [`bisect`] found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The first fault in the graph that was given.
    pub fault: PassFault,
    /// The rule that makes the difference, of a pass that has rules.
    pub rule: Option<&'static str>,
    /// The least graph that was found to show it.
    pub case: GraphCase,
    /// The positions of the passes, first and last, that are run on it.
    pub passes: (usize, usize),
    /// What is wrong then.
    pub least: PassFault,
}

/// What [`bisect_with`] is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BisectProgress {
    /// What this pass has made of the graph that was given is interpreted.
    After {
        /// The pass.
        pass: &'static str,
    },
    /// A graph of so many nodes shows the fault; smaller ones are tried.
    Least {
        /// The nodes.
        nodes: usize,
    },
}

/// Hears of each [`BisectProgress`].
pub type TellProgress<'t> = &'t dyn Fn(BisectProgress);

/// Why there is nothing to compare.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum BisectError {
    /// The graph can't be evaluated on the values that were given.
    #[error("the graph as it is before the passes can't be evaluated: {0}")]
    Reference(#[from] InterpretError),
    /// The graph breaks the rules, or can't be differentiated.
    #[error(transparent)]
    Pass(#[from] PassError),
}

/// Runs passes on a graph until something else is computed, or a pass fails; the interpreter must be able to run the graph as it is.
///
/// # Errors
/// What the graph itself fails with on these values.
pub fn first_fault(
    case: &GraphCase,
    passes: &[Pass],
    cx: &PassContext,
    difference: Difference<'_>,
) -> Result<Option<PassFault>, InterpretError> {
    first_fault_with(case, passes, cx, (difference, &|_| ()))
}

/// The same, and tells of each pass whose program is interpreted.
fn first_fault_with(
    case: &GraphCase,
    passes: &[Pass],
    cx: &PassContext,
    (difference, tell): (Difference<'_>, TellProgress<'_>),
) -> Result<Option<PassFault>, InterpretError> {
    let given = Module::Graph(case.graph.clone());
    let expected = interpret(&given, case)?.named();
    let (mut before, mut at, mut found) = (given.clone(), 0, None);
    let run = catch_unwind(AssertUnwindSafe(|| {
        run_until(
            given,
            passes,
            cx,
            &RunOptions { verify: true, ..RunOptions::default() },
            &mut |pass, module, changed| {
                at += 1;
                if !changed {
                    return ControlFlow::Continue(());
                }
                tell(BisectProgress::After { pass: pass.name });
                let what = match interpret(module, case) {
                    Ok(results) => difference(&expected, &results.named()),
                    Err(e) => Some(e.to_string()),
                };
                if let Some(what) = what {
                    let after = Some(module.clone());
                    found = Some(PassFault { position: at - 1, pass: pass.name, what, before: before.clone(), after });
                    return ControlFlow::Break(());
                }
                before = module.clone();
                ControlFlow::Continue(())
            },
        )
    }));
    let what = match (found, run) {
        (Some(found), _) => return Ok(Some(found)),
        (None, Ok(Ok(_))) => return Ok(None),
        (None, Ok(Err(e))) => e.to_string(),
        (None, Err(payload)) => format!("it panics: {}", panic_message(payload.as_ref())),
    };
    Ok(passes.get(at).map(|pass| PassFault { position: at, pass: pass.name, what, before, after: None }))
}

/// What a panic said.
pub fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_string())).unwrap_or_default()
}

/// Finds the first of the passes that is at fault on a graph with these values, and the least graph on which it is. `None` if all is right.
///
/// # Errors
/// If the graph can't be verified, differentiated or evaluated on the values: there is nothing to compare with.
pub fn bisect(case: &GraphCase, passes: &[Pass], cx: &PassContext) -> Result<Option<Finding>, BisectError> {
    bisect_with(case, passes, cx, &|_| ())
}

/// As [`bisect`], and says how far it has come: a large graph is interpreted for seconds after each pass.
///
/// # Errors
/// As [`bisect`].
pub fn bisect_with(
    case: &GraphCase,
    passes: &[Pass],
    cx: &PassContext,
    tell: TellProgress<'_>,
) -> Result<Option<Finding>, BisectError> {
    let (start, skipped) = differentiated(case, passes, cx)?;
    let Some(mut fault) = fault_in(&start, &passes[skipped..], cx, tell)? else { return Ok(None) };
    fault.position += skipped;
    // The pass by itself shows most faults; what it takes to come so far is kept where it doesn't.
    let by_itself = match &fault.before {
        Module::Graph(graph) if passes[fault.position].requires <= Stage::Differentiated => {
            Some((GraphCase { graph: graph.clone(), ..start.clone() }, fault.position))
        }
        _ => None,
    };
    let fails = |case: &GraphCase, first: usize| {
        let found = fault_in(case, &passes[first..=fault.position], cx, &|_| ()).ok().flatten();
        let found = found.filter(|found| first + found.position == fault.position)?;
        tell(BisectProgress::Least { nodes: case.graph.len() });
        Some(found)
    };
    let (larger, first) = by_itself.filter(|(case, at)| fails(case, *at).is_some()).unwrap_or((start, skipped));
    let least_case = shrink(larger, |case| fails(case, first).is_some());
    let mut least = fails(&least_case, first).unwrap_or_else(|| fault.clone());
    least.position = fault.position;
    let rule = rule_at_fault(&least_case, &passes[fault.position], &least, cx);
    let passes = (first, fault.position);
    Ok(Some(Finding { fault, rule, case: least_case, passes, least }))
}

/// The first fault beyond rounding.
fn fault_in(
    case: &GraphCase,
    passes: &[Pass],
    cx: &PassContext,
    tell: TellProgress<'_>,
) -> Result<Option<PassFault>, InterpretError> {
    let trials = trials(case);
    first_fault_with(case, passes, cx, (&|a, b| trials.difference(a, b), tell))
}

/// How far results of a case may be apart.
fn trials(case: &GraphCase) -> LazyTrials<'_> {
    LazyTrials::new(&case.graph, (&case.inputs, &case.states))
}

/// The case from where the interpreter can run it, and how many passes that took.
fn differentiated(case: &GraphCase, passes: &[Pass], cx: &PassContext) -> Result<(GraphCase, usize), PassError> {
    let needed = if Stage::of(&case.graph) > Stage::Declared {
        0
    } else {
        passes.iter().position(|pass| pass.ensures > Stage::Declared).map_or(0, |at| at + 1)
    };
    let options = RunOptions { verify: true, ..RunOptions::default() };
    let outcome = crate::run(Module::Graph(case.graph.clone()), &passes[..needed], cx, &options)?;
    let graph = outcome.module.graph().cloned().unwrap_or_else(|| case.graph.clone());
    Ok((GraphCase { graph, ..case.clone() }, needed))
}

/// The rule with whose rewrite the fault begins: by halving the number of rewrites that there may be.
fn rule_at_fault(case: &GraphCase, pass: &Pass, fault: &PassFault, cx: &PassContext) -> Option<&'static str> {
    let (PassFn::Rules(_), Module::Graph(before)) = (pass.run, &fault.before) else { return None };
    let expected = interpret(&fault.before, case).ok()?.named();
    let trials = trials(case);
    let after = |count: usize| {
        let mut rewrites = Rewrites::at_most(count);
        let module = Module::Graph(before.clone());
        let run = catch_unwind(AssertUnwindSafe(|| pass.apply(module, cx, &mut rewrites)));
        let right = match run {
            Ok(Ok(module)) => {
                interpret(&module, case).is_ok_and(|r| trials.difference(&expected, &r.named()).is_none())
            }
            _ => false,
        };
        (right, rewrites)
    };
    let (mut wrong, mut right) = (1, 0);
    while after(wrong).0 {
        // All rewrites that there are, and nothing is wrong: the fault is not in them.
        if after(wrong).1.left > 0 {
            return None;
        }
        (right, wrong) = (wrong, wrong * 2);
    }
    while wrong - right > 1 {
        let middle = right + (wrong - right) / 2;
        if after(middle).0 { right = middle } else { wrong = middle }
    }
    after(wrong).1.last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::PIPELINE;
    use ir::{Graph, Scalar, Shape};
    use kernel::Target;
    use std::cell::RefCell;

    /// `square` breaks no pass, but says of each that changes something that it is looked at.
    #[test]
    fn what_is_looked_at_is_told() {
        let text = "graph \"square\" {\n  %0 = input {name=\"x\"} : f32[4]\n  %1 = mul %0, %0 : f32[4]\n  output \"y\" = %1\n}";
        let graph = Graph::parse(text).unwrap();
        let x = Value::splat(Scalar::F32(2.0), Shape::new([4]).unwrap());
        let case = GraphCase { graph, inputs: BTreeMap::from([("x".into(), x)]), states: BTreeMap::new() };
        let told = RefCell::new(vec![]);
        let found =
            bisect_with(&case, PIPELINE, &PassContext::new(Target::baseline()), &|at| told.borrow_mut().push(at));
        assert!(found.unwrap().is_none());
        let told = told.into_inner();
        assert!(told.contains(&BisectProgress::After { pass: "fuse" }), "{told:?}");
        assert!(told.iter().all(|at| matches!(at, BisectProgress::After { .. })), "{told:?}");
    }
}
