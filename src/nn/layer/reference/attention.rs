//! Attention of heads that share keys and values, by distances, by sums; and a decoder's block.

use super::check;
use crate::dsl::Tensor;
use crate::nn::*;
use crate::testing::reference::Case;
use std::sync::Arc;

/// The attention layer of a case.
fn multi_head(c: &Case<'_>) -> MultiHeadAttention {
    let layer = MultiHeadAttention::new(c.count("heads"), c.count("size"));
    layer.key_value_heads(c.count("shared")).causal(c.count("causal") == 1)
}

#[test]
fn shared_keys_and_values() {
    check("group_query_attention", |c| match c.count("block") {
        0 => multi_head(c).apply(c.tensor("x")),
        block => multi_head(c).block(block).apply(c.tensor("x")),
    });
}

#[test]
fn distances() {
    check("relative_position_bias", |c| {
        let bias = RelativePositionBias::new(c.count("heads")).buckets(c.count("buckets"));
        let bias = Arc::new(bias.max_distance(c.count("most")).causal(c.count("causal") == 1));
        multi_head(c).relative_position_bias(&bias).apply(c.tensor("x"))
    });
}

/// A tensor with the mask of that name, of ones and zeros.
fn masked(c: &Case<'_>, tensor: &str, mask: &str) -> Tensor {
    c.tensor(tensor).with_mask(&c.tensor(mask).gt(0.5))
}

#[test]
fn sums() {
    check("additive_attention", |c| {
        let layer = AdditiveAttention::new().causal(c.count("causal") == 1);
        layer.apply((c.tensor("q"), &masked(c, "v", "mask"), c.tensor("k")))
    });
}

#[test]
fn decoders() {
    check("decoder_block", |c| {
        let block = TransformerBlock::new(c.count("heads")).hidden(c.count("hidden")).causal(true);
        block.apply((&masked(c, "x", "mask"), &masked(c, "memory", "memory_mask")))
    });
}
