//! Ops from their text form: the other place, besides [`Op::rules`], that lists all ops.
//!
//! What an op reads from its attributes stands beside the op, in its `from_attrs`.

use super::attr::AttrMap;
use super::contraction::{Conv, ConvInputGrad, ConvWeightGrad, Dot};
use super::control::{Gradient, StopGradient};
use super::elementwise::Cast;
use super::index::{CheckIndex, Gather, ScatterAdd};
use super::movement::{Broadcast, Concat, Pad, Permute, Reshape, Reverse, Slice};
use super::random::{Random, RandomKind};
use super::reduce::{ArgKind, ArgReduce, Reduce, ReduceKind};
use super::source::{Constant, Full, Input, Iota, State};
use super::window::{Pool, PoolKind, PoolMaxGrad, PoolMaxTake, PoolSumGrad, Window};
use crate::{Op, RuleError, ScalarOp, TensorType};

/// Makes an op from its attributes and the type of its result.
type Make = fn(&mut AttrMap, &TensorType) -> Result<Op, RuleError>;

/// Every op that is not a scalar op, by its name in text.
const OPS: &[(&str, Make)] = &[
    ("input", |a, ty| Input::from_attrs(a, ty).map(Op::Input)),
    ("state", |a, ty| State::from_attrs(a, ty).map(Op::State)),
    ("full", |a, ty| Full::from_attrs(a, ty).map(Op::Full)),
    ("constant", |a, ty| Constant::from_attrs(a, ty).map(Op::Constant)),
    ("iota", |a, ty| Iota::from_attrs(a, ty).map(Op::Iota)),
    ("cast", |_, ty| Ok(Op::Cast(Cast { dtype: ty.dtype }))),
    ("reduce_sum", |a, _| Reduce::from_attrs(ReduceKind::Sum, a).map(Op::Reduce)),
    ("reduce_prod", |a, _| Reduce::from_attrs(ReduceKind::Prod, a).map(Op::Reduce)),
    ("reduce_max", |a, _| Reduce::from_attrs(ReduceKind::Max, a).map(Op::Reduce)),
    ("reduce_min", |a, _| Reduce::from_attrs(ReduceKind::Min, a).map(Op::Reduce)),
    ("argmax", |a, _| ArgReduce::from_attrs(ArgKind::Max, a).map(Op::ArgReduce)),
    ("argmin", |a, _| ArgReduce::from_attrs(ArgKind::Min, a).map(Op::ArgReduce)),
    ("pool_sum", |a, _| Ok(Op::Pool(Pool { kind: PoolKind::Sum, window: window(a)? }))),
    ("pool_max", |a, _| Ok(Op::Pool(Pool { kind: PoolKind::Max, window: window(a)? }))),
    ("pool_sum_grad", |a, ty| Ok(Op::PoolSumGrad(PoolSumGrad { window: window(a)?, input: spatial(ty)? }))),
    ("pool_max_grad", |a, _| Ok(Op::PoolMaxGrad(PoolMaxGrad { window: window(a)? }))),
    ("pool_max_take", |a, _| Ok(Op::PoolMaxTake(PoolMaxTake { window: window(a)? }))),
    ("reshape", |_, ty| Ok(Op::Reshape(Reshape { shape: ty.shape.clone() }))),
    ("permute", |a, _| Permute::from_attrs(a).map(Op::Permute)),
    ("broadcast", |a, ty| Broadcast::from_attrs(a, ty).map(Op::Broadcast)),
    ("slice", |a, _| Slice::from_attrs(a).map(Op::Slice)),
    ("pad", |a, ty| Pad::from_attrs(a, ty).map(Op::Pad)),
    ("concat", |a, _| Concat::from_attrs(a).map(Op::Concat)),
    ("reverse", |a, _| Reverse::from_attrs(a).map(Op::Reverse)),
    ("dot", |a, _| Ok(Op::Dot(Dot { batch: a.pairs("batch")?, contract: a.pairs("contract")? }))),
    ("conv", |a, _| Ok(Op::Conv(Conv { window: window(a)?, groups: a.usize("groups")? }))),
    ("conv_input_grad", |a, ty| {
        let (window, groups) = (window(a)?, a.usize("groups")?);
        Ok(Op::ConvInputGrad(ConvInputGrad { window, groups, input: spatial(ty)? }))
    }),
    ("conv_weight_grad", |a, _| {
        Ok(Op::ConvWeightGrad(ConvWeightGrad { window: window(a)?, groups: a.usize("groups")? }))
    }),
    ("gather", |_, _| Ok(Op::Gather(Gather))),
    ("scatter_add", |_, _| Ok(Op::ScatterAdd(ScatterAdd))),
    ("check_index", |a, _| Ok(Op::CheckIndex(CheckIndex { bound: a.usize("bound")? }))),
    ("random_uniform", |a, ty| random(RandomKind::Uniform, a, ty)),
    ("random_normal", |a, ty| random(RandomKind::Normal, a, ty)),
    ("gradient", |_, _| Ok(Op::Gradient(Gradient))),
    ("stop_gradient", |_, _| Ok(Op::StopGradient(StopGradient))),
];

/// The op of that name with these attributes; `ty` is the type that the text gives its result.
///
/// # Errors
/// If there is no such op, or an attribute is missing, has a wrong kind or is not the op's.
pub fn parse_op(name: &str, mut attrs: AttrMap, ty: &TensorType) -> Result<Op, RuleError> {
    let op = match OPS.iter().find(|(n, _)| *n == name) {
        Some((_, make)) => make(&mut attrs, ty)?,
        None => Op::Elementwise(ScalarOp::from_name(name).ok_or_else(|| format!("there is no op `{name}`"))?),
    };
    attrs.finish()?;
    Ok(op)
}

/// Every name that [`parse_op`] knows: first the ops of the table, then the scalar ops.
pub fn op_names() -> impl Iterator<Item = &'static str> {
    OPS.iter().map(|(name, _)| *name).chain(ScalarOp::all().map(ScalarOp::name))
}

fn window(attrs: &mut AttrMap) -> Result<Window, RuleError> {
    Ok(Window {
        size: attrs.usizes("size")?,
        stride: attrs.usizes("stride")?,
        pad: attrs.pairs("pad")?,
        dilation: attrs.usizes("dilation")?,
    })
}

/// The extents between the batch axis and the channels.
fn spatial(ty: &TensorType) -> Result<Vec<usize>, RuleError> {
    match ty.shape.dims() {
        [_, spatial @ .., _] => Ok(spatial.to_vec()),
        _ => Err(format!("the result must be [batch, spatial..., channels], not {}", ty.shape).into()),
    }
}

fn random(kind: RandomKind, attrs: &mut AttrMap, ty: &TensorType) -> Result<Op, RuleError> {
    let stream = attrs.usize("stream")?;
    let stream = u32::try_from(stream).map_err(|_| format!("stream {stream} is not below 2^32"))?;
    Ok(Op::Random(Random { kind, stream, ty: ty.clone() }))
}
