//! Contractions of 8-bit integers whose sums go four products at a time, as machines with an instruction for it compute them.

use super::{Conv, Dot};
use crate::op::OpRecord;
use crate::op::attr::{Attr, AttrMap};
use crate::op::batch::{Along, AxisRule, Batching};
use crate::{
    Arity, Cotangent, DType, EvalError, Family, Op, OpDef, OpRules, OperandGradients, RuleError, Scalar, Shape,
    TensorType, Value,
};

/// Elements that are multiplied in one go.
const QUAD: usize = 4;

/// A contraction of `u8` by `i8` whose elements are taken four at a time (quads), with a result of `i32`: the sum of the products of both factors' quads, wrapping.
/// Four neighbours along the left factor's last axis, which is contracted, are a quad, and so is the last axis of the right one, of extent 4, which `of` doesn't
/// count: a convolution's kernel is `[size..., in/4, out, 4]`. Text: `quad_dot`, `quad_conv`, with the attributes of the contraction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuadProduct {
    /// Which products are summed, in terms of quads.
    pub of: QuadContraction,
}

/// The contractions that may be of quads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum QuadContraction {
    /// A dot product.
    Dot(Dot),
    /// A convolution.
    Conv(Conv),
}

impl QuadProduct {
    /// The contraction itself, as if each quad were one number.
    pub fn contraction(&self) -> Op {
        match self.of.clone() {
            QuadContraction::Dot(op) => Op::Dot(op),
            QuadContraction::Conv(op) => Op::Conv(op),
        }
    }

    /// The types of the factors, as if each quad were one number of `i32`.
    ///
    /// # Errors
    /// If a factor is of another element type, or has no quads.
    pub fn factors(left: &TensorType, right: &TensorType) -> Result<[TensorType; 2], RuleError> {
        let (Some((&run, outer)), Some((&QUAD, rest))) =
            (left.shape.dims().split_last(), right.shape.dims().split_last())
        else {
            return Err(format!("the last axis of the right factor must have 4 elements, it is {right}").into());
        };
        if (left.dtype, right.dtype) != (DType::U8, DType::I8) || !run.is_multiple_of(QUAD) {
            return Err(
                format!("quads are of u8, a multiple of 4 in a row, and of i8, not of {left} and {right}").into()
            );
        }
        let left = Shape::new([outer, &[run / QUAD]].concat())?;
        Ok([TensorType::new(DType::I32, left), TensorType::new(DType::I32, Shape::new(rest)?)])
    }
}

impl QuadContraction {
    fn axes(&self) -> &dyn AxisRule {
        match self {
            Self::Dot(op) => op,
            Self::Conv(op) => op,
        }
    }

    fn rules(&self) -> &dyn OpRules {
        match self {
            Self::Dot(op) => op,
            Self::Conv(op) => op,
        }
    }
}

impl OpRecord for QuadProduct {
    const DEFS: &'static [OpDef] = &[
        OpDef {
            name: "quad_dot",
            doc: "a contraction of u8 by i8, four products at a time, summed in i32",
            family: Family::Contraction,
            arity: Arity::Exactly(2),
        },
        OpDef {
            name: "quad_conv",
            doc: "a contraction of u8 by i8, four products at a time, summed in i32",
            family: Family::Contraction,
            arity: Arity::Exactly(2),
        },
    ];

    fn from_attrs(number: usize, attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        let of = match number {
            0 => QuadContraction::Dot(Dot::from_attrs(0, attrs, ty)?),
            _ => QuadContraction::Conv(Conv::from_attrs(0, attrs, ty)?),
        };
        Ok(Self { of })
    }

    fn number(&self) -> usize {
        match self.of {
            QuadContraction::Dot(_) => 0,
            QuadContraction::Conv(_) => 1,
        }
    }
}

impl OpRules for QuadProduct {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        self.of.rules().attrs()
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let [left, right] = Self::factors(operands[0], operands[1])?;
        if let QuadContraction::Dot(op) = &self.of
            && !op.contract.iter().any(|&(axis, _)| axis + 1 == left.shape.rank())
        {
            return Err(format!("the last axis of the left factor {} must be contracted", operands[0]).into());
        }
        self.of.rules().infer(&[&left, &right])
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let failed = |_| EvalError::NotEvaluable { op: self.def().name, why: "its factors are no quads" };
        let types = Self::factors(operands[0].ty(), operands[1].ty()).map_err(failed)?;
        let mut sums = Value::splat(Scalar::I32(0), ty.shape.clone());
        for place in 0..QUAD {
            let of = |i: usize| {
                let element = |at: usize| operands[i].get(at * QUAD + place).cast(DType::I32);
                Value::from_fn(types[i].clone(), element)
            };
            let part = self.of.rules().eval(&[&of(0), &of(1)], ty)?;
            sums = Value::from_fn(ty.clone(), |i| {
                Scalar::from_i64(sums.get(i).as_i64() + part.get(i).as_i64(), DType::I32)
            });
        }
        Ok(sums)
    }

    fn derivative(&self, _: &mut Cotangent<'_>) -> OperandGradients {
        // Made after differentiation; integers have no gradient.
        Ok(vec![None, None])
    }
}

impl AxisRule for QuadProduct {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        let [left, right] = Self::factors(operands[0], operands[1]).ok()?;
        self.of.axes().along(axis, &[&left, &right])
    }
}
