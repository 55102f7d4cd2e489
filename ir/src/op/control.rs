//! Gradients to be derived, and barriers to them. The pass `autodiff` replaces both.

use super::attr::{Attr, AttrMap};
use super::batch::Batching;
use super::{Arity, Cotangent, Family, OpDef, OpRecord, OpRules, OperandGradients};
use crate::{BuildError, EvalError, RuleError, TensorType, Value};

/// The gradient of a scalar with respect to a tensor: operands `loss` (a float scalar) and `wrt`; the result is like `wrt`, zero if the
/// loss does not depend on it. `wrt` may be any node. Text: `gradient %loss, %w`. Has no evaluation: `autodiff` derives it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gradient;

/// Its operand; no gradient passes. Text: `stop_gradient %0`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StopGradient;

impl OpRecord for Gradient {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "gradient",
        doc: "the gradient of a scalar with respect to a tensor",
        family: Family::Control,
        arity: Arity::Exactly(2),
    }];

    fn from_attrs(_: usize, _: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self)
    }
}

impl OpRules for Gradient {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Whole
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let (loss, wrt) = (operands[0], operands[1]);
        if !loss.dtype.is_float() || loss.shape.rank() != 0 {
            return Err(format!("the loss must be a float scalar, not {loss}: reduce it to one").into());
        }
        if !wrt.dtype.is_float() {
            return Err(format!("a gradient is taken with respect to a float tensor, not {wrt}").into());
        }
        Ok(wrt.clone())
    }

    fn eval(&self, _: &[&Value], _: &TensorType) -> Result<Value, EvalError> {
        Err(EvalError::NotEvaluable { op: "gradient", why: "derive it first: run the pass `autodiff`" })
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let operands = cx.operands.iter().map(|&id| cx.build.ty(id).clone()).collect();
        let rule =
            "a gradient has no derivative rule: nested gradients are expanded innermost first by the pass `autodiff`";
        Err(BuildError {
            op: self.def().name.into(),
            operands,
            rule: rule.into(),
            loc: cx.build.graph().loc(cx.result).cloned(),
        })
    }
}

impl OpRecord for StopGradient {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "stop_gradient",
        doc: "its operand; no gradient passes",
        family: Family::Control,
        arity: Arity::Exactly(1),
    }];

    fn from_attrs(_: usize, _: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self)
    }
}

impl OpRules for StopGradient {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Elementwise
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        Ok(operands[0].clone())
    }

    fn eval(&self, operands: &[&Value], _: &TensorType) -> Result<Value, EvalError> {
        Ok(operands[0].clone())
    }

    fn derivative(&self, _: &mut Cotangent<'_>) -> OperandGradients {
        Ok(vec![None])
    }
}
