//! Where the maximum of each window stands, as a tensor, and the way back from there: what training keeps of a pooled tensor.

use super::eval;
use super::geometry::{Window, along_image, image, image_shape, numbers, spatial_of_result};
use super::pool::pooled;
use crate::op::OpRecord;
use crate::op::attr::{Attr, AttrMap};
use crate::op::batch::{Along, AxisRule, Batching};
use crate::op::movement::{Pad, Slice};
use crate::op::number::{not_a_number, value_of, with_number};
use crate::{
    Arity, Cotangent, DType, EvalError, Family, Op, OpDef, OpRules, OperandGradients, RuleError, Scalar, ScalarOp,
    Shape, TensorType, Value,
};

/// For each window of `x [n, s..., c]` the number of the tap that stands on its largest element, chosen as in
/// [`PoolMaxGrad`](super::PoolMaxGrad): taps are numbered row-major from 0; -1 if the window meets nothing but padding.
/// Text: `pool_argmax %x {size=.., stride=.., pad=.., dilation=..} : i32[n,o...,c]`, or `i64`.
#[derive(Clone, PartialEq, Debug)]
pub struct PoolArgMax {
    /// The window of the pooling.
    pub window: Window,
    /// The type of the numbers: `i32` or `i64`.
    pub dtype: DType,
}

/// Each element of `dy [n, o..., c]` added to the place of the tap that `tap`, a tensor of integers of the same shape, names in its window;
/// what names no tap, or one on padding, is dropped. With `tap` from [`PoolArgMax`] it is the gradient of `pool_max` (PyTorch's
/// `max_unpool2d`, but for places that several windows name: they get the sum).
/// Text: `unpool %tap, %dy {size=.., stride=.., pad=.., dilation=..} : f32[n,s...,c]` (extents from the result type).
#[derive(Clone, PartialEq, Debug)]
pub struct Unpool {
    /// The window of the pooling.
    pub window: Window,
    /// The spatial extents of the pooling's input.
    pub input: Vec<usize>,
}

impl OpRecord for PoolArgMax {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "pool_argmax",
        doc: "for each window the number of the tap with the maximum",
        family: Family::Window,
        arity: Arity::Exactly(1),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { window: Window::from_attrs(attrs)?, dtype: ty.dtype })
    }
}

impl OpRules for PoolArgMax {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        self.window.attrs()
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        if !matches!(self.dtype, DType::I32 | DType::I64) {
            return Err(format!("taps are numbered in i32 or i64, not {}", self.dtype).into());
        }
        let taps = self.window.taps();
        if self.dtype == DType::I32 && i32::try_from(taps).is_err() {
            return Err(format!("{taps} taps are more than i32 can number").into());
        }
        Ok(TensorType::new(self.dtype, pooled(&self.window, operands[0])?.shape))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let x = operands[0];
        let taps = with_number!(x.ty().dtype, T => eval::arg_max::<T>(&self.window, x, ty), else return Err(not_a_number(self.def().name)));
        Ok(Value::from_fn(ty.clone(), |i| Scalar::from_i64(taps[i], self.dtype)))
    }

    fn derivative(&self, _cx: &mut Cotangent<'_>) -> OperandGradients {
        Ok(vec![None])
    }
}

impl OpRecord for Unpool {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "unpool",
        doc: "each element put at the tap of its window that a number names",
        family: Family::Window,
        arity: Arity::Exactly(2),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { window: Window::from_attrs(attrs)?, input: spatial_of_result(ty)? })
    }
}

impl OpRules for Unpool {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        self.window.attrs()
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let (tap, dy) = (operands[0], operands[1]);
        numbers("the second operand", dy)?;
        if !tap.dtype.is_int() || tap.shape != dy.shape {
            return Err(format!("taps must be integers of shape {}, they are {tap}", dy.shape).into());
        }
        let (n, spatial, c) = image("the second operand", dy)?;
        let output = self.window.output(&self.input)?;
        if output != spatial {
            return Err(format!(
                "pooling an input of spatial extents {:?} gives {output:?}, the operands have {spatial:?}",
                self.input
            )
            .into());
        }
        Ok(dy.with_shape(image_shape(n, &self.input, c)?))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let taps: Vec<i64> = (0..operands[0].data().len()).map(|i| operands[0].get(i).as_i64()).collect();
        with_number!(ty.dtype, T => Ok(value_of::<T>(ty, eval::unpool(&self.window, &taps, operands[1], ty))), else Err(not_a_number(self.def().name)))
    }

    /// The element at the place where `dy`'s went: the sum over the taps of what they read, where they are meant.
    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let (taps, x, shape) = (cx.operands[0], cx.dy, cx.build.ty(cx.operands[1]).shape.clone());
        let (dtype, spatial) = (cx.build.ty(taps).dtype, self.window.rank());
        let zero = Scalar::zero(cx.build.ty(x).dtype);
        let padding = |d: usize| self.window.pad.get(d.wrapping_sub(1)).copied().unwrap_or((0, 0));
        let (low, high) = (0..spatial + 2).map(padding).unzip();
        let padded = cx.build.add(Op::Pad(Pad { value: zero, low, high, interior: vec![0; spatial + 2] }), &[x])?;
        let mut sum = cx.build.zeros_like(cx.operands[1])?;
        for tap in 0..self.window.taps() {
            let of_tap = self.slice_of(tap, &shape);
            let read = cx.build.add(Op::Slice(of_tap), &[padded])?;
            let number = cx.build.full(Scalar::from_i64(tap as i64, dtype), shape.clone())?;
            let meant = cx.build.binary(ScalarOp::EQ, taps, number)?;
            let nothing = cx.build.zeros_like(read)?;
            let read = cx.build.select(meant, read, nothing)?;
            sum = cx.build.binary(ScalarOp::ADD, sum, read)?;
        }
        Ok(vec![None, Some(sum)])
    }
}

impl Unpool {
    /// What a tap of all windows, which are of that shape, reads of the padded input.
    fn slice_of(&self, mut tap: usize, windows: &Shape) -> Slice {
        let spatial = self.window.rank();
        let mut slice = Slice { start: vec![0; spatial + 2], limit: windows.to_vec(), stride: vec![1; spatial + 2] };
        for d in (0..spatial).rev() {
            slice.start[d + 1] = tap % self.window.size[d] * self.window.dilation[d];
            slice.stride[d + 1] = self.window.stride[d];
            slice.limit[d + 1] = slice.start[d + 1] + (windows[d + 1] - 1) * self.window.stride[d] + 1;
            tap /= self.window.size[d];
        }
        slice
    }
}

impl AxisRule for PoolArgMax {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        along_image(axis, operands)
    }
}

impl AxisRule for Unpool {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        along_image(axis, operands)
    }
}
