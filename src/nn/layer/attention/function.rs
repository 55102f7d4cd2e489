//! Scaled dot-product attention (Vaswani et al., "Attention Is All You Need", arXiv 1706.03762).
//!
//! Queries, keys and values are `[batch, positions, heads, size]`: as a projection `[batch, positions, heads size]` lies in memory, so that nothing
//! is transposed; Keras and JAX have the same layout, PyTorch's function takes `[batch, heads, positions, size]`.

use super::{blocks, causal};
use crate::dsl::{Tensor, TypeSpec};
use crate::nn::layer::{Dropout, Layer};
use ir::{DType, TensorType};
use std::ops::Range;

/// Which keys a query sees.
///
/// ```
/// use gradc::dsl::{bool_, f32, GraphBuilder};
/// use gradc::nn::{attention, AttentionMask};
/// let g = GraphBuilder::new("attention");
/// let x = g.input("x", f32([2, 10, 4, 16]));
/// let mask = AttentionMask::causal().padding(&g.input("is_token", bool_([2, 10])));
/// assert_eq!(attention(&x, &x, &x, &mask).ty(), x.ty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct AttentionMask {
    pub(super) causal: bool,
    pub(super) keys: Option<Tensor>,
}

impl AttentionMask {
    /// All keys.
    pub fn none() -> Self {
        Self::default()
    }

    /// For query `i` the keys up to `i`. Queries and keys are then equally many.
    pub fn causal() -> Self {
        Self { causal: true, keys: None }
    }

    /// Only keys where `is_token`, of truth values `[batch, keys]`, holds. A query that sees no key at all attends to nothing: its result is 0.
    pub fn padding(mut self, is_token: &Tensor) -> Self {
        self.keys = Some(is_token.clone());
        self
    }

    /// The rule that the mask breaks, if any.
    fn check(&self, q: &TensorType, k: &TensorType) -> Option<String> {
        let (queries, keys) = (q.shape[1], k.shape[1]);
        if self.causal && queries != keys {
            return Some(format!("a causal mask needs as many queries as keys, not {queries} and {keys}"));
        }
        let mask = self.keys.as_ref()?.ty()?;
        let want = TypeSpec::new(DType::Bool, [k.shape[0], keys]);
        (TypeSpec::from(&mask) != want).then(|| format!("the padding mask must be bool{:?}, not {mask}", want.dims))
    }

    /// The truth values that broadcast to `[batch, heads, queries, keys]`, for some of the queries and the first keys, if any key is hidden from any
    /// query.
    #[track_caller]
    pub(super) fn truth(&self, q: &Tensor, queries: Range<usize>, keys: usize) -> Option<Tensor> {
        let g = q.builder();
        let causal = self.causal.then(|| {
            let ty = TypeSpec::new(DType::I32, [queries.len(), keys]);
            let rows = g.iota(ty.clone(), 0);
            let rows = if queries.start == 0 { rows } else { rows + queries.start as i32 };
            rows.ge(g.iota(ty, 1))
        });
        let padding = self.keys.as_ref().map(|mask| causal::part(mask, 1, &(0..keys)).unsqueeze(1).unsqueeze(1));
        match (causal, padding) {
            (Some(causal), Some(padding)) => Some(causal.and(padding)),
            (causal, padding) => causal.or(padding),
        }
    }
}

/// The rule that operands break, if any.
fn check(q: &TensorType, k: &TensorType) -> Option<String> {
    if q.shape.rank() != 4 || k.shape.rank() != 4 || !q.dtype.is_float() {
        return Some("queries, keys and values must be [batch, positions, heads, size] of floats".into());
    }
    if q.dtype != k.dtype {
        return Some(format!("operands must have one element type, not {} and {}: cast one", q.dtype, k.dtype));
    }
    let outer = |ty: &TensorType| [ty.shape[0], ty.shape[2]];
    (outer(q) != outer(k)).then(|| {
        let ([b, h], [c, i]) = (outer(q), outer(k));
        format!("batches and heads must be equal, {b} and {h} against {c} and {i}")
    })
}

/// `softmax(q kᵀ / sqrt(size))` over the keys that the mask leaves: `q [batch, queries, heads, size]` and `k [batch, keys, heads, size]` give
/// `[batch, heads, queries, keys]`.
///
/// The exponential sees distances from the largest score that counts, so no finite score overflows. A hidden key has the weight 0.
#[track_caller]
pub fn attention_weights(q: &Tensor, k: &Tensor, mask: &AttentionMask) -> Tensor {
    let (Some(q_ty), Some(k_ty)) = (q.ty(), k.ty()) else { return q.poisoned() };
    let broken = check(&q_ty, &k_ty).or_else(|| mask.check(&q_ty, &k_ty)).or_else(|| {
        let (a, b) = (q_ty.shape[3], k_ty.shape[3]);
        (a != b).then(|| format!("queries and keys must have one size, not {a} and {b}"))
    });
    if let Some(rule) = broken {
        return q.builder().fail("attention", &[q, k], rule);
    }
    let truth = mask.truth(q, 0..q_ty.shape[1], k_ty.shape[1]);
    masked_weights(q, k, truth.as_ref(), mask.keys.is_some())
}

/// The rule that the operands of attention break, if any.
pub(super) fn broken_rule(q: &TensorType, k: &TensorType, v: &TensorType, mask: &AttentionMask) -> Option<String> {
    check(k, v).or_else(|| check(q, k)).or_else(|| mask.check(q, k)).or_else(|| {
        let (queries, keys, values) = (q.shape[3], k.shape[1], v.shape[1]);
        if keys != values {
            return Some(format!("keys and values must be equally many, not {keys} and {values}"));
        }
        let size = k.shape[3];
        (queries != size).then(|| format!("queries and keys must have one size, not {queries} and {size}"))
    })
}

/// The weights under a mask that broadcasts to `[batch, heads, queries, keys]`; `may_be_blind` if a query may see no key.
#[track_caller]
pub(super) fn masked_weights(q: &Tensor, k: &Tensor, mask: Option<&Tensor>, may_be_blind: bool) -> Tensor {
    let weights = masked(&scores(q, k), mask).softmax(-1);
    match mask {
        Some(mask) if may_be_blind => mask.select(&weights, 0),
        _ => weights,
    }
}

/// A score below all that count, far enough that `exp` of the distance is 0.
fn hidden(dtype: DType) -> f64 {
    if dtype == DType::F16 { -3e4 } else { -1e30 }
}

/// Attention: for each query the mean of the values, weighted by [`attention_weights`]. `v [batch, keys, heads, width]`; the result is
/// `[batch, queries, heads, width]`.
///
/// Where a head has more than 2^20 scores, a context of 1024, they are never all in memory, but for those of a block of queries at a time, in the gradient too.
#[track_caller]
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, mask: &AttentionMask) -> Tensor {
    attend([q, k, v], mask, &Dropout::new(0.0), None)
}

/// [`attention`] with dropout of the weights, in blocks of `rows` queries or as many as suit the extents.
#[track_caller]
pub(super) fn attend([q, k, v]: [&Tensor; 3], mask: &AttentionMask, dropout: &Dropout, rows: Option<usize>) -> Tensor {
    let (Some(q_ty), Some(k_ty), Some(v_ty)) = (q.ty(), k.ty(), v.ty()) else { return q.poisoned() };
    if let Some(rule) = broken_rule(&q_ty, &k_ty, &v_ty, mask) {
        return q.builder().fail("attention", &[q, k, v], rule);
    }
    match rows.or_else(|| blocks::rows(q_ty.shape[1], k_ty.shape[1])) {
        Some(rows) => blocks::attend([q, k, v], mask, dropout, rows),
        None if mask.causal => causal::attend([q, k, v], mask, dropout, &causal::groups(q_ty.shape[1])),
        None => {
            let truth = mask.truth(q, 0..q_ty.shape[1], k_ty.shape[1]);
            weighted_mean(&scores(q, k), v, truth.as_ref(), mask.keys.is_some(), dropout)
        }
    }
}

/// The mean of `v [batch, keys, heads, width]` by scores `[batch, heads, queries, keys]` under a mask that broadcasts to them, `[batch, queries, heads,
/// width]`; `may_be_blind` if a whole row may be hidden.
#[track_caller]
pub(super) fn weighted_mean(
    scores: &Tensor,
    v: &Tensor,
    mask: Option<&Tensor>,
    may_be_blind: bool,
    dropout: &Dropout,
) -> Tensor {
    let Shares { parts, whole } = Shares::of(scores, mask, may_be_blind);
    let parts = dropout.call(&parts, "weights");
    parts.weighted_mean(v, &whole, [(0, 0), (1, 2)], [(3, 1)]).permute([0, 2, 1, 3])
}

/// Softmax along the last axis whose division is left to who uses it: weights are `parts / whole`.
///
/// Attention divides its results, which are fewer than the weights, in [`Tensor::weighted_mean`].
pub(super) struct Shares {
    /// Exponentials of the scores' distances from the largest one; of the type of the scores.
    pub(super) parts: Tensor,
    /// Their sums, without the last axis, at least 1.
    pub(super) whole: Tensor,
}

impl Shares {
    /// The shares of scores under a mask that broadcasts to them; `may_be_blind` if a whole row may be hidden.
    #[track_caller]
    pub(super) fn of(scores: &Tensor, mask: Option<&Tensor>, may_be_blind: bool) -> Self {
        let parts = masked(scores, mask).below_max(-1).exp();
        let whole = parts.sum_axes([-1]);
        match mask {
            Some(mask) if may_be_blind => Self { parts: mask.select(&parts, 0), whole },
            _ => Self { parts, whole },
        }
    }
}

/// The scores where they count; elsewhere finite ones, so that the distance from the maximum is a number even where all keys are hidden.
#[track_caller]
fn masked(scores: &Tensor, mask: Option<&Tensor>) -> Tensor {
    match (mask, scores.dtype()) {
        (Some(mask), Some(dtype)) => mask.select(scores, hidden(dtype)),
        _ => scores.clone(),
    }
}

/// `q kᵀ / sqrt(size)`, `[batch, heads, queries, keys]`.
#[track_caller]
pub(super) fn scores(q: &Tensor, k: &Tensor) -> Tensor {
    let Some(ty) = q.ty() else { return q.clone() };
    (q * (1.0 / (ty.shape[3] as f64).sqrt())).dot_general(k, [(0, 0), (2, 2)], [(3, 3)])
}

/// `weights [batch, heads, queries, keys]` and `v [batch, keys, heads, width]` give `[batch, queries, heads, width]`.
#[track_caller]
pub(super) fn weighted_values(weights: &Tensor, v: &Tensor) -> Tensor {
    weights.dot_general(v, [(0, 0), (1, 2)], [(3, 1)]).permute([0, 2, 1, 3])
}
