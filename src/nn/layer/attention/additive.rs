//! Additive attention (Bahdanau et al., arXiv 1409.0473).

use super::function::{AttentionMask, masked_weights};
use crate::dsl::{Tensor, glorot_uniform};
use crate::nn::layer::window::sequence;
use crate::nn::layer::{Dropout, Layer, LayerId, weight, wrong_inputs};

/// Attention by scores `Σ scale tanh(query + key)` (Keras's layer, without projections): applied to `(&queries, &values)` or `(&queries, &values, &keys)`, `[batch, queries, size]`,
/// `[batch, keys, width]` and `[batch, keys, size]`, it gives `[batch, queries, width]`. Parameter `scale [size]`. Keys that the mask of the values leaves out aren't seen.
///
/// All sums of queries and keys are computed in the loop that adds them up; none is in memory.
#[derive(Clone, Debug)]
pub struct AdditiveAttention {
    name: String,
    id: LayerId,
    use_scale: bool,
    causal: bool,
    dropout: f64,
}

impl Default for AdditiveAttention {
    fn default() -> Self {
        Self::new()
    }
}

impl AdditiveAttention {
    /// With a scale, not causal, without dropout.
    pub fn new() -> Self {
        let name = "additive_attention".into();
        Self { name, id: LayerId::new(), use_scale: true, causal: false, dropout: 0.0 }
    }

    /// With another name than the kind's.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// With or without a learned factor for each feature.
    pub fn use_scale(mut self, on: bool) -> Self {
        self.use_scale = on;
        self
    }

    /// Whether a query sees only the keys up to its own place.
    pub fn causal(mut self, causal: bool) -> Self {
        self.causal = causal;
        self
    }

    /// With dropout of the weights, at a rate from 0 up to, but not including, 1.
    pub fn dropout(mut self, rate: f64) -> Self {
        self.dropout = rate;
        self
    }
}

impl Layer for AdditiveAttention {
    fn base(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        "AdditiveAttention"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        self.call_many(std::slice::from_ref(x), name).swap_remove(0)
    }

    #[track_caller]
    fn call_many(&self, inputs: &[Tensor], name: &str) -> Vec<Tensor> {
        let (q, v, k) = match inputs {
            [q, v] => (q, v, v),
            [q, v, k] => (q, v, k),
            _ => return wrong_inputs(&self.name, inputs, "queries, values and keys"),
        };
        let types = [q, v, k].map(|x| sequence(&self.name, x));
        let [Ok(q_ty), Ok(v_ty), Ok(k_ty)] = types else { return vec![q.poisoned()] };
        let (same_batch, size) = (q_ty.shape[0] == k_ty.shape[0] && k_ty.shape[..2] == v_ty.shape[..2], q_ty.shape[2]);
        if !same_batch || size != k_ty.shape[2] {
            let rule =
                "queries [batch, queries, size], values [batch, keys, width] and keys [batch, keys, size] don't fit";
            return vec![q.builder().fail(&self.name, &[q, v, k], rule)];
        }
        let sums = (q.unsqueeze(2) + k.unsqueeze(1)).tanh();
        let sums = if self.use_scale { sums * weight(q, name, "scale", &[size], &glorot_uniform()) } else { sums };
        let mask = if self.causal { AttentionMask::causal() } else { AttentionMask::none() };
        let mask = v.mask().iter().fold(mask, AttentionMask::padding);
        // As scores of one head.
        let truth = mask.truth(q, 0..q_ty.shape[1], k_ty.shape[1]);
        let weights = masked_weights(&sums.sum_axes([-1]).unsqueeze(1), truth.as_ref(), v.mask().is_some());
        let weights = Dropout::new(self.dropout).call(&weights, name).squeeze([1]);
        vec![weights.matmul(v).with_mask_of(q)]
    }
}
