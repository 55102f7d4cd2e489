//! The batched dot product of two tensors, over any axes.

use super::eval;
use crate::op::OpRecord;
use crate::op::attr::{Attr, AttrMap};
use crate::op::batch::{Along, AxisRule, Batching, Stacked};
use crate::op::number::{not_a_number, value_of, with_number};
use crate::op::window::{numbers, same_dtype};
use crate::{
    Arity, BuildResult, Builder, Cotangent, EvalError, Family, NodeId, Op, OpDef, OpRules, OperandGradients, RuleError,
    Shape, TensorType, Value,
};
use smallvec::smallvec;

/// A batched dot product. The result's axes: the batch axes in the order of their pairs, then the left operand's free axes, then the
/// right one's, both ascending.
/// Text: `dot %a, %b {batch=[(0,0)], contract=[(2,1)]}`; pairs are (left axis, right axis).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dot {
    /// Pairs of axes that run together and stay.
    pub batch: Vec<(usize, usize)>,
    /// Pairs of axes that are summed over.
    pub contract: Vec<(usize, usize)>,
}

impl Dot {
    /// The free axes of a left operand with `rank` axes, ascending.
    pub fn left_free(&self, rank: usize) -> Vec<usize> {
        (0..rank).filter(|axis| self.pairs().all(|pair| pair.0 != *axis)).collect()
    }

    /// The free axes of a right operand with `rank` axes, ascending.
    pub fn right_free(&self, rank: usize) -> Vec<usize> {
        (0..rank).filter(|axis| self.pairs().all(|pair| pair.1 != *axis)).collect()
    }

    fn pairs(&self) -> impl Iterator<Item = &(usize, usize)> {
        self.batch.iter().chain(&self.contract)
    }

    fn check_axes(&self, left: &TensorType, right: &TensorType) -> Result<(), RuleError> {
        let sides: [(&str, &TensorType, Vec<usize>); 2] = [
            ("left", left, self.pairs().map(|p| p.0).collect()),
            ("right", right, self.pairs().map(|p| p.1).collect()),
        ];
        for (side, ty, axes) in sides {
            let rank = ty.shape.rank();
            for (i, axis) in axes.iter().enumerate() {
                if *axis >= rank {
                    return Err(format!("the {side} operand {ty} has no axis {axis}").into());
                }
                if axes[..i].contains(axis) {
                    return Err(format!("axis {axis} of the {side} operand {ty} is paired twice").into());
                }
            }
        }
        Ok(())
    }
}

impl OpRecord for Dot {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "dot",
        doc: "sums of products over pairs of axes, with batch axes",
        family: Family::Contraction,
        arity: Arity::Exactly(2),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { batch: attrs.pairs("batch")?, contract: attrs.pairs("contract")? })
    }
}

impl OpRules for Dot {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        let pairs = |list: &[(usize, usize)]| Attr::Pairs(list.iter().map(|&(a, b)| (a as i64, b as i64)).collect());
        vec![("batch", pairs(&self.batch)), ("contract", pairs(&self.contract))]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let (left, right) = (operands[0], operands[1]);
        numbers("the left operand", left)?;
        same_dtype(left, right)?;
        self.check_axes(left, right)?;
        for (l, r) in self.pairs() {
            let (a, b) = (left.shape[*l], right.shape[*r]);
            if a != b {
                return Err(format!(
                    "axis {l} of the left operand {} has extent {a}, axis {r} of the right operand {} has {b}: paired axes \
                     must have equal extents",
                    left.shape, right.shape
                )
                .into());
            }
        }
        let mut dims: Vec<usize> = self.batch.iter().map(|(l, _)| left.shape[*l]).collect();
        dims.extend(self.left_free(left.shape.rank()).iter().map(|&axis| left.shape[axis]));
        dims.extend(self.right_free(right.shape.rank()).iter().map(|&axis| right.shape[axis]));
        Ok(left.with_shape(Shape::new(dims)?))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        with_number!(ty.dtype, T => Ok(value_of::<T>(ty, eval::dot(self, operands[0], operands[1]))), else Err(not_a_number(self.def().name)))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let (left, right, dy) = (cx.operands[0], cx.operands[1], cx.dy);
        let dl = self.left_gradient(&mut cx.build, dy, left, right)?;
        let dr = self.right_gradient(&mut cx.build, dy, left, right)?;
        Ok(vec![Some(dl), Some(dr)])
    }
}

impl Dot {
    /// `dy` with the right operand, over the right operand's free axes: `[batch, left free, right contracted]`, then put in the left
    /// operand's order.
    pub(super) fn left_gradient(
        &self,
        build: &mut Builder<'_>,
        dy: NodeId,
        left: NodeId,
        right: NodeId,
    ) -> BuildResult {
        let (left_rank, right_rank) = (build.ty(left).shape.rank(), build.ty(right).shape.rank());
        let (left_free, right_free) = (self.left_free(left_rank), self.right_free(right_rank));
        let first = self.batch.len() + left_free.len();
        let dot = Self {
            batch: self.batch.iter().enumerate().map(|(i, &(_, r))| (i, r)).collect(),
            contract: right_free.iter().enumerate().map(|(i, &r)| (first + i, r)).collect(),
        };
        let mut contract = self.contract.clone();
        contract.sort_unstable_by_key(|&(_, r)| r);
        let mut axes: Vec<usize> = self.batch.iter().map(|p| p.0).collect();
        axes.extend(left_free);
        axes.extend(contract.iter().map(|p| p.0));
        let grad = build.add(Op::Dot(dot), &[dy, right])?;
        in_order(build, grad, &axes)
    }

    /// The left operand with `dy`, over the left operand's free axes: `[batch, left contracted, right free]`, then put in the right
    /// operand's order. In this order `x [m,k] · w [k,n]` needs no transposition for `dw`.
    pub(super) fn right_gradient(
        &self,
        build: &mut Builder<'_>,
        dy: NodeId,
        left: NodeId,
        right: NodeId,
    ) -> BuildResult {
        let (left_rank, right_rank) = (build.ty(left).shape.rank(), build.ty(right).shape.rank());
        let first = self.batch.len();
        let dot = Self {
            batch: self.batch.iter().enumerate().map(|(i, &(l, _))| (l, i)).collect(),
            contract: self.left_free(left_rank).iter().enumerate().map(|(i, &l)| (l, first + i)).collect(),
        };
        let mut contract = self.contract.clone();
        contract.sort_unstable_by_key(|&(l, _)| l);
        let mut axes: Vec<usize> = self.batch.iter().map(|p| p.1).collect();
        axes.extend(contract.iter().map(|p| p.1));
        axes.extend(self.right_free(right_rank));
        let grad = build.add(Op::Dot(dot), &[left, dy])?;
        in_order(build, grad, &axes)
    }
}

impl AxisRule for Dot {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        if let Some(&(left, right)) = self.batch.get(axis) {
            return Some(smallvec![Some(left), Some(right)]);
        }
        let left = self.left_free(operands[0].shape.rank());
        let free = axis - self.batch.len();
        Some(match left.get(free) {
            Some(&left) => smallvec![Some(left), None],
            None => smallvec![None, Some(*self.right_free(operands[1].shape.rank()).get(free - left.len())?)],
        })
    }

    /// The stack is among the rows of one factor, or, where both have it, a batch axis.
    fn stacked(&self, _: usize, differs: &[bool], operands: &[&TensorType]) -> Option<Stacked> {
        let (left, right) = (differs[0], differs[1]);
        let shift = |pairs: &[(usize, usize)]| -> Vec<(usize, usize)> {
            pairs.iter().map(|&(l, r)| (l + usize::from(left), r + usize::from(right))).collect()
        };
        let mut dot = Self { batch: shift(&self.batch), contract: shift(&self.contract) };
        let axis = match (left, right) {
            (true, true) => {
                dot.batch.insert(0, (0, 0));
                0
            }
            (true, false) => dot.batch.len(),
            _ => dot.batch.len() + self.left_free(operands[0].shape.rank()).len(),
        };
        Some(Stacked { op: Op::Dot(dot), operands: smallvec![left, right], axis })
    }
}

/// `x`, whose axis `i` is to become axis `axes[i]`.
fn in_order(build: &mut Builder<'_>, x: NodeId, axes: &[usize]) -> BuildResult {
    if axes.is_sorted() {
        return Ok(x);
    }
    let mut perm = vec![0; axes.len()];
    for (from, &to) in axes.iter().enumerate() {
        perm[to] = from;
    }
    build.permute(x, &perm)
}
