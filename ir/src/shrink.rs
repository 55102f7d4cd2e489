//! Makes a graph that shows a fault small: what is left is what the fault needs.
//!
//! A fault of a compiler shows in a large graph on certain values. [`shrink`] tries smaller graphs, as long as a caller's test says that they show it
//! too: one result instead of several, an inner node as the result, or two, an input in place of a node (with the value that the node had, so that what comes after it sees
//! no difference), an operand in place of a node, one input for two, shorter axes. (The idea is that of delta debugging: Zeller and Hildebrandt,
//! "Simplifying and isolating failure-inducing input", IEEE TSE 2002.)
//!
//! ```
//! use ir::shrink::{GraphCase, shrink};
//! use ir::{Graph, Scalar, Shape, Value};
//! use std::collections::BTreeMap;
//!
//! let graph = Graph::parse(r#"graph "g" {
//!   %0 = input {name="x"} : f32[8]
//!   %1 = exp %0 : f32[8]
//!   %2 = neg %1 : f32[8]
//!   %3 = sqrt %2 : f32[8]
//!   %4 = add %3, %0 : f32[8]
//!   output "y" = %4
//!   output "z" = %1
//! }"#)?;
//! let inputs = BTreeMap::from([("x".to_string(), Value::splat(Scalar::F32(1.0), Shape::new([8])?))]);
//! let case = GraphCase { graph, inputs, states: BTreeMap::new() };
//! // Say that it is a fault if numbers give what is none.
//! let least = shrink(case, |case| {
//!     let Ok(outcome) = ir::eval::run(&case.graph, &case.inputs, &case.states) else { return false };
//!     let none = |values: &BTreeMap<String, Value>| values.values().any(|value| value.get(0).is_nan());
//!     none(&outcome.outputs) && !none(&case.inputs)
//! });
//! let text = least.graph.to_string();
//! assert!(text.contains("sqrt %0 : f32[1]") && least.graph.len() == 2, "{text}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::op::source::Input;
use crate::{Family, Graph, NodeId, Op, Shape, TensorType, Value, map_of};
use std::collections::{BTreeMap, BTreeSet};

/// A graph and the values that it is run on, by name.
#[derive(Clone, Debug)]
pub struct GraphCase {
    /// The graph.
    pub graph: Graph,
    /// A value for each input.
    pub inputs: BTreeMap<String, Value>,
    /// A value for each state.
    pub states: BTreeMap<String, Value>,
}

/// The smallest case found for which `fails` holds, as it must for the one given. It is asked about valid graphs with values of the right types; a few times as often as
/// the graph has nodes. Where the interpreter can't run the graph, nodes aren't replaced by inputs.
pub fn shrink(case: GraphCase, mut fails: impl FnMut(&GraphCase) -> bool) -> GraphCase {
    let mut least = Shrinking { case, fails: &mut fails };
    loop {
        let before = size(&least.case.graph);
        least.try_one_result();
        least.try_inner_results();
        least.try_two_results();
        least.try_inputs();
        least.try_operands();
        least.try_fewer_inputs();
        least.try_shorter_axes();
        if size(&least.case.graph) == before {
            return least.case;
        }
    }
}

/// What a smaller graph has less of, the first first: ops, nodes, results, elements.
fn size(graph: &Graph) -> [usize; 4] {
    let ops = graph.ids().filter(|id| graph.op(*id).family() != Family::Source).count();
    let results = graph.outputs().len() + graph.updates().len();
    [ops, graph.len(), results, graph.ids().map(|id| graph.ty(id).shape.numel()).sum()]
}

/// Of how many ops all pairs are tried as results.
const MOST_IN_PAIRS: usize = 16;

struct Shrinking<'f> {
    case: GraphCase,
    fails: &'f mut dyn FnMut(&GraphCase) -> bool,
}

impl Shrinking<'_> {
    /// Takes another case if it is smaller and fails.
    fn offer(&mut self, other: GraphCase) -> bool {
        let taken = size(&other.graph) < size(&self.case.graph) && (self.fails)(&other);
        if taken {
            self.case = other;
        }
        taken
    }

    fn try_one_result(&mut self) {
        for id in results(&self.case.graph) {
            if self.offer(self.of_result(id)) {
                return;
            }
        }
    }

    /// The first node that shows the fault as the only result.
    fn try_inner_results(&mut self) {
        for id in self.case.graph.topological() {
            let is_op = self.case.graph.op(id).family() != Family::Source;
            if is_op && self.offer(self.of_result(id)) {
                return;
            }
        }
    }

    /// Two nodes as the results, where one alone doesn't show the fault: what is wrong about two nodes may meet only far below them. All pairs are tried, of few nodes.
    fn try_two_results(&mut self) {
        let ops: Vec<NodeId> = self.case.graph.topological();
        let ops: Vec<NodeId> =
            ops.into_iter().filter(|id| self.case.graph.op(*id).family() != Family::Source).collect();
        if ops.len() > MOST_IN_PAIRS {
            return;
        }
        for (at, &second) in ops.iter().enumerate() {
            for &first in &ops[..at] {
                if self.offer(self.of_results(&[first, second])) {
                    return;
                }
            }
        }
    }

    /// The same with a node as the only result.
    fn of_result(&self, id: NodeId) -> GraphCase {
        self.of_results(&[id])
    }

    /// The same with these nodes as the results.
    fn of_results(&self, ids: &[NodeId]) -> GraphCase {
        let mut case = self.case.clone();
        case.graph.clear_results();
        for (&id, name) in ids.iter().zip(["y", "z"]) {
            case.graph.set_output(name, id);
        }
        case.swept()
    }

    /// Inputs in place of nodes, the last first: most is gone with it.
    fn try_inputs(&mut self) {
        let values = self.values();
        for id in self.case.graph.topological().into_iter().rev() {
            let Some(value) = values.get(&id).filter(|_| self.case.graph.contains(id)) else { continue };
            if matches!(self.case.graph.op(id), Op::Input(_) | Op::State(_) | Op::Full(_)) {
                continue;
            }
            let mut case = self.case.clone();
            let name = format!("at{}", id.index());
            let input = Op::Input(Input { name: name.clone(), ty: value.ty().clone() });
            if case.inputs.contains_key(&name) {
                continue;
            }
            if let Ok(input) = case.graph.add(input, &[], None) {
                case.graph.replace_uses(id, input);
                case.inputs.insert(name, value.clone());
                self.offer(case.swept());
            }
        }
    }

    /// What each node is in the interpreter; nothing if it can't run.
    fn values(&self) -> BTreeMap<NodeId, Value> {
        let mut graph = self.case.graph.clone();
        graph.clear_results();
        let ids: Vec<NodeId> = graph.ids().collect();
        ids.iter().for_each(|&id| graph.set_output(id.to_string(), id));
        let Ok(mut outcome) = crate::eval::run(&graph, &self.case.inputs, &self.case.states) else {
            return BTreeMap::new();
        };
        map_of(ids.into_iter().filter_map(|id| Some((id, outcome.outputs.remove(&id.to_string())?))))
    }

    /// Operands of the same type in place of nodes.
    fn try_operands(&mut self) {
        for id in self.case.graph.topological().into_iter().rev() {
            if !self.case.graph.contains(id) {
                continue;
            }
            let ty = self.case.graph.ty(id).clone();
            for operand in self.case.graph.operands(id).to_vec() {
                if *self.case.graph.ty(operand) == ty && self.offer(self.replaced(id, operand)) {
                    break;
                }
            }
        }
    }

    /// One input or state in the place of several of one type.
    fn try_fewer_inputs(&mut self) {
        let is_port = |graph: &Graph, id: NodeId| matches!(graph.op(id), Op::Input(_) | Op::State(_));
        let ports: Vec<NodeId> = self.case.graph.ids().filter(|id| is_port(&self.case.graph, *id)).collect();
        for (at, &id) in ports.iter().enumerate() {
            for &first in &ports[..at] {
                let graph = &self.case.graph;
                let both = graph.contains(id) && graph.contains(first);
                if both && graph.ty(id) == graph.ty(first) && self.offer(self.replaced(id, first)) {
                    break;
                }
            }
        }
    }

    fn replaced(&self, id: NodeId, by: NodeId) -> GraphCase {
        let mut case = self.case.clone();
        case.graph.replace_uses(id, by);
        case.swept()
    }

    /// Shorter axes wherever a tensor has one of that extent, if the graph is valid so: of 1, of half, of one less.
    fn try_shorter_axes(&mut self) {
        let extents = |graph: &Graph| -> BTreeSet<usize> {
            graph.ids().flat_map(|id| graph.ty(id).shape.to_vec()).filter(|extent| *extent > 1).collect()
        };
        for extent in extents(&self.case.graph).into_iter().rev() {
            let shorter = [1, extent / 2, extent - 1].into_iter().filter(|shorter| (1..extent).contains(shorter));
            for shorter in shorter {
                if let Some(case) = self.with_axes(extent, shorter)
                    && self.offer(case)
                {
                    break;
                }
            }
        }
    }

    /// The graph read anew with other types, if that is valid; of values the first elements along each axis.
    fn with_axes(&self, extent: usize, shorter: usize) -> Option<GraphCase> {
        let graph = Graph::parse(&with_extents(&self.case.graph.to_string(), extent, shorter)).ok()?;
        let cut = |values: &BTreeMap<String, Value>, name: &str, ty: &TensorType| {
            Some((name.to_string(), beginning(values.get(name)?, ty)?))
        };
        let inputs = graph.inputs().map(|(_, port)| cut(&self.case.inputs, &port.name, &port.ty));
        let inputs = map_of(inputs.collect::<Option<Vec<_>>>()?);
        let states = graph.states().map(|(_, port)| cut(&self.case.states, &port.name, &port.ty));
        let states = map_of(states.collect::<Option<Vec<_>>>()?);
        Some(GraphCase { graph, inputs, states })
    }
}

impl GraphCase {
    /// Without what no result needs, ports and their values among it.
    fn swept(mut self) -> Self {
        self.graph.sweep();
        let port = |graph: &Graph, id: NodeId| match graph.op(id) {
            Op::Input(input) => Some((true, input.name.clone())),
            Op::State(state) => Some((false, state.name.clone())),
            _ => None,
        };
        let unused = |graph: &Graph, id: NodeId| !graph.has_users(id) && !graph.is_result(id);
        let updated: BTreeSet<String> = self.graph.updates().iter().map(|(name, _)| name.clone()).collect();
        for id in self.graph.ids().collect::<Vec<NodeId>>() {
            let Some((input, name)) = port(&self.graph, id).filter(|_| unused(&self.graph, id)) else { continue };
            if input {
                self.inputs.remove(&name);
                self.graph.remove(id);
            } else if !updated.contains(&name) {
                self.states.remove(&name);
                self.graph.remove(id);
            }
        }
        self
    }
}

/// The nodes that are results, each once.
fn results(graph: &Graph) -> BTreeSet<NodeId> {
    graph.outputs().iter().chain(graph.updates()).map(|(_, id)| *id).collect()
}

/// The text of a graph with another extent wherever a type has that one.
fn with_extents(text: &str, extent: usize, shorter: usize) -> String {
    let types = |line: &str| -> Option<String> {
        let (node, ty) = line.rsplit_once(" : ")?;
        let (dtype, rest) = ty.split_once('[')?;
        let (dims, after) = rest.split_once(']')?;
        let dims: Vec<String> = dims
            .split(',')
            .map(|dim| if dim.parse() == Ok(extent) { shorter.to_string() } else { dim.to_string() })
            .collect();
        Some(format!("{node} : {dtype}[{}]{after}", dims.join(",")))
    };
    text.lines().map(|line| types(line).unwrap_or_else(|| line.to_string()) + "\n").collect()
}

/// The first elements along each axis, for a type of the same rank.
fn beginning(value: &Value, ty: &TensorType) -> Option<Value> {
    let (from, to): (&Shape, &Shape) = (&value.ty().shape, &ty.shape);
    let fits = from.rank() == to.rank() && from.iter().zip(to.iter()).all(|(long, short)| short <= long);
    let place = |mut i: usize| {
        let (mut place, mut stride) = (0, 1);
        for (&long, &short) in from.iter().zip(to.iter()).rev() {
            place += i % short * stride;
            i /= short;
            stride *= long;
        }
        place
    };
    (fits && value.ty().dtype == ty.dtype).then(|| Value::from_fn(ty.clone(), |i| value.get(place(i))))
}
