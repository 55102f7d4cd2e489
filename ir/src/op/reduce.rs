//! Reductions over axes. The reduced axes are gone from the result's shape.

use super::attr::{Attr, AttrMap, ints};
use super::axes::{check_ascending, check_axis, other_axes};
use super::batch::{Along, AxisRule, Batching, Stacked, behind};
use super::reduce_gradient::{extremum_gradient, prod_gradient, spread};
use super::walk::Offsets;
use super::{Arity, Cotangent, Family, OpDef, OpRecord, OpRules, OperandGradients};
use crate::{DType, Data, EvalError, Op, RuleError, Scalar, ScalarOp, Shape, TensorType, Value};
use smallvec::smallvec;

/// What folds the elements.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ReduceKind {
    /// Sum; numbers.
    Sum,
    /// Product; numbers.
    Prod,
    /// Maximum, NaN if any element is; numbers.
    Max,
    /// Minimum, NaN if any element is; numbers.
    Min,
}

/// A reduction. Text: `reduce_sum %0 {axes=[0,2]}`, likewise `reduce_prod`, `reduce_max`, `reduce_min`.
#[derive(Clone, PartialEq, Debug)]
pub struct Reduce {
    /// What folds.
    pub kind: ReduceKind,
    /// The axes, ascending, at least one.
    pub axes: Vec<usize>,
}

/// The position of an extremum along one axis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ArgKind {
    /// Of the largest element.
    Max,
    /// Of the smallest element.
    Min,
}

/// The position (`i32`) of the first largest or smallest element along an axis; of the first NaN if there is one.
/// Text: `argmax %0 {axis=1}`, `argmin %0 {axis=1}`. No derivative.
#[derive(Clone, PartialEq, Debug)]
pub struct ArgReduce {
    /// Of which extremum.
    pub kind: ArgKind,
    /// The axis, gone from the result.
    pub axis: usize,
}

impl ReduceKind {
    /// All of them, in the order of their names.
    const ALL: [Self; 4] = [Self::Sum, Self::Prod, Self::Max, Self::Min];

    /// The scalar op that folds.
    pub fn op(self) -> ScalarOp {
        match self {
            Self::Sum => ScalarOp::ADD,
            Self::Prod => ScalarOp::MUL,
            Self::Max => ScalarOp::MAX,
            Self::Min => ScalarOp::MIN,
        }
    }

    /// The element that the fold starts from, see [`crate::scalar::Laws::fold_start`].
    pub fn identity(self, dtype: DType) -> Scalar {
        self.op().fold_start(dtype).expect("what reductions fold with has a start")
    }
}

impl OpRecord for Reduce {
    const DEFS: &'static [OpDef] = &[
        OpDef {
            name: "reduce_sum",
            doc: "the sum over axes; integers wrap",
            family: Family::Reduce,
            arity: Arity::Exactly(1),
        },
        OpDef {
            name: "reduce_prod",
            doc: "the product over axes; integers wrap",
            family: Family::Reduce,
            arity: Arity::Exactly(1),
        },
        OpDef {
            name: "reduce_max",
            doc: "the largest element over axes; NaN if any is",
            family: Family::Reduce,
            arity: Arity::Exactly(1),
        },
        OpDef {
            name: "reduce_min",
            doc: "the smallest element over axes; NaN if any is",
            family: Family::Reduce,
            arity: Arity::Exactly(1),
        },
    ];

    fn from_attrs(number: usize, attrs: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { kind: ReduceKind::ALL[number], axes: attrs.usizes("axes")? })
    }

    fn number(&self) -> usize {
        self.kind as usize
    }
}

impl OpRules for Reduce {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("axes", ints(&self.axes))]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let x = operands[0];
        if !x.dtype.is_number() {
            return Err(format!("a reduction takes a float or integer type, not {}: cast it", x.dtype).into());
        }
        if self.axes.is_empty() {
            return Err("a reduction needs at least one axis".into());
        }
        check_ascending("reduced axis", &self.axes, x.shape.rank())?;
        without_axes(x, &self.axes)
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let x = operands[0];
        let strides = fold_strides(&x.ty().shape, &self.axes);
        let into = Offsets::new(&x.ty().shape, 0, &strides);
        Ok(fold(self.kind, x, ty, into))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let gradient = match self.kind {
            ReduceKind::Sum => spread(cx, &self.axes, cx.dy)?,
            ReduceKind::Prod => prod_gradient(cx, &self.axes)?,
            ReduceKind::Max | ReduceKind::Min => extremum_gradient(cx, &self.axes)?,
        };
        Ok(vec![Some(gradient)])
    }
}

impl OpRecord for ArgReduce {
    const DEFS: &'static [OpDef] = &[
        OpDef {
            name: "argmax",
            doc: "the position of the first largest element along an axis, or of the first NaN",
            family: Family::Reduce,
            arity: Arity::Exactly(1),
        },
        OpDef {
            name: "argmin",
            doc: "the position of the first smallest element along an axis, or of the first NaN",
            family: Family::Reduce,
            arity: Arity::Exactly(1),
        },
    ];

    fn from_attrs(number: usize, attrs: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { kind: ArgKind::ALL[number], axis: attrs.usize("axis")? })
    }

    fn number(&self) -> usize {
        self.kind as usize
    }
}

impl OpRules for ArgReduce {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("axis", Attr::Int(self.axis as i64))]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let x = operands[0];
        if !x.dtype.is_number() {
            return Err(format!("an order needs a float or integer type, not {}: cast it", x.dtype).into());
        }
        check_axis("axis", self.axis, x.shape.rank())?;
        if i32::try_from(x.shape[self.axis] - 1).is_err() {
            return Err(format!("positions on axis {} of {} do not fit i32", self.axis, x.shape).into());
        }
        Ok(without_axes(x, &[self.axis])?.with_dtype(DType::I32))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let x = operands[0];
        let (extent, inner) = (x.ty().shape[self.axis], x.ty().shape.strides()[self.axis]);
        Ok(Value::from_fn(ty.clone(), |i| {
            let base = i / inner * inner * extent + i % inner;
            let row = (0..extent).map(|k| x.get(base + k * inner));
            Scalar::I32(self.kind.position(row) as i32)
        }))
    }

    fn derivative(&self, _: &mut Cotangent<'_>) -> OperandGradients {
        Ok(vec![None])
    }
}

impl ArgKind {
    /// Both, in the order of their names.
    const ALL: [Self; 2] = [Self::Max, Self::Min];

    /// The position of the first element that no later one beats; of the first NaN if there is one.
    fn position(self, row: impl Iterator<Item = Scalar>) -> usize {
        let beats = match self {
            Self::Max => ScalarOp::GT,
            Self::Min => ScalarOp::LT,
        };
        let mut best: Option<(usize, Scalar)> = None;
        for (k, x) in row.enumerate() {
            if x.is_nan() {
                return k;
            }
            if best.is_none_or(|(_, b)| beats.eval(&[x, b]) == Scalar::Bool(true)) {
                best = Some((k, x));
            }
        }
        best.map_or(0, |(k, _)| k)
    }
}

impl AxisRule for Reduce {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        Some(smallvec![Some(kept_axis(&self.axes, axis, operands[0])?)])
    }

    fn stacked(&self, _: usize, _: &[bool], _: &[&TensorType]) -> Option<Stacked> {
        Some(Stacked::all(Op::Reduce(Self { kind: self.kind, axes: behind(&self.axes) }), 1))
    }
}

impl AxisRule for ArgReduce {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        Some(smallvec![Some(kept_axis(&[self.axis], axis, operands[0])?)])
    }

    fn stacked(&self, _: usize, _: &[bool], _: &[&TensorType]) -> Option<Stacked> {
        Some(Stacked::all(Op::ArgReduce(Self { kind: self.kind, axis: self.axis + 1 }), 1))
    }
}

/// The operand's axis that an axis of the result is, `axes` being gone.
fn kept_axis(axes: &[usize], axis: usize, operand: &TensorType) -> Option<usize> {
    (0..operand.shape.rank()).filter(|kept| !axes.contains(kept)).nth(axis)
}

/// A type without those axes.
fn without_axes(x: &TensorType, axes: &[usize]) -> Result<TensorType, RuleError> {
    let kept: Vec<usize> = other_axes(axes, x.shape.rank()).iter().map(|&axis| x.shape[axis]).collect();
    Ok(x.with_shape(Shape::new(kept)?))
}

/// The strides that take a coordinate of the operand to the offset of the element of the result it is folded into.
fn fold_strides(shape: &Shape, axes: &[usize]) -> Vec<isize> {
    let mut strides = vec![0; shape.rank()];
    let mut stride = 1;
    for &axis in other_axes(axes, shape.rank()).iter().rev() {
        strides[axis] = stride;
        stride *= shape[axis] as isize;
    }
    strides
}

/// Folds in row-major order of the operand, in its element type; 16-bit floats fold in `f32` and are rounded once at the end.
fn fold(kind: ReduceKind, x: &Value, ty: &TensorType, into: Offsets<'_>) -> Value {
    match (kind, x.data()) {
        (ReduceKind::Sum, Data::F32(x)) => {
            Value::new(ty.clone(), Data::F32(sum(x, ty, into))).expect("the result's extent")
        }
        (ReduceKind::Sum, Data::F64(x)) => {
            Value::new(ty.clone(), Data::F64(sum(x, ty, into))).expect("the result's extent")
        }
        (_, x) => {
            let wide = if ty.dtype.is_short_float() { DType::F32 } else { ty.dtype };
            let mut acc = Data::splat(kind.identity(wide), ty.shape.numel());
            for (i, at) in into.enumerate() {
                acc.set(at, kind.op().eval(&[acc.get(at), x.get(i).cast(wide)]));
            }
            Value::new(ty.clone(), acc.cast(ty.dtype)).expect("the result's extent")
        }
    }
}

/// The plain sequential sum.
fn sum<T: Copy + Default + std::ops::AddAssign>(x: &[T], ty: &TensorType, into: Offsets<'_>) -> Vec<T> {
    let mut acc = vec![T::default(); ty.shape.numel()];
    for (&x, at) in x.iter().zip(into) {
        acc[at] += x;
    }
    acc
}
