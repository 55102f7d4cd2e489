//! Ops of a step as ops on all steps at once: the step becomes the first axis.

use super::plan::{Plan, Used};
use crate::PassError;
use ir::op::contraction::Dot;
use ir::op::cumsum::CumSum;
use ir::op::movement::{Broadcast, Concat, Pad, Permute, Reshape, Reverse, Slice};
use ir::op::reduce::Reduce;
use ir::op::scan::Scan;
use ir::op::take::TakeAlongAxis;
use ir::{Builder, NodeId, Op, Shape};
use std::collections::BTreeMap;

/// Builds values of all steps in the graph around a scan.
pub(super) struct Lift<'g, 's> {
    build: Builder<'g>,
    scan: &'s Scan,
    plan: &'s Plan<'s>,
    operands: &'s [NodeId],
    /// Values by node of the body: with the step as first axis where the node differs from step to step.
    values: BTreeMap<NodeId, NodeId>,
    finals: BTreeMap<usize, NodeId>,
}

impl<'g, 's> Lift<'g, 's> {
    pub(super) fn new(build: Builder<'g>, scan: &'s Scan, plan: &'s Plan<'s>, operands: &'s [NodeId]) -> Self {
        Self { build, scan, plan, operands, values: BTreeMap::new(), finals: BTreeMap::new() }
    }

    /// Adds the narrower scan, whose results are the stacked nodes and the final carries.
    pub(super) fn scan(&mut self, narrow: &Scan, operands: &[NodeId]) -> Result<(), PassError> {
        let mut results = self.build.scan(narrow, operands)?.into_iter();
        self.finals = self.plan.carries.iter().copied().zip(results.by_ref()).collect();
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
        let shape = self.over_time(&self.build.ty(value).shape.clone())?;
        let axes: Vec<usize> = (1..shape.rank()).collect();
        Ok(self.build.broadcast(value, shape, &axes)?)
    }

    fn over_time(&self, step: &Shape) -> Result<Shape, PassError> {
        let shape = Shape::new([&[self.scan.length], step.dims()].concat());
        shape.map_err(|e| PassError::Unsupported { what: e.to_string(), loc: None })
    }

    /// One op, its operands being there.
    fn lifted(&mut self, id: NodeId) -> Result<NodeId, PassError> {
        let graph = self.scan.body.graph();
        let operands = graph.operands(id);
        let mut values: Vec<NodeId> = operands.iter().map(|o| self.values[o]).collect();
        if !self.plan.over_time.contains(&id) {
            return Ok(self.build.add(graph.op(id).clone(), &values)?);
        }
        let differs: Vec<bool> = operands.iter().map(|o| self.plan.over_time.contains(o)).collect();
        if let Op::Dot(op) = graph.op(id) {
            return self.dot(op, [values[0], values[1]], [differs[0], differs[1]]);
        }
        let op = self.op(id)?;
        if !matches!(op, Op::Gather(_)) {
            for (value, _) in values.iter_mut().zip(&differs).filter(|(_, differs)| !**differs) {
                *value = self.repeated(*value)?;
            }
        }
        Ok(self.build.add(op, &values)?)
    }

    /// The op with one more axis in front.
    fn op(&self, id: NodeId) -> Result<Op, PassError> {
        let graph = self.scan.body.graph();
        let axes = |axes: &[usize]| axes.iter().map(|axis| axis + 1).collect::<Vec<usize>>();
        let with = |first: usize, rest: &[usize]| [&[first], rest].concat();
        Ok(match graph.op(id) {
            Op::Reduce(op) => Op::Reduce(Reduce { kind: op.kind, axes: axes(&op.axes) }),
            Op::Concat(op) => Op::Concat(Concat { axis: op.axis + 1 }),
            Op::CumSum(op) => Op::CumSum(CumSum { axis: op.axis + 1, ..op.clone() }),
            Op::TakeAlongAxis(op) => Op::TakeAlongAxis(TakeAlongAxis { axis: op.axis + 1 }),
            Op::Reshape(op) => Op::Reshape(Reshape { shape: self.over_time(&op.shape)? }),
            Op::Permute(op) => Op::Permute(Permute { perm: with(0, &axes(&op.perm)) }),
            Op::Reverse(op) => Op::Reverse(Reverse { axes: axes(&op.axes) }),
            Op::Broadcast(op) => {
                Op::Broadcast(Broadcast { shape: self.over_time(&op.shape)?, axes: with(0, &axes(&op.axes)) })
            }
            Op::Slice(op) => Op::Slice(Slice {
                start: with(0, &op.start),
                limit: with(self.scan.length, &op.limit),
                stride: with(1, &op.stride),
            }),
            Op::Pad(op) => Op::Pad(Pad {
                value: op.value,
                low: with(0, &op.low),
                high: with(0, &op.high),
                interior: with(0, &op.interior),
            }),
            op => op.clone(),
        })
    }

    /// A dot product with the step among the rows of one factor, or, where both have it, as a batch axis.
    fn dot(&mut self, op: &Dot, values: [NodeId; 2], differs: [bool; 2]) -> Result<NodeId, PassError> {
        let shift = |pairs: &[(usize, usize)]| -> Vec<(usize, usize)> {
            pairs.iter().map(|&(l, r)| (l + usize::from(differs[0]), r + usize::from(differs[1]))).collect()
        };
        let mut lifted = Dot { batch: shift(&op.batch), contract: shift(&op.contract) };
        let left_rank = self.build.ty(values[0]).shape.rank();
        let step = match differs {
            [true, true] => {
                lifted.batch.insert(0, (0, 0));
                0
            }
            [true, false] => lifted.batch.len(),
            _ => lifted.batch.len() + lifted.left_free(left_rank).len(),
        };
        let product = self.build.add(Op::Dot(lifted), &values)?;
        if step == 0 {
            return Ok(product);
        }
        let rest = (0..self.build.ty(product).shape.rank()).filter(|axis| *axis != step);
        let perm: Vec<usize> = std::iter::once(step).chain(rest).collect();
        Ok(self.build.permute(product, &perm)?)
    }
}
