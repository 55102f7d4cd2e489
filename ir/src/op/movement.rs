//! Movement: the same elements at other places. Fusion turns these into index arithmetic.

use super::attr::{Attr, AttrMap, ints};
use super::axes::{check_ascending, check_axis, check_per_axis, other_axes};
use super::walk::{gather_strided, scatter_strided, signed_strides};
use super::{Arity, Cotangent, Family, OpRules, OperandGradients};
use crate::{EvalError, Op, RuleError, Scalar, Shape, TensorType, Value};

/// The same elements, in row-major order, under another shape. Text: `reshape %0 : f32[6]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Reshape {
    /// The result's shape; as many elements as the operand has.
    pub shape: Shape,
}

/// Axes in another order: axis `i` of the result is axis `perm[i]` of the operand. Text: `permute %0 {perm=[1,0]}`.
#[derive(Clone, PartialEq, Debug)]
pub struct Permute {
    /// A permutation of the operand's axes.
    pub perm: Vec<usize>,
}

/// Repetition along new axes: axis `i` of the operand becomes axis `axes[i]` of the result, with the same extent; the result's
/// other axes repeat. Text: `broadcast %0 {axes=[1]} : f32[32,10]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Broadcast {
    /// The result's shape.
    pub shape: Shape,
    /// For each axis of the operand the result's axis, ascending.
    pub axes: Vec<usize>,
}

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

/// The elements in reverse order along axes. Text: `reverse %0 {axes=[1]}`.
#[derive(Clone, PartialEq, Debug)]
pub struct Reverse {
    /// The axes, ascending.
    pub axes: Vec<usize>,
}

impl OpRules for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn doc(&self) -> &'static str {
        "the same elements, in row-major order, under another shape"
    }

    fn family(&self) -> Family {
        Family::Movement
    }

    fn arity(&self) -> Arity {
        Arity::Exactly(1)
    }

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![]
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let x = operands[0];
        if x.shape.numel() != self.shape.numel() {
            let (from, to) = (x.shape.numel(), self.shape.numel());
            return Err(format!(
                "{} has {from} elements, {} has {to}: a reshape keeps the number",
                x.shape, self.shape
            )
            .into());
        }
        Ok(x.with_shape(self.shape.clone()))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        Ok(Value::new(ty.clone(), operands[0].data().clone()).expect("a reshape keeps the number of elements"))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let shape = cx.build.ty(cx.operands[0]).shape.clone();
        Ok(vec![Some(cx.build.reshape(cx.dy, shape)?)])
    }
}

impl Permute {
    /// From `{perm=[1,0]}`.
    pub(super) fn from_attrs(attrs: &mut AttrMap) -> Result<Self, RuleError> {
        Ok(Self { perm: attrs.usizes("perm")? })
    }

    /// The permutation that undoes this one.
    pub fn inverse(&self) -> Vec<usize> {
        let mut inverse = vec![0; self.perm.len()];
        for (to, &from) in self.perm.iter().enumerate() {
            inverse[from] = to;
        }
        inverse
    }
}

impl OpRules for Permute {
    fn name(&self) -> &'static str {
        "permute"
    }

    fn doc(&self) -> &'static str {
        "axes in another order"
    }

    fn family(&self) -> Family {
        Family::Movement
    }

    fn arity(&self) -> Arity {
        Arity::Exactly(1)
    }

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("perm", ints(&self.perm))]
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let x = operands[0];
        check_per_axis("perm", self.perm.len(), x.shape.rank())?;
        for (i, &axis) in self.perm.iter().enumerate() {
            check_axis("permuted axis", axis, x.shape.rank())?;
            if self.perm[..i].contains(&axis) {
                return Err(format!("axis {axis} stands twice in the permutation").into());
            }
        }
        let dims: Vec<usize> = self.perm.iter().map(|&axis| x.shape[axis]).collect();
        Ok(x.with_shape(Shape::new(dims)?))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let from = signed_strides(&operands[0].ty().shape);
        let strides: Vec<isize> = self.perm.iter().map(|&axis| from[axis]).collect();
        Ok(gather_strided(operands[0], &ty.shape, 0, &strides))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        Ok(vec![Some(cx.build.permute(cx.dy, &self.inverse())?)])
    }
}

impl Broadcast {
    /// From `{axes=[1]}` and the result's type.
    pub(super) fn from_attrs(attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { axes: attrs.usizes("axes")?, shape: ty.shape.clone() })
    }
}

impl OpRules for Broadcast {
    fn name(&self) -> &'static str {
        "broadcast"
    }

    fn doc(&self) -> &'static str {
        "repetition along new axes"
    }

    fn family(&self) -> Family {
        Family::Movement
    }

    fn arity(&self) -> Arity {
        Arity::Exactly(1)
    }

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("axes", ints(&self.axes))]
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let x = operands[0];
        check_per_axis("axes", self.axes.len(), x.shape.rank())?;
        check_ascending("axis", &self.axes, self.shape.rank())?;
        for (i, &axis) in self.axes.iter().enumerate() {
            let (from, to) = (x.shape[i], self.shape[axis]);
            if from != to {
                let rule = "they must be equal, only new axes repeat";
                return Err(format!(
                    "axis {i} of {} has extent {from}, axis {axis} of {} has {to}: {rule}",
                    x.shape, self.shape
                )
                .into());
            }
        }
        Ok(x.with_shape(self.shape.clone()))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let from = signed_strides(&operands[0].ty().shape);
        let mut strides = vec![0; ty.shape.rank()];
        for (i, &axis) in self.axes.iter().enumerate() {
            strides[axis] = from[i];
        }
        Ok(gather_strided(operands[0], &ty.shape, 0, &strides))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let new = other_axes(&self.axes, self.shape.rank());
        Ok(vec![Some(cx.build.reduce_sum(cx.dy, &new)?)])
    }
}

impl Slice {
    /// From `{start=[0,1], limit=[4,9], stride=[1,2]}`.
    pub(super) fn from_attrs(attrs: &mut AttrMap) -> Result<Self, RuleError> {
        Ok(Self { start: attrs.usizes("start")?, limit: attrs.usizes("limit")?, stride: attrs.usizes("stride")? })
    }
}

impl OpRules for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn doc(&self) -> &'static str {
        "every stride-th element from start to limit on each axis"
    }

    fn family(&self) -> Family {
        Family::Movement
    }

    fn arity(&self) -> Arity {
        Arity::Exactly(1)
    }

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("start", ints(&self.start)), ("limit", ints(&self.limit)), ("stride", ints(&self.stride))]
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
        // On an axis with one element the step is never taken; it may then be larger than memory.
        let strides: Vec<isize> =
            self.stride.iter().zip(&from).map(|(&step, &stride)| stride.wrapping_mul(step as isize)).collect();
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

impl Pad {
    /// From `{value=(0.0), low=[1,0], high=[1,0], interior=[0,0]}` and the result's type.
    pub(super) fn from_attrs(attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        Ok(Self {
            value: attrs.scalar("value", ty.dtype)?,
            low: attrs.usizes("low")?,
            high: attrs.usizes("high")?,
            interior: attrs.usizes("interior")?,
        })
    }

    /// The extent of a padded axis; `None` where it overflows.
    fn extent(&self, axis: usize, extent: usize) -> Option<usize> {
        let between = self.interior[axis].checked_mul(extent - 1)?;
        extent.checked_add(between)?.checked_add(self.low[axis])?.checked_add(self.high[axis])
    }
}

impl OpRules for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn doc(&self) -> &'static str {
        "elements added before, after and between the operand's"
    }

    fn family(&self) -> Family {
        Family::Movement
    }

    fn arity(&self) -> Arity {
        Arity::Exactly(1)
    }

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![
            ("value", Attr::Literals(vec![self.value.to_string()])),
            ("low", ints(&self.low)),
            ("high", ints(&self.high)),
            ("interior", ints(&self.interior)),
        ]
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
        // On an axis with one element the step is never taken; it may then be larger than memory.
        let step = |gap: usize, stride: isize| stride.wrapping_mul((gap as isize).wrapping_add(1));
        let strides: Vec<isize> = self.interior.iter().zip(&into).map(|(&gap, &stride)| step(gap, stride)).collect();
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

impl Concat {
    /// From `{axis=1}`.
    pub(super) fn from_attrs(attrs: &mut AttrMap) -> Result<Self, RuleError> {
        Ok(Self { axis: attrs.usize("axis")? })
    }
}

impl OpRules for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn doc(&self) -> &'static str {
        "the operands one after the other along an axis"
    }

    fn family(&self) -> Family {
        Family::Movement
    }

    fn arity(&self) -> Arity {
        Arity::AtLeast(1)
    }

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("axis", Attr::Int(self.axis as i64))]
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

impl Reverse {
    /// From `{axes=[1]}`.
    pub(super) fn from_attrs(attrs: &mut AttrMap) -> Result<Self, RuleError> {
        Ok(Self { axes: attrs.usizes("axes")? })
    }
}

impl OpRules for Reverse {
    fn name(&self) -> &'static str {
        "reverse"
    }

    fn doc(&self) -> &'static str {
        "the elements in reverse order along axes"
    }

    fn family(&self) -> Family {
        Family::Movement
    }

    fn arity(&self) -> Arity {
        Arity::Exactly(1)
    }

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("axes", ints(&self.axes))]
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        check_ascending("reversed axis", &self.axes, operands[0].shape.rank())?;
        Ok(operands[0].clone())
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let mut strides = signed_strides(&ty.shape);
        let mut base = 0;
        for &axis in &self.axes {
            base += (ty.shape[axis] - 1) * strides[axis] as usize;
            strides[axis] = -strides[axis];
        }
        Ok(gather_strided(operands[0], &ty.shape, base, &strides))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        Ok(vec![Some(cx.build.add(Op::Reverse(self.clone()), &[cx.dy])?)])
    }
}
