//! Contractions of `bf16` whose sums go two products at a time, as machines with an instruction for it compute them: factors are made of pairs.

use super::{Conv, ConvWeightGrad, Dot};
use crate::op::OpRecord;
use crate::op::attr::{Attr, AttrMap};
use crate::op::batch::{Along, AxisRule, Batching};
use crate::{
    Arity, Cotangent, DType, Data, EvalError, Family, Op, OpDef, OpRules, OperandGradients, RuleError, Scalar,
    TensorType, Value,
};

/// Two `bf16` as one `i32`, the first in the lower half. Text: `pair %0, %1`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair;

impl OpRecord for Pair {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "pair",
        doc: "the bits of two bf16 as one i32, the first in the lower half",
        family: Family::Elementwise,
        arity: Arity::Exactly(2),
    }];

    fn from_attrs(_: usize, _: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self)
    }
}

impl OpRules for Pair {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Elementwise
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let (first, second) = (operands[0], operands[1]);
        if first.dtype != DType::Bf16 || first != second {
            return Err(format!("a pair is of two bf16 tensors of one shape, not of {first} and {second}").into());
        }
        Ok(first.with_dtype(DType::I32))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let [first, second] = [0, 1].map(|of| move |i: usize| operands[of].get(i).to_bits());
        Ok(Value::from_fn(ty.clone(), |i| Scalar::from_bits(second(i) << 16 | first(i), DType::I32)))
    }

    fn derivative(&self, _: &mut Cotangent<'_>) -> OperandGradients {
        // Made after differentiation; integers have no gradient.
        Ok(vec![None, None])
    }
}

/// A contraction of factors each of whose elements is a [`Pair`], with a result of `f32`: the sum of both products of each pair.
/// Denormal factors and results are zeros. Text: `pair_dot`, `pair_conv`, `pair_conv_weight_grad`, with the attributes of the contraction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PairProduct {
    /// Which products are summed, in terms of pairs.
    pub of: PairContraction,
}

/// The contractions that may be of pairs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PairContraction {
    /// A dot product.
    Dot(Dot),
    /// A convolution.
    Conv(Conv),
    /// The gradient of a convolution by its kernel.
    ConvWeightGrad(ConvWeightGrad),
}

impl PairProduct {
    /// The contraction itself, as if each pair were one number.
    pub fn contraction(&self) -> Op {
        match self.of.clone() {
            PairContraction::Dot(op) => Op::Dot(op),
            PairContraction::Conv(op) => Op::Conv(op),
            PairContraction::ConvWeightGrad(op) => Op::ConvWeightGrad(op),
        }
    }
}

impl PairContraction {
    fn axes(&self) -> &dyn AxisRule {
        match self {
            Self::Dot(op) => op,
            Self::Conv(op) => op,
            Self::ConvWeightGrad(op) => op,
        }
    }

    fn rules(&self) -> &dyn OpRules {
        match self {
            Self::Dot(op) => op,
            Self::Conv(op) => op,
            Self::ConvWeightGrad(op) => op,
        }
    }
}

impl OpRecord for PairProduct {
    const DEFS: &'static [OpDef] = &[
        OpDef {
            name: "pair_dot",
            doc: "a contraction of pairs of bf16, summed in f32",
            family: Family::Contraction,
            arity: Arity::Exactly(2),
        },
        OpDef {
            name: "pair_conv",
            doc: "a contraction of pairs of bf16, summed in f32",
            family: Family::Contraction,
            arity: Arity::Exactly(2),
        },
        OpDef {
            name: "pair_conv_weight_grad",
            doc: "a contraction of pairs of bf16, summed in f32",
            family: Family::Contraction,
            arity: Arity::Exactly(2),
        },
    ];

    fn from_attrs(number: usize, attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        let of = match number {
            0 => PairContraction::Dot(Dot::from_attrs(0, attrs, ty)?),
            1 => PairContraction::Conv(Conv::from_attrs(0, attrs, ty)?),
            _ => PairContraction::ConvWeightGrad(ConvWeightGrad::from_attrs(0, attrs, ty)?),
        };
        Ok(Self { of })
    }

    fn number(&self) -> usize {
        match self.of {
            PairContraction::Dot(_) => 0,
            PairContraction::Conv(_) => 1,
            PairContraction::ConvWeightGrad(_) => 2,
        }
    }
}

impl OpRules for PairProduct {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        self.of.rules().attrs()
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        if let Some(other) = operands.iter().find(|ty| ty.dtype != DType::I32) {
            return Err(format!("factors of pairs are i32, not {other}").into());
        }
        let [a, b] = [0, 1].map(|i| operands[i].with_dtype(DType::F32));
        self.of.rules().infer(&[&a, &b])
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let sums = |half: u32| {
            let factors = [0, 1].map(|i| half_of(operands[i], half));
            self.of.rules().eval(&[&factors[0], &factors[1]], ty)
        };
        let (second, first) = (sums(1)?, sums(0)?);
        let sum = |i: usize| Scalar::F32(flushed((first.get(i).as_f64() + second.get(i).as_f64()) as f32));
        Ok(Value::from_fn(ty.clone(), sum))
    }

    fn derivative(&self, _: &mut Cotangent<'_>) -> OperandGradients {
        // Made after differentiation; integers have no gradient.
        Ok(vec![None, None])
    }
}

impl AxisRule for PairProduct {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        self.of.axes().along(axis, operands)
    }
}

/// The first or the second of each pair, as `f32`.
fn half_of(pairs: &Value, half: u32) -> Value {
    let Data::I32(bits) = pairs.data() else { return pairs.clone() };
    let shift = 16 * (1 - half);
    let element = |i: usize| f32::from_bits((bits[i].cast_unsigned() << shift) & 0xffff_0000);
    Value::from_fn(pairs.ty().with_dtype(DType::F32), |i| Scalar::F32(flushed(element(i))))
}

/// Zero with the sign of a number below the least normal one.
fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0f32.copysign(x) } else { x }
}
