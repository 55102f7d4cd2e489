//! Movement that changes which elements there are: cut out, surrounded, put together.

use crate::op::attr::{Attr, AttrMap, ints};
use crate::op::axes::{check_axis, check_per_axis};
use crate::op::batch::{Along, AxisRule, Batching, Stacked, in_front};
use crate::op::walk::{gather_strided, scatter_strided, signed_strides};
use crate::op::{Arity, Cotangent, Family, OpDef, OpRecord, OpRules, OperandGradients};
use crate::{EvalError, Op, RuleError, Scalar, Shape, ShapeError, TensorType, Value};
use smallvec::smallvec;

/// Every `stride`-th element from `start` (inclusive) to `limit` (exclusive) on each axis.
/// Text: `slice %0 {start=[0,1], limit=[4,9], stride=[1,2]}`.
#[derive(Clone, PartialEq, Debug)]
pub struct Slice {
    /// First coordinate, per axis.
    pub start: Vec<usize>,
    /// End, per axis; above `start`, at most the extent.
    pub limit: Vec<usize>,
    /// Step, per axis; at least 1.
    pub stride: Vec<usize>,
}

/// `low` elements before, `high` after and `interior` between neighbours on each axis.
/// Text: `pad %0 {value=(0.0), low=[1,0], high=[1,0], interior=[0,0]}`.
#[derive(Clone, PartialEq, Debug)]
pub struct Pad {
    /// The element padded with.
    pub value: Scalar,
    /// How many before, per axis.
    pub low: Vec<usize>,
    /// How many after, per axis.
    pub high: Vec<usize>,
    /// How many between two neighbours, per axis.
    pub interior: Vec<usize>,
}

/// The operands one after the other along an axis. Text: `concat %0, %1 {axis=1}`.
#[derive(Clone, PartialEq, Debug)]
pub struct Concat {
    /// The axis; the operands' other extents are equal.
    pub axis: usize,
}

/// The strides of a walk over a shape; 0 where there is one element: its step is never taken and may be larger than memory.
fn steps(shape: &Shape, stride: impl Fn(usize) -> isize) -> Vec<isize> {
    (0..shape.rank()).map(|axis| if shape[axis] == 1 { 0 } else { stride(axis) }).collect()
}

impl OpRecord for Slice {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "slice",
        doc: "every stride-th element from start to limit on each axis",
        family: Family::Movement,
        arity: Arity::Exactly(1),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { start: attrs.usizes("start")?, limit: attrs.usizes("limit")?, stride: attrs.usizes("stride")? })
    }
}

impl OpRules for Slice {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("start", ints(&self.start)), ("limit", ints(&self.limit)), ("stride", ints(&self.stride))]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let x = operands[0];
        let rank = x.shape.rank();
        check_per_axis("start", self.start.len(), rank)?;
        check_per_axis("limit", self.limit.len(), rank)?;
        check_per_axis("stride", self.stride.len(), rank)?;
        let mut dims = Vec::with_capacity(rank);
        for axis in 0..rank {
            let (start, limit, stride) = (self.start[axis], self.limit[axis], self.stride[axis]);
            if stride == 0 {
                return Err(format!("the stride of axis {axis} is 0: it must be at least 1").into());
            }
            if limit > x.shape[axis] {
                return Err(format!("limit {limit} of axis {axis} is over its extent {}", x.shape[axis]).into());
            }
            if start >= limit {
                return Err(format!("start {start} of axis {axis} is not below its limit {limit}").into());
            }
            dims.push((limit - start - 1) / stride + 1);
        }
        Ok(x.with_shape(Shape::new(dims)?))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let from = signed_strides(&operands[0].ty().shape);
        let base: usize = self.start.iter().zip(&from).map(|(&start, &stride)| start * stride as usize).sum();
        let strides = steps(&ty.shape, |axis| self.stride[axis] as isize * from[axis]);
        Ok(gather_strided(operands[0], &ty.shape, base, &strides))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let from = cx.build.ty(cx.operands[0]).clone();
        let to = cx.build.ty(cx.dy).shape.clone();
        let interior = (0..to.rank()).map(|i| if to[i] == 1 { 0 } else { self.stride[i] - 1 }).collect::<Vec<_>>();
        let end = |i: usize| self.start[i] + (to[i] - 1) * (interior[i] + 1) + 1;
        let high = (0..to.rank()).map(|i| from.shape[i] - end(i)).collect();
        let pad = Pad { value: Scalar::zero(from.dtype), low: self.start.clone(), high, interior };
        Ok(vec![Some(cx.build.add(Op::Pad(pad), &[cx.dy])?)])
    }
}

impl AxisRule for Slice {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        let all = (0, operands[0].shape[axis], 1);
        ((self.start[axis], self.limit[axis], self.stride[axis]) == all).then(|| smallvec![Some(axis)])
    }

    fn resized(&self, axis: usize, extent: usize) -> Result<Option<Op>, ShapeError> {
        let mut op = self.clone();
        op.limit[axis] = extent;
        Ok(Some(Op::Slice(op)))
    }

    fn stacked(&self, length: usize, _: &[bool], _: &[&TensorType]) -> Option<Stacked> {
        let (start, limit) = (in_front(0, &self.start), in_front(length, &self.limit));
        Some(Stacked::all(Op::Slice(Self { start, limit, stride: in_front(1, &self.stride) }), 1))
    }
}

impl Pad {
    /// The axes along which there is padding before, after or between elements.
    pub fn padded(&self) -> Vec<usize> {
        let is_padded = |a: &usize| self.low[*a] + self.high[*a] + self.interior[*a] > 0;
        (0..self.low.len()).filter(is_padded).collect()
    }

    /// The extent of a padded axis; `None` where it overflows.
    fn extent(&self, axis: usize, extent: usize) -> Option<usize> {
        let between = self.interior[axis].checked_mul(extent - 1)?;
        extent.checked_add(between)?.checked_add(self.low[axis])?.checked_add(self.high[axis])
    }
}

impl OpRecord for Pad {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "pad",
        doc: "elements added before, after and between the operand's",
        family: Family::Movement,
        arity: Arity::Exactly(1),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        Ok(Self {
            value: attrs.scalar("value", ty.dtype)?,
            low: attrs.usizes("low")?,
            high: attrs.usizes("high")?,
            interior: attrs.usizes("interior")?,
        })
    }
}

impl OpRules for Pad {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![
            ("value", Attr::Literals(vec![self.value.to_string()])),
            ("low", ints(&self.low)),
            ("high", ints(&self.high)),
            ("interior", ints(&self.interior)),
        ]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let x = operands[0];
        let rank = x.shape.rank();
        if self.value.dtype() != x.dtype {
            return Err(format!("the padding is of type {}, the operand of {}", self.value.dtype(), x.dtype).into());
        }
        check_per_axis("low", self.low.len(), rank)?;
        check_per_axis("high", self.high.len(), rank)?;
        check_per_axis("interior", self.interior.len(), rank)?;
        let mut dims = Vec::with_capacity(rank);
        for axis in 0..rank {
            let extent = self.extent(axis, x.shape[axis]);
            dims.push(extent.ok_or_else(|| format!("the padded extent of axis {axis} overflows"))?);
        }
        Ok(x.with_shape(Shape::new(dims)?))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let into = signed_strides(&ty.shape);
        let base: usize = self.low.iter().zip(&into).map(|(&low, &stride)| low * stride as usize).sum();
        let strides = steps(&operands[0].ty().shape, |axis| (self.interior[axis] as isize + 1) * into[axis]);
        let mut padded = Value::splat(self.value, ty.shape.clone());
        scatter_strided(&mut padded, operands[0], base, &strides);
        Ok(padded)
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let from = cx.build.ty(cx.operands[0]).shape.clone();
        let step = |i: usize| if from[i] == 1 { 1 } else { self.interior[i] + 1 };
        let stride: Vec<usize> = (0..from.rank()).map(step).collect();
        let limit = (0..from.rank()).map(|i| self.low[i] + (from[i] - 1) * stride[i] + 1).collect();
        let slice = Slice { start: self.low.clone(), limit, stride };
        Ok(vec![Some(cx.build.add(Op::Slice(slice), &[cx.dy])?)])
    }
}

impl AxisRule for Pad {
    fn along(&self, axis: usize, _: &[&TensorType]) -> Option<Along> {
        ((self.low[axis], self.high[axis], self.interior[axis]) == (0, 0, 0)).then(|| smallvec![Some(axis)])
    }

    fn stacked(&self, _: usize, _: &[bool], _: &[&TensorType]) -> Option<Stacked> {
        let [low, high, interior] = [&self.low, &self.high, &self.interior].map(|list| in_front(0, list));
        Some(Stacked::all(Op::Pad(Self { value: self.value, low, high, interior }), 1))
    }
}

impl OpRecord for Concat {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "concat",
        doc: "the operands one after the other along an axis",
        family: Family::Movement,
        arity: Arity::AtLeast(1),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { axis: attrs.usize("axis")? })
    }
}

impl OpRules for Concat {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("axis", Attr::Int(self.axis as i64))]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let first = operands[0];
        check_axis("axis", self.axis, first.shape.rank())?;
        let mut dims = first.shape.to_vec();
        for (i, x) in operands.iter().enumerate().skip(1) {
            let fits = x.shape.rank() == first.shape.rank()
                && (0..dims.len()).all(|axis| axis == self.axis || x.shape[axis] == first.shape[axis]);
            if x.dtype != first.dtype || !fits {
                let rule = format!("all operands have one type but for the extent of axis {}", self.axis);
                return Err(format!("operand {i} is {x}, operand 0 is {first}: {rule}").into());
            }
            let total = dims[self.axis].checked_add(x.shape[self.axis]);
            dims[self.axis] = total.ok_or("the extent of the result overflows")?;
        }
        Ok(first.with_shape(Shape::new(dims)?))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let into = signed_strides(&ty.shape);
        let mut all = Value::splat(Scalar::zero(ty.dtype), ty.shape.clone());
        let mut at = 0;
        for x in operands {
            scatter_strided(&mut all, x, at * into[self.axis] as usize, &into);
            at += x.ty().shape[self.axis];
        }
        Ok(all)
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let mut gradients = Vec::with_capacity(cx.operands.len());
        let mut at = 0;
        for &operand in &cx.operands {
            let shape = cx.build.ty(operand).shape.clone();
            let mut start = vec![0; shape.rank()];
            let mut limit = shape.to_vec();
            start[self.axis] = at;
            limit[self.axis] += at;
            at = limit[self.axis];
            let slice = Slice { start, limit, stride: vec![1; shape.rank()] };
            gradients.push(Some(cx.build.add(Op::Slice(slice), &[cx.dy])?));
        }
        Ok(gradients)
    }
}

impl AxisRule for Concat {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        (axis != self.axis).then(|| smallvec![Some(axis); operands.len()])
    }

    fn stacked(&self, _: usize, _: &[bool], operands: &[&TensorType]) -> Option<Stacked> {
        Some(Stacked::all(Op::Concat(Self { axis: self.axis + 1 }), operands.len()))
    }
}
