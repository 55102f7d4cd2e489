//! Convolution of images in any number of spatial dimensions.

use super::eval::ConvWalk;
use super::{ConvInputGrad, ConvWeightGrad};
use crate::op::OpRecord;
use crate::op::attr::{Attr, AttrMap};
use crate::op::batch::{Along, AxisRule, Batching};
use crate::op::number::{not_a_number, value_of, with_number};
use crate::op::window::{Window, image, image_shape, numbers, same_dtype};
use crate::{Arity, Cotangent, EvalError, Family, Op, OpDef, OpRules, OperandGradients, RuleError, TensorType, Value};
use smallvec::smallvec;

/// Cross-correlation, what deep learning calls convolution: `x [n, s..., ci]` with `w [k..., ci/groups, co]` gives `[n, o..., co]`,
/// `y[n,o,co] = Σ_{k,ci} x[n, o*stride + k*dilation - before, ci] * w[k,ci,co]`; the window's `size` is `w`'s.
/// Group `g` maps the g-th part of the input channels to the g-th part of the output channels. Padding counts as zeros; whether it is multiplied or left
/// out is not specified, so that an infinite factor may make NaN of it or not.
/// Text: `conv %x, %w {size=[3,3], stride=[1,1], pad=[(1,1),(1,1)], dilation=[1,1], groups=1}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conv {
    /// The window.
    pub window: Window,
    /// In how many groups the channels are split.
    pub groups: usize,
}

/// The attributes of all three ops of convolution.
pub(super) fn conv_attrs(window: &Window, groups: usize) -> Vec<(&'static str, Attr)> {
    let mut attrs = window.attrs();
    attrs.push(("groups", Attr::Int(groups as i64)));
    attrs
}

/// The input channels per group and the output channels of a kernel `w [k..., ci/groups, co]`.
///
/// # Errors
/// If `w` is no kernel, its spatial extents aren't the window's, or the groups don't divide its output channels.
pub(super) fn kernel_channels(window: &Window, groups: usize, w: &TensorType) -> Result<(usize, usize), RuleError> {
    numbers("the kernel", w)?;
    let [size @ .., per_group, out] = w.shape.dims() else {
        return Err(format!("the kernel must be [size..., in/groups, out], it is {}", w.shape).into());
    };
    if size != window.size {
        return Err(format!(
            "the kernel {} must be [size..., in/groups, out] with the window's size {:?}, its spatial extents are {size:?}",
            w.shape, window.size
        )
        .into());
    }
    groups_divide(groups, "output", *out)?;
    Ok((*per_group, *out))
}

/// Checks that the groups are at least one and divide the channels.
///
/// # Errors
/// If they don't.
pub(super) fn groups_divide(groups: usize, what: &str, channels: usize) -> Result<(), RuleError> {
    match groups {
        0 => Err("the channels must be split in at least 1 group, not 0".into()),
        g if channels.is_multiple_of(g) => Ok(()),
        g => Err(format!("{} do not divide {channels} {what} channels", count(g, "group")).into()),
    }
}

/// `1 group`, `2 groups`.
fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

impl OpRecord for Conv {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "conv",
        doc: "cross-correlation of an image with a kernel, in groups of channels",
        family: Family::Contraction,
        arity: Arity::Exactly(2),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { window: Window::from_attrs(attrs)?, groups: attrs.usize("groups")? })
    }
}

impl OpRules for Conv {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        conv_attrs(&self.window, self.groups)
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        let (x, w) = (operands[0], operands[1]);
        same_dtype(x, w)?;
        let (n, spatial, channels) = image("x", x)?;
        let output = self.window.output(spatial)?;
        let (per_group, out) = kernel_channels(&self.window, self.groups, w)?;
        groups_divide(self.groups, "input", channels)?;
        if per_group != channels / self.groups {
            return Err(format!(
                "the kernel {} has {per_group} input channels per group, x {} has {channels} channels in {}",
                w.shape,
                x.shape,
                count(self.groups, "group")
            )
            .into());
        }
        Ok(x.with_shape(image_shape(n, &output, out)?))
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let (x, w) = (operands[0], operands[1]);
        let walk = ConvWalk::new(&self.window, self.groups, x.ty(), ty);
        with_number!(ty.dtype, T => Ok(value_of::<T>(ty, walk.forward(x, w, ty.shape.numel()))), else Err(not_a_number(self.def().name)))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let (x, w) = (cx.operands[0], cx.operands[1]);
        let (window, groups) = (self.window.clone(), self.groups);
        let dims = cx.build.ty(x).shape.dims();
        let input = dims[1..dims.len() - 1].to_vec();
        let by_x = ConvInputGrad { window: window.clone(), groups, input };
        let dx = cx.build.add(Op::ConvInputGrad(by_x), &[cx.dy, w])?;
        let dw = cx.build.add(Op::ConvWeightGrad(ConvWeightGrad { window, groups }), &[x, cx.dy])?;
        Ok(vec![Some(dx), Some(dw)])
    }
}

impl AxisRule for Conv {
    fn along(&self, axis: usize, operands: &[&TensorType]) -> Option<Along> {
        let last = operands[0].shape.rank() - 1;
        match axis {
            0 => Some(smallvec![Some(0), None]),
            _ => (axis == last && self.groups == 1).then(|| smallvec![None, Some(last)]),
        }
    }
}
