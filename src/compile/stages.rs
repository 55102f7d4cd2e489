//! A step in parts, between which processes exchange sums.
//!
//! The graph of a step that several processes take has pairs of an output and an input: what a process adds to a sum, and the sum ([`crate::dsl::GraphBuilder::all_reduce`]). It is cut where sums
//! are needed: a stage is all that can be computed with the sums of the stages before. What a later stage needs besides is handed on. Without statistics that
//! are synchronized there are two: forward and backward pass, and the update.

use super::{CompileError, CompileOptions, Stop, run_passes};
use crate::dsl::{LOCAL, SUM, Step};
use ir::op::source::Input;
use ir::{Graph, NodeId, Op, map_of};
use std::collections::BTreeMap;

/// How outputs and inputs begin that a stage hands on to a later one.
const HANDED_ON: &str = "parallel/handed_on/";

/// A stage of a step.
#[derive(Clone, Debug)]
pub(crate) struct StageStep {
    /// What it computes.
    pub(crate) step: Step,
    /// The numbers of the sums that it has terms of, ascending.
    pub(crate) sums: Vec<usize>,
    /// The outputs that are inputs of later stages, under the same names.
    pub(crate) handed_on: Vec<String>,
}

/// The stages of a step.
#[derive(Clone, Debug)]
pub(crate) struct Stages {
    /// In their order; the last one changes the states.
    pub(crate) stages: Vec<StageStep>,
    /// Which one has the outputs that aren't of the update.
    pub(crate) measured: usize,
}

impl Stages {
    /// Cuts a step. The outputs `of_update` are in the last stage.
    ///
    /// # Errors
    /// If a gradient can't be derived.
    pub(crate) fn cut(step: &Step, of_update: &[String], options: &CompileOptions) -> Result<Self, CompileError> {
        // Derived and tidied up: what depends on what shows then.
        let outcome = run_passes(step.graph.clone(), options, Stop::AfterPass("dce".into()))?;
        let passes::Module::Graph(graph) = outcome.module else { return Err(CompileError::NotLowered) };
        let places = Places::of(&graph, of_update);
        StageCutter { whole: step, of_update, graph: &graph, places, stages: vec![], nodes: vec![] }.cut()
    }
}

/// The number of a port in a pair.
fn number(name: &str, prefix: &str) -> Option<usize> {
    name.strip_prefix(prefix)?.parse().ok()
}

/// Which stage everything is of.
struct Places {
    /// Of a node.
    of: BTreeMap<NodeId, usize>,
    /// Of outputs that aren't terms of sums, unless they are of the update.
    measured: usize,
    last: usize,
}

impl Places {
    fn of(graph: &Graph, of_update: &[String]) -> Self {
        let order = graph.topological();
        let earliest = earliest(graph, &order);
        let at = |id: &NodeId| earliest.get(id).copied().unwrap_or(0);
        let last = earliest.values().copied().max().unwrap_or(0);
        let plain = graph.outputs().iter().filter(|(name, _)| number(name, LOCAL).is_none());
        let measured = plain.filter(|(name, _)| !of_update.contains(name)).map(|(_, id)| at(id)).max().unwrap_or(0);
        let mut places = Self { of: BTreeMap::new(), measured, last };
        for (name, id) in graph.outputs() {
            let stage = if number(name, LOCAL).is_some() { at(id) } else { places.of_output(name, of_update) };
            places.not_after(*id, stage);
        }
        graph.updates().iter().for_each(|(_, id)| places.not_after(*id, last));
        places.as_late_as_possible(graph, &order);
        places
    }

    fn of_output(&self, name: &str, of_update: &[String]) -> usize {
        if of_update.iter().any(|of_update| of_update == name) { self.last } else { self.measured }
    }

    fn not_after(&mut self, id: NodeId, stage: usize) {
        let place = self.of.entry(id).or_insert(stage);
        *place = stage.min(*place);
    }

    /// Each node where it is first needed: so a stage hands on no more than it must. All results of a scan are computed together.
    fn as_late_as_possible(&mut self, graph: &Graph, order: &[NodeId]) {
        let scans = graph.scans();
        for &id in order.iter().rev() {
            let together = scans.iter().find(|scan| scan.contains(&id));
            let alone = [id];
            let nodes = together.map_or(&alone[..], |scan| &scan[..]);
            let Some(stage) = nodes.iter().filter_map(|id| self.of.get(id)).copied().min() else { continue };
            nodes.iter().for_each(|&id| self.not_after(id, stage));
            graph.operands(id).iter().for_each(|&operand| self.not_after(operand, stage));
        }
    }
}

/// The first stage in which each node can be computed.
fn earliest(graph: &Graph, order: &[NodeId]) -> BTreeMap<NodeId, usize> {
    let mut stages: BTreeMap<NodeId, usize> = BTreeMap::new();
    let terms = map_of(graph.outputs().iter().filter_map(|(name, id)| Some((number(name, LOCAL)?, *id))));
    // A sum is known one stage after its term: as many rounds as there are stages.
    for _ in 0..=terms.len() {
        let mut changed = false;
        for &id in order {
            let of = |id: &NodeId| stages.get(id).copied().unwrap_or(0);
            let stage = match graph.op(id) {
                Op::Input(input) => number(&input.name, SUM).and_then(|k| terms.get(&k)).map_or(0, |term| of(term) + 1),
                _ => graph.operands(id).iter().map(of).max().unwrap_or(0),
            };
            changed |= stages.insert(id, stage) != Some(stage);
        }
        if !changed {
            break;
        }
    }
    stages
}

/// Makes graphs of stages.
struct StageCutter<'g> {
    whole: &'g Step,
    of_update: &'g [String],
    graph: &'g Graph,
    places: Places,
    stages: Vec<StageStep>,
    /// The nodes of each stage by those of the whole graph.
    nodes: Vec<BTreeMap<NodeId, NodeId>>,
}

impl StageCutter<'_> {
    fn cut(mut self) -> Result<Stages, CompileError> {
        let order = self.graph.topological();
        for stage in 0..=self.places.last {
            let graph = Graph::new(format!("{}_{stage}", self.graph.name()));
            let step = Step { graph, states: vec![], layers: self.whole.layers.clone() };
            self.stages.push(StageStep { step, sums: vec![], handed_on: vec![] });
            self.nodes.push(BTreeMap::new());
            let is_here = |id: &NodeId| self.places.of.get(id) == Some(&stage);
            for id in order.iter().copied().filter(is_here).collect::<Vec<_>>() {
                self.add(stage, id)?;
            }
            self.results(stage)?;
            let Step { graph, states, .. } = &mut self.stages[stage].step;
            let read = |name: &str| graph.states().any(|(_, state)| state.name == name);
            *states = self.whole.states.iter().filter(|state| read(&state.name)).cloned().collect();
        }
        Ok(Stages { stages: self.stages, measured: self.places.measured })
    }

    /// Adds a node with the operands that it needs.
    fn add(&mut self, stage: usize, id: NodeId) -> Result<NodeId, CompileError> {
        let operands: Result<Vec<NodeId>, CompileError> =
            self.graph.operands(id).iter().map(|&operand| self.bring(stage, operand)).collect();
        self.put(stage, id, self.graph.op(id).clone(), &operands?)
    }

    fn put(&mut self, stage: usize, id: NodeId, op: Op, operands: &[NodeId]) -> Result<NodeId, CompileError> {
        let graph = &mut self.stages[stage].step.graph;
        let node = graph.add(op, operands, self.graph.loc(id).cloned()).map_err(passes::PassError::from)?;
        self.nodes[stage].insert(id, node);
        Ok(node)
    }

    /// A node of the stage, or of one before, in the stage: what costs nothing is computed again, all else handed on.
    fn bring(&mut self, stage: usize, id: NodeId) -> Result<NodeId, CompileError> {
        let mut chain = vec![id];
        while let Some(&last) = chain.last()
            && !self.nodes[stage].contains_key(&last)
            && let (Op::Broadcast(_) | Op::Reshape(_), [operand]) = (self.graph.op(last), self.graph.operands(last))
        {
            chain.push(*operand);
        }
        let Some(base) = chain.pop() else { return self.hand_on(stage, id) };
        let mut node = match self.nodes[stage].get(&base) {
            Some(&node) => node,
            None if self.graph.operands(base).is_empty() => self.add(stage, base)?,
            None => self.hand_on(stage, base)?,
        };
        for id in chain.into_iter().rev() {
            node = self.put(stage, id, self.graph.op(id).clone(), &[node])?;
        }
        Ok(node)
    }

    /// An output of the stage that computes a node, and an input of this one.
    fn hand_on(&mut self, stage: usize, id: NodeId) -> Result<NodeId, CompileError> {
        let name = format!("{HANDED_ON}{}", id.index());
        let from = self.places.of.get(&id).copied().unwrap_or(0);
        let known = self.nodes.get(from).and_then(|nodes| nodes.get(&id)).copied();
        if let (Some(node), Some(producer)) = (known, self.stages.get_mut(from))
            && producer.step.graph.output(&name).is_none()
        {
            producer.step.graph.set_output(name.clone(), node);
            producer.handed_on.push(name.clone());
        }
        self.put(stage, id, Op::Input(Input { name, ty: self.graph.ty(id).clone() }), &[])
    }

    /// The outputs of a stage; the new values of states in the last one.
    fn results(&mut self, stage: usize) -> Result<(), CompileError> {
        let (graph, last) = (self.graph, self.places.last);
        for (name, id) in graph.outputs() {
            let term = number(name, LOCAL);
            let place = match term {
                Some(_) => self.places.of.get(id).copied().unwrap_or(0),
                None => self.places.of_output(name, self.of_update),
            };
            if place == stage {
                let node = self.bring(stage, *id)?;
                self.stages[stage].step.graph.set_output(name.clone(), node);
                self.stages[stage].sums.extend(term);
            }
        }
        self.stages[stage].sums.sort_unstable();
        for (name, id) in graph.updates().iter().filter(|_| stage == last) {
            let state = graph.states().find(|(_, state)| state.name == *name).map(|(state, _)| state);
            state.map(|state| self.bring(stage, state)).transpose()?;
            let node = self.bring(stage, *id)?;
            self.stages[stage].step.graph.set_update(name.clone(), node);
        }
        Ok(())
    }
}
