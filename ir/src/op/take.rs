//! Elements chosen along one axis, each by an index of its own: NumPy's and JAX's `take_along_axis`, PyTorch's `gather`.

use super::attr::{Attr, AttrMap};
use super::axes::{check_axis, other_axes};
use super::batch::{Along, AxisRule, Batching, Stacked};
use super::index::{CheckIndex, ScatterAdd, check_indices, index};
use super::source::{Full, Iota};
use crate::op::OpRecord;
use crate::{
    Arity, BuildResult, Builder, Cotangent, DType, EvalError, Family, NodeId, Op, OpDef, OpRules, OperandGradients,
    RuleError, Scalar, ScalarOp, Shape, TensorType, Value,
};
use smallvec::smallvec;

/// `result[.., k, ..] = table[.., indices[.., k, ..], ..]` along `axis`: `table [a.., n, b..]`, `indices [a.., m, b..]`, result `[a.., m, b..]`. Indices of one
/// rank less, `[a.., b..]`, take one element each, and the axis is gone from the result: `[a.., b..]`. Any element type; an index below 0 or not below `n` ends the
/// run with an error. Text: `take_along_axis %table, %indices {axis=1}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TakeAlongAxis {
    /// The axis that indices count along.
    pub axis: usize,
}

impl TakeAlongAxis {
    /// Coordinates in a table of that rank from coordinates in the result, `along` being the one along the axis.
    pub fn place<T: Clone>(&self, at: &[T], rank: usize, along: T) -> Vec<T> {
        let mut from = at.to_vec();
        if at.len() < rank {
            from.insert(self.axis, along);
        } else {
            from[self.axis] = along;
        }
        from
    }

    /// Where each element comes from is one place: `dy` there and 0 elsewhere.
    fn masked(&self, b: &mut Builder<'_>, like: &TensorType, indices: NodeId, dy: NodeId) -> BuildResult {
        let shape = &like.shape;
        let axes = other_axes(&[self.axis], shape.rank());
        let rows =
            Shape::new(axes.iter().map(|&a| shape[a]).collect::<Vec<_>>()).expect("a part of a shape is a shape");
        let (indices, dy) = (b.reshape(indices, rows.clone())?, b.reshape(dy, rows)?);
        let dtype = b.ty(indices).dtype;
        let iota = Op::Iota(Iota { ty: TensorType::new(dtype, shape.clone()), axis: self.axis });
        let place = b.add(iota, &[])?;
        let index = b.broadcast(indices, shape.clone(), &axes)?;
        let here = b.binary(ScalarOp::EQ, index, place)?;
        let on = b.broadcast(dy, shape.clone(), &axes)?;
        let off = b.zeros_like(on)?;
        b.select(here, on, off)
    }

    /// `dy` added at the places of all elements in a row, counted from the table's first.
    fn scattered(&self, b: &mut Builder<'_>, like: &TensorType, indices: NodeId, dy: NodeId) -> BuildResult {
        let shape = b.ty(indices).shape.clone();
        let ty = TensorType::new(DType::I64, shape.clone());
        let mut flat = None;
        for (axis, &stride) in like.shape.strides().iter().enumerate() {
            let along = match axis == self.axis {
                true => b.cast(indices, DType::I64)?,
                false => b.add(Op::Iota(Iota { ty: ty.clone(), axis }), &[])?,
            };
            let stride = b.full(Scalar::I64(stride as i64), shape.clone())?;
            let part = b.binary(ScalarOp::MUL, along, stride)?;
            flat = Some(match flat {
                Some(sum) => b.binary(ScalarOp::ADD, sum, part)?,
                None => part,
            });
        }
        let row = |shape: &Shape| Shape::new([shape.numel()]).expect("as many elements as a shape has are a shape");
        let flat = flat.unwrap_or(indices);
        let flat = b.reshape(flat, row(&shape))?;
        let updates = b.reshape(dy, row(&shape))?;
        let zeros = b.add(Op::Full(Full { value: Scalar::zero(like.dtype), shape: row(&like.shape) }), &[])?;
        let sum = b.add(Op::ScatterAdd(ScatterAdd), &[zeros, flat, updates])?;
        b.reshape(sum, like.shape.clone())
    }
}

impl OpRecord for TakeAlongAxis {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "take_along_axis",
        doc: "elements along an axis, each chosen by an index",
        family: Family::Index,
        arity: Arity::Exactly(2),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { axis: attrs.usize("axis")? })
    }
}

impl OpRules for TakeAlongAxis {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("axis", Attr::Int(self.axis as i64))]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let (table, indices) = (operands[0], operands[1]);
        check_indices(indices)?;
        check_axis("axis", self.axis, table.shape.rank())?;
        let mut want = table.shape.dims().to_vec();
        match indices.shape.get(self.axis) {
            Some(&extent) if indices.shape.rank() == table.shape.rank() => want[self.axis] = extent,
            _ => drop(want.remove(self.axis)),
        }
        if indices.shape[..] != want[..] {
            let rule = "must have the table's shape, but for the extent along the axis, or without the axis";
            return Err(format!("indices {} {rule}: table {}, axis {}", indices.shape, table.shape, self.axis).into());
        }
        Ok(table.with_shape(indices.shape.clone()))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let (table, indices) = (operands[0], operands[1]);
        let shape = &table.ty().shape;
        let (count, inner) = (shape[self.axis], shape.strides()[self.axis]);
        let taken = ty.shape.numel() * count / shape.numel();
        let place = |e: usize| {
            let (outer, within) = (e / (taken * inner), e % inner);
            Ok((outer * count + index(indices, e, count)?) * inner + within)
        };
        let places = (0..ty.shape.numel()).map(place).collect::<Result<Vec<usize>, EvalError>>()?;
        Ok(Value::from_fn(ty.clone(), |e| table.get(places[e])))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let table = cx.build.ty(cx.operands[0]).clone();
        let check = Op::CheckIndex(CheckIndex { bound: table.shape[self.axis] });
        let indices = cx.build.add(check, &[cx.operands[1]])?;
        let taken = &cx.build.ty(indices).shape;
        let grad = match taken.numel() * table.shape[self.axis] == table.shape.numel() {
            true => self.masked(&mut cx.build, &table, indices, cx.dy)?,
            false => self.scattered(&mut cx.build, &table, indices, cx.dy)?,
        };
        Ok(vec![Some(grad), None])
    }
}

impl AxisRule for TakeAlongAxis {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        let keeps_axis = operands[0].shape.rank() == operands[1].shape.rank();
        let of_table = match axis {
            axis if axis < self.axis => Some(axis),
            axis if !keeps_axis => Some(axis + 1),
            axis => (axis != self.axis).then_some(axis),
        };
        Some(smallvec![of_table, Some(axis)])
    }

    fn stacked(&self, _: usize, _: &[bool], _: &[&TensorType]) -> Option<Stacked> {
        Some(Stacked::all(Op::TakeAlongAxis(Self { axis: self.axis + 1 }), 2))
    }
}
