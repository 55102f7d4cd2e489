//! Ops of a step as ops on all steps at once: the step becomes the first axis.

use super::plan::{HoistPlan, Used};
use crate::PassError;
use ir::op::scan::Scan;
use ir::{Builder, NodeId, Op, map_of};
use std::collections::BTreeMap;

/// Builds values of all steps in the graph around a scan.
pub(super) struct Lift<'g, 's> {
    build: Builder<'g>,
    scan: &'s Scan,
    plan: &'s HoistPlan<'s>,
    operands: &'s [NodeId],
    /// Values by node of the body: with the step as first axis where the node differs from step to step.
    values: BTreeMap<NodeId, NodeId>,
    finals: BTreeMap<usize, NodeId>,
}

impl<'g, 's> Lift<'g, 's> {
    pub(super) fn new(build: Builder<'g>, scan: &'s Scan, plan: &'s HoistPlan<'s>, operands: &'s [NodeId]) -> Self {
        Self { build, scan, plan, operands, values: BTreeMap::new(), finals: BTreeMap::new() }
    }

    /// Adds the narrower scan, whose results are the stacked nodes and the final carries.
    pub(super) fn scan(&mut self, narrow: &Scan, operands: &[NodeId]) -> Result<(), PassError> {
        let mut results = self.build.scan(narrow, operands)?.into_iter();
        self.finals = map_of(self.plan.carries.iter().copied().zip(results.by_ref()));
        self.values.extend(self.plan.stacked.iter().copied().zip(results));
        Ok(())
    }

    /// What to use instead of the old scan's nodes.
    pub(super) fn results(&mut self, used: &Used) -> Result<Vec<(NodeId, NodeId)>, PassError> {
        let carries = self.scan.body.carries().len();
        let mut replacements = vec![];
        for (&select, nodes) in used {
            let new = if select < carries {
                self.finals.get(&select).copied().unwrap_or(self.operands[select])
            } else {
                let id = self.scan.body.stacked()[select - carries];
                let value = self.all(id)?;
                if self.plan.over_time.contains(&id) { value } else { self.repeated(value)? }
            };
            replacements.extend(nodes.iter().map(|&old| (old, new)));
        }
        Ok(replacements)
    }

    /// The value of an input of the narrower body: an operand, or what has been hoisted.
    pub(super) fn value(&mut self, id: NodeId) -> Result<NodeId, PassError> {
        if let Some(&known) = self.values.get(&id) {
            return Ok(known);
        }
        let at = self.plan.operand(id).ok_or_else(|| {
            PassError::defect(self.scan.body.graph(), id, "neither an input of the body nor computed outside")
        })?;
        Ok(self.operands[at])
    }

    /// The value of a node that is computed outside of the scan.
    pub(super) fn all(&mut self, id: NodeId) -> Result<NodeId, PassError> {
        let graph = self.scan.body.graph();
        let mut stack = vec![id];
        while let Some(&at) = stack.last() {
            if self.values.contains_key(&at) {
                stack.pop();
                continue;
            }
            if matches!(graph.op(at), Op::Input(_)) {
                let value = self.value(at)?;
                self.values.insert(at, value);
                continue;
            }
            let missing: Vec<NodeId> =
                graph.operands(at).iter().copied().filter(|o| !self.values.contains_key(o)).collect();
            if missing.is_empty() {
                let value = self.lifted(at)?;
                self.values.insert(at, value);
            }
            stack.extend(missing);
        }
        Ok(self.values[&id])
    }

    /// A value that is the same in every step, once for each.
    fn repeated(&mut self, value: NodeId) -> Result<NodeId, PassError> {
        let shape = self.build.ty(value).shape.stacked(self.scan.length);
        let shape = shape.map_err(|e| PassError::Unsupported { what: e.to_string(), loc: None })?;
        let axes: Vec<usize> = (1..shape.rank()).collect();
        Ok(self.build.broadcast(value, shape, &axes)?)
    }

    /// One op, its operands being there.
    fn lifted(&mut self, id: NodeId) -> Result<NodeId, PassError> {
        let graph = self.scan.body.graph();
        let operands = graph.operands(id);
        let mut values: Vec<NodeId> = operands.iter().map(|o| self.values[o]).collect();
        if !self.plan.over_time.contains(&id) {
            return Ok(self.build.add(graph.op(id).clone(), &values)?);
        }
        let Some(stacked) = super::plan::stacked(graph, id, &self.plan.over_time, self.scan.length) else {
            return Err(PassError::defect(graph, id, "no form over all steps"));
        };
        for ((value, operand), over_time) in values.iter_mut().zip(operands).zip(&stacked.operands) {
            if *over_time && !self.plan.over_time.contains(operand) {
                *value = self.repeated(*value)?;
            }
        }
        let all = self.build.add(stacked.op, &values)?;
        if stacked.axis == 0 {
            return Ok(all);
        }
        let rest = (0..self.build.ty(all).shape.rank()).filter(|axis| *axis != stacked.axis);
        let perm: Vec<usize> = std::iter::once(stacked.axis).chain(rest).collect();
        Ok(self.build.permute(all, &perm)?)
    }
}
