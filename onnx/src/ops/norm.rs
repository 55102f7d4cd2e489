//! Normalizations.

use super::shape::signed;
use crate::call::{Call, Results, one};
use crate::error::Refusal;
use crate::item::{ImportItem, Laid};
use crate::table::{OpEntry, op};
use gradc::dsl::{DType, Tensor};

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    op("BatchNormalization", &[1, 6, 7, 9, 14, 15], batch),
    op("GroupNormalization", &[18, 21], group),
    op("InstanceNormalization", &[1, 6, 22], |c| {
        let dims = c.dims(0)?;
        let axes: Vec<isize> = (1..dims.len() as isize - 1).collect();
        let x = c.channels_last(0)?;
        let y = standardized(&x, &axes, c.float("epsilon", 1e-5)) * c.tensor(1)? + c.tensor(2)?;
        Ok(vec![ImportItem::channels_last(y)])
    }),
    op("LRN", &[1, 13], local_response),
    op("LayerNormalization", &[17], layer),
    op("LpNormalization", &[1, 22], |c| {
        let axis = c.axis_attribute(-1, c.dims(0)?.len())? as isize;
        let x = c.tensor(0)?;
        let norm = match c.int("p", 2) {
            1 => x.abs().sum_keepdims([axis]),
            2 => x.square().sum_keepdims([axis]).sqrt(),
            p => return Err(Refusal::case(format!("the norm of order {p}"))),
        };
        // A vector of zeros stays one.
        one(norm.eq(0.0).select(&x, &(&x / norm.eq(0.0).select(&super::full_like(&norm, 1.0), &norm))))
    }),
    op("MeanVarianceNormalization", &[9, 13], |c| {
        let axes: Vec<isize> =
            c.int_list("axes").unwrap_or_else(|| vec![0, 2, 3]).iter().map(|&a| a as isize).collect();
        let x = c.tensor(0)?;
        let centred = &x - x.mean_keepdims(&axes);
        let deviation = centred.square().mean_keepdims(&axes).sqrt();
        one(centred / (deviation + 1e-9))
    }),
    op("RMSNormalization", &[23], |c| {
        let (dtype, dims) = c.ty(0)?;
        let axis = c.axis_attribute(-1, dims.len())?;
        let axes: Vec<isize> = (axis as isize..dims.len() as isize).collect();
        let x = in_f32(&c.tensor(0)?);
        let mean = x.square().mean_keepdims(&axes);
        let y = x * (mean + c.float("epsilon", 1e-5)).rsqrt();
        one(y.cast(dtype) * c.tensor(1)?)
    }),
];

/// 16-bit floats are normalized in `f32`.
fn in_f32(x: &Tensor) -> Tensor {
    if x.dtype().is_some_and(DType::is_short_float) { x.cast(DType::F32) } else { x.clone() }
}

/// Less its mean over axes, by its deviation, in the tensor's type.
fn standardized(x: &Tensor, axes: &[isize], epsilon: f64) -> Tensor {
    let wide = in_f32(x);
    let centred = &wide - wide.mean_keepdims(axes);
    let y = &centred * (centred.square().mean_keepdims(axes) + epsilon).rsqrt();
    x.dtype().map_or(y.clone(), |dtype| y.cast(dtype))
}

/// Statistics that are given, or those of the batch, with the running ones after it.
fn batch(c: &mut Call<'_, '_>) -> Results {
    let (dtype, dims) = c.ty(0)?;
    let rank = dims.len();
    let [scale, bias, mean, var] = [c.tensor(1)?, c.tensor(2)?, c.tensor(3)?, c.tensor(4)?];
    if c.version < 9 && !c.flag("spatial", true) {
        return Err(Refusal::case("statistics for each place"));
    }
    let epsilon = c.float("epsilon", 1e-5);
    let x = if rank >= 3 { c.channels_last(0)? } else { c.tensor(0)? };
    let laid = if rank >= 3 { Laid::ChannelsLast(x.clone()) } else { Laid::Plain(x.clone()) };
    let wide = mean.dtype().unwrap_or(dtype);
    if rank == 1 {
        let y = (x.cast(wide) - mean) * (var + epsilon).rsqrt() * scale.cast(wide) + bias.cast(wide);
        return one(y.cast(dtype));
    }
    let normalized = |mean: &Tensor, var: &Tensor| {
        let factor = (var + epsilon).rsqrt() * scale.cast(wide);
        // One product and one sum for each element, of numbers that are known where the statistics are.
        let shift = bias.cast(wide) - mean * &factor;
        x.cast(wide) * factor + shift
    };
    if !c.flag("training_mode", false) {
        return Ok(vec![ImportItem::Graph(laid.like(normalized(&mean, &var).cast(dtype)))]);
    }
    let axes: Vec<isize> = (0..rank as isize - 1).collect();
    let own = x.cast(wide);
    let (own_mean, own_var) = (own.mean_axes(&axes), own.var_axes(&axes));
    let momentum = c.float("momentum", 0.9);
    let running = |old: &Tensor, new: &Tensor| old * momentum + new * (1.0 - momentum);
    let y = normalized(&own_mean, &own_var).cast(dtype);
    Ok(vec![ImportItem::Graph(laid.like(y)), running(&mean, &own_mean).into(), running(&var, &own_var).into()])
}

fn group(c: &mut Call<'_, '_>) -> Results {
    let dims = c.dims(0)?;
    let groups = usize::try_from(c.int("num_groups", 1)).unwrap_or(0);
    if groups == 0 || dims.len() < 2 || dims[1] % groups != 0 {
        return Err(Refusal::broken(format!("{groups} groups of {dims:?}")));
    }
    let x = c.tensor(0)?.reshape(signed(&[dims[0], groups, dims[2..].iter().product::<usize>() * dims[1] / groups]));
    let y = standardized(&x, &[2], c.float("epsilon", 1e-5)).reshape(signed(&dims));
    let each = dims[1] / groups;
    let per_channel = |operand: usize| -> Result<Tensor, Refusal> {
        let mut v = c.tensor(operand)?;
        // Before version 21 there was one for each group.
        if v.shape().is_some_and(|shape| shape.dims() == [groups]) && each > 1 {
            v = v.unsqueeze(1).broadcast_to([groups, each]).reshape([-1]);
        }
        let along = [&[dims[1]], &vec![1; dims.len() - 2][..]].concat();
        Ok(v.reshape(signed(&along)))
    };
    one(y * per_channel(1)? + per_channel(2)?)
}

fn layer(c: &mut Call<'_, '_>) -> Results {
    let (dtype, dims) = c.ty(0)?;
    let axis = c.axis_attribute(-1, dims.len())?;
    let axes: Vec<isize> = (axis as isize..dims.len() as isize).collect();
    let x = in_f32(&c.tensor(0)?);
    let mean = x.mean_keepdims(&axes);
    let centred = &x - &mean;
    let inverse = (centred.square().mean_keepdims(&axes) + c.float("epsilon", 1e-5)).rsqrt();
    let mut y = (centred * &inverse).cast(dtype) * c.tensor(1)?;
    if let Some(bias) = c.optional(2)? {
        y = y + bias;
    }
    Ok(vec![y.into(), mean.into(), inverse.into()])
}

/// The most channels around each one whose squares are summed, one after the other.
const MOST_NEIGHBOURS: usize = 1 << 10;

/// Each element by a power of the squares of its channel's neighbours.
fn local_response(c: &mut Call<'_, '_>) -> Results {
    let x = c.channels_last(0)?;
    let Some(shape) = x.shape() else { return one(x) };
    let size = usize::try_from(c.int("size", 1)).unwrap_or(0);
    if shape.rank() < 2 {
        return Err(Refusal::broken("it is of [n, channels, spatial...]"));
    }
    let last = shape.rank() - 1;
    if size == 0 || size > MOST_NEIGHBOURS {
        return Err(Refusal::broken(format!("{size} neighbours of {} channels", shape[last])));
    }
    let before = (size - 1) / 2;
    let mut pads = vec![(0, 0); shape.rank()];
    pads[last] = (before, size - 1 - before);
    let squares = x.square().pad(0.0, pads);
    let mut sum = squares.slice_axis(-1, 0..shape[last]);
    for k in 1..size {
        sum = sum + squares.slice_axis(-1, k..k + shape[last]);
    }
    let (alpha, beta, bias) = (c.float("alpha", 1e-4), c.float("beta", 0.75), c.float("bias", 1.0));
    let y = &x / (sum * (alpha / size as f64) + bias).pow(beta);
    Ok(vec![if last >= 2 { ImportItem::channels_last(y) } else { y.into() }])
}
