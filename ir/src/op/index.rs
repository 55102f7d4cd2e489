//! Places given by values. Indices are `i32` or `i64`; one out of range ends the run with an error that names the op's location.

use super::attr::{Attr, AttrMap};
use super::batch::{Along, AxisRule, Batching, Stacked};
use super::number::{Number, not_a_number, value_of, with_number};
use super::window::{numbers, same_dtype};
use crate::op::OpRecord;
use crate::{
    Arity, Cotangent, DType, EvalError, Family, Op, OpDef, OpRules, OperandGradients, RuleError, Shape, TensorType,
    Value,
};
use smallvec::smallvec;

/// Rows of a table: `table [v, r...]` and `indices [i...]` give `[i..., r...]`. Text: `gather %table, %indices`.
/// The gradient by the table is a [`ScatterAdd`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gather;

/// The table with rows added, in the row-major order of the indices: `table [v, r...]`, `indices [i...]`, `updates [i..., r...]`.
/// Numbers; 16-bit floats are summed in `f32` and rounded at the end, integers wrap.
/// Text: `scatter_add %table, %indices, %updates`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScatterAdd;

/// Its operand (`i32` or `i64`), checked: an element below 0 or not below `bound` ends the run with an error. For labels, which are
/// compared rather than used as addresses. Text: `check_index %0 {bound=10}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckIndex {
    /// The first value that is too large; at least 1, at most 2^63 - 1.
    pub bound: usize,
}

/// Checks that the elements are `i32` or `i64`.
pub(super) fn check_indices(ty: &TensorType) -> Result<(), RuleError> {
    match ty.dtype {
        DType::I32 | DType::I64 => Ok(()),
        _ => Err(format!("indices must be i32 or i64, they are {ty}").into()),
    }
}

/// The type of the rows that `indices` choose from `table`.
fn rows(table: &TensorType, indices: &TensorType) -> Result<TensorType, RuleError> {
    check_indices(indices)?;
    let [_, row @ ..] = table.shape.dims() else {
        return Err(format!("the table must be [rows, ...], it is {table}").into());
    };
    Ok(table.with_shape(Shape::new([indices.shape.dims(), row].concat())?))
}

/// Element `i` of the indices, if it is below `bound`.
pub(super) fn index(indices: &Value, i: usize, bound: usize) -> Result<usize, EvalError> {
    let index = indices.get(i).as_i64();
    usize::try_from(index).ok().filter(|&at| at < bound).ok_or(EvalError::Index { index, bound })
}

/// `table` with the rows of `updates` added.
fn scatter_add<T: Number>(table: &Value, indices: &Value, updates: &Value) -> Result<Value, EvalError> {
    let count = table.ty().shape[0];
    let width = table.ty().shape.numel() / count;
    let mut result = T::read(table).into_owned();
    for (i, row) in T::read(updates).chunks_exact(width).enumerate() {
        let at = index(indices, i, count)? * width;
        for (sum, update) in result[at..at + width].iter_mut().zip(row) {
            *sum = sum.plus(*update);
        }
    }
    Ok(value_of(table.ty(), result))
}

impl OpRecord for Gather {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "gather",
        doc: "rows of a table, chosen by indices",
        family: Family::Index,
        arity: Arity::Exactly(2),
    }];

    fn from_attrs(_: usize, _: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self)
    }
}

impl OpRules for Gather {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        rows(operands[0], operands[1])
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let (table, indices) = (operands[0], operands[1]);
        let count = table.ty().shape[0];
        let width = table.ty().shape.numel() / count;
        let places: Vec<usize> =
            (0..indices.data().len()).map(|i| index(indices, i, count)).collect::<Result<_, _>>()?;
        Ok(Value::from_fn(ty.clone(), |e| table.get(places[e / width] * width + e % width)))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let zeros = cx.build.zeros_like(cx.operands[0])?;
        let grad = cx.build.add(Op::ScatterAdd(ScatterAdd), &[zeros, cx.operands[1], cx.dy])?;
        Ok(vec![Some(grad), None])
    }
}

impl AxisRule for Gather {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        let chosen = operands[1].shape.rank();
        Some(if axis < chosen { smallvec![None, Some(axis)] } else { smallvec![Some(axis - chosen + 1), None] })
    }

    /// Indices of all into one table.
    fn stacked(&self, _: usize, _: &[bool], _: &[&TensorType]) -> Option<Stacked> {
        Some(Stacked { op: Op::Gather(Self), operands: smallvec![false, true], axis: 0 })
    }
}

impl OpRecord for ScatterAdd {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "scatter_add",
        doc: "a table with rows added at places chosen by indices",
        family: Family::Index,
        arity: Arity::Exactly(3),
    }];

    fn from_attrs(_: usize, _: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self)
    }
}

impl OpRules for ScatterAdd {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let (table, indices, updates) = (operands[0], operands[1], operands[2]);
        numbers("the table", table)?;
        same_dtype(table, updates)?;
        let want = rows(table, indices)?;
        if want != *updates {
            return Err(format!(
                "updates of table {} at indices {} must be {}, they are {}",
                table.shape, indices.shape, want.shape, updates.shape
            )
            .into());
        }
        Ok(table.clone())
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        with_number!(ty.dtype, T => scatter_add::<T>(operands[0], operands[1], operands[2]), else Err(not_a_number(self.def().name)))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let updates = cx.build.add(Op::Gather(Gather), &[cx.dy, cx.operands[1]])?;
        Ok(vec![Some(cx.dy), None, Some(updates)])
    }
}

impl AxisRule for ScatterAdd {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        // Which rows are added to one follows from all indices.
        (axis > 0).then(|| smallvec![Some(axis), None, Some(operands[1].shape.rank() + axis - 1)])
    }
}

impl OpRecord for CheckIndex {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "check_index",
        doc: "the operand, once every element is known to be an index below a bound",
        family: Family::Index,
        arity: Arity::Exactly(1),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { bound: attrs.usize("bound")? })
    }
}

impl OpRules for CheckIndex {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("bound", Attr::Int(self.bound as i64))]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Elementwise
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        check_indices(operands[0])?;
        if self.bound == 0 || i64::try_from(self.bound).is_err() {
            return Err(format!("the bound is {}, it must be from 1 to {}", self.bound, i64::MAX).into());
        }
        Ok(operands[0].clone())
    }

    fn eval(&self, operands: &[&Value], _ty: &TensorType) -> Result<Value, EvalError> {
        for i in 0..operands[0].data().len() {
            index(operands[0], i, self.bound)?;
        }
        Ok(operands[0].clone())
    }

    fn derivative(&self, _cx: &mut Cotangent<'_>) -> OperandGradients {
        Ok(vec![None])
    }
}
