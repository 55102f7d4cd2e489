//! Values of nodes at given coordinates: loads for what has a buffer, computation for what the cluster inlines.

use super::cx::{KernelCx, Placed, flatten};
use super::{Lowering, index};
use crate::PassError;
use ir::op::movement::{Concat, Pad};
use ir::op::source::Iota;
use ir::op::take::TakeAlongAxis;
use ir::{DType, NodeId, Op, Scalar, ScalarOp, Shape};
use kernel::{Access, Affine, Expr, IndexExpr};
use std::collections::BTreeMap;

/// What the kernel under construction knows of nodes.
#[derive(Default)]
pub(super) struct NodeValues {
    /// Values computed so far, by node and coordinates. Dropped when the loop they stand in closes.
    memo: BTreeMap<(NodeId, Vec<Affine>), Placed>,
    /// Finished reductions: one value, whatever the coordinates, until the loop they stand in closes.
    bound: BTreeMap<NodeId, Placed>,
}

impl NodeValues {
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
pub(super) struct ValueEmitter<'a, 'g> {
    pub(super) lowering: &'a mut Lowering<'g>,
    pub(super) cx: KernelCx,
    pub(super) values: NodeValues,
    /// The cluster being lowered: its nodes are computed, all others are loaded if they have a buffer.
    pub(super) cluster: Option<u32>,
}

type Out = Result<Placed, PassError>;

/// A node on the way to its value at some place: graphs may be deeper than a thread's stack.
struct PendingNode {
    node: NodeId,
    at: Vec<Affine>,
    /// The operands' values so far, in the order they were asked for.
    args: Vec<Placed>,
    /// Where a padded node has an element of its operand rather than padding.
    inside: Option<Placed>,
    /// The parts of a concatenation that are still to be computed, the first last, each with its place counted from where it starts.
    parts: Vec<(NodeId, Affine)>,
}

/// What a frame comes to.
enum Next {
    /// It needs a value first.
    Need(NodeId, Vec<Affine>),
    /// It has its own.
    Done(Placed),
}

impl ValueEmitter<'_, '_> {
    /// The value of `node` at `at` (one coordinate per axis). Each node is computed once at each place.
    pub(super) fn value(&mut self, node: NodeId, at: &[Affine]) -> Out {
        let mut stack: Vec<PendingNode> = vec![];
        let mut next = Next::Need(node, at.to_vec());
        loop {
            let value = match next {
                Next::Need(node, at) => match self.known(node, &at) {
                    Some(value) => value,
                    None => {
                        stack.push(PendingNode { node, at, args: vec![], inside: None, parts: vec![] });
                        next = self.resume(stack.last_mut())?;
                        continue;
                    }
                },
                Next::Done(value) => {
                    if let Some(PendingNode { node, at, .. }) = stack.pop() {
                        self.values.set(node, at, value.clone());
                    }
                    value
                }
            };
            let Some(frame) = stack.last_mut() else { return Ok(value) };
            frame.args.push(value);
            next = self.resume(Some(frame))?;
        }
    }

    /// A value that has been computed, or can be loaded.
    fn known(&mut self, node: NodeId, at: &[Affine]) -> Option<Placed> {
        if let Some(hit) = self.values.bound.get(&node) {
            return Some(hit.clone());
        }
        let key = (node, at.to_vec());
        if let Some(hit) = self.values.memo.get(&key) {
            return Some(hit.clone());
        }
        let graph = self.lowering.graph;
        let foreign = graph.cluster(node).is_none_or(|c| Some(c) != self.cluster);
        let buffer = if foreign { self.lowering.buffer_of(node) } else { None }?;
        let ty = graph.ty(node);
        let buf = self.cx.param(buffer, ty.dtype, ty.shape.numel(), Access::Read);
        let value = self.cx.load(buf, &flatten(at, &ty.shape));
        self.values.memo.insert(key, value.clone());
        Some(value)
    }

    /// Goes on with a node after the value it asked for last.
    fn resume(&mut self, frame: Option<&mut PendingNode>) -> Result<Next, PassError> {
        let Some(frame) = frame else { return Err(PassError::Invalid("no value is being computed".into())) };
        let graph = self.lowering.graph;
        let (node, operands) = (frame.node, graph.operands(frame.node));
        let done = frame.args.len();
        Ok(match graph.op(node) {
            Op::Full(op) => Next::Done(self.cx.constant(op.value)),
            Op::Iota(op) => Next::Done(self.iota(op, &frame.at)),
            Op::Elementwise(op) => match operands.get(done) {
                Some(&operand) => Next::Need(operand, frame.at.clone()),
                None => Next::Done(self.cx.apply(*op, &frame.args)),
            },
            Op::Pair(_) => match operands.get(done) {
                Some(&operand) => Next::Need(operand, frame.at.clone()),
                None => Next::Done(self.pair(frame)),
            },
            Op::Cast(_) | Op::StopGradient(_) | Op::CheckIndex(_) if done == 0 => {
                Next::Need(operands[0], frame.at.clone())
            }
            Op::Cast(op) => {
                let Placed { expr, level } = frame.args[0].clone();
                Next::Done(self.cx.bind(Expr::Cast(op.dtype, Box::new(expr)), level))
            }
            Op::CheckIndex(op) => {
                let checked = self.checked(node, operands[0], frame.args[0].clone(), op.bound);
                Next::Done(self.cx.index_value(&checked, graph.ty(node).dtype))
            }
            Op::Gather(_) => self.gather(frame),
            Op::Random(_) => {
                return Err(self.lowering.defect(node, "random elements are drawn in clusters of their own"));
            }
            Op::TakeAlongAxis(op) => self.take(frame, op),
            Op::Pad(op) => self.pad(frame, op),
            Op::Concat(op) => self.concat(frame, op)?,
            _ => match frame.args.pop() {
                Some(value) => Next::Done(value),
                None => Next::Need(operands[0], self.moved(node, &frame.at)?),
            },
        })
    }

    /// The bits of two `bf16`: those of an `f32` whose lower half is 0, and those of another moved there.
    fn pair(&mut self, frame: &PendingNode) -> Placed {
        let [low, high] = [0, 1].map(|i| {
            let Placed { expr, level } = frame.args[i].clone();
            let wide = Expr::Cast(DType::F32, Box::new(expr));
            self.cx.bind(Expr::Bitcast(DType::I32, Box::new(wide)), level)
        });
        let half = self.cx.constant(Scalar::I32(16));
        let low = self.cx.apply(ScalarOp::LSHR, &[low, half]);
        self.cx.apply(ScalarOp::OR, &[low, high])
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

    /// Binds a value, an element of `indices`, as an index that the kernel checks for a node.
    pub(super) fn checked(&mut self, node: NodeId, indices: NodeId, value: Placed, bound: usize) -> Affine {
        let check = self.lowering.check(node, bound);
        // A bound that no `i32` has can't be compared with one.
        let narrow = bound > i32::MAX as usize && self.lowering.graph.ty(indices).dtype == DType::I32;
        let Placed { expr, level } = value;
        let value = if narrow { self.cx.bind(Expr::Cast(DType::I64, Box::new(expr)), level).expr } else { expr };
        let index = IndexExpr::Checked { value: Box::new(value), bound: bound as i64, check };
        self.cx.let_index(index, level)
    }

    fn gather(&mut self, frame: &mut PendingNode) -> Next {
        let graph = self.lowering.graph;
        let (table, indices) = (graph.operands(frame.node)[0], graph.operands(frame.node)[1]);
        let split = graph.ty(indices).shape.rank();
        match &frame.args[..] {
            [] => Next::Need(indices, frame.at[..split].to_vec()),
            [position] => {
                let row = self.checked(frame.node, indices, position.clone(), graph.ty(table).shape[0]);
                let mut from = vec![row];
                from.extend_from_slice(&frame.at[split..]);
                Next::Need(table, from)
            }
            [.., element] => Next::Done(element.clone()),
        }
    }

    fn take(&mut self, frame: &mut PendingNode, op: &TakeAlongAxis) -> Next {
        let graph = self.lowering.graph;
        let (table, indices) = (graph.operands(frame.node)[0], graph.operands(frame.node)[1]);
        match &frame.args[..] {
            [] => Next::Need(indices, frame.at.clone()),
            [position] => {
                let shape = &graph.ty(table).shape;
                let along = self.checked(frame.node, indices, position.clone(), shape[op.axis]);
                Next::Need(table, op.place(&frame.at, shape.rank(), along))
            }
            [.., element] => Next::Done(element.clone()),
        }
    }

    /// A comparison of an index with a constant.
    fn compare(&mut self, op: ScalarOp, index: &Affine, with: i64) -> Placed {
        let (lo, hi) = self.cx.range(index);
        let fits = [lo, hi, with].iter().all(|&n| i32::try_from(n).is_ok());
        let dtype = if fits { DType::I32 } else { DType::I64 };
        let index = self.cx.index_value(index, dtype);
        let with = self.cx.constant(Scalar::from_i64(with, dtype));
        self.cx.apply(op, &[index, with])
    }

    fn and(&mut self, all: Option<Placed>, more: Placed) -> Placed {
        match all {
            Some(all) => self.cx.apply(ScalarOp::AND, &[all, more]),
            None => more,
        }
    }

    /// The operand's element where there is one, else the padding. The load is always in bounds: its index is clamped.
    fn pad(&mut self, frame: &mut PendingNode, op: &Pad) -> Next {
        let operand = self.lowering.graph.operands(frame.node)[0];
        let padding = self.cx.constant(op.value);
        if let Some(value) = frame.args.pop() {
            return Next::Done(match frame.inside.take() {
                Some(inside) => self.cx.apply(ScalarOp::SELECT, &[inside, value, padding]),
                None => value,
            });
        }
        let shape: Shape = self.lowering.graph.ty(operand).shape.clone();
        let span = |axis: usize| (shape[axis] as i64 - 1) * (op.interior[axis] as i64 + 1);
        let shifted: Vec<Affine> =
            frame.at.iter().zip(&op.low).map(|(at, &low)| at.clone().plus(-(low as i64))).collect();
        let is_outside = |(axis, at): (usize, &Affine)| {
            let (lo, hi) = self.cx.range(at);
            hi < 0 || lo > span(axis)
        };
        if shifted.iter().enumerate().any(is_outside) {
            return Next::Done(padding);
        }
        let mut from = Vec::with_capacity(shifted.len());
        for (axis, shifted) in shifted.into_iter().enumerate() {
            let (step, span) = (op.interior[axis] as i64 + 1, span(axis));
            let (lo, hi) = self.cx.range(&shifted);
            if lo < 0 {
                let test = self.compare(ScalarOp::GE, &shifted, 0);
                frame.inside = Some(self.and(frame.inside.take(), test));
            }
            if hi > span {
                let test = self.compare(ScalarOp::LE, &shifted, span);
                frame.inside = Some(self.and(frame.inside.take(), test));
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
                frame.inside = Some(self.and(frame.inside.take(), test));
            }
            from.push(quotient);
        }
        Next::Need(operand, from)
    }

    /// A chain of selections, from the last operand that may be meant to the first; each load is in bounds.
    fn concat(&mut self, frame: &mut PendingNode, op: &Concat) -> Result<Next, PassError> {
        let graph = self.lowering.graph;
        let extent = |operand: NodeId| graph.ty(operand).shape[op.axis] as i64;
        if frame.args.is_empty() {
            let mut start = 0;
            for &operand in graph.operands(frame.node) {
                let shifted = frame.at[op.axis].clone().plus(-start);
                let (lo, hi) = self.cx.range(&shifted);
                if hi >= 0 && lo < extent(operand) {
                    frame.parts.push((operand, shifted));
                }
                start += extent(operand);
            }
        } else if let Some((operand, shifted)) = frame.parts.pop() {
            // The last operand needs no question: what isn't before it is in it.
            if let [later, value] = &frame.args[..] {
                let (later, value) = (later.clone(), value.clone());
                let here = self.compare(ScalarOp::LT, &shifted, extent(operand));
                frame.args = vec![self.cx.apply(ScalarOp::SELECT, &[here, value, later])];
            }
        }
        let Some((operand, shifted)) = frame.parts.last().cloned() else {
            let value = frame.args.pop();
            return value.map(Next::Done).ok_or_else(|| self.lowering.defect(frame.node, "a place in no part"));
        };
        let (lo, hi) = self.cx.range(&shifted);
        let mut from = frame.at.clone();
        from[op.axis] = if lo < 0 || hi >= extent(operand) {
            let level = self.cx.level_of(&shifted);
            self.cx.let_index(IndexExpr::Clamp(shifted, 0, extent(operand) - 1), level)
        } else {
            shifted
        };
        Ok(Next::Need(operand, from))
    }
}

#[cfg(test)]
mod tests {
    use crate::PassContext;
    use ir::{Graph, Op, ScalarOp, Shape, TensorType, op::source::Input};
    use kernel::Target;

    /// One cluster of many rounds.
    fn deep() -> Graph {
        let mut graph = Graph::new("deep");
        let ty = TensorType::new(ir::DType::F32, Shape::new([8]).unwrap());
        let mut y = graph.add(Op::Input(Input { name: "x".into(), ty }), &[], None).unwrap();
        for _ in 0..5000 {
            y = graph.add(Op::Elementwise(ScalarOp::TANH), &[y], None).unwrap();
            graph.set_cluster(y, 0);
        }
        graph.set_output("y", y);
        graph
    }

    #[test]
    fn a_deep_chain_is_lowered_on_a_small_stack() {
        let lowered = || super::super::run(&deep(), &PassContext::new(Target::baseline())).unwrap().kernels.len();
        let small = std::thread::Builder::new().stack_size(128 << 10).spawn(lowered).unwrap();
        assert_eq!(small.join().unwrap(), 1);
    }
}
