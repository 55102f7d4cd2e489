//! Adds ops to a graph without spelling out operands and attributes: for derivative rules, rewrites and front ends.

use crate::op::elementwise::Cast;
use crate::op::movement::{Broadcast, Permute, Reshape};
use crate::op::reduce::{Reduce, ReduceKind};
use crate::op::scan::Scan;
use crate::op::source::Full;
use crate::{BuildError, DType, Graph, Loc, NodeId, Op, Scalar, ScalarOp, Shape, TensorType};

/// A graph being added to. All nodes it adds carry the same source location.
pub struct Builder<'g> {
    graph: &'g mut Graph,
    loc: Option<Loc>,
}

/// A node, or the rule that it would break.
pub type BuildResult = Result<NodeId, BuildError>;

impl<'g> Builder<'g> {
    /// Adds to `graph`; new nodes come from `loc`.
    pub fn new(graph: &'g mut Graph, loc: Option<Loc>) -> Self {
        Self { graph, loc }
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        self.graph
    }

    /// The type of a node.
    pub fn ty(&self, id: NodeId) -> &TensorType {
        self.graph.ty(id)
    }

    /// Adds any op.
    ///
    /// # Errors
    /// As [`Graph::add`].
    pub fn add(&mut self, op: Op, operands: &[NodeId]) -> BuildResult {
        self.graph.add(op, operands, self.loc.clone())
    }

    /// A scalar op on one tensor.
    ///
    /// # Errors
    /// If the element type is not one the op takes.
    pub fn unary(&mut self, op: ScalarOp, x: NodeId) -> BuildResult {
        self.add(Op::Elementwise(op), &[x])
    }

    /// A scalar op on two tensors of equal shape.
    ///
    /// # Errors
    /// If types or shapes don't fit.
    pub fn binary(&mut self, op: ScalarOp, a: NodeId, b: NodeId) -> BuildResult {
        self.add(Op::Elementwise(op), &[a, b])
    }

    /// `on` where `condition` holds, else `off`; equal shapes.
    ///
    /// # Errors
    /// If types or shapes don't fit.
    pub fn select(&mut self, condition: NodeId, on: NodeId, off: NodeId) -> BuildResult {
        self.add(Op::Elementwise(ScalarOp::SELECT), &[condition, on, off])
    }

    /// One element everywhere.
    ///
    /// # Errors
    /// Never, for a shape that exists.
    pub fn full(&mut self, value: Scalar, shape: Shape) -> BuildResult {
        self.add(Op::Full(Full { value, shape }), &[])
    }

    /// `value` everywhere, in the type of `like`.
    ///
    /// # Errors
    /// Never, for a node that exists.
    pub fn full_like(&mut self, like: NodeId, value: f64) -> BuildResult {
        let TensorType { dtype, shape } = self.ty(like).clone();
        self.full(Scalar::from_f64(value, dtype), shape)
    }

    /// Zeros in the type of `like`.
    ///
    /// # Errors
    /// Never, for a node that exists.
    pub fn zeros_like(&mut self, like: NodeId) -> BuildResult {
        self.full_like(like, 0.0)
    }

    /// Conversion to another element type; the node itself if it has it already.
    ///
    /// # Errors
    /// Never, for a node that exists.
    pub fn cast(&mut self, x: NodeId, dtype: DType) -> BuildResult {
        if self.ty(x).dtype == dtype { Ok(x) } else { self.add(Op::Cast(Cast { dtype }), &[x]) }
    }

    /// The same elements under another shape; the node itself if it has it already.
    ///
    /// # Errors
    /// If the numbers of elements differ.
    pub fn reshape(&mut self, x: NodeId, shape: Shape) -> BuildResult {
        if self.ty(x).shape == shape { Ok(x) } else { self.add(Op::Reshape(Reshape { shape }), &[x]) }
    }

    /// Axes in another order.
    ///
    /// # Errors
    /// If `perm` is not a permutation of the axes.
    pub fn permute(&mut self, x: NodeId, perm: &[usize]) -> BuildResult {
        self.add(Op::Permute(Permute { perm: perm.to_vec() }), &[x])
    }

    /// Repetition along new axes: axis `i` of `x` becomes axis `axes[i]` of `shape`.
    ///
    /// # Errors
    /// If the extents differ or the axes aren't ascending.
    pub fn broadcast(&mut self, x: NodeId, shape: Shape, axes: &[usize]) -> BuildResult {
        self.add(Op::Broadcast(Broadcast { shape, axes: axes.to_vec() }), &[x])
    }

    /// Broadcasting by NumPy's rule: `x` repeated to `shape`, aligned from the right, extents of 1 repeat.
    ///
    /// # Errors
    /// If `x` doesn't broadcast to that shape.
    pub fn broadcast_to(&mut self, x: NodeId, shape: Shape) -> BuildResult {
        let from = self.ty(x).clone();
        if from.shape == shape {
            return Ok(x);
        }
        if from.shape.broadcast(&shape).as_ref() != Ok(&shape) {
            let rule = "aligned from the right, each of its extents must be 1 or the one it is to become";
            let rule = format!("{} does not broadcast to {shape}: {rule}", from.shape).into();
            return Err(BuildError { op: "broadcast".into(), operands: vec![from], rule, loc: self.loc.clone() });
        }
        let skip = shape.rank() - from.shape.rank();
        // Extents of 1 that repeat are dropped, so that every axis that is left keeps its extent.
        let kept: Vec<usize> = (0..from.shape.rank()).filter(|&i| shape[i + skip] == from.shape[i]).collect();
        let dims: Vec<usize> = kept.iter().map(|&i| from.shape[i]).collect();
        let dense = self.reshape(x, Shape::new(dims).expect("a part of a shape's extents is a shape"))?;
        let axes: Vec<usize> = kept.iter().map(|&i| i + skip).collect();
        self.broadcast(dense, shape, &axes)
    }

    /// A reduction over axes (ascending); the node itself where there are none.
    ///
    /// # Errors
    /// If an axis is out of range.
    pub fn reduce(&mut self, kind: ReduceKind, x: NodeId, axes: &[usize]) -> BuildResult {
        if axes.is_empty() {
            return Ok(x);
        }
        self.add(Op::Reduce(Reduce { kind, axes: axes.to_vec() }), &[x])
    }

    /// All results of a scan, by number; `scan.select` doesn't matter. Operands: first carries, sequences, invariants.
    ///
    /// # Errors
    /// If an operand isn't what the body's ports ask for.
    pub fn scan(&mut self, scan: &Scan, operands: &[NodeId]) -> Result<Vec<NodeId>, BuildError> {
        (0..scan.result_count()).map(|select| self.add(Op::Scan(scan.selecting(select)), operands)).collect()
    }

    /// The sum over axes (ascending).
    ///
    /// # Errors
    /// If an axis is out of range.
    pub fn reduce_sum(&mut self, x: NodeId, axes: &[usize]) -> BuildResult {
        self.reduce(ReduceKind::Sum, x, axes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::source::Input;

    fn broadcast(from: &[usize], to: &[usize]) -> Result<String, String> {
        let shape = |dims: &[usize]| Shape::new(dims).unwrap();
        let mut graph = Graph::new("broadcast");
        let ty = TensorType::new(DType::F32, shape(from));
        let mut build = Builder::new(&mut graph, None);
        let x = build.add(Op::Input(Input { name: "x".into(), ty }), &[]).unwrap();
        let y = build.broadcast_to(x, shape(to)).map_err(|e| e.to_string())?;
        assert_eq!(build.ty(y).shape, shape(to));
        let ops: Vec<String> = graph.ids().skip(1).map(|id| graph.op(id).to_string()).collect();
        Ok(ops.join(", "))
    }

    #[test]
    fn broadcasts_by_numpys_rule() {
        assert_eq!(broadcast(&[2, 3], &[2, 3]).unwrap(), "");
        assert_eq!(broadcast(&[3], &[2, 3]).unwrap(), "broadcast {axes=[1]}");
        assert_eq!(broadcast(&[], &[2, 3]).unwrap(), "broadcast {axes=[]}");
        assert_eq!(broadcast(&[2, 1], &[2, 3]).unwrap(), "reshape, broadcast {axes=[0]}");
        assert_eq!(broadcast(&[4, 1, 3], &[5, 4, 2, 3]).unwrap(), "reshape, broadcast {axes=[1,3]}");
        // An extent of 1 that stays is kept.
        assert_eq!(broadcast(&[1, 3], &[2, 1, 3]).unwrap(), "broadcast {axes=[1,2]}");
    }

    #[test]
    fn names_both_shapes_where_there_is_no_broadcast() {
        for (from, to) in [(&[3][..], &[2, 4][..]), (&[2, 3], &[3]), (&[2], &[1])] {
            let error = broadcast(from, to).unwrap_err();
            assert!(error.contains("does not broadcast to") && error.contains("aligned from the right"), "{error}");
        }
    }
}
