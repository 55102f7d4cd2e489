//! The gradients of pooling, and the gradients of those.

use super::eval;
use super::geometry::{Window, along_image, image, image_shape, numbers, same_dtype, spatial_of_result};
use super::pool::pooled;
use super::{Pool, PoolKind};
use crate::op::OpRecord;
use crate::op::attr::{Attr, AttrMap};
use crate::op::batch::{Along, AxisRule, Batching};
use crate::op::number::{not_a_number, value_of, with_number};
use crate::{Arity, Cotangent, EvalError, Family, Op, OpDef, OpRules, OperandGradients, RuleError, TensorType, Value};

/// The gradient of `pool_sum`: each element of `dy [n, o..., c]` is added to all places of its window.
/// The result's spatial extents are attributes because strides lose them.
/// Text: `pool_sum_grad %dy {size=.., stride=.., pad=.., dilation=..} : f32[n,s...,c]` (extents from the result type).
#[derive(Clone, PartialEq, Debug)]
pub struct PoolSumGrad {
    /// The window of the pooling.
    pub window: Window,
    /// The spatial extents of the pooling's input.
    pub input: Vec<usize>,
}

/// The gradient of `pool_max`: each element of `dy` is added to the place of its window where `x` is largest, the first such place in
/// row-major order (the first NaN if there is one; none if the window meets nothing but padding).
/// Operands: `x [n, s..., c]`, `dy [n, o..., c]`; result like `x`.
/// Text: `pool_max_grad %x, %dy {size=.., stride=.., pad=.., dilation=..}`.
#[derive(Clone, PartialEq, Debug)]
pub struct PoolMaxGrad {
    /// The window of the pooling.
    pub window: Window,
}

/// For each window the element of `t` at the place where `x` is largest, chosen as in [`PoolMaxGrad`]; 0 if there is none.
/// Operands: `x [n, s..., c]`, `t` like `x`; result `[n, o..., c]`.
/// Text: `pool_max_take %x, %t {size=.., stride=.., pad=.., dilation=..}`.
#[derive(Clone, PartialEq, Debug)]
pub struct PoolMaxTake {
    /// The window of the pooling.
    pub window: Window,
}

impl OpRecord for PoolSumGrad {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "pool_sum_grad",
        doc: "each element added to all places of its window: the gradient of pool_sum",
        family: Family::Window,
        arity: Arity::Exactly(1),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { window: Window::from_attrs(attrs)?, input: spatial_of_result(ty)? })
    }
}

impl OpRules for PoolSumGrad {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        self.window.attrs()
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let dy = operands[0];
        numbers("the operand", dy)?;
        let (n, spatial, c) = image("the operand", dy)?;
        let output = self.window.output(&self.input)?;
        if output != spatial {
            return Err(format!(
                "pooling an input of spatial extents {:?} gives {output:?}, the operand has {spatial:?}",
                self.input
            )
            .into());
        }
        Ok(dy.with_shape(image_shape(n, &self.input, c)?))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        with_number!(ty.dtype, T => Ok(value_of::<T>(ty, eval::sum_grad(&self.window, operands[0], ty))), else Err(not_a_number(self.def().name)))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let pool = Pool { kind: PoolKind::Sum, window: self.window.clone() };
        Ok(vec![Some(cx.build.add(Op::Pool(pool), &[cx.dy])?)])
    }
}

impl OpRecord for PoolMaxGrad {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "pool_max_grad",
        doc: "each element added to the largest place of its window: the gradient of pool_max",
        family: Family::Window,
        arity: Arity::Exactly(2),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { window: Window::from_attrs(attrs)? })
    }
}

impl OpRules for PoolMaxGrad {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        self.window.attrs()
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let (x, dy) = (operands[0], operands[1]);
        same_dtype(x, dy)?;
        let y = pooled(&self.window, x)?;
        if y != *dy {
            return Err(format!("pooling {x} gives {y}, the gradient is {dy}").into());
        }
        Ok(x.clone())
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        with_number!(ty.dtype, T => Ok(value_of::<T>(ty, eval::max_grad(&self.window, operands[0], operands[1]))), else Err(not_a_number(self.def().name)))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let take = PoolMaxTake { window: self.window.clone() };
        Ok(vec![None, Some(cx.build.add(Op::PoolMaxTake(take), &[cx.operands[0], cx.dy])?)])
    }
}

impl OpRecord for PoolMaxTake {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "pool_max_take",
        doc: "for each window of the first operand the second one's element at the place of the maximum",
        family: Family::Window,
        arity: Arity::Exactly(2),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { window: Window::from_attrs(attrs)? })
    }
}

impl OpRules for PoolMaxTake {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        self.window.attrs()
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let (x, t) = (operands[0], operands[1]);
        if x != t {
            return Err(format!("both operands must have one type, they are {x} and {t}").into());
        }
        pooled(&self.window, x)
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        with_number!(ty.dtype, T => Ok(value_of::<T>(ty, eval::max_take(&self.window, operands[0], operands[1], ty))), else Err(not_a_number(self.def().name)))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let grad = PoolMaxGrad { window: self.window.clone() };
        Ok(vec![None, Some(cx.build.add(Op::PoolMaxGrad(grad), &[cx.operands[0], cx.dy])?)])
    }
}

impl AxisRule for PoolSumGrad {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        along_image(axis, operands)
    }
}

impl AxisRule for PoolMaxGrad {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        along_image(axis, operands)
    }
}

impl AxisRule for PoolMaxTake {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        along_image(axis, operands)
    }
}
