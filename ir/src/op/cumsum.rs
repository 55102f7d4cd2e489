//! Running sums along an axis.

use super::attr::{Attr, AttrMap};
use super::axes::{around_axis, check_axis, line_starts};
use super::batch::{Along, AxisRule, Batching, Stacked};
use super::number::{Number, not_a_number, value_of, with_number};
use super::window::numbers;
use crate::op::OpRecord;
use crate::{Arity, Cotangent, EvalError, Family, Op, OpDef, OpRules, OperandGradients, RuleError, TensorType, Value};
use smallvec::smallvec;

/// So many elements are added up one after the other before what they come to is added to the sum of all before them.
pub const BLOCK: usize = 64;

/// `result[.., k, ..]`: the sum of `x[.., j, ..]` over `j <= k` along `axis`; over `j < k` if `exclusive` (0 comes first), and counted from the end if `reverse`.
/// Numbers; integers wrap, 16-bit floats are summed in `f32` and each result is rounded once.
/// Text: `cumsum %0 {axis=1, exclusive=0, reverse=0}`.
///
/// The order of additions is given, on every machine: elements are summed one by one in blocks of [`BLOCK`] along the axis, and a result is the sum of all blocks before
/// plus the block's sum up to there. What is lost when a block's sum is added to those before it begins the next block's sum. So the error doesn't grow with the
/// number of blocks, and running sums of elements that aren't negative never decrease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CumSum {
    /// The axis.
    pub axis: usize,
    /// Whether an element's own result leaves it out.
    pub exclusive: bool,
    /// Whether the last element comes first.
    pub reverse: bool,
}

impl CumSum {
    /// Extents before the axis, along it, and after it.
    pub fn extents(&self, ty: &TensorType) -> [usize; 3] {
        around_axis(self.axis, &ty.shape)
    }

    fn sums<T: Number>(&self, x: &Value) -> Vec<T> {
        let (extents, x) = (self.extents(x.ty()), T::read(x));
        let [_, n, inner] = extents;
        let mut result = vec![T::ZERO; x.len()];
        for line in line_starts(extents) {
            let (mut before, mut sum) = (T::ZERO, T::ZERO);
            for k in 0..n {
                let at = line + if self.reverse { n - 1 - k } else { k } * inner;
                let with = sum.plus(x[at]);
                result[at] = before.plus(if self.exclusive { sum } else { with });
                sum = with;
                if (k + 1) % BLOCK == 0 {
                    (before, sum) = exact_sum(before, sum);
                }
            }
        }
        result
    }
}

/// The rounded sum of two numbers and what rounding took from it, exactly (Knuth's TwoSum); nothing where the sum isn't finite.
fn exact_sum<T: Number>(a: T, b: T) -> (T, T) {
    let sum = a.plus(b);
    let of_b = sum.minus(a);
    let lost = a.minus(sum.minus(of_b)).plus(b.minus(of_b));
    (sum, if lost.is_nan() { T::ZERO } else { lost })
}

impl OpRecord for CumSum {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "cumsum",
        doc: "running sums along an axis",
        family: Family::Reduce,
        arity: Arity::Exactly(1),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { axis: attrs.usize("axis")?, exclusive: attrs.flag("exclusive")?, reverse: attrs.flag("reverse")? })
    }
}

impl OpRules for CumSum {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![
            ("axis", Attr::Int(self.axis as i64)),
            ("exclusive", Attr::Int(self.exclusive.into())),
            ("reverse", Attr::Int(self.reverse.into())),
        ]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        numbers("the operand", operands[0])?;
        check_axis("axis", self.axis, operands[0].shape.rank())?;
        Ok(operands[0].clone())
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        with_number!(ty.dtype, T => Ok(value_of(ty, self.sums::<T>(operands[0]))), else Err(not_a_number(self.def().name)))
    }

    /// Each element is part of all sums from its own on: their cotangents are summed from the other end.
    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let from_the_end = Self { reverse: !self.reverse, ..self.clone() };
        Ok(vec![Some(cx.build.add(Op::CumSum(from_the_end), &[cx.dy])?)])
    }
}

impl AxisRule for CumSum {
    fn along(&self, axis: usize, _: &[&TensorType]) -> Option<Along> {
        (axis != self.axis).then(|| smallvec![Some(axis)])
    }

    fn stacked(&self, _: usize, _: &[bool], _: &[&TensorType]) -> Option<Stacked> {
        Some(Stacked::all(Op::CumSum(Self { axis: self.axis + 1, ..self.clone() }), 1))
    }
}
