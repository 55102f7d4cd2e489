//! Orders along an axis.

use super::attr::{Attr, AttrMap};
use super::axes::{around_axis, check_axis, line_starts};
use super::batch::{Along, AxisRule, Batching, Stacked};
use super::number::{Number, not_a_number, with_number};
use super::window::numbers;
use crate::op::OpRecord;
use crate::{
    Arity, Cotangent, DType, Data, EvalError, Family, Op, OpDef, OpRules, OperandGradients, RuleError, TensorType,
    Value,
};
use smallvec::smallvec;
use std::cmp::Ordering;

/// `result[.., k, ..]`: the position (`i32`) along `axis` of the element that is the `k`th in ascending order, or in descending order. Numbers; those that are equal keep
/// their order, as -0 and +0 do, and not numbers count as equal to one another and larger than all others.
/// Text: `argsort %0 {axis=1, descending=0}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArgSort {
    /// The axis.
    pub axis: usize,
    /// Whether the largest comes first.
    pub descending: bool,
}

impl ArgSort {
    /// Extents before the axis, along it, and after it.
    pub fn extents(&self, ty: &TensorType) -> [usize; 3] {
        around_axis(self.axis, &ty.shape)
    }

    fn positions<T: Number>(&self, x: &Value) -> Vec<i32> {
        let (extents, x) = (self.extents(x.ty()), T::read(x));
        let [_, n, inner] = extents;
        let mut result = vec![0; x.len()];
        for line in line_starts(extents) {
            let at = |k: i32| x[line + k as usize * inner];
            let order = match self.descending {
                true => sorted(n, &|a, b| compare(at(b), at(a))),
                false => sorted(n, &|a, b| compare(at(a), at(b))),
            };
            for (k, position) in order.into_iter().enumerate() {
                result[line + k * inner] = position;
            }
        }
        result
    }
}

/// The positions below `n` in order; those that compare equal stay as they are. For all types one function: a sort is much code.
fn sorted(n: usize, compare: &dyn Fn(i32, i32) -> Ordering) -> Vec<i32> {
    let mut order: Vec<i32> = (0..n as i32).collect();
    order.sort_by(|&a, &b| compare(a, b));
    order
}

/// Which of two numbers comes first.
fn compare<T: Number>(a: T, b: T) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

impl OpRecord for ArgSort {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "argsort",
        doc: "the positions along an axis of the elements in order",
        family: Family::Reduce,
        arity: Arity::Exactly(1),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { axis: attrs.usize("axis")?, descending: attrs.flag("descending")? })
    }
}

impl OpRules for ArgSort {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("axis", Attr::Int(self.axis as i64)), ("descending", Attr::Int(self.descending.into()))]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let x = operands[0];
        numbers("the operand", x)?;
        check_axis("axis", self.axis, x.shape.rank())?;
        // Counts of elements have the type of positions.
        if i32::try_from(x.shape[self.axis]).is_err() {
            return Err(format!("positions on axis {} of {} do not fit i32", self.axis, x.shape).into());
        }
        Ok(x.with_dtype(DType::I32))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let dtype = operands[0].ty().dtype;
        let positions: Vec<i32> =
            with_number!(dtype, T => self.positions::<T>(operands[0]), else return Err(not_a_number(self.def().name)));
        Ok(Value::new(ty.clone(), Data::I32(positions)).expect("as many positions as elements"))
    }

    fn derivative(&self, _: &mut Cotangent<'_>) -> OperandGradients {
        Ok(vec![None])
    }
}

impl AxisRule for ArgSort {
    fn along(&self, axis: usize, _: &[&TensorType]) -> Option<Along> {
        (axis != self.axis).then(|| smallvec![Some(axis)])
    }

    fn stacked(&self, _: usize, _: &[bool], _: &[&TensorType]) -> Option<Stacked> {
        Some(Stacked::all(Op::ArgSort(Self { axis: self.axis + 1, descending: self.descending }), 1))
    }
}
