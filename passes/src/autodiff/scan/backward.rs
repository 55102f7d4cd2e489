//! The backward scan: its body, its operands, and the gradients that its results are.

use super::joint::Joint;
use super::split::{Copy, Split};
use crate::{PassError, bodies};
use ir::op::reduce::ReduceKind;
use ir::op::scan::{Body, BodyPort, PortRole, Scan};
use ir::op::source::Input;
use ir::{Builder, Graph, NodeId, Op, ScalarOp};
use std::collections::{BTreeMap, BTreeSet};

/// The ports of the backward body, and what each is in the graph around.
#[derive(Default)]
struct BackwardPorts {
    /// (node of the joint graph, operand of the backward scan)
    carries: Vec<(NodeId, NodeId)>,
    sequences: Vec<(NodeId, NodeId)>,
    invariants: Vec<(NodeId, NodeId)>,
}

/// A step that computes forward and backward, and where it is cut in two.
#[derive(Clone, Copy)]
struct CutStep<'s> {
    joint: &'s Joint,
    split: &'s Split,
}

/// How the gradient of an operand of the forward scan comes out of the backward scan.
#[derive(Clone, Copy)]
enum ScanGradient {
    /// A final carry.
    Carry(usize),
    /// A stacked result.
    Stacked(usize),
    /// The sum of a stacked result over all steps.
    Summed(usize),
}

/// Adds the backward scan; gives the gradient of each operand of the forward one.
pub(super) fn emit(
    graph: &mut Graph,
    id: NodeId,
    forward: &Scan,
    joint: &Joint,
    split: &Split,
    cotangents: &BTreeMap<usize, NodeId>,
) -> Result<Vec<Option<NodeId>>, PassError> {
    let operands = graph.operands(id).to_vec();
    let carried = carried(joint, split);
    let outputs: Vec<(usize, NodeId)> = joint
        .inputs()
        .filter(|(i, _)| if *i < joint.carries.len() { carried.contains(i) } else { joint.wanted[*i] })
        .filter_map(|(i, _)| Some((i, joint.gradient(i)?)))
        .collect();
    if outputs.is_empty() {
        return Ok(vec![None; operands.len()]);
    }
    let loc = graph.loc(id).cloned();
    let needed = needed(joint, split, outputs.iter().map(|(_, gradient)| *gradient));
    let mut build = Builder::new(graph, loc);
    let cut = CutStep { joint, split };
    let ports = ports(&mut build, &operands, forward, cut, &needed, &carried, cotangents)?;
    let step = step(cut, &ports, &outputs, forward.body.graph().name())?;
    let mut all: Vec<NodeId> = ports.carries.iter().map(|(_, operand)| *operand).collect();
    for &like in &step.carries[ports.carries.len()..] {
        all.push(build.zeros_like(operands[like])?);
    }
    all.extend(ports.sequences.iter().chain(&ports.invariants).map(|(_, operand)| *operand));
    let scan = Scan {
        reverse: !forward.reverse,
        recompute: forward.recompute,
        select: 0,
        body: step.body,
        length: forward.length,
    };
    let mut found = vec![None; operands.len()];
    for (i, gradient) in step.gradients.into_iter().filter(|(i, _)| joint.wanted[*i]) {
        let mut result = |select| build.add(Op::Scan(scan.selecting(select)), &all);
        found[i] = Some(match gradient {
            ScanGradient::Carry(at) => result(at)?,
            ScanGradient::Stacked(at) => result(step.carries.len() + at)?,
            ScanGradient::Summed(at) => {
                let stacked = result(step.carries.len() + at)?;
                build.reduce_sum(stacked, &[0])?
            }
        });
    }
    Ok(found)
}

/// The carries whose cotangent the backward scan carries: those whose gradient is wanted, and those that wanted gradients depend on.
fn carried(joint: &Joint, split: &Split) -> BTreeSet<usize> {
    let live = |i: &usize| joint.carry_cotangents[*i].is_some() && joint.gradient(*i).is_some();
    let mut carried: BTreeSet<usize> = (0..joint.carries.len()).filter(|i| joint.wanted[*i]).filter(live).collect();
    loop {
        let roots = joint
            .inputs()
            .filter(|(i, _)| if *i < joint.carries.len() { carried.contains(i) } else { joint.wanted[*i] });
        let roots: Vec<NodeId> = roots.filter_map(|(i, _)| joint.gradient(i)).collect();
        let needed = needed(joint, split, roots.into_iter());
        let uses = |i: &usize| joint.carry_cotangents[*i].is_some_and(|id| needed.contains(&id));
        let more: Vec<usize> = (0..joint.carries.len()).filter(|i| !carried.contains(i)).filter(uses).collect();
        if more.is_empty() {
            return carried;
        }
        carried.extend(more);
    }
}

/// The nodes that gradients are computed from in a backward step, down to residuals and inputs, operands first.
fn needed(joint: &Joint, split: &Split, roots: impl Iterator<Item = NodeId>) -> Vec<NodeId> {
    let (mut seen, mut stack): (BTreeSet<NodeId>, Vec<NodeId>) = (BTreeSet::new(), roots.collect());
    while let Some(id) = stack.pop() {
        if seen.insert(id) && !split.residuals.contains(&id) {
            stack.extend(joint.graph.operands(id));
        }
    }
    joint.graph.topological().into_iter().filter(|id| seen.contains(id)).collect()
}

/// The operands of the backward scan for the inputs that its body needs.
fn ports(
    build: &mut Builder<'_>,
    operands: &[NodeId],
    forward: &Scan,
    cut: CutStep<'_>,
    needed: &[NodeId],
    carried: &BTreeSet<usize>,
    cotangents: &BTreeMap<usize, NodeId>,
) -> Result<BackwardPorts, PassError> {
    let CutStep { joint, split } = cut;
    let mut ports = BackwardPorts::default();
    for &i in carried {
        let Some(input) = joint.carry_cotangents[i] else { continue };
        let first = match cotangents.get(&i) {
            Some(&cotangent) => cotangent,
            None => build.zeros_like(operands[i])?,
        };
        ports.carries.push((input, first));
    }
    let is_needed = |id: &NodeId| needed.contains(id);
    for (j, input) in joint.step_cotangents.iter().filter(|(_, id)| is_needed(id)) {
        ports.sequences.push((*input, cotangents[&(joint.carries.len() + j)]));
    }
    // Residuals are the last results of the forward scan.
    let first_residual = forward.result_count() - split.residuals.len();
    for (select, residual) in (first_residual..).zip(&split.residuals).filter(|(_, id)| is_needed(id)) {
        let kept = build.add(Op::Scan(forward.selecting(select)), operands)?;
        ports.sequences.push((*residual, kept));
    }
    let (first, last) = (joint.carries.len(), joint.carries.len() + joint.sequences.len());
    let pairs = |ids: &[NodeId], operands: &[NodeId]| -> Vec<(NodeId, NodeId)> {
        ids.iter().copied().zip(operands.iter().copied()).filter(|(id, _)| is_needed(id)).collect()
    };
    ports.sequences.extend(pairs(&joint.sequences, &operands[first..last]));
    ports.invariants = pairs(&joint.invariants, &operands[last..]);
    Ok(ports)
}

/// What one backward step is.
struct BackwardStep {
    body: Body,
    /// The forward scan's operands that the carries are like.
    carries: Vec<usize>,
    /// How gradients by the forward scan's operands come out.
    gradients: Vec<(usize, ScanGradient)>,
}

/// The body: gradients of carries are carried on, those of sequences are stacked, those of invariants are either.
fn step(
    CutStep { joint, split }: CutStep<'_>,
    ports: &BackwardPorts,
    outputs: &[(usize, NodeId)],
    name: &str,
) -> Result<BackwardStep, PassError> {
    let mut copy = Copy::new(joint, &format!("{name} backward"));
    let groups = [
        (PortRole::Carry, &ports.carries),
        (PortRole::Sequence, &ports.sequences),
        (PortRole::Invariant, &ports.invariants),
    ];
    for (role, ports) in groups {
        for (number, (id, _)) in ports.iter().enumerate() {
            copy.input(*id, Some(BodyPort { role, number }.to_string()))?;
        }
    }
    let (mut carries, mut gradients) = (vec![], vec![]);
    let mut stacked = 0;
    for &(i, gradient) in outputs {
        let value = copy.node(gradient)?;
        let is_carry = i < joint.carries.len();
        if is_carry || (i >= joint.carries.len() + joint.sequences.len() && !is_contribution(joint, split, gradient)) {
            let at = carries.len();
            let next = if is_carry { value } else { accumulate(&mut copy.to, at, value)? };
            copy.to.set_output(BodyPort::carry(at).to_string(), next);
            carries.push(i);
            gradients.push((i, ScanGradient::Carry(at)));
            continue;
        }
        copy.to.set_output(BodyPort::stacked(stacked).to_string(), value);
        let is_sequence = i < joint.carries.len() + joint.sequences.len();
        gradients.push((i, if is_sequence { ScanGradient::Stacked(stacked) } else { ScanGradient::Summed(stacked) }));
        stacked += 1;
    }
    Ok(BackwardStep { body: bodies::new(copy.to)?, carries, gradients })
}

/// Carry number `at`, which becomes an input, plus what a step contributes.
fn accumulate(body: &mut Graph, at: usize, value: NodeId) -> Result<NodeId, PassError> {
    let input = Input { name: BodyPort::carry(at).to_string(), ty: body.ty(value).clone() };
    let sum = body.add(Op::Input(input), &[], None)?;
    Ok(Builder::new(body, None).binary(ScalarOp::ADD, sum, value)?)
}

/// True if what a step contributes to a gradient is a contraction, a sum, or made of such by adding and moving: worth to be taken over all steps at
/// once.
fn is_contribution(joint: &Joint, split: &Split, gradient: NodeId) -> bool {
    let (mut stack, mut seen) = (vec![gradient], BTreeSet::new());
    while let Some(id) = stack.pop() {
        let goes_on = match joint.graph.op(id) {
            Op::Dot(op) if !op.contract.is_empty() => false,
            Op::Reduce(op) if op.kind == ReduceKind::Sum => false,
            Op::Elementwise(op) if *op == ScalarOp::ADD => true,
            Op::Permute(_) | Op::Reshape(_) => true,
            _ => return false,
        };
        if split.recompute || !split.backward.contains(&id) {
            return false;
        }
        if goes_on && seen.insert(id) {
            stack.extend(joint.graph.operands(id));
        }
    }
    true
}
