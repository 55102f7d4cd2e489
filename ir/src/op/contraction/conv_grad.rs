//! The two gradients of convolution: by the image and by the kernel.

use super::Conv;
use super::conv::{conv_attrs, groups_divide, kernel_channels};
use super::eval::ConvWalk;
use crate::op::OpRecord;
use crate::op::attr::{Attr, AttrMap};
use crate::op::batch::{Along, AxisRule, Batching};
use crate::op::number::{not_a_number, value_of, with_number};
use crate::op::window::{Window, image, image_shape, numbers, same_dtype, spatial_of_result};
use crate::{
    Arity, Cotangent, EvalError, Family, Op, OpDef, OpRules, OperandGradients, RuleError, Shape, TensorType, Value,
};
use smallvec::smallvec;

/// The gradient of [`Conv`] by `x` (a transposed convolution): operands `dy [n, o..., co]` and `w`; result `[n, s..., ci]`.
/// Text: `conv_input_grad %dy, %w {.., groups=1} : f32[n,s...,ci]` (spatial extents from the result type).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConvInputGrad {
    /// The window.
    pub window: Window,
    /// In how many groups the channels are split.
    pub groups: usize,
    /// The spatial extents `s...` of `x`.
    pub input: Vec<usize>,
}

/// The gradient of [`Conv`] by `w`: operands `x [n, s..., ci]` and `dy [n, o..., co]`; result `[k..., ci/groups, co]`.
/// Text: `conv_weight_grad %x, %dy {.., groups=1}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConvWeightGrad {
    /// The window; its `size` gives the result's `k...`.
    pub window: Window,
    /// In how many groups the channels are split.
    pub groups: usize,
}

/// Checks that a convolution of an input with spatial extents `input` gives `dy`'s.
fn check_output(window: &Window, input: &[usize], dy: &TensorType, spatial: &[usize]) -> Result<(), RuleError> {
    let output = window.output(input)?;
    if output == spatial {
        return Ok(());
    }
    Err(format!("convolving spatial extents {input:?} gives {output:?}, dy {} has {spatial:?}", dy.shape).into())
}

impl OpRecord for ConvInputGrad {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "conv_input_grad",
        doc: "the gradient of conv by the image: a transposed convolution",
        family: Family::Contraction,
        arity: Arity::Exactly(2),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        let window = Window::from_attrs(attrs)?;
        Ok(Self { window, groups: attrs.usize("groups")?, input: spatial_of_result(ty)? })
    }
}

impl OpRules for ConvInputGrad {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        conv_attrs(&self.window, self.groups)
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let (dy, w) = (operands[0], operands[1]);
        same_dtype(dy, w)?;
        let (n, spatial, channels) = image("dy", dy)?;
        check_output(&self.window, &self.input, dy, spatial)?;
        let (per_group, out) = kernel_channels(&self.window, self.groups, w)?;
        if out != channels {
            return Err(
                format!("the kernel {} has {out} output channels, dy {} has {channels}", w.shape, dy.shape).into()
            );
        }
        let ci = per_group.checked_mul(self.groups).ok_or("the number of input channels overflows")?;
        Ok(dy.with_shape(image_shape(n, &self.input, ci)?))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let (dy, w) = (operands[0], operands[1]);
        let walk = ConvWalk::new(&self.window, self.groups, ty, dy.ty());
        with_number!(ty.dtype, T => Ok(value_of::<T>(ty, walk.input_grad(dy, w, ty.shape.numel()))), else Err(not_a_number(self.def().name)))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let (dy, w, dz) = (cx.operands[0], cx.operands[1], cx.dy);
        let (window, groups) = (self.window.clone(), self.groups);
        let by_dy = cx.build.add(Op::Conv(Conv { window: window.clone(), groups }), &[dz, w])?;
        let by_w = cx.build.add(Op::ConvWeightGrad(ConvWeightGrad { window, groups }), &[dz, dy])?;
        Ok(vec![Some(by_dy), Some(by_w)])
    }
}

impl OpRecord for ConvWeightGrad {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "conv_weight_grad",
        doc: "the gradient of conv by the kernel",
        family: Family::Contraction,
        arity: Arity::Exactly(2),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { window: Window::from_attrs(attrs)?, groups: attrs.usize("groups")? })
    }
}

impl OpRules for ConvWeightGrad {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        conv_attrs(&self.window, self.groups)
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let (x, dy) = (operands[0], operands[1]);
        numbers("x", x)?;
        same_dtype(x, dy)?;
        let (n, input, ci) = image("x", x)?;
        let (batch, spatial, co) = image("dy", dy)?;
        if n != batch {
            return Err(format!("x {} has batch size {n}, dy {} has {batch}", x.shape, dy.shape).into());
        }
        check_output(&self.window, input, dy, spatial)?;
        groups_divide(self.groups, "input", ci)?;
        groups_divide(self.groups, "output", co)?;
        let dims: Vec<usize> = [&self.window.size[..], &[ci / self.groups, co]].concat();
        Ok(x.with_shape(Shape::new(dims)?))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let (x, dy) = (operands[0], operands[1]);
        let walk = ConvWalk::new(&self.window, self.groups, x.ty(), dy.ty());
        with_number!(ty.dtype, T => Ok(value_of::<T>(ty, walk.weight_grad(x, dy, ty.shape.numel()))), else Err(not_a_number(self.def().name)))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let (x, dy, dv) = (cx.operands[0], cx.operands[1], cx.dy);
        let (window, groups) = (self.window.clone(), self.groups);
        let dims = cx.build.ty(x).shape.dims();
        let input = dims[1..dims.len() - 1].to_vec();
        let by_x = ConvInputGrad { window: window.clone(), groups, input };
        let by_x = cx.build.add(Op::ConvInputGrad(by_x), &[dy, dv])?;
        let by_dy = cx.build.add(Op::Conv(Conv { window, groups }), &[x, dv])?;
        Ok(vec![Some(by_x), Some(by_dy)])
    }
}

impl AxisRule for ConvInputGrad {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        let last = operands[0].shape.rank() - 1;
        match axis {
            0 => Some(smallvec![Some(0), None]),
            _ => (axis == last && self.groups == 1).then(|| smallvec![None, Some(last - 1)]),
        }
    }
}

impl AxisRule for ConvWeightGrad {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        let (channels, taps) = (operands[0].shape.rank() - 1, self.window.rank());
        match axis.checked_sub(taps)? {
            _ if self.groups > 1 => None,
            0 => Some(smallvec![Some(channels), None]),
            _ => Some(smallvec![None, Some(channels)]),
        }
    }
}
