//! Values of nodes at given coordinates: loads for what has a buffer, computation for what the cluster inlines.

use super::cx::{KernelCx, Placed, flatten};
use super::{Lowering, index, random};
use crate::PassError;
use ir::op::movement::{Concat, Pad};
use ir::op::source::Iota;
use ir::{DType, NodeId, Op, Scalar, ScalarOp, Shape};
use kernel::{Access, Affine, Expr, IndexExpr};
use std::collections::BTreeMap;

/// What the kernel under construction knows of nodes.
#[derive(Default)]
pub(super) struct Values {
    /// Values computed so far, by node and coordinates. Dropped when the loop they stand in closes.
    memo: BTreeMap<(NodeId, Vec<Affine>), Placed>,
    /// Finished reductions: one value, whatever the coordinates, until the loop they stand in closes.
    bound: BTreeMap<NodeId, Placed>,
}

impl Values {
    /// Says that a node's value at those coordinates is known.
    pub(super) fn set(&mut self, node: NodeId, index: Vec<Affine>, value: Placed) {
        self.memo.insert((node, index), value);
    }

    /// Says what a node is at whatever coordinates the loops around are at.
    pub(super) fn bind(&mut self, node: NodeId, value: Placed) {
        self.bound.insert(node, value);
    }

    /// Forgets what was computed in loops deeper than `depth`.
    pub(super) fn drop_below(&mut self, depth: usize) {
        self.memo.retain(|_, v| v.level <= depth);
        self.bound.retain(|_, v| v.level <= depth);
    }
}

/// Computes values of nodes in a kernel.
pub(super) struct Emit<'a, 'g> {
    pub(super) lowering: &'a mut Lowering<'g>,
    pub(super) cx: KernelCx,
    pub(super) values: Values,
    /// The cluster being lowered: its nodes are computed, all others are loaded if they have a buffer.
    pub(super) cluster: Option<u32>,
}

type Out = Result<Placed, PassError>;

impl Emit<'_, '_> {
    /// The value of `node` at `at` (one coordinate per axis).
    pub(super) fn value(&mut self, node: NodeId, at: &[Affine]) -> Out {
        if let Some(hit) = self.values.bound.get(&node) {
            return Ok(hit.clone());
        }
        let key = (node, at.to_vec());
        if let Some(hit) = self.values.memo.get(&key) {
            return Ok(hit.clone());
        }
        let graph = self.lowering.graph;
        let foreign = graph.cluster(node).is_none_or(|c| Some(c) != self.cluster);
        let value = if foreign && let Some(buffer) = self.lowering.buffer_of(node) {
            let ty = graph.ty(node);
            let buf = self.cx.param(buffer, ty.dtype, ty.shape.numel(), Access::Read);
            self.cx.load(buf, &flatten(at, &ty.shape))
        } else {
            self.compute(node, at)?
        };
        self.values.memo.insert(key, value.clone());
        Ok(value)
    }

    fn compute(&mut self, node: NodeId, at: &[Affine]) -> Out {
        let graph = self.lowering.graph;
        let operands = graph.operands(node);
        match graph.op(node) {
            Op::Full(op) => Ok(self.cx.constant(op.value)),
            Op::Iota(op) => Ok(self.iota(op, at)),
            Op::Elementwise(op) => {
                let args = operands.iter().map(|&o| self.value(o, at)).collect::<Result<Vec<_>, _>>()?;
                Ok(self.cx.apply(*op, &args))
            }
            Op::Cast(op) => {
                let value = self.value(operands[0], at)?;
                Ok(self.cx.bind(Expr::Cast(op.dtype, Box::new(value.expr)), value.level))
            }
            Op::StopGradient(_) => self.value(operands[0], at),
            Op::Gather(_) => self.gather(node, at),
            Op::CheckIndex(op) => {
                let value = self.value(operands[0], at)?;
                let checked = self.checked(node, value, op.bound);
                Ok(self.cx.index_value(&checked, graph.ty(node).dtype))
            }
            Op::Random(op) => random::element(self, node, op, at),
            Op::Pad(op) => self.pad(operands[0], op, at),
            Op::Concat(op) => self.concat(node, op, at),
            _ => {
                let from = self.moved(node, at)?;
                self.value(operands[0], &from)
            }
        }
    }

    /// Coordinates in the operand of an affine movement op.
    fn moved(&mut self, node: NodeId, at: &[Affine]) -> Result<Vec<Affine>, PassError> {
        let graph = self.lowering.graph;
        let operand_shape = || graph.ty(graph.operands(node)[0]).shape.clone();
        Ok(match graph.op(node) {
            Op::Reshape(op) => index::reshape(&mut self.cx, at, &op.shape, &operand_shape()),
            Op::Permute(op) => index::permute(op, at),
            Op::Broadcast(op) => op.axes.iter().map(|&axis| at[axis].clone()).collect(),
            Op::Slice(op) => index::slice(op, at),
            Op::Reverse(op) => index::reverse(op, at, &operand_shape()),
            op => {
                let rule = format!("`{op}` has no buffer and can't be computed element by element in this kernel");
                return Err(self.lowering.defect(node, &rule));
            }
        })
    }

    fn iota(&mut self, op: &Iota, at: &[Affine]) -> Placed {
        self.cx.index_value(&at[op.axis], op.ty.dtype)
    }

    /// Binds a value as an index that the kernel checks.
    fn checked(&mut self, node: NodeId, value: Placed, bound: usize) -> Affine {
        let check = self.lowering.check(node, bound);
        let index = IndexExpr::Checked { value: Box::new(value.expr), bound: bound as i64, check };
        self.cx.let_index(index, value.level)
    }

    fn gather(&mut self, node: NodeId, at: &[Affine]) -> Out {
        let graph = self.lowering.graph;
        let (table, indices) = (graph.operands(node)[0], graph.operands(node)[1]);
        let split = graph.ty(indices).shape.rank();
        let position = self.value(indices, &at[..split])?;
        let row = self.checked(node, position, graph.ty(table).shape[0]);
        let mut from = vec![row];
        from.extend_from_slice(&at[split..]);
        self.value(table, &from)
    }

    /// A comparison of an index with a constant.
    fn compare(&mut self, op: ScalarOp, index: &Affine, with: i64) -> Placed {
        let index = self.cx.index_value(index, DType::I32);
        let with = self.cx.constant(Scalar::I32(with as i32));
        self.cx.apply(op, &[index, with])
    }

    fn and(&mut self, all: Option<Placed>, more: Placed) -> Placed {
        match all {
            Some(all) => self.cx.apply(ScalarOp::AND, &[all, more]),
            None => more,
        }
    }

    /// The operand's element where there is one, else the padding. The load is always in bounds: its index is clamped.
    fn pad(&mut self, operand: NodeId, op: &Pad, at: &[Affine]) -> Out {
        let shape: Shape = self.lowering.graph.ty(operand).shape.clone();
        let mut inside: Option<Placed> = None;
        let mut from = Vec::with_capacity(at.len());
        for (axis, &extent) in shape.iter().enumerate() {
            let shifted = at[axis].clone().plus(-(op.low[axis] as i64));
            let step = op.interior[axis] as i64 + 1;
            let span = (extent as i64 - 1) * step;
            let (lo, hi) = self.cx.range(&shifted);
            if lo < 0 {
                let test = self.compare(ScalarOp::GE, &shifted, 0);
                inside = Some(self.and(inside, test));
            }
            if hi > span {
                let test = self.compare(ScalarOp::LE, &shifted, span);
                inside = Some(self.and(inside, test));
            }
            let level = self.cx.level_of(&shifted);
            let clamped = if lo < 0 || hi > span {
                self.cx.let_index(IndexExpr::Clamp(shifted, 0, span), level)
            } else {
                shifted
            };
            let (quotient, remainder) = self.cx.div_rem(&clamped, step);
            if step > 1 {
                let test = self.compare(ScalarOp::EQ, &remainder, 0);
                inside = Some(self.and(inside, test));
            }
            from.push(quotient);
        }
        let value = self.value(operand, &from)?;
        let Some(inside) = inside else { return Ok(value) };
        let padding = self.cx.constant(op.value);
        Ok(self.cx.apply(ScalarOp::SELECT, &[inside, value, padding]))
    }

    /// A chain of selections from the last operand to the first; each load is in bounds.
    fn concat(&mut self, node: NodeId, op: &Concat, at: &[Affine]) -> Out {
        let graph = self.lowering.graph;
        let operands = graph.operands(node).to_vec();
        let mut start = graph.ty(node).shape[op.axis] as i64;
        let mut result: Option<Placed> = None;
        for &operand in operands.iter().rev() {
            let extent = graph.ty(operand).shape[op.axis] as i64;
            start -= extent;
            let mut from = at.to_vec();
            let shifted = at[op.axis].clone().plus(-start);
            let (lo, hi) = self.cx.range(&shifted);
            let level = self.cx.level_of(&shifted);
            from[op.axis] = if lo < 0 || hi >= extent {
                self.cx.let_index(IndexExpr::Clamp(shifted.clone(), 0, extent - 1), level)
            } else {
                shifted.clone()
            };
            let value = self.value(operand, &from)?;
            result = Some(match result {
                None => value,
                Some(later) => {
                    let here = self.compare(ScalarOp::LT, &shifted, extent);
                    self.cx.apply(ScalarOp::SELECT, &[here, value, later])
                }
            });
        }
        result.ok_or_else(|| self.lowering.defect(node, "a concatenation of nothing"))
    }
}
