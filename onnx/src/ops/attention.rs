//! Attention, its linear forms, and positions by rotation.

use super::shape::signed;
use crate::call::{Call, Results, one};
use crate::error::{Refusal, dtype};
use crate::item::{ImportItem, KnownTensor};
use crate::table::{OpEntry, op};
use gradc::dsl::{DType, Scan, Tensor, TypeSpec};

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    op("Attention", &[23, 24], attention),
    op("LinearAttention", &[27], linear),
    op("RotaryEmbedding", &[23], rotary),
];

/// A count that the node must give.
fn count(c: &Call<'_, '_>, name: &str) -> Result<usize, Refusal> {
    let count = c.int(name, 0);
    usize::try_from(count).ok().filter(|&n| n > 0).ok_or_else(|| Refusal::broken(format!("`{name}` is {count}")))
}

/// `[batch, time, heads * size]` as `[batch, heads, time, size]`.
fn heads(x: &Tensor, heads: usize) -> Result<Tensor, Refusal> {
    let Some(shape) = x.shape() else { return Ok(x.clone()) };
    if shape.rank() != 3 {
        return Err(Refusal::broken(format!("{shape} isn't [batch, time, heads * size]")));
    }
    Ok(x.reshape([shape[0] as isize, shape[1] as isize, heads as isize, -1]).permute([0, 2, 1, 3]))
}

/// `[batch, heads, time, size]` as `[batch, time, heads * size]`.
fn joined(x: &Tensor) -> Tensor {
    let Some(shape) = x.shape() else { return x.clone() };
    x.permute([0, 2, 1, 3]).reshape([shape[0] as isize, shape[2] as isize, -1])
}

/// Each head as often as queries share it, side by side.
fn shared(x: &Tensor, wanted: usize) -> Tensor {
    let Some(shape) = x.shape() else { return x.clone() };
    if shape[1] == wanted || !wanted.is_multiple_of(shape[1]) {
        return x.clone();
    }
    let each = wanted / shape[1];
    let wide = [shape[0], shape[1], each, shape[2], shape[3]];
    x.unsqueeze(2).broadcast_to(wide).reshape(signed(&[shape[0], wanted, shape[2], shape[3]]))
}

fn attention(c: &mut Call<'_, '_>) -> Results {
    let is_flat = c.dims(0)?.len() == 3;
    let split = |i: usize, name: &str| -> Result<Tensor, Refusal> {
        if is_flat { heads(&c.tensor(i)?, count(c, name)?) } else { c.tensor(i) }
    };
    let (q, k, v) = (split(0, "q_num_heads")?, split(1, "kv_num_heads")?, split(2, "kv_num_heads")?);
    let past = |i: usize, x: Tensor| -> Result<Tensor, Refusal> {
        match c.item(i) {
            Ok(ImportItem::Known(KnownTensor::Empty { .. })) | Err(_) => Ok(x),
            Ok(_) => Ok(c.tensor(i)?.concat(&[&x], 2)),
        }
    };
    let before = if c.has(4) { c.dims(4)?.get(2).copied().unwrap_or(0) } else { 0 };
    let (present_key, present_value) = (past(4, k)?, past(5, v)?);
    let (Some(q_ty), Some(k_ty), Some(v_ty)) = (q.ty(), present_key.ty(), present_value.ty()) else {
        return Ok(vec![q.into(), present_key.into(), present_value.into()]);
    };
    if [&q_ty, &k_ty, &v_ty].iter().any(|ty| ty.shape.rank() != 4) {
        return Err(Refusal::broken("it is of [batch, heads, time, size]"));
    }
    let scale = c.attribute("scale").map_or(1.0 / (q_ty.shape[3] as f64).sqrt(), |a| f64::from(a.f));
    let root = scale.sqrt();
    let (k, v) = (shared(&present_key, q_ty.shape[1]), shared(&present_value, q_ty.shape[1]));
    let product = (&q * root).matmul((k * root).transpose());
    let cap = c.float("softcap", 0.0);
    let capped = if cap > 0.0 { (&product / cap).tanh() * cap } else { product.clone() };
    let bias = mask(c, &q, q_ty.shape[2], k_ty.shape[2], before)?;
    let scores = bias.as_ref().map_or_else(|| capped.clone(), |bias| &capped + bias);
    let wide = match c.attribute("softmax_precision") {
        Some(a) => dtype(i32::try_from(a.i).unwrap_or(-1))?,
        None => q_ty.dtype,
    };
    let weights = match bias {
        Some(_) => seen_softmax(&scores.cast(wide)),
        None => scores.cast(wide).softmax(-1),
    };
    let weights = weights.cast(q_ty.dtype);
    let y = weights.matmul(&v);
    let middle = match c.int("qk_matmul_output_mode", 0) {
        0 => product,
        1 if c.version >= 24 || cap > 0.0 => capped,
        1 | 2 => scores,
        _ => weights,
    };
    let y = if is_flat { joined(&y) } else { y };
    Ok(vec![y.into(), present_key.into(), present_value.into(), middle.into()])
}

/// Softmax along the last axis, with zeros for a query that sees no key.
fn seen_softmax(scores: &Tensor) -> Tensor {
    let sees = scores.max_keepdims([-1]).ne(f64::NEG_INFINITY);
    sees.select(&sees.select(scores, 0.0).softmax(-1), 0.0)
}

/// What is added to scores: the mask, minus infinity for later places, and for those beyond each sequence's length.
fn mask(c: &Call<'_, '_>, q: &Tensor, queries: usize, keys: usize, before: usize) -> Result<Option<Tensor>, Refusal> {
    let Some(dtype) = q.dtype() else { return Ok(None) };
    let out = |seen: Tensor| seen.select(&c.g.zeros(TypeSpec::new(dtype, [1])), f64::NEG_INFINITY);
    let mut parts: Vec<Tensor> = vec![];
    if let Some(given) = c.optional(3)? {
        let Some(shape) = given.shape() else { return Ok(None) };
        let mut bias = if given.dtype() == Some(DType::Bool) { out(given) } else { given.cast(dtype) };
        let Some(&last) = shape.dims().last() else { return Err(Refusal::broken("the mask is a scalar")) };
        if last < keys {
            let mut pads = vec![(0, 0); shape.rank()];
            pads[shape.rank() - 1] = (0, keys - last);
            bias = bias.pad(f64::NEG_INFINITY, pads);
        }
        parts.push(bias);
    }
    let places = |axis, dims: [usize; 2]| c.g.iota(TypeSpec::new(DType::I64, dims), axis);
    let lengths = c.optional(6)?.map(|lengths| lengths.cast(DType::I64).reshape([-1, 1, 1, 1]));
    if c.flag("is_causal", false) {
        let square = [queries, keys];
        let number = places(0, square);
        // Of a cache whose length is given, the queries are the last ones.
        let number = match &lengths {
            Some(lengths) if before == 0 => number + (lengths - queries as i64),
            _ => number + before as i64,
        };
        parts.push(out(places(1, square).le(number)));
    }
    if let Some(lengths) = lengths {
        parts.push(out(places(1, [1, keys]).lt(lengths)));
    }
    Ok(parts.into_iter().reduce(|a, b| a + b))
}

fn rotary(c: &mut Call<'_, '_>) -> Results {
    let dims = c.dims(0)?;
    let x = match dims.len() {
        3 => heads(&c.tensor(0)?, count(c, "num_heads")?)?,
        _ => c.tensor(0)?,
    };
    let Some(shape) = x.shape().filter(|shape| shape.rank() == 4) else {
        return Err(Refusal::broken("it is of [batch, heads, time, size]"));
    };
    let size = shape[3];
    let turned = usize::try_from(c.int("rotary_embedding_dim", 0)).unwrap_or(0);
    let turned = if turned == 0 { size } else { turned };
    if turned > size || turned % 2 != 0 {
        return Err(Refusal::broken(format!("{turned} of {size} elements are to be turned")));
    }
    let angles = |i: usize| -> Result<Tensor, Refusal> {
        let table = c.tensor(i)?;
        Ok(match c.optional(3)? {
            Some(places) => table.gather(places),
            None => table,
        }
        .unsqueeze(1))
    };
    let (cos, sin) = (angles(1)?, angles(2)?);
    let part = x.slice_axis(3, 0..turned);
    let half = turned / 2;
    let interleaved = c.flag("interleaved", false);
    let pairs = match interleaved {
        true => part.reshape(signed(&[shape[0], shape[1], shape[2], half, 2])).permute([0, 1, 2, 4, 3]),
        false => part.reshape(signed(&[shape[0], shape[1], shape[2], 2, half])),
    };
    let side = |i: usize| pairs.slice_axis(3, i..i + 1).squeeze([3]);
    let (a, b) = (side(0), side(1));
    let (real, imaginary) = (&a * &cos - &b * &sin, a * sin + b * cos);
    let y = real.stack(&[&imaginary], if interleaved { 4 } else { 3 });
    let mut y = y.reshape(signed(&[shape[0], shape[1], shape[2], turned]));
    if turned < size {
        y = y.concat(&[&x.slice_axis(3, turned..size)], 3);
    }
    one(if dims.len() == 3 { joined(&y) } else { y })
}

/// A matrix for each head that each step decays, corrects and adds to, and queries read.
fn linear(c: &mut Call<'_, '_>) -> Results {
    let (queries, keys) = (count(c, "q_num_heads")?, count(c, "kv_num_heads")?);
    let rule = c.text("update_rule", "gated_delta");
    let (gated, delta) = (rule.starts_with("gated"), rule.ends_with("delta"));
    if !gated && !delta && rule != "linear" {
        return Err(Refusal::case(format!("update rule {rule:?}")));
    }
    let own = c.dtype(0)?;
    // [time, batch, heads, size].
    let split = |x: Tensor, n: usize| Ok::<_, Refusal>(heads(&x.cast(DType::F32), n)?.permute([2, 0, 1, 3]));
    let (q, k, v) = (split(c.tensor(0)?, queries)?, split(c.tensor(1)?, keys)?, split(c.tensor(2)?, keys)?);
    let (Some(k_shape), Some(v_shape)) = (k.shape(), v.shape()) else { return one(k) };
    let (batch, size, width) = (k_shape[1], k_shape[3], v_shape[3]);
    let state = match c.optional(3)? {
        Some(state) => state,
        None => c.g.zeros(TypeSpec::new(own, [batch, keys, size, width])),
    };
    let kept = state.dtype().unwrap_or(own);
    let scale = match c.float("scale", 0.0) {
        0.0 => 1.0 / (size as f64).sqrt(),
        scale => scale,
    };
    let mut sequences = vec![q, k, v];
    if gated {
        let decay = c.tensor(4)?;
        sequences.push(split(decay, keys)?);
    }
    if delta {
        let beta = c.tensor(5)?;
        let n = c.dims(5)?.last().copied().unwrap_or(1);
        sequences.push(split(beta, n)?);
    }
    let first = state.cast(DType::F32);
    let (last, read) =
        Scan::new().named("linear").run(&[&first], &sequences.iter().collect::<Vec<_>>(), |carried, part| {
            let mut state = carried[0].clone();
            if gated {
                state = state * part[3].exp().unsqueeze(-1);
            }
            let key = part[1].unsqueeze(-1);
            let mut value = part[2].clone();
            if delta {
                let found = (&state * &key).sum_axes([2]);
                value = (value - found) * &part[if gated { 4 } else { 3 }];
            }
            let state = state + key * value.unsqueeze(2);
            let y = (part[0].unsqueeze(-1) * shared(&state, queries)).sum_axes([2]) * scale;
            (vec![state], vec![y])
        });
    match (read.first(), last.first()) {
        (Some(y), Some(state)) => Ok(vec![joined(&y.permute([1, 2, 0, 3])).cast(own).into(), state.cast(kept).into()]),
        _ => Err(Refusal::Rule("the loop over time gives nothing".into())),
    }
}
