//! Attention of one new position to those before it, whose keys and values are kept: what generating text one symbol at a time needs.

use super::MultiHeadAttention;
use super::function::{AttentionMask, Grouped, masked_weights, scores, weighted_values};
use crate::dsl::{StateRole, Tensor, TypeSpec, zeros};
use crate::nn::Layer;
use ir::DType;

impl MultiHeadAttention {
    /// Causal attention of the position `position` (`i32[1]`) to itself and those before it: `x [batch, 1, width]` to the same. The parameters are
    /// those of a sequence.
    ///
    /// Keys and values are states, `cache/key` and `cache/value [batch, capacity, heads, size]`. The step writes its own at `position`, and sees those
    /// up to there, so that going back to an earlier position needs no clearing. A position that is not below the capacity ends the run with an
    /// error that names this call.
    #[track_caller]
    pub fn apply_at(&self, x: &Tensor, position: &Tensor, capacity: usize) -> Tensor {
        let g = x.builder();
        g.layer(self.id(), self.base(), self.kind(), |name| self.call_at(x, name, position, capacity))
    }

    /// [`MultiHeadAttention::apply_at`] under a given name.
    #[track_caller]
    pub(crate) fn call_at(&self, x: &Tensor, name: &str, position: &Tensor, capacity: usize) -> Tensor {
        if let Err(poisoned) = self.check(x) {
            return poisoned;
        }
        if x.shape().is_some_and(|shape| shape[1] != 1) {
            return x.fail("multi_head_attention", "a step takes one position, [batch, 1, width]");
        }
        let position = &position.check_index(capacity);
        let qkv = self.project(x, name, "qkv", &self.all_heads());
        let rotate = |t: &Tensor| match &self.rotary {
            Some(rotary) => rotary.apply_at(t, position, capacity),
            None => t.clone(),
        };
        let places = x.builder().iota(TypeSpec::new(DType::I32, [capacity]), 0);
        let keep =
            |part: &str, new: &Tensor| remember(&format!("{name}/cache/{part}"), new, &places.eq(position), capacity);
        let (k, v) = (keep("key", &rotate(&qkv[1])), keep("value", &qkv[2]));
        let bias = self.bias.as_ref().map(|bias| bias.apply_at(x, position, capacity));
        let mask = bias.iter().fold(AttentionMask::none(), AttentionMask::bias);
        let Some(k_ty) = k.ty() else { return k };
        let grouped = match Grouped::of(&rotate(&qkv[0]), &k_ty, &mask) {
            Ok(grouped) => grouped,
            Err(rule) => return x.fail(self.base(), rule),
        };
        let scores = grouped.mask.biased(scores(&grouped.q, &k), &(0..grouped.mask.rows), capacity);
        let weights = masked_weights(&scores, Some(&places.le(position)), false);
        self.output(x, name, &grouped.in_heads(&weighted_values(&weights, &v)))
    }
}

/// The state of that name with `new [batch, 1, heads, size]` where `here`, of truth values `[capacity]`, holds.
#[track_caller]
fn remember(state: &str, new: &Tensor, here: &Tensor, capacity: usize) -> Tensor {
    let (g, Some(ty)) = (new.builder(), new.ty()) else { return new.clone() };
    let dims = [ty.shape[0], capacity, ty.shape[2], ty.shape[3]];
    let kept = g.port(state, TypeSpec::new(ty.dtype, dims), zeros(), StateRole::Cache);
    let old = g.updated_state(state).unwrap_or(kept);
    let all = here.reshape([capacity as isize, 1, 1]).select(new, &old);
    g.set_update(state, &all);
    all
}
