//! One step of a scan forward and backward, as one graph.

use crate::autodiff::controls::replace_controls;
use crate::autodiff::sweep::pull_back;
use crate::clean_up::CLEAN_UP;
use crate::simplify::Rewrites;
use crate::{PassContext, PassError};
use ir::op::scan::Scan;
use ir::op::source::Input;
use ir::{Builder, Graph, NodeId, Op, TensorType};
use std::collections::{BTreeMap, BTreeSet};

/// One step forward and backward. Its outputs are the body's and, named [`Joint::gradient_name`], the gradients of the body's inputs.
pub(super) struct Joint {
    pub(super) graph: Graph,
    /// The body's inputs: carries, sequences, invariants.
    pub(super) carries: Vec<NodeId>,
    pub(super) sequences: Vec<NodeId>,
    pub(super) invariants: Vec<NodeId>,
    /// For each carry the input that is the cotangent of its next value, where that isn't zero throughout.
    pub(super) carry_cotangents: Vec<Option<NodeId>>,
    /// (which stacked result, the input that is its cotangent)
    pub(super) step_cotangents: Vec<(usize, NodeId)>,
    /// Whether the gradients of the operands are wanted.
    pub(super) wanted: Vec<bool>,
}

impl Joint {
    pub(super) fn new(
        scan: &Scan,
        cotangents: &BTreeMap<usize, NodeId>,
        wanted: &[bool],
        cx: &PassContext,
    ) -> Result<Self, PassError> {
        // The carries whose next value has a cotangent that isn't zero throughout: something comes in at the end, or a step adds something.
        let mut live: BTreeSet<usize> = (0..scan.body.carries().len()).filter(|i| cotangents.contains_key(i)).collect();
        let (mut joint, found) = loop {
            let (joint, found) = Self::pulled_back(scan, cotangents, &live, wanted, cx)?;
            let gets_something = |i: &usize| found.contains_key(&joint.carries[*i]);
            let more: Vec<usize> =
                (0..joint.carries.len()).filter(|i| !live.contains(i)).filter(gets_something).collect();
            if more.is_empty() {
                break (joint, found);
            }
            live.extend(more);
        };
        for (i, input) in joint.inputs().collect::<Vec<_>>() {
            let gradient = found.get(&input).copied();
            let is_carried = joint.carry_cotangents.get(i).is_some_and(Option::is_some);
            let gradient = match gradient {
                None if is_carried => Some(Builder::new(&mut joint.graph, None).zeros_like(input)?),
                other => other,
            };
            if let Some(gradient) = gradient {
                joint.graph.set_output(Self::gradient_name(i), gradient);
            }
        }
        replace_controls(&mut joint.graph)?;
        joint.clean(cx)?;
        Ok(joint)
    }

    /// A step whose carries get cotangents where they are `live`, and the gradients by its inputs that come of them and of the stacked results'. What
    /// depends on none of these cotangents is no gradient, though a rule may have made a node for it.
    fn pulled_back(
        scan: &Scan,
        cotangents: &BTreeMap<usize, NodeId>,
        live: &BTreeSet<usize>,
        wanted: &[bool],
        cx: &PassContext,
    ) -> Result<(Self, BTreeMap<NodeId, NodeId>), PassError> {
        let body = &scan.body;
        let mut joint = Self {
            graph: body.graph().clone(),
            carries: body.carries().to_vec(),
            sequences: body.sequences().to_vec(),
            invariants: body.invariants().to_vec(),
            carry_cotangents: vec![],
            step_cotangents: vec![],
            wanted: wanted.to_vec(),
        };
        let mut seeds = joint.seed_carries(body.next(), live)?;
        seeds.extend(joint.seed_steps(body.carries().len(), body.stacked(), cotangents)?);
        let wrt: BTreeSet<NodeId> =
            joint.inputs().filter(|&(i, id)| joint.takes_gradient(i, id)).map(|(_, id)| id).collect();
        let mut found = pull_back(&mut joint.graph, &seeds, &wrt, cx)?;
        let reached = below(&joint.graph, &joint.cotangents());
        found.retain(|_, gradient| reached.contains(gradient));
        Ok((joint, found))
    }

    /// The name of the output that is the gradient of input number `i`.
    pub(super) fn gradient_name(i: usize) -> String {
        format!("gradient{i}")
    }

    /// The gradient of input number `i`, if it isn't zero throughout.
    pub(super) fn gradient(&self, i: usize) -> Option<NodeId> {
        let name = Self::gradient_name(i);
        self.graph.outputs().iter().find(|(n, _)| *n == name).map(|(_, id)| *id)
    }

    /// The body's inputs with their numbers, in the order of the scan's operands.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (usize, NodeId)> + '_ {
        self.carries.iter().chain(&self.sequences).chain(&self.invariants).copied().enumerate()
    }

    /// Carries have a gradient since steps pass it on; others if somebody wants it.
    pub(super) fn takes_gradient(&self, i: usize, id: NodeId) -> bool {
        self.graph.ty(id).dtype.is_float() && (i < self.carries.len() || self.wanted[i])
    }

    fn cotangent(&mut self, name: String, like: NodeId) -> Result<NodeId, PassError> {
        let ty: TensorType = self.graph.ty(like).clone();
        Ok(self.graph.add(Op::Input(Input { name, ty }), &[], None)?)
    }

    fn seed_carries(&mut self, next: &[NodeId], live: &BTreeSet<usize>) -> Result<Vec<(NodeId, NodeId)>, PassError> {
        let mut seeds = vec![];
        for (i, &id) in next.iter().enumerate() {
            let input = if live.contains(&i) { Some(self.cotangent(format!("of carry{i}"), id)?) } else { None };
            seeds.extend(input.map(|input| (id, input)));
            self.carry_cotangents.push(input);
        }
        Ok(seeds)
    }

    fn seed_steps(
        &mut self,
        carries: usize,
        stacked: &[NodeId],
        cotangents: &BTreeMap<usize, NodeId>,
    ) -> Result<Vec<(NodeId, NodeId)>, PassError> {
        let mut seeds = vec![];
        for (j, &id) in stacked.iter().enumerate().filter(|(j, _)| cotangents.contains_key(&(carries + j))) {
            let input = self.cotangent(format!("of y{j}"), id)?;
            self.step_cotangents.push((j, input));
            seeds.push((id, input));
        }
        Ok(seeds)
    }

    fn clean(&mut self, cx: &PassContext) -> Result<(), PassError> {
        for pass in CLEAN_UP {
            pass.apply_to_graph(&mut self.graph, cx, &mut Rewrites::default())?;
        }
        Ok(())
    }

    /// The inputs that are cotangents.
    pub(super) fn cotangents(&self) -> BTreeSet<NodeId> {
        self.carry_cotangents.iter().flatten().copied().chain(self.step_cotangents.iter().map(|(_, id)| *id)).collect()
    }
}

/// The nodes that depend on one of `sources`, themselves included.
pub(super) fn below(graph: &Graph, sources: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
    let mut reached = sources.clone();
    for id in graph.topological() {
        if graph.operands(id).iter().any(|o| reached.contains(o)) {
            reached.insert(id);
        }
    }
    reached
}
