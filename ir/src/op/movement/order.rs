//! Movement that keeps all elements: other shapes, orders and repetition.

use crate::op::attr::{Attr, AttrMap, ints};
use crate::op::axes::{check_ascending, check_axis, check_per_axis, other_axes};
use crate::op::batch::{Along, AxisRule, Batching, Stacked, behind, in_front};
use crate::op::walk::{gather_strided, signed_strides};
use crate::op::{Arity, Cotangent, Family, OpDef, OpRecord, OpRules, OperandGradients};
use crate::{EvalError, Op, RuleError, Shape, ShapeError, TensorType, Value};
use smallvec::smallvec;

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

/// The elements in reverse order along axes. Text: `reverse %0 {axes=[1]}`.
#[derive(Clone, PartialEq, Debug)]
pub struct Reverse {
    /// The axes, ascending.
    pub axes: Vec<usize>,
}

impl OpRecord for Reshape {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "reshape",
        doc: "the same elements, in row-major order, under another shape",
        family: Family::Movement,
        arity: Arity::Exactly(1),
    }];

    fn from_attrs(_: usize, _: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { shape: ty.shape.clone() })
    }
}

impl OpRules for Reshape {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
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

impl AxisRule for Reshape {
    /// An axis that is left as it is: as many elements before it, and its own extent.
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        let (from, to) = (&operands[0].shape, &self.shape);
        let before = |shape: &Shape, axis: usize| shape[..axis].iter().product::<usize>();
        let outer = before(to, axis);
        let same = (0..from.rank()).find(|&a| from[a] == to[axis] && before(from, a) == outer)?;
        Some(smallvec![Some(same)])
    }

    fn resized(&self, axis: usize, extent: usize) -> Result<Option<Op>, ShapeError> {
        Ok(Some(Op::Reshape(Self { shape: self.shape.with_extent(axis, extent)? })))
    }

    fn stacked(&self, length: usize, _: &[bool], _: &[&TensorType]) -> Option<Stacked> {
        Some(Stacked::all(Op::Reshape(Self { shape: self.shape.stacked(length).ok()? }), 1))
    }
}

impl Permute {
    /// The permutation that undoes this one.
    pub fn inverse(&self) -> Vec<usize> {
        let mut inverse = vec![0; self.perm.len()];
        for (to, &from) in self.perm.iter().enumerate() {
            inverse[from] = to;
        }
        inverse
    }
}

impl OpRecord for Permute {
    const DEFS: &'static [OpDef] =
        &[OpDef { name: "permute", doc: "axes in another order", family: Family::Movement, arity: Arity::Exactly(1) }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { perm: attrs.usizes("perm")? })
    }
}

impl OpRules for Permute {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("perm", ints(&self.perm))]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
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

impl AxisRule for Permute {
    fn along(&self, axis: usize, _: &[&TensorType]) -> Option<Along> {
        Some(smallvec![Some(self.perm[axis])])
    }

    fn stacked(&self, _: usize, _: &[bool], _: &[&TensorType]) -> Option<Stacked> {
        Some(Stacked::all(Op::Permute(Self { perm: in_front(0, &behind(&self.perm)) }), 1))
    }
}

impl OpRecord for Broadcast {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "broadcast",
        doc: "repetition along new axes",
        family: Family::Movement,
        arity: Arity::Exactly(1),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { axes: attrs.usizes("axes")?, shape: ty.shape.clone() })
    }
}

impl OpRules for Broadcast {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("axes", ints(&self.axes))]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
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

impl AxisRule for Broadcast {
    fn along(&self, axis: usize, _: &[&TensorType]) -> Option<Along> {
        Some(smallvec![self.axes.iter().position(|&own| own == axis)])
    }

    fn resized(&self, axis: usize, extent: usize) -> Result<Option<Op>, ShapeError> {
        Ok(Some(Op::Broadcast(Self { shape: self.shape.with_extent(axis, extent)?, axes: self.axes.clone() })))
    }

    fn stacked(&self, length: usize, _: &[bool], _: &[&TensorType]) -> Option<Stacked> {
        let op = Self { shape: self.shape.stacked(length).ok()?, axes: in_front(0, &behind(&self.axes)) };
        Some(Stacked::all(Op::Broadcast(op), 1))
    }
}

impl OpRecord for Reverse {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "reverse",
        doc: "the elements in reverse order along axes",
        family: Family::Movement,
        arity: Arity::Exactly(1),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { axes: attrs.usizes("axes")? })
    }
}

impl OpRules for Reverse {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("axes", ints(&self.axes))]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
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

impl AxisRule for Reverse {
    fn along(&self, axis: usize, _: &[&TensorType]) -> Option<Along> {
        (!self.axes.contains(&axis)).then(|| smallvec![Some(axis)])
    }

    fn stacked(&self, _: usize, _: &[bool], _: &[&TensorType]) -> Option<Stacked> {
        Some(Stacked::all(Op::Reverse(Self { axes: behind(&self.axes) }), 1))
    }
}
