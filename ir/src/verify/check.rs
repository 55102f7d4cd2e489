//! The checks, one function per invariant or pair of invariants.

use super::{Spec, Stage, VerifyError};
use crate::map::positions;
use crate::text::{TextLine, printing_order};
use crate::{Family, Graph, NodeId, Op, OpDef, TensorType, map_of};
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Checker<'g> {
    graph: &'g Graph,
    errors: Vec<VerifyError>,
}

impl<'g> Checker<'g> {
    pub(super) fn new(graph: &'g Graph) -> Self {
        Self { graph, errors: Vec::new() }
    }

    pub(super) fn check(mut self, spec: Spec) -> Vec<VerifyError> {
        self.operands();
        self.cycles();
        let ordered = self.errors.is_empty();
        self.types();
        self.port_nodes();
        self.results("output", self.graph.outputs(), TextLine::Output);
        self.results("update", self.graph.updates(), TextLine::Update);
        self.updates();
        self.bodies(spec);
        if spec.stage >= Stage::Differentiated {
            self.placeholders();
        }
        if spec.stage >= Stage::Fused && ordered {
            self.circles();
            self.unclustered();
        }
        if spec.stage >= Stage::Scheduled && ordered {
            self.cluster_order();
        }
        self.sorted()
    }

    /// In the order of lines, and by number on a line.
    fn sorted(self) -> Vec<VerifyError> {
        if self.errors.is_empty() {
            return self.errors;
        }
        let place = positions(&printing_order(self.graph));
        let key = |e: &VerifyError| (e.node().map(|id| place.get(&id).copied()), e.subject, e.invariant);
        let mut errors = self.errors;
        // The header first, then nodes, then outputs and updates.
        errors.sort_by_key(|e| (matches!(e.subject, TextLine::Output(_) | TextLine::Update(_)), key(e)));
        errors
    }

    fn report(&mut self, invariant: u32, subject: TextLine, message: String) {
        self.errors.push(VerifyError { invariant, message, subject });
    }

    fn operands(&mut self) {
        for id in self.graph.ids() {
            for (i, operand) in self.graph.operands(id).iter().enumerate() {
                if !self.graph.contains(*operand) {
                    self.report(1, TextLine::Node(id), format!("operand {i} is not a node of the graph"));
                }
            }
        }
    }

    fn cycles(&mut self) {
        for id in self.graph.cyclic() {
            self.report(2, TextLine::Node(id), "the node depends on itself".into());
        }
    }

    fn types(&mut self) {
        for id in self.graph.ids() {
            let node = self.graph.node(id);
            if node.operands().iter().any(|o| !self.graph.contains(*o)) {
                continue;
            }
            let types: Vec<&TensorType> = node.operands().iter().map(|&o| self.graph.ty(o)).collect();
            let OpDef { name, arity, .. } = node.op().def();
            if !arity.accepts(types.len()) {
                let message = format!("`{name}` has {} operands, it takes {arity:?}", types.len());
                self.report(3, TextLine::Node(id), message);
                continue;
            }
            match node.op().rules().infer(&types) {
                Ok(ty) if ty == *node.ty() => {}
                Ok(ty) => {
                    let message = format!("the node says {}, its operands give {ty}", node.ty());
                    self.report(3, TextLine::Node(id), message);
                }
                Err(rule) => self.report(3, TextLine::Node(id), format!("`{name}`: {rule}")),
            }
        }
    }

    fn port_nodes(&mut self) {
        let mut names = BTreeSet::new();
        for id in self.graph.ids() {
            let (kind, name) = match self.graph.op(id) {
                Op::Input(input) => ("input", &input.name),
                Op::State(state) => ("state", &state.name),
                _ => continue,
            };
            if name.is_empty() {
                self.report(4, TextLine::Node(id), format!("this {kind} has no name"));
            } else if !names.insert((kind, name)) {
                self.report(4, TextLine::Node(id), format!("another {kind} is named {name:?} too"));
            }
        }
    }

    fn results(&mut self, kind: &str, results: &[(String, NodeId)], subject: fn(usize) -> TextLine) {
        let mut names = BTreeSet::new();
        for (i, (name, id)) in results.iter().enumerate() {
            if name.is_empty() {
                self.report(5, subject(i), format!("this {kind} has no name"));
            } else if !names.insert(name) {
                self.report(5, subject(i), format!("another {kind} is named {name:?} too"));
            }
            if !self.graph.contains(*id) {
                self.report(5, subject(i), format!("this {kind} is not a node of the graph"));
            }
        }
    }

    fn updates(&mut self) {
        let states = map_of(self.graph.states().map(|(_, state)| (state.name.as_str(), &state.ty)));
        for (i, (name, id)) in self.graph.updates().iter().enumerate() {
            if !self.graph.contains(*id) {
                continue;
            }
            match states.get(name.as_str()) {
                None => self.report(6, TextLine::Update(i), format!("there is no state named {name:?}")),
                Some(ty) if *ty != self.graph.ty(*id) => {
                    let message = format!("the state is {ty}, its update is {}", self.graph.ty(*id));
                    self.report(6, TextLine::Update(i), message);
                }
                Some(_) => {}
            }
        }
    }

    fn placeholders(&mut self) {
        for id in self.graph.ids().filter(|&id| self.graph.op(id).family() == Family::Control) {
            let message = format!("a `{}` is left in a differentiated graph", self.graph.op(id).name());
            self.report(7, TextLine::Node(id), message);
        }
    }

    fn bodies(&mut self, spec: Spec) {
        for id in self.graph.ids() {
            let Op::Scan(scan) = self.graph.op(id) else { continue };
            if let Err(errors) = super::verify(scan.body.graph(), spec) {
                let text = errors.to_string().replace('\n', "\n  //   ");
                self.report(11, TextLine::Node(id), format!("in the body: {text}"));
            }
        }
    }

    fn circles(&mut self) {
        if let Some(circle) = self.graph.cluster_circle() {
            let path: Vec<String> = circle.0.iter().map(|c| format!("@{c}")).collect();
            self.report(8, TextLine::Graph, format!("clusters wait for each other: {}", path.join(" for ")));
        }
    }

    fn unclustered(&mut self) {
        for id in self.graph.live() {
            let op = self.graph.op(id);
            let computes = matches!(op.family(), Family::Reduce | Family::Window | Family::Contraction | Family::Loop);
            if computes && self.graph.cluster(id).is_none() {
                self.report(9, TextLine::Node(id), format!("`{}` is in no cluster", op.name()));
            }
        }
    }

    fn cluster_order(&mut self) {
        // The latest cluster that a node without one depends on, through others of the kind.
        let mut latest: BTreeMap<NodeId, Option<u32>> = BTreeMap::new();
        for id in self.graph.topological() {
            let before = self.graph.operands(id).iter().filter_map(|o| latest[o]).max();
            let own = self.graph.cluster(id);
            if let (Some(own), Some(before)) = (own, before)
                && before > own
            {
                self.report(10, TextLine::Node(id), format!("@{own} depends on @{before}, which runs later"));
            }
            latest.insert(id, own.or(before));
        }
    }
}
