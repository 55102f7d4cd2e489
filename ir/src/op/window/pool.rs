//! Pooling: a window folded by sum or maximum.

use super::eval;
use super::geometry::{Window, along_image, image, image_shape, numbers};
use super::{PoolMaxGrad, PoolSumGrad};
use crate::op::OpRecord;
use crate::op::attr::{Attr, AttrMap};
use crate::op::batch::{Along, AxisRule, Batching};
use crate::op::number::{not_a_number, value_of, with_number};
use crate::{Arity, Cotangent, EvalError, Family, Op, OpDef, OpRules, OperandGradients, RuleError, TensorType, Value};

/// What folds a window. Padding does not take part: it counts as 0 in a sum and as less than everything in a maximum.
/// A window that meets nothing but padding (dilation makes that possible) has the sum 0 and as maximum the type's lowest value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PoolKind {
    /// Sum; 16-bit floats are summed in `f32`, integers wrap.
    Sum,
    /// Maximum, NaN if any element of the window is.
    Max,
}

impl PoolKind {
    /// Both, in the order of their names.
    const ALL: [Self; 2] = [Self::Sum, Self::Max];
}

/// Pooling of `x [n, s..., c]` to `[n, o..., c]`, `o = (s + before + after - dilation*(size-1) - 1) / stride + 1`.
/// Text: `pool_max %x {size=[2,2], stride=[2,2], pad=[(0,0),(0,0)], dilation=[1,1]}`, `pool_sum`.
#[derive(Clone, PartialEq, Debug)]
pub struct Pool {
    /// What folds.
    pub kind: PoolKind,
    /// The window.
    pub window: Window,
}

/// The type of the pooled `x`.
///
/// # Errors
/// If `x` is no image of numbers or the window doesn't fit it.
pub(super) fn pooled(window: &Window, x: &TensorType) -> Result<TensorType, RuleError> {
    numbers("the operand", x)?;
    let (n, spatial, c) = image("the operand", x)?;
    Ok(x.with_shape(image_shape(n, &window.output(spatial)?, c)?))
}

impl OpRecord for Pool {
    const DEFS: &'static [OpDef] = &[
        OpDef { name: "pool_sum", doc: "the sum of each window", family: Family::Window, arity: Arity::Exactly(1) },
        OpDef { name: "pool_max", doc: "the maximum of each window", family: Family::Window, arity: Arity::Exactly(1) },
    ];

    fn from_attrs(number: usize, attrs: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { kind: PoolKind::ALL[number], window: Window::from_attrs(attrs)? })
    }

    fn number(&self) -> usize {
        self.kind as usize
    }
}

impl OpRules for Pool {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        self.window.attrs()
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        pooled(&self.window, operands[0])
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let x = operands[0];
        with_number!(ty.dtype, T => Ok(value_of::<T>(ty, match self.kind {
            PoolKind::Sum => eval::sum(&self.window, x, ty),
            PoolKind::Max => eval::max(&self.window, x, ty),
        })), else Err(not_a_number(self.def().name)))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let (x, window) = (cx.operands[0], self.window.clone());
        let dx = match self.kind {
            PoolKind::Sum => {
                let dims = cx.build.ty(x).shape.dims();
                let input = dims[1..dims.len() - 1].to_vec();
                cx.build.add(Op::PoolSumGrad(PoolSumGrad { window, input }), &[cx.dy])?
            }
            PoolKind::Max => cx.build.add(Op::PoolMaxGrad(PoolMaxGrad { window }), &[x, cx.dy])?,
        };
        Ok(vec![Some(dx)])
    }
}

impl AxisRule for Pool {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        along_image(axis, operands)
    }
}
