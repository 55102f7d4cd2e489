//! Elementwise ops: every scalar op lifted to tensors, and conversion. Operands have equal shapes: broadcasting is explicit.

use super::attr::{Attr, AttrMap};
use super::batch::Batching;
use super::{Arity, Cotangent, Family, OpDef, OpRecord, OpRules, OperandGradients};
use crate::scalar::Derivative;
use crate::{DType, Data, EvalError, RuleError, ScalarOp, TensorType, Value};
use smallvec::SmallVec;

/// Conversion to another element type, as [`crate::Scalar::cast`]. Text: `cast %0 : f32[2]` (the type is the result's).
#[derive(Clone, PartialEq, Debug)]
pub struct Cast {
    /// The result's element type.
    pub dtype: DType,
}

/// The record of a scalar op as an op on tensors.
pub(super) fn record(op: ScalarOp) -> OpDef {
    let def = op.def();
    OpDef { name: def.name, doc: def.doc, family: Family::Elementwise, arity: Arity::Exactly(def.arity) }
}

/// A result as the type rule has inferred it.
fn computed(ty: &TensorType, data: Data) -> Value {
    Value::new(ty.clone(), data).expect("an elementwise op gives as many elements as its operands have")
}

impl OpRules for ScalarOp {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Elementwise
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let first = *operands.first().ok_or("an operand is missing")?;
        if let Some(other) = operands.iter().find(|t| t.shape != first.shape) {
            let rule = "an elementwise op takes operands of equal shapes: broadcast one of them";
            return Err(format!("shapes {} and {} differ: {rule}", first.shape, other.shape).into());
        }
        let dtypes: Vec<DType> = operands.iter().map(|t| t.dtype).collect();
        Ok(first.with_dtype(self.def().typing.infer(&dtypes)?))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let elements: SmallVec<[&Data; 3]> = operands.iter().map(|x| x.data()).collect();
        Ok(computed(ty, self.eval_each(&elements, ty.dtype)))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        match self.def().derivative {
            Derivative::Rule(rule) => rule(cx),
            Derivative::Zero(_) => Ok(vec![None; cx.operands.len()]),
        }
    }
}

impl OpRecord for Cast {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "cast",
        doc: "conversion to another element type: floats round to nearest even, float to integer truncates and saturates, integers wrap",
        family: Family::Elementwise,
        arity: Arity::Exactly(1),
    }];

    fn from_attrs(_: usize, _: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { dtype: ty.dtype })
    }
}

impl OpRules for Cast {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Elementwise
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        Ok(operands[0].with_dtype(self.dtype))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        Ok(computed(ty, operands[0].data().cast(self.dtype)))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let from = cx.build.ty(cx.operands[0]).dtype;
        if !from.is_float() || !self.dtype.is_float() {
            return Ok(vec![None]);
        }
        Ok(vec![Some(cx.build.cast(cx.dy, from)?)])
    }
}
