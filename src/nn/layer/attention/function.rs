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
#[derive(Clone, Debug)]
pub struct AttentionMask {
    pub(super) causal: bool,
    pub(super) keys: Option<Tensor>,
    /// What is added to the scores.
    bias: Option<Tensor>,
    /// How many rows of queries there are for each position: heads that share keys and values are rows beside each other.
    pub(super) rows: usize,
}

impl Default for AttentionMask {
    fn default() -> Self {
        Self { causal: false, keys: None, bias: None, rows: 1 }
    }
}

impl AttentionMask {
    /// All keys.
    pub fn none() -> Self {
        Self::default()
    }

    /// For query `i` the keys up to `i`. Queries and keys are then equally many.
    pub fn causal() -> Self {
        Self { causal: true, ..Self::default() }
    }

    /// Only keys where `is_token`, of truth values `[batch, keys]`, holds. A query that sees no key at all attends to nothing: its result is 0.
    pub fn padding(mut self, is_token: &Tensor) -> Self {
        self.keys = Some(is_token.clone());
        self
    }

    /// With numbers added to the scores, `[heads, queries, keys]` or what broadcasts to `[batch, heads, queries, keys]`: positions' distances
    /// ([`RelativePositionBias`](crate::nn::RelativePositionBias)), or slopes. The matrix of all scores is then in memory at any length.
    pub fn bias(mut self, bias: &Tensor) -> Self {
        self.bias = Some(bias.clone());
        self
    }

    /// Whether scores may be computed a block at a time.
    pub(super) fn allows_blocks(&self) -> bool {
        self.bias.is_none()
    }

    /// Scores `[batch, heads, rows, keys]` of some rows and the first keys with the bias, if there is one.
    #[track_caller]
    pub(super) fn biased(&self, scores: Tensor, rows: &Range<usize>, keys: usize) -> Tensor {
        match &self.bias {
            Some(bias) => scores + causal::part(&causal::part(bias, 2, rows), 3, &(0..keys)),
            None => scores,
        }
    }

    /// The bias as `[batch or 1, heads, queries, keys]`, if there is one, or the rule that it breaks.
    #[track_caller]
    fn whole_bias(&self, heads: usize, queries: usize, keys: usize) -> Result<Option<Tensor>, String> {
        let Some(bias) = &self.bias else { return Ok(None) };
        let Some(shape) = bias.shape() else { return Ok(Some(bias.clone())) };
        let batch = if shape.rank() == 4 { shape[0] } else { 1 };
        let want = [batch, heads, queries, keys];
        match ir::Shape::new(want).ok().and_then(|want| shape.broadcast(&want).ok()).filter(|all| all[..] == want) {
            Some(_) => Ok(Some(bias.broadcast_to(want))),
            None => Err(format!("the bias {shape} must broadcast to [batch, {heads}, {queries}, {keys}]")),
        }
    }

    /// This mask with the bias checked, for queries whose heads are rows: see [`Grouped`].
    #[track_caller]
    fn grouped(&self, q: &TensorType, shared: usize, keys: usize) -> Result<Self, String> {
        let (queries, heads) = (q.shape[1], q.shape[2]);
        let mut mask = self.clone();
        mask.rows = shared;
        mask.bias = self.whole_bias(heads, queries, keys)?;
        if let (Some(bias), true) = (&mask.bias, shared > 1) {
            let [groups, shared, queries, keys] = [heads / shared, shared, queries, keys].map(|n| n as isize);
            let rows = bias.reshape([-1, groups, shared, queries, keys]).permute([0, 1, 3, 2, 4]);
            mask.bias = Some(rows.reshape([-1, groups, queries * shared, keys]));
        }
        Ok(mask)
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

    /// The first row of queries that sees each key under a causal mask.
    #[track_caller]
    pub(super) fn first_row(&self, keys: Tensor) -> Tensor {
        if self.rows == 1 { keys } else { keys * self.rows as i32 }
    }

    /// The truth values that broadcast to `[batch, heads, rows, keys]`, for some of the rows of queries and the first keys, if any key is hidden from any
    /// query.
    #[track_caller]
    pub(super) fn truth(&self, q: &Tensor, queries: Range<usize>, keys: usize) -> Option<Tensor> {
        let g = q.builder();
        let causal = self.causal.then(|| {
            let ty = TypeSpec::new(DType::I32, [queries.len(), keys]);
            let rows = g.iota(ty.clone(), 0);
            let rows = if queries.start == 0 { rows } else { rows + queries.start as i32 };
            rows.ge(self.first_row(g.iota(ty, 1)))
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
    let ([b, h], [c, i]) = (outer(q), outer(k));
    (b != c || !h.is_multiple_of(i)).then(|| {
        format!(
            "batches must be equal, and heads of queries a multiple of those of keys: {b} and {h} against {c} and {i}"
        )
    })
}

/// Queries whose heads share keys and values (Ainslie et al., "GQA", arXiv 2305.13245), as rows of one head each: `[batch, queries, heads, size]` becomes
/// `[batch, queries shared, heads / shared, size]`. Keys and values are never repeated: each is multiplied by more rows at once.
pub(super) struct Grouped {
    pub(super) q: Tensor,
    pub(super) mask: AttentionMask,
    queries: usize,
    heads: usize,
    shared: usize,
}

impl Grouped {
    /// Of queries and keys that have been checked; the rule that the mask's bias breaks.
    #[track_caller]
    pub(super) fn of(q: &Tensor, k: &TensorType, mask: &AttentionMask) -> Result<Self, String> {
        let Some(ty) = q.ty() else { return Err("the queries are poisoned".into()) };
        let (queries, heads, shared) = (ty.shape[1], ty.shape[2], ty.shape[2] / k.shape[2]);
        let mask = mask.grouped(&ty, shared, k.shape[1])?;
        if shared == 1 {
            return Ok(Self { q: q.clone(), mask, queries, heads, shared });
        }
        let [groups, shared_rows] = [heads / shared, shared].map(|n| n as isize);
        let (n, size) = (queries as isize, ty.shape[3] as isize);
        let rows = q.reshape([-1, n, groups, shared_rows, size]).permute([0, 1, 3, 2, 4]);
        Ok(Self { q: rows.reshape([-1, n * shared_rows, groups, size]), mask, queries, heads, shared })
    }

    /// Results `[batch, rows, heads / shared, width]` as `[batch, queries, heads, width]`.
    #[track_caller]
    pub(super) fn in_heads(&self, results: &Tensor) -> Tensor {
        let Some(shape) = results.shape().filter(|_| self.shared > 1) else { return results.clone() };
        let [groups, shared, width] = [self.heads / self.shared, self.shared, shape[3]].map(|n| n as isize);
        let split = results.reshape([-1, self.queries as isize, shared, groups, width]);
        split.permute([0, 1, 3, 2, 4]).reshape([-1, self.queries as isize, self.heads as isize, width])
    }

    /// Weights `[batch, heads / shared, rows, keys]` as `[batch, heads, queries, keys]`.
    #[track_caller]
    fn weights_in_heads(&self, weights: &Tensor) -> Tensor {
        let Some(shape) = weights.shape().filter(|_| self.shared > 1) else { return weights.clone() };
        let [groups, shared, keys] = [self.heads / self.shared, self.shared, shape[3]].map(|n| n as isize);
        let split = weights.reshape([-1, groups, self.queries as isize, shared, keys]);
        split.permute([0, 1, 3, 2, 4]).reshape([-1, self.heads as isize, self.queries as isize, keys])
    }

    /// Values `[batch, keys, heads / shared, width]` repeated for each head of the queries: for maps of weights, which are made head by head.
    #[track_caller]
    pub(super) fn repeated(&self, v: &Tensor) -> Tensor {
        let Some(shape) = v.shape().filter(|_| self.shared > 1) else { return v.clone() };
        let all = v.unsqueeze(3).broadcast_to([shape[0], shape[1], shape[2], self.shared, shape[3]]);
        all.reshape([shape[0], shape[1], self.heads, shape[3]].map(|n| n as isize))
    }
}

/// `softmax(q kᵀ / sqrt(size))` over the keys that the mask leaves: `q [batch, queries, heads, size]` and `k [batch, keys, heads, size]` give
/// `[batch, heads, queries, keys]`. Keys may have fewer heads, which queries share: see [`attention`].
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
    let grouped = match Grouped::of(q, &k_ty, mask) {
        Ok(grouped) => grouped,
        Err(rule) => return q.builder().fail("attention", &[q, k], rule),
    };
    let (q, mask, keys) = (&grouped.q, &grouped.mask, k_ty.shape[1]);
    let rows = 0..q_ty.shape[1] * grouped.shared;
    let truth = mask.truth(q, rows.clone(), keys);
    let scores = mask.biased(scores(q, k), &rows, keys);
    grouped.weights_in_heads(&masked_weights(&scores, truth.as_ref(), mask.keys.is_some()))
}

/// The rule that the operands of attention break, if any.
pub(super) fn broken_rule(q: &TensorType, k: &TensorType, v: &TensorType, mask: &AttentionMask) -> Option<String> {
    check(k, v).or_else(|| check(q, k)).or_else(|| mask.check(q, k)).or_else(|| {
        if k.shape[2] != v.shape[2] {
            return Some(format!("keys and values must have as many heads, not {} and {}", k.shape[2], v.shape[2]));
        }
        let (queries, keys, values) = (q.shape[3], k.shape[1], v.shape[1]);
        if keys != values {
            return Some(format!("keys and values must be equally many, not {keys} and {values}"));
        }
        let size = k.shape[3];
        (queries != size).then(|| format!("queries and keys must have one size, not {queries} and {size}"))
    })
}

/// The weights of scores under a mask that broadcasts to them; `may_be_blind` if a query may see no key.
#[track_caller]
pub(super) fn masked_weights(scores: &Tensor, mask: Option<&Tensor>, may_be_blind: bool) -> Tensor {
    let weights = masked(scores, mask).softmax(-1);
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
/// `[batch, queries, heads, width]`. Keys and values may have fewer heads than queries, which share them: head `i` of the queries has head `i / (heads of queries / heads of keys)`, as in
/// PyTorch's `enable_gqa`; they are not repeated in memory.
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
    let grouped = match Grouped::of(q, &k_ty, mask) {
        Ok(grouped) => grouped,
        Err(rule) => return q.builder().fail("attention", &[q, k, v], rule),
    };
    let (q, mask) = (&grouped.q, &grouped.mask);
    let (queries, keys) = (q_ty.shape[1] * grouped.shared, k_ty.shape[1]);
    let blocks = rows.or_else(|| blocks::rows(q_ty.shape[1], keys)).filter(|_| mask.allows_blocks());
    let results = match blocks {
        Some(rows) => blocks::attend([q, k, v], mask, dropout, rows),
        None if mask.causal => causal::attend([q, k, v], mask, dropout, &causal::groups(q_ty.shape[1])),
        None => {
            let truth = mask.truth(q, 0..queries, keys);
            let scores = mask.biased(scores(q, k), &(0..queries), keys);
            weighted_mean(&scores, v, truth.as_ref(), mask.keys.is_some(), dropout)
        }
    };
    grouped.in_heads(&results)
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
    /// Their sums, without the last axis, at least 1; `f32` of 16-bit scores, as in a softmax.
    pub(super) whole: Tensor,
}

impl Shares {
    /// The shares of scores under a mask that broadcasts to them; `may_be_blind` if a whole row may be hidden.
    #[track_caller]
    pub(super) fn of(scores: &Tensor, mask: Option<&Tensor>, may_be_blind: bool) -> Self {
        let parts = masked(&scores.in_f32(), mask).below_max(-1).exp().rounded_like(scores);
        // Of what multiplies the values, so that weights add up to 1.
        let whole = parts.in_f32().sum_axes([-1]);
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
