//! Moves work out of scans.
//!
//! # Does
//! What a step computes without the carries leaves the body, if it is a contraction or otherwise costly: contractions of a sequence with weights
//! become one contraction over all steps before the scan, and what depends on invariants alone is computed once. What is computed from the step's other
//! results goes after the scan: weight gradients become contractions with the step as a batch axis, which `simplify` then sums in one
//! contraction. Results, carries and operands that nothing needs go; a carry that never changes becomes an invariant.
//!
//! # Requires
//! No gradients to be derived.
//!
//! # Ensures
//! A body has contractions only where they depend on a carry and a later step or a result depends on them.
//!
//! # Example
//! ```text
//! body: %3 = dot %x0, %w0              %5 = dot %xs, %w : f32[100,32,256]
//!       %4 = dot %carry0, %w1     →    body: %4 = dot %carry0, %w0
//!       %5 = add %3, %4                      %5 = add %x0, %4
//! ```

mod lift;
mod plan;

use crate::dce::remove_dead;
use crate::{PassContext, PassError, bodies};
use ir::op::scan::{BodyPort, Scan};
use ir::op::source::Input;
use ir::{Builder, Graph, NodeId, Op};
use lift::Lift;
use plan::HoistPlan;
use std::collections::BTreeMap;

/// The pass.
///
/// # Errors
/// None but a defect of this pass.
pub fn run(graph: &mut Graph, _: &PassContext) -> Result<(), PassError> {
    for nodes in graph.scans() {
        let live = graph.live();
        let nodes: Vec<NodeId> = nodes.into_iter().filter(|id| live.contains(id)).collect();
        if let Some(&first) = nodes.first()
            && let Op::Scan(scan) = graph.op(first).clone()
        {
            rewrite(graph, &scan, &nodes)?;
        }
    }
    Ok(())
}

/// Replaces the live nodes of a scan, unless there is nothing to move.
fn rewrite(graph: &mut Graph, scan: &Scan, nodes: &[NodeId]) -> Result<(), PassError> {
    let operands = graph.operands(nodes[0]).to_vec();
    let loc = graph.loc(nodes[0]).cloned();
    let mut used: BTreeMap<usize, Vec<NodeId>> = BTreeMap::new();
    for &node in nodes {
        let Op::Scan(own) = graph.op(node) else { continue };
        used.entry(own.select).or_default().push(node);
    }
    let plan = HoistPlan::new(scan, used.keys().copied());
    let ports = NarrowedInputs::of(&plan, &operands);
    let body = narrower(scan, &plan, &ports)?;
    if plan.hoisted.is_empty() && plan.sunk.is_empty() && body.same_as(scan.body.graph()) {
        return Ok(());
    }
    let mut lift = Lift::new(Builder::new(graph, loc), scan, &plan, &operands);
    for &id in &plan.hoisted {
        lift.all(id)?;
    }
    let firsts = plan.carries.iter().map(|&carry| operands[carry]);
    let mut inner: Vec<NodeId> = firsts.collect();
    for id in ports.sequences.iter().chain(&ports.invariants) {
        inner.push(lift.value(*id)?);
    }
    if !(plan.carries.is_empty() && plan.stacked.is_empty()) {
        let narrow = Scan { body: bodies::new(body)?, select: 0, ..scan.clone() };
        lift.scan(&narrow, &inner)?;
    }
    let replacements = lift.results(&used)?;
    for (old, new) in replacements {
        graph.replace_uses(old, new);
        remove_dead(graph, old);
    }
    Ok(())
}

/// What the inputs of the narrower body were in the old one, besides carries. Inputs whose operands are the same node are one.
struct NarrowedInputs {
    sequences: Vec<NodeId>,
    invariants: Vec<NodeId>,
    /// For an input that isn't there any more the one with the same operand.
    same: BTreeMap<NodeId, NodeId>,
}

impl NarrowedInputs {
    fn of(plan: &HoistPlan<'_>, operands: &[NodeId]) -> Self {
        let mut ports = Self { sequences: vec![], invariants: vec![], same: BTreeMap::new() };
        let mut by_operand: BTreeMap<(bool, NodeId), NodeId> = BTreeMap::new();
        for &id in &plan.inputs {
            let over_time = plan.over_time.contains(&id);
            if let Some(operand) = plan.operand(id).map(|at| operands[at]) {
                let first = *by_operand.entry((over_time, operand)).or_insert(id);
                if first != id {
                    ports.same.insert(id, first);
                    continue;
                }
            }
            if over_time { &mut ports.sequences } else { &mut ports.invariants }.push(id);
        }
        ports
    }
}

/// The body with what the plan leaves in it.
fn narrower(scan: &Scan, plan: &HoistPlan<'_>, ports: &NarrowedInputs) -> Result<Graph, PassError> {
    let old = scan.body.graph();
    let mut new = Graph::new(old.name());
    let mut map: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    let carries: Vec<NodeId> = plan.carries.iter().map(|&at| scan.body.carries()[at]).collect();
    for (prefix, ids) in [("carry", &carries), ("x", &ports.sequences), ("w", &ports.invariants)] {
        for (at, id) in ids.iter().enumerate() {
            let input = Input { name: format!("{prefix}{at}"), ty: old.ty(*id).clone() };
            map.insert(*id, new.add(Op::Input(input), &[], old.loc(*id).cloned())?);
        }
    }
    for (id, first) in &ports.same {
        map.insert(*id, map[first]);
    }
    for id in old.topological().into_iter().filter(|id| plan.inside.contains(id)) {
        if !map.contains_key(&id) {
            let operands: Vec<NodeId> = old.operands(id).iter().map(|o| map[o]).collect();
            map.insert(id, new.add(old.op(id).clone(), &operands, old.loc(id).cloned())?);
        }
    }
    for (at, &carry) in plan.carries.iter().enumerate() {
        new.set_output(BodyPort::carry(at).to_string(), map[&scan.body.next()[carry]]);
    }
    for (at, id) in plan.stacked.iter().enumerate() {
        new.set_output(BodyPort::stacked(at).to_string(), map[id]);
    }
    Ok(new)
}
