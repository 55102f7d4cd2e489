//! Finds the op that makes the first NaN, or the first infinite number of finite ones, in a step of which the states and inputs are known.
//!
//! The graph with its backward pass is compiled once more so that it gives, for each node alone, whether there is NaN or an infinite number in its value: the step itself keeps few of
//! its values. The node that is found is compiled a third time, for its operands. The body of a scan, whose values nobody can give out, is interpreted.

use super::{NumericsFault, OperandRange, ValueRange};
use crate::compile::{Cache, CompileOptions, RunError};
use crate::dsl::Step;
use ir::eval::run_watched;
use ir::op::source::Input;
use ir::{BuildError, Builder, EvalError, Family, Graph, NodeId, Op, Scalar, ScalarOp, Value, map_of};
use passes::{PassContext, PassOptions, Snapshots};
use runtime::States;
use std::collections::BTreeMap;

/// What a value has in it that isn't finite.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
enum NotFiniteKind {
    Infinite = 1,
    NaN = 2,
}

/// A step that is looked into.
struct FaultSearch<'s> {
    step: &'s Step,
    options: CompileOptions,
    states: Option<&'s States>,
    inputs: &'s BTreeMap<String, Value>,
    /// The step's graph, with the backward pass.
    graph: Graph,
}

/// Finds the op at fault; none if there is no NaN, and all infinite numbers come of infinite ones.
///
/// # Errors
/// Why it couldn't be looked for.
pub(super) fn locate(
    step: &Step,
    options: &CompileOptions,
    states: Option<&States>,
    inputs: &BTreeMap<String, Value>,
) -> Result<Option<NumericsFault>, String> {
    let passes = PassOptions { check_numerics: false, memory_limit: None, ..options.passes.clone() };
    let options =
        CompileOptions { passes, cache: Cache::Off, snapshots: Snapshots::None, verify_code: false, ..options.clone() };
    let target = options.target_or_host().map_err(|e| e.to_string())?;
    let mut graph = step.graph.clone();
    let cx = PassContext { target, options: options.passes.clone() };
    passes::autodiff::run(&mut graph, &cx).map_err(|e| e.to_string())?;
    let search = FaultSearch { step, options, states, inputs, graph };
    let kinds = search.kinds()?;
    first(&search.graph, &kinds).map(|node| search.fault(node, &kinds)).transpose()
}

/// The node at fault: what gives the first NaN, or, if that is made of infinite numbers, what made those of finite ones; without NaN the first that makes infinite numbers of finite ones.
fn first(graph: &Graph, kinds: &BTreeMap<NodeId, NotFiniteKind>) -> Option<NodeId> {
    let of = |node: &NodeId| kinds.get(node).copied();
    let order = graph.topological();
    let has = |node: NodeId, kind: NotFiniteKind| graph.operands(node).iter().any(|o| of(o) == Some(kind));
    let nan = order.iter().find(|node| of(node) == Some(NotFiniteKind::NaN) && !has(**node, NotFiniteKind::NaN));
    if let Some(&nan) = nan {
        let mut at = nan;
        while let Some(&from) = graph.operands(at).iter().find(|o| of(o) == Some(NotFiniteKind::Infinite)) {
            at = from;
        }
        return Some(if graph.op(at).family() == Family::Source { nan } else { at });
    }
    let makes = |node: &&NodeId| {
        of(node) == Some(NotFiniteKind::Infinite)
            && graph.op(**node).family() != Family::Source
            && !has(**node, NotFiniteKind::Infinite)
    };
    order.iter().find(makes).copied()
}

impl FaultSearch<'_> {
    /// Runs a graph that has the step's ports on the step's inputs and states.
    fn run(&self, graph: Graph) -> Result<BTreeMap<String, Value>, String> {
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let step = Step { graph, states: self.step.states.clone(), layers: vec![] };
        let mut program = step.compile_without_states(&self.options).map_err(|e| text(&e))?;
        let sizes = self.step.states.iter().map(|state| (state.name.clone(), state.ty.dtype, state.ty.shape.numel()));
        let mut states = States::new(sizes).map_err(|e| text(&e))?;
        if let Some(from) = self.states {
            states.copy_from(from);
        }
        program.attach(states).map_err(|e| text(&e.why))?;
        program.run(self.inputs).map_err(|e: RunError| text(&e))
    }

    /// For each node whether its value has NaN or an infinite number in it; those that have neither aren't there.
    fn kinds(&self) -> Result<BTreeMap<NodeId, NotFiniteKind>, String> {
        let mut graph = self.graph.clone();
        let live = graph.live();
        graph.clear_results();
        let floats = |id: &NodeId| self.graph.ty(*id).dtype.is_float();
        let nodes: Vec<NodeId> = live.into_iter().filter(floats).collect();
        for (at, &node) in nodes.iter().enumerate() {
            let kind = add_kind(&mut graph, node).map_err(|e| e.to_string())?;
            graph.set_output(at.to_string(), kind);
        }
        let found = self.run(graph)?;
        let kind = |(at, &node): (usize, &NodeId)| {
            let number = found.get(&at.to_string())?.get(0).as_f64();
            let kind = if number >= 2.0 { NotFiniteKind::NaN } else { NotFiniteKind::Infinite };
            (number > 0.0).then_some((node, kind))
        };
        Ok(map_of(nodes.iter().enumerate().filter_map(kind)))
    }

    /// The fault of a node.
    fn fault(&self, node: NodeId, kinds: &BTreeMap<NodeId, NotFiniteKind>) -> Result<NumericsFault, String> {
        let mut graph = self.graph.clone();
        graph.clear_results();
        let name = |at: usize| format!("operand {at}");
        for (at, &operand) in self.graph.operands(node).iter().enumerate() {
            graph.set_output(name(at), operand);
        }
        graph.set_output("result", node);
        let mut values = self.run(graph)?;
        let missing = "a value of the op is missing";
        let result = values.remove("result").ok_or(missing)?;
        let count = self.graph.operands(node).len();
        let operands: Option<Vec<Value>> = (0..count).map(|at| values.remove(&name(at))).collect();
        let operands = operands.ok_or(missing)?;
        let backward = self.is_backward(node);
        if let Op::Scan(_) = self.graph.op(node)
            && !self.graph.operands(node).iter().any(|o| kinds.get(o) == Some(&NotFiniteKind::NaN))
            && let Some(fault) = in_body(&self.graph, node, &operands)?
        {
            return Ok(NumericsFault { backward, ..fault });
        }
        let operands: Vec<&Value> = operands.iter().collect();
        Ok(NumericsFault { backward, ..describe(&self.graph, node, &operands, &result) })
    }

    /// Whether a node isn't one that the user's program declared.
    fn is_backward(&self, node: NodeId) -> bool {
        !self.step.graph.contains(node) || self.step.graph.op(node) != self.graph.op(node)
    }
}

/// Adds a number to a graph that says what a value has in it: 0, or a [`NotFiniteKind`].
fn add_kind(graph: &mut Graph, node: NodeId) -> Result<NodeId, BuildError> {
    let shape = graph.ty(node).shape.clone();
    let axes: Vec<usize> = (0..shape.rank()).collect();
    let mut build = Builder::new(graph, None);
    let size = build.unary(ScalarOp::ABS, node)?;
    let infinity = build.full_like(node, f64::INFINITY)?;
    let mut number = |kind: f32| build.full(Scalar::F32(kind), shape.clone());
    let (none, infinite, nan) =
        (number(0.0)?, number(NotFiniteKind::Infinite as i32 as f32)?, number(NotFiniteKind::NaN as i32 as f32)?);
    let is_infinite = build.binary(ScalarOp::EQ, size, infinity)?;
    let is_nan = build.binary(ScalarOp::NE, node, node)?;
    let kind = build.select(is_infinite, infinite, none)?;
    let kind = build.select(is_nan, nan, kind)?;
    build.reduce(ir::op::reduce::ReduceKind::Max, kind, &axes)
}

/// The fault of an op, by its values.
fn describe(graph: &Graph, node: NodeId, operands: &[&Value], result: &Value) -> NumericsFault {
    let op = graph.op(node);
    let port = match op {
        Op::Input(input) => Some(input.name.clone()),
        Op::State(state) => Some(state.name.clone()),
        _ => None,
    };
    let from = |node: NodeId| match graph.op(node) {
        Op::Input(input) => format!("input {}", input.name),
        Op::State(state) => format!("state {}", state.name),
        op => op.name().to_string(),
    };
    let operands = graph.operands(node).iter().zip(operands);
    let loc = graph.loc(node).cloned();
    NumericsFault {
        op: op.name().to_string(),
        port,
        layer: loc.as_ref().and_then(|loc| loc.layer.as_deref()).map(str::to_string),
        loc,
        backward: false,
        in_scan: false,
        result: ValueRange::of(result),
        operands: operands
            .map(|(&node, value)| OperandRange { from: from(node), range: ValueRange::of(value) })
            .collect(),
    }
}

/// The fault of an op in the body of a scan, found by interpreting it.
fn in_body(graph: &Graph, node: NodeId, operands: &[Value]) -> Result<Option<NumericsFault>, String> {
    let mut alone = Graph::new("scan");
    let (mut inputs, mut nodes) = (BTreeMap::new(), vec![]);
    for (at, operand) in operands.iter().enumerate() {
        let name = at.to_string();
        let input = Op::Input(Input { name: name.clone(), ty: operand.ty().clone() });
        nodes.push(alone.add(input, &[], None).map_err(|e| e.to_string())?);
        inputs.insert(name, operand.clone());
    }
    let scan = alone.add(graph.op(node).clone(), &nodes, None).map_err(|e| e.to_string())?;
    alone.set_output("result", scan);
    let mut found = None;
    let run = run_watched(&alone, &inputs, &BTreeMap::new(), &mut |body, node, operands, value| {
        let result = ValueRange::of(value);
        let is_made_here = |range: &ValueRange, of: fn(&ValueRange) -> usize| {
            of(range) > 0 && operands.iter().all(|operand| of(&ValueRange::of(operand)) == 0)
        };
        let source = body.op(node).family() == Family::Source;
        if source || !is_made_here(&result, |r| r.nans) && !is_made_here(&result, |r| r.infinities) {
            return Ok(());
        }
        found = Some(NumericsFault { in_scan: true, ..describe(body, node, operands, value) });
        Err(EvalError::NotEvaluable { op: "scan", why: "its first number that isn't finite has been found" })
    });
    match (run, found) {
        (_, Some(fault)) => Ok(Some(fault)),
        (Err(error), None) => Err(error.to_string()),
        (Ok(_), None) => Ok(None),
    }
}
