//! `weighted_mean`: a dot product divided by the sum of its weights.

use super::Dot;
use crate::op::OpRecord;
use crate::op::attr::{Attr, AttrMap};
use crate::op::batch::{Along, AxisRule, Batching};
use crate::{
    Arity, BuildError, BuildResult, Builder, Cotangent, DType, EvalError, Family, NodeId, Op, OpDef, OpRules,
    OperandGradients, RuleError, ScalarOp, Shape, TensorType, Value,
};

/// The dot product of weights and values, divided by a third operand, one number for each sum over the right operand's free axes: its axes are the
/// batch axes and the left operand's free ones. It may be `f32` where the others have 16 bits. Text: `weighted_mean %weights, %values, %whole {batch=[(0,0)], contract=[(2,1)]}`.
///
/// The value is that of `dot` and `div`, which the pass `autodiff` puts in its place; what it stands for is its gradient. By the rule of the quotient, that of the
/// divisor is made of the results; it is made of the gradients of the weights here, which is the same number. Where weights come from a softmax
/// the two cancel, all of them if one weight outweighs the others, and then they do to the last bit: what is left isn't the rounding of
/// two sums in different order, many times what is right. For the same reason the divisor's gradient is computed, and given, in the divisor's type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WeightedMean {
    /// Which axes run together, and which are summed over.
    pub dot: Dot,
}

impl WeightedMean {
    /// The ops that compute it.
    ///
    /// # Errors
    /// If the operands don't fit one another.
    pub fn expand(&self, build: &mut Builder<'_>, [weights, values, whole]: [NodeId; 3]) -> BuildResult {
        let sums = build.add(Op::Dot(self.dot.clone()), &[weights, values])?;
        self.divided(build, sums, whole)
    }

    /// Something like the result, divided by the divisor in that one's type and then of its own again.
    fn divided(&self, build: &mut Builder<'_>, x: NodeId, whole: NodeId) -> BuildResult {
        let (own, wide) = (build.ty(x).dtype, build.ty(whole).dtype);
        let whole = self.spread(build, whole, x)?;
        let x = build.cast(x, wide)?;
        let quotient = build.binary(ScalarOp::DIV, x, whole)?;
        build.cast(quotient, own)
    }

    /// The divisor, repeated for each element of a tensor like the result.
    fn spread(&self, build: &mut Builder<'_>, whole: NodeId, like: NodeId) -> BuildResult {
        let (rank, shape) = (build.ty(whole).shape.rank(), build.ty(like).shape.clone());
        build.broadcast(whole, shape, &(0..rank).collect::<Vec<_>>())
    }

    /// The left operand's axes that aren't summed over, in the divisor's order.
    fn kept(&self, left_rank: usize) -> Vec<usize> {
        let batch = self.dot.batch.iter().map(|&(left, _)| left);
        batch.chain(self.dot.left_free(left_rank)).collect()
    }
}

impl OpRecord for WeightedMean {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "weighted_mean",
        doc: "a dot product divided by the sums of its weights",
        family: Family::Control,
        arity: Arity::Exactly(3),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { dot: Dot::from_attrs(0, attrs, ty)? })
    }
}

impl OpRules for WeightedMean {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        self.dot.attrs()
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let (weights, whole) = (operands[0], operands[2]);
        let result = self.dot.infer(&operands[..2])?;
        if !weights.dtype.is_float() {
            return Err(format!("a mean needs floats, not {weights}: cast the operands").into());
        }
        let dims: Vec<usize> = self.kept(weights.shape.rank()).iter().map(|&axis| weights.shape[axis]).collect();
        let is_wide = weights.dtype.is_short_float() && whole.dtype == DType::F32;
        let want = TensorType::new(if is_wide { DType::F32 } else { weights.dtype }, Shape::new(dims)?);
        if *whole != want {
            return Err(format!("the divisor must be {want}, one number for each sum, not {whole}").into());
        }
        Ok(result)
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let (sums, whole) = (self.dot.eval(&operands[..2], ty)?, operands[2]);
        let each = ty.shape.numel() / whole.ty().shape.numel();
        let wide = whole.ty().dtype;
        let quotient = |i| ScalarOp::DIV.eval(&[sums.get(i).cast(wide), whole.get(i / each)]).cast(ty.dtype);
        Ok(Value::from_fn(ty.clone(), quotient))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let (weights, values, whole) = (cx.operands[0], cx.operands[1], cx.operands[2]);
        let share = self.divided(&mut cx.build, cx.dy, whole)?;
        let by_weights = self.dot.left_gradient(&mut cx.build, share, weights, values)?;
        let by_values = self.dot.right_gradient(&mut cx.build, share, weights, values)?;
        let by_whole = self.divisor_gradient(&mut cx.build, by_weights, [weights, whole])?;
        Ok(vec![Some(by_weights), Some(by_values), Some(by_whole)])
    }
}

impl WeightedMean {
    /// `-Σ weight * its gradient / whole`, over the axes that are summed over.
    fn divisor_gradient(
        &self,
        build: &mut Builder<'_>,
        by_weights: NodeId,
        [weights, whole]: [NodeId; 2],
    ) -> Result<NodeId, BuildError> {
        let mut summed: Vec<usize> = self.dot.contract.iter().map(|&(left, _)| left).collect();
        summed.sort_unstable();
        let wide = build.ty(whole).dtype;
        let [weights, by_weights] = [build.cast(weights, wide)?, build.cast(by_weights, wide)?];
        let products = build.binary(ScalarOp::MUL, weights, by_weights)?;
        let sums = build.reduce_sum(products, &summed)?;
        let kept = self.kept(build.ty(weights).shape.rank());
        let mut ascending = kept.clone();
        ascending.sort_unstable();
        let perm: Vec<usize> = kept.iter().filter_map(|axis| ascending.binary_search(axis).ok()).collect();
        let sums = if perm.is_sorted() { sums } else { build.permute(sums, &perm)? };
        let shares = build.binary(ScalarOp::DIV, sums, whole)?;
        build.unary(ScalarOp::NEG, shares)
    }
}

impl AxisRule for WeightedMean {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        let mut along = self.dot.along(axis, &operands[..2])?;
        along.push((axis < operands[2].shape.rank()).then_some(axis));
        Some(along)
    }
}
