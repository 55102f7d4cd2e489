//! Layers with weights of their own.

use super::{BuiltOp, RowFields};
use gradc::dsl::{GraphBuilder, Tensor};
use gradc::nn::{
    AttentionMask, BatchNorm, Conv2d, Dense, Gru, Layer, Lstm, MultiHeadAttention, Padding, SeparableConv2d, SimpleRnn,
    attention,
};

pub(super) fn build(parts: &RowFields, g: &GraphBuilder) -> Option<BuiltOp> {
    let apply = |f: &dyn Fn(&Tensor) -> Tensor| {
        let x = parts.x(g);
        Some(BuiltOp { result: f(&x), by: vec![x] })
    };
    let units = || parts.number::<usize>(0);
    match parts.op {
        "dense" => apply(&|x| Dense::new(units().unwrap_or(1)).apply(x)),
        "lstm" => apply(&|x| Lstm::new(units().unwrap_or(1)).apply(x)),
        "gru" => apply(&|x| Gru::new(units().unwrap_or(1)).apply(x)),
        "rnn" => apply(&|x| SimpleRnn::new(units().unwrap_or(1)).apply(x)),
        "conv_batch_norm" => apply(&|x| {
            let conv = Conv2d::new(units().unwrap_or(1), 3).padding(Padding::Same).use_bias(false);
            BatchNorm::new().epsilon(1e-5).apply(&conv.apply(x)).relu()
        }),
        "separable_conv" => apply(&|x| SeparableConv2d::new(units().unwrap_or(1), 3).padding(Padding::Same).apply(x)),
        "multi_head" => apply(&|x| {
            let heads = units().unwrap_or(1);
            MultiHeadAttention::new(heads, parts.dims[2] / heads).causal(true).apply(x)
        }),
        // `[batch, positions, heads, width]` of queries, keys and values.
        "attention" | "causal_attention" => {
            let mask = if parts.op == "attention" { AttentionMask::none() } else { AttentionMask::causal() };
            let [q, k, v] = ["q", "k", "v"].map(|name| parts.operand(g, name, &parts.dims));
            Some(BuiltOp { result: attention(&q, &k, &v, &mask), by: vec![q, k, v] })
        }
        _ => None,
    }
}
