//! Ops from their text form: the other place, besides the list in `op`, that names all ops.
//!
//! What an op reads from its attributes stands beside the op, in its `from_attrs`.

use super::attr::AttrMap;
use super::contraction::{Conv, ConvInputGrad, ConvWeightGrad, Dot, Pair, PairContraction, WeightedMean};
use super::control::{Gradient, StopGradient};
use super::cumsum::CumSum;
use super::elementwise::Cast;
use super::index::{CheckIndex, Gather, ScatterAdd};
use super::movement::{Broadcast, Concat, Pad, Permute, Reshape, Reverse, Slice};
use super::random::{Random, RandomKind};
use super::reduce::{ArgKind, ArgReduce, Reduce, ReduceKind};
use super::scan::Scan;
use super::source::{Constant, Full, Input, Iota, State};
use super::take::TakeAlongAxis;
use super::window::{Pool, PoolArgMax, PoolKind, PoolMaxGrad, PoolMaxTake, PoolSumGrad, Unpool};
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
    ("cumsum", |a, _| CumSum::from_attrs(a).map(Op::CumSum)),
    ("pool_sum", |a, _| Pool::from_attrs(PoolKind::Sum, a).map(Op::Pool)),
    ("pool_max", |a, _| Pool::from_attrs(PoolKind::Max, a).map(Op::Pool)),
    ("pool_sum_grad", |a, ty| PoolSumGrad::from_attrs(a, ty).map(Op::PoolSumGrad)),
    ("pool_max_grad", |a, _| PoolMaxGrad::from_attrs(a).map(Op::PoolMaxGrad)),
    ("pool_max_take", |a, _| PoolMaxTake::from_attrs(a).map(Op::PoolMaxTake)),
    ("pool_argmax", |a, ty| PoolArgMax::from_attrs(a, ty).map(Op::PoolArgMax)),
    ("unpool", |a, ty| Unpool::from_attrs(a, ty).map(Op::Unpool)),
    ("reshape", |_, ty| Ok(Op::Reshape(Reshape { shape: ty.shape.clone() }))),
    ("permute", |a, _| Permute::from_attrs(a).map(Op::Permute)),
    ("broadcast", |a, ty| Broadcast::from_attrs(a, ty).map(Op::Broadcast)),
    ("slice", |a, _| Slice::from_attrs(a).map(Op::Slice)),
    ("pad", |a, ty| Pad::from_attrs(a, ty).map(Op::Pad)),
    ("concat", |a, _| Concat::from_attrs(a).map(Op::Concat)),
    ("reverse", |a, _| Reverse::from_attrs(a).map(Op::Reverse)),
    ("dot", |a, _| Dot::from_attrs(a).map(Op::Dot)),
    ("conv", |a, _| Conv::from_attrs(a).map(Op::Conv)),
    ("conv_input_grad", |a, ty| ConvInputGrad::from_attrs(a, ty).map(Op::ConvInputGrad)),
    ("conv_weight_grad", |a, _| ConvWeightGrad::from_attrs(a).map(Op::ConvWeightGrad)),
    ("gather", |_, _| Ok(Op::Gather(Gather))),
    ("take_along_axis", |a, _| TakeAlongAxis::from_attrs(a).map(Op::TakeAlongAxis)),
    ("scatter_add", |_, _| Ok(Op::ScatterAdd(ScatterAdd))),
    ("check_index", |a, _| CheckIndex::from_attrs(a).map(Op::CheckIndex)),
    ("random_uniform", |a, ty| Random::from_attrs(RandomKind::Uniform, a, ty).map(Op::Random)),
    ("random_normal", |a, ty| Random::from_attrs(RandomKind::Normal, a, ty).map(Op::Random)),
    ("scan", |a, _| Scan::from_attrs(a).map(Op::Scan)),
    ("gradient", |_, _| Ok(Op::Gradient(Gradient))),
    ("stop_gradient", |_, _| Ok(Op::StopGradient(StopGradient))),
    ("weighted_mean", |a, _| WeightedMean::from_attrs(a).map(Op::WeightedMean)),
    ("pair", |_, _| Ok(Op::Pair(Pair))),
    ("pair_dot", |a, _| PairContraction::dot(a).map(Op::PairProduct)),
    ("pair_conv", |a, _| PairContraction::conv(a).map(Op::PairProduct)),
    ("pair_conv_weight_grad", |a, _| PairContraction::conv_weight_grad(a).map(Op::PairProduct)),
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
