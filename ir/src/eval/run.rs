//! Evaluates a whole graph, node by node.

use super::{FeedKind, NodeSite, RunError};
use crate::op::scan;
use crate::{EvalError, Graph, NodeId, Op, TensorType, Value, map_of};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What a run gives.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RunResults {
    /// The outputs, by name.
    pub outputs: BTreeMap<String, Value>,
    /// All states after the run, by name; those without an update are as before.
    pub states: BTreeMap<String, Value>,
}

impl RunResults {
    /// All of it under one name each: the outputs, and the states as `name'`.
    pub fn named(self) -> BTreeMap<String, Value> {
        let states = self.states.into_iter().map(|(name, value)| (format!("{name}'"), value));
        map_of(self.outputs.into_iter().chain(states))
    }
}

/// Evaluates a graph. Nodes that no output and no update depends on are not evaluated; a value is freed after its last use; every node
/// reads the states as they were before the run.
///
/// # Errors
/// A value is missing, given for a port that doesn't exist, or of another type than its port; or an op fails on its operands.
pub fn run(
    graph: &Graph,
    inputs: &BTreeMap<String, Value>,
    states: &BTreeMap<String, Value>,
) -> Result<RunResults, RunError> {
    run_watched(graph, inputs, states, &mut |_, _, _, _| Ok(()))
}

/// Sees each node that has been evaluated, in bodies of scans too, with its graph and its operands; may change the value.
pub type Watch<'w> = dyn FnMut(&Graph, NodeId, &[&Value], &mut Value) -> Result<(), EvalError> + 'w;

/// As [`run`], with a look at each value before others use it.
///
/// # Errors
/// As [`run`], and where `watch` gives one: that names the node, and ends the run.
pub fn run_watched(
    graph: &Graph,
    inputs: &BTreeMap<String, Value>,
    states: &BTreeMap<String, Value>,
    watch: &mut Watch<'_>,
) -> Result<RunResults, RunError> {
    check_ports(FeedKind::Input, map_of(graph.inputs().map(|(_, i)| (i.name.as_str(), &i.ty))), inputs)?;
    check_ports(FeedKind::State, map_of(graph.states().map(|(_, s)| (s.name.as_str(), &s.ty))), states)?;
    let order = live_order(graph)?;
    let mut pending = uses(graph, &order);
    let mut values: BTreeMap<NodeId, Cow<'_, Value>> = BTreeMap::new();
    let mut scanned: BTreeMap<NodeId, Value> = BTreeMap::new();
    for &id in &order {
        let value = match graph.op(id) {
            Op::Input(input) => Cow::Borrowed(&inputs[&input.name]),
            Op::State(state) => Cow::Borrowed(&states[&state.name]),
            _ => match scanned.remove(&id) {
                Some(value) => Cow::Owned(value),
                None => Cow::Owned(node(graph, id, &values, &mut scanned, watch)?),
            },
        };
        values.insert(id, value);
        for operand in graph.operands(id) {
            if let Some(left) = pending.get_mut(operand) {
                *left -= 1;
                if *left == 0 {
                    values.remove(operand);
                }
            }
        }
    }
    let collect = |results: &[(String, NodeId)]| -> BTreeMap<String, Value> {
        map_of(results.iter().map(|(name, id)| (name.clone(), values[id].clone().into_owned())))
    };
    let mut after = states.clone();
    after.extend(collect(graph.updates()));
    Ok(RunResults { outputs: collect(graph.outputs()), states: after })
}

fn check_ports(
    port: FeedKind,
    declared: BTreeMap<&str, &TensorType>,
    given: &BTreeMap<String, Value>,
) -> Result<(), RunError> {
    if let Some(name) = given.keys().find(|name| !declared.contains_key(name.as_str())) {
        let known = declared.keys().map(ToString::to_string).collect();
        return Err(RunError::Unknown { port, name: name.clone(), known });
    }
    for (name, ty) in declared {
        match given.get(name) {
            None => return Err(RunError::Missing { port, name: name.into(), ty: ty.clone() }),
            Some(value) if value.ty() != ty => {
                let (want, got) = (ty.clone(), value.ty().clone());
                return Err(RunError::WrongType { port, name: name.into(), want, got });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// The nodes that results depend on, in an order of evaluation.
fn live_order(graph: &Graph) -> Result<Vec<NodeId>, RunError> {
    let topological = graph.topological();
    let placed: BTreeSet<NodeId> = topological.iter().copied().collect();
    let results = graph.outputs().iter().chain(graph.updates()).map(|(_, id)| *id);
    if let Some(node) = graph.ids().chain(results).find(|id| !placed.contains(id)) {
        return Err(RunError::Unordered { node });
    }
    let live = graph.live();
    Ok(topological.into_iter().filter(|id| live.contains(id)).collect())
}

/// How often each value is still read; results are not counted down to zero.
fn uses(graph: &Graph, order: &[NodeId]) -> BTreeMap<NodeId, usize> {
    let mut uses: BTreeMap<NodeId, usize> = BTreeMap::new();
    let results = graph.outputs().iter().chain(graph.updates()).map(|(_, id)| id);
    for id in order.iter().flat_map(|&id| graph.operands(id)).chain(results) {
        *uses.entry(*id).or_default() += 1;
    }
    uses
}

/// Results of at most that many bytes are allocated without asking.
const SMALL: usize = 1 << 20;

/// The value of a node. A scan is run once: the values of the other nodes that are results of it go to `scanned`.
fn node(
    graph: &Graph,
    id: NodeId,
    values: &BTreeMap<NodeId, Cow<'_, Value>>,
    scanned: &mut BTreeMap<NodeId, Value>,
    watch: &mut Watch<'_>,
) -> Result<Value, RunError> {
    let node = graph.node(id);
    let operands: Vec<&Value> = node.operands().iter().map(|o| values[o].as_ref()).collect();
    let site = || Box::new(NodeSite { node: id, op: node.op().to_string(), loc: graph.loc(id).cloned() });
    let failed = |error| RunError::Op { at: site(), error };
    let bytes = node.ty().size_bytes();
    if bytes > SMALL && Vec::<u8>::new().try_reserve_exact(bytes).is_err() {
        return Err(failed(EvalError::Memory { bytes }));
    }
    let value = match node.op() {
        Op::Scan(scan) => {
            let mut results = scan::results(scan, &operands, watch).map_err(failed)?;
            for (other, select) in graph.same_scan(id).into_iter().filter(|(other, _)| *other != id) {
                scanned.insert(other, results[select].clone());
            }
            results.swap_remove(scan.select)
        }
        op => {
            let mut value = op.rules().eval(&operands, node.ty()).map_err(failed)?;
            watch(graph, id, &operands, &mut value).map_err(failed)?;
            value
        }
    };
    if value.ty() != node.ty() {
        return Err(RunError::Defect { at: site(), want: node.ty().clone(), got: value.ty().clone() });
    }
    Ok(value)
}
