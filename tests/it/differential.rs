//! Passes on random graphs: what a graph computes before a pass it computes after it.
//!
//! [`crate::seeds`] says how to make a long run of it.

use crate::bounds::difference_beyond_rounding;
use crate::least::expect_none;
use crate::oracle::{Agreement, NamedValues, difference, evaluate, random_ports};
use crate::seeds::{check_each, check_most};
use ir::op::control::Gradient;
use ir::op::reduce::ReduceKind;
use ir::{Builder, DType, Graph, NodeId, Op, Scalar, ScalarOp};
use kernel::Target;
use passes::simplify::Changes;
use passes::{Module, Pass, PassContext, PassFn, RunOptions, Stage, pipeline, simplify};
use random_graphs::{Limits, Rng, random_graph, random_values};

fn run(graph: &Graph, passes: &[Pass]) -> Graph {
    let context = PassContext::new(Target::baseline());
    match passes::run(Module::Graph(graph.clone()), passes, &context, &RunOptions::default()) {
        Ok(outcome) => outcome.module.graph().unwrap().clone(),
        Err(e) => panic!("{e}\non\n{graph}"),
    }
}

fn named(name: &str) -> Pass {
    *pipeline::find(name).unwrap()
}

/// The passes that clean a differentiated graph up, in their order. Not `fma`, which rounds once where the graph says twice: gradients of gradients may
/// make much of that.
fn clean_up() -> Vec<Pass> {
    let is_clean_up = |pass: &&Pass| {
        let changes_digits = ["autodiff", "fma"].contains(&pass.name);
        matches!(pass.run, PassFn::Graph(_) | PassFn::Rules(_))
            && pass.ensures == Stage::Differentiated
            && !changes_digits
    };
    pipeline::PIPELINE.iter().filter(is_clean_up).copied().collect()
}

pub(crate) fn values(graph: &Graph, seed: u64) -> NamedValues {
    let (inputs, states) = random_values(graph, seed);
    inputs.into_iter().chain(states).collect()
}

/// Panics if what a graph becomings computes something else, by more than rounding where no agreement is asked for; a failing run of the graph is left out, for
/// passes may remove what fails.
fn compare(before: &Graph, becoming: &dyn Fn(&Graph) -> Graph, seed: u64, agreement: Option<Agreement>) {
    expect_none(seed, before, &values(before, seed), &|before, ports| {
        let expected = evaluate(before, ports).ok()?;
        let after = becoming(before);
        let found = match evaluate(&after, ports) {
            Ok(found) => found,
            Err(e) => return Some(format!("{e}\nafter:\n{after}")),
        };
        let difference = match agreement {
            Some(agreement) => difference(&expected, &found, agreement),
            None => difference_beyond_rounding(before, ports, &expected, &found),
        };
        Some(format!("{}\nafter:\n{after}", difference?))
    });
}

/// What `simplify` makes of a graph.
fn simplified(graph: &Graph) -> Graph {
    let mut simple = graph.clone();
    simplify::run_counted(&mut simple).unwrap();
    simple
}

/// Exact passes keep every bit, of NaN and infinities too.
#[test]
fn exact_passes_keep_the_bits() {
    check_each(0, 150, |seed| {
        let limits = Limits { steps: 4 + (seed % 30) as usize, wild: seed.is_multiple_of(2), ..Limits::default() };
        let graph = random_graph(seed, &limits);
        for name in ["fold", "cse", "dce"] {
            compare(&graph, &|graph| run(graph, &[named(name)]), seed, Some(Agreement::Bits));
        }
        true
    });
}

/// Exact rules keep every bit as well; the others reorder sums.
#[test]
fn simplify_keeps_the_meaning() {
    check_most(0, 300, 100, |seed| {
        let limits = Limits { steps: 4 + (seed % 40) as usize, ..Limits::default() };
        let graph = random_graph(seed, &limits);
        let mut simple = graph.clone();
        let counts = simplify::run_counted(&mut simple).unwrap();
        ir::verify(&simple, ir::Spec::DIFFERENTIATED).unwrap();
        let exact = simplify::rules().all(|rule| rule.changes == Changes::Nothing || !counts.contains_key(rule.name));
        compare(&graph, &simplified, seed, exact.then_some(Agreement::Bits));
        let first = simple.clone();
        let left = simplify::run_counted(&mut simple).unwrap();
        assert!(left.is_empty(), "seed {seed}: rules are left that fire: {left:?}\n{first}");
        !counts.is_empty()
    });
}

/// A random graph whose outputs are a loss and its gradients by all its ports of the limits' first float type. For every other seed the loss has a
/// penalty: the squares of the gradients of a first loss.
pub(crate) fn with_gradients(seed: u64, limits: &Limits) -> Option<Graph> {
    let mut graph = random_graph(seed, limits);
    let dtype = *limits.dtypes.iter().find(|dtype| dtype.is_float())?;
    let result = graph.outputs().iter().map(|(_, id)| *id).find(|&id| graph.ty(id).dtype == dtype)?;
    let inputs = graph.inputs().map(|(id, port)| (port.name.clone(), id));
    let states = graph.states().map(|(id, port)| (port.name.clone(), id));
    let ports: Vec<(String, NodeId)> = inputs.chain(states).filter(|(_, id)| graph.ty(*id).dtype == dtype).collect();
    let axes: Vec<usize> = (0..graph.ty(result).shape.rank()).collect();
    let mut loss = Builder::new(&mut graph, None).reduce(ReduceKind::Sum, result, &axes).unwrap();
    if seed % 2 == 1 {
        for (_, id) in &ports {
            let gradient = graph.add(Op::Gradient(Gradient), &[loss, *id], None).unwrap();
            loss = add_squares(&mut graph, loss, gradient).unwrap();
        }
    }
    graph.set_output("loss", loss);
    for (name, id) in ports {
        let gradient = graph.add(Op::Gradient(Gradient), &[loss, id], None).unwrap();
        graph.set_output(format!("d{name}"), gradient);
    }
    Some(graph)
}

/// `loss` plus the sum of the squares of `x`.
fn add_squares(graph: &mut Graph, loss: NodeId, x: NodeId) -> ir::BuildResult {
    let axes: Vec<usize> = (0..graph.ty(x).shape.rank()).collect();
    let mut build = Builder::new(graph, None);
    let square = build.binary(ScalarOp::MUL, x, x)?;
    let sum = build.reduce(ReduceKind::Sum, square, &axes)?;
    build.binary(ScalarOp::ADD, loss, sum)
}

pub(crate) fn f64_limits(seed: u64) -> Limits {
    let dtypes = vec![DType::F64, DType::F64, DType::I32, DType::Bool];
    Limits { steps: 3 + (seed % 12) as usize, dtypes, ..Limits::default() }
}

/// Exact rules on values of all kinds, NaN and infinities among them; where others fire there is nothing to compare with, because a
/// jump may follow.
#[test]
fn exact_rules_keep_special_values() {
    check_most(0, 300, 50, |seed| {
        let limits = Limits { steps: 4 + (seed % 16) as usize, wild: true, ..Limits::default() };
        let graph = random_graph(seed, &limits);
        let mut simple = graph.clone();
        let counts = simplify::run_counted(&mut simple).unwrap();
        let exact = !counts.is_empty()
            && simplify::rules().all(|rule| rule.changes == Changes::Nothing || !counts.contains_key(rule.name));
        if exact {
            compare(&graph, &simplified, seed, Some(Agreement::Bits));
        }
        exact
    });
}

/// What derivative rules make is simplified like anything else.
#[test]
fn clean_up_keeps_gradients() {
    check_most(0, 150, 50, |seed| {
        let Some(graph) = with_gradients(seed, &f64_limits(seed)) else { return false };
        let expanded = run(&graph, &[named("autodiff")]);
        compare(&expanded, &|graph| run(graph, &clean_up()), seed, None);
        true
    });
}

/// The values with each zero replaced by a value of its own, none of which is a half: where `floor`, `round` and `sign` jump, `relu` has a kink, and two
/// equal operands of `min` make one, there is no derivative to compare with.
fn off_the_steps(mut ports: NamedValues) -> NamedValues {
    let mut other = 0.3003;
    for value in ports.values_mut().filter(|value| value.ty().dtype == DType::F64) {
        for i in 0..value.data().len() {
            if value.get(i).as_f64() == 0.0 {
                value.data_mut().set(i, Scalar::F64(other));
                other += 0.001;
            }
        }
    }
    ports
}

/// The derivative along a random direction is the difference quotient along it.
#[test]
fn gradients_match_differences() {
    check_most(0, 150, 50, |seed| {
        let Some(graph) = with_gradients(seed, &f64_limits(seed)) else { return false };
        let graph = run(&graph, &[named("autodiff")]);
        let ports = off_the_steps(random_ports(&graph, seed));
        let Ok(results) = evaluate(&graph, &ports) else { return false };
        let mut random = Rng::new(seed);
        let mut along = 0.0;
        let mut direction = NamedValues::new();
        for (name, gradient) in
            results.iter().filter(|(name, _)| name.starts_with('d') && ports.contains_key(&name[1..]))
        {
            let step = ir::Value::from_fn(gradient.ty().clone(), |i| {
                let unit = (random.bits() >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
                along += gradient.get(i).as_f64() * unit;
                Scalar::F64(unit)
            });
            direction.insert(name[1..].to_string(), step);
        }
        let at = |t: f64| {
            let mut moved = ports.clone();
            for (name, step) in &direction {
                let value = moved.get_mut(name).unwrap();
                for i in 0..step.data().len() {
                    let x = value.get(i).as_f64() + t * step.get(i).as_f64();
                    value.data_mut().set(i, Scalar::F64(x));
                }
            }
            evaluate(&graph, &moved).unwrap()["loss"].get(0).as_f64()
        };
        let t = 1e-6;
        let quotient = (at(t) - at(-t)) / (2.0 * t);
        let error = (along - quotient).abs();
        assert!(error <= 1e-4 * quotient.abs().max(1.0), "seed {seed}: {along} against {quotient}\n{graph}");
        true
    });
}
