//! Attention of long contexts, a block of queries at a time: the matrix of all scores is never in memory.
//!
//! Two nested scans: over the heads of all samples, which don't depend on each other and are shared among threads, and within a head over blocks of
//! queries, or under a causal mask over those of a few groups. A block's scores, `rows x keys`, are scratch memory of a thread. Nothing of a block is kept for the gradient, which computes the
//! scores again and adds up the gradients of keys and values from block to block (Dao et al., "FlashAttention", arXiv 2205.14135, which
//! also cuts the keys into blocks; here a block's scores fit the second-level cache).

use super::causal;
use super::function::{AttentionMask, Shares};
use crate::dsl::{Scan, Tensor, TypeSpec};
use crate::nn::layer::Dropout;
use ir::{DType, TensorType};
use std::ops::Range;

/// Scores of one head that are computed at once: those of a context of 1024, 4 MiB of `f32`.
const MOST_SCORES: usize = 1 << 20;
/// Scores of one block: 512 KiB of `f32`.
const BLOCK_SCORES: usize = 1 << 17;
/// Fewer queries than that make too little of what a block loads of keys and values.
const LEAST_ROWS: usize = 16;

/// How many queries a block has; `None` where there need be no blocks.
pub(super) fn rows(queries: usize, keys: usize) -> Option<usize> {
    let is_long = queries.checked_mul(keys).is_none_or(|scores| scores > MOST_SCORES);
    let most = (BLOCK_SCORES / keys.max(1)).max(LEAST_ROWS).min(queries);
    // The largest power of two, which divides most contexts.
    is_long.then(|| 1 << most.ilog2())
}

/// Attention as the function of that name defines it, with dropout of the weights, in blocks of `rows` queries. Operands have been checked.
#[track_caller]
pub(super) fn attend([q, k, v]: [&Tensor; 3], mask: &AttentionMask, dropout: &Dropout, rows: usize) -> Tensor {
    let (Some(q_ty), Some(v_ty)) = (q.ty(), v.ty()) else { return q.poisoned() };
    let extents = AttentionExtents::new(&q_ty, &v_ty, rows);
    let scale = 1.0 / (q_ty.shape[3] as f64).sqrt();
    let q = extents.in_blocks(&(q * scale));
    let mut sequences = vec![q, extents.by_head(k), extents.by_head(v)];
    if let Some(keys) = &mask.keys {
        let all = [extents.batch, extents.heads, extents.keys];
        let alike = keys.unsqueeze(1).broadcast_to(all);
        sequences.push(alike.reshape([-1, extents.keys as isize]));
    }
    let is_dropped = dropout.is_active(k);
    if is_dropped {
        sequences.push(k.builder().iota(TypeSpec::new(DType::I64, [extents.batch * extents.heads]), 0));
    }
    let operands: Vec<&Tensor> = sequences.iter().collect();
    let (_, found) = Scan::new().named("head").recompute(true).run(&[], &operands, |_, parts| {
        let mut parts = parts.iter();
        let head = Head {
            q: parts.next(),
            k: parts.next(),
            v: parts.next(),
            visible: mask.keys.as_ref().and_then(|_| parts.next()),
            number: parts.next().filter(|_| is_dropped),
            mask,
        };
        (vec![], head.blocks(&extents, dropout).into_iter().collect())
    });
    found.first().map_or_else(|| k.poisoned(), |y| extents.in_order(y))
}

/// The extents of attention in blocks.
struct AttentionExtents {
    batch: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    size: usize,
    width: usize,
    /// Queries of a block, and blocks; the last block may be filled up.
    rows: usize,
    blocks: usize,
}

impl AttentionExtents {
    fn new(q: &TensorType, v: &TensorType, rows: usize) -> Self {
        let ([batch, queries, heads, size], keys) = ([0, 1, 2, 3].map(|axis| q.shape[axis]), v.shape[1]);
        let rows = rows.min(queries);
        Self { batch, heads, queries, keys, size, width: v.shape[3], rows, blocks: queries.div_ceil(rows) }
    }

    /// `[batch, positions, heads, size]` to `[batch heads, positions, size]`.
    #[track_caller]
    fn by_head(&self, x: &Tensor) -> Tensor {
        let Some(shape) = x.shape() else { return x.clone() };
        x.permute([0, 2, 1, 3]).reshape([self.batch * self.heads, shape[1], shape[3]].map(|d| d as isize))
    }

    /// Queries `[batch, queries, heads, size]` to `[batch heads, blocks, rows, size]`, the last block filled up with zeros.
    #[track_caller]
    fn in_blocks(&self, q: &Tensor) -> Tensor {
        let missing = self.blocks * self.rows - self.queries;
        let q = if missing == 0 { q.clone() } else { q.pad(0.0, [(0, 0), (0, missing), (0, 0), (0, 0)]) };
        self.by_head(&q).reshape([-1, self.blocks as isize, self.rows as isize, self.size as isize])
    }

    /// Results `[batch heads, blocks, rows, width]` to `[batch, queries, heads, width]`.
    #[track_caller]
    fn in_order(&self, y: &Tensor) -> Tensor {
        let all = self.blocks * self.rows;
        let y = y.reshape([self.batch, self.heads, all, self.width].map(|d| d as isize));
        let y = if all == self.queries { y } else { y.slice_axis(2, 0..self.queries) };
        y.permute([0, 2, 1, 3])
    }
}

/// What the attention of one head computes with, in the body of the scan over heads.
struct Head<'t> {
    /// Scaled queries `[blocks, rows, size]`, keys `[keys, size]` and values `[keys, width]`.
    q: Option<&'t Tensor>,
    k: Option<&'t Tensor>,
    v: Option<&'t Tensor>,
    /// Which keys any query sees, `[keys]`.
    visible: Option<&'t Tensor>,
    /// The head's number, where random numbers are drawn.
    number: Option<&'t Tensor>,
    mask: &'t AttentionMask,
}

impl Head<'_> {
    /// The results of all blocks, `[blocks, rows, width]`.
    #[track_caller]
    fn blocks(&self, extents: &AttentionExtents, dropout: &Dropout) -> Option<Tensor> {
        let (q, k, v) = (self.q?, self.k?, self.v?);
        let numbers = q.builder().iota(TypeSpec::new(DType::I32, [extents.blocks]), 0);
        if !self.mask.causal {
            return self.group([q, k, v], &numbers, extents, dropout);
        }
        // The blocks of a group multiply by the keys up to the group's end.
        let mut groups = causal::groups_of_blocks(extents.blocks);
        let end = |blocks: &Range<usize>| (blocks.end * extents.rows).div_ceil(self.mask.rows).min(extents.keys);
        if groups.windows(2).any(|pair| end(&pair[0]) == end(&pair[1])) {
            // Rows of one position, whose heads share keys: no group sees fewer.
            groups = std::iter::once(0..extents.blocks).collect();
        }
        let seen: Vec<_> =
            groups.iter().scan(0, |start, blocks| Some(std::mem::replace(start, end(blocks))..end(blocks))).collect();
        let [k, v] = [k, v].map(|x| causal::up_to_each(x, 0, &seen));
        let results: Option<Vec<Tensor>> = (groups.iter().zip(&k).zip(&v))
            .map(|((blocks, k), v)| {
                let [q, numbers] = [q, &numbers].map(|x| causal::part(x, 0, blocks));
                self.group([&q, k, v], &numbers, extents, dropout)
            })
            .collect();
        results.map(|results| causal::joined(&results, 0))
    }

    /// The results of some blocks, which have these numbers, from the first keys.
    #[track_caller]
    fn group(
        &self,
        [q, k, v]: [&Tensor; 3],
        numbers: &Tensor,
        extents: &AttentionExtents,
        dropout: &Dropout,
    ) -> Option<Tensor> {
        let keys = k.shape()?[0];
        let (_, found) = Scan::new().named("block").recompute(true).run(&[], &[q, numbers], |_, parts| {
            let [q, block] = parts else { return (vec![], vec![]) };
            let scores = q.dot_general(k, [], [(1, 1)]);
            let visible = self.visible_in(block, extents.rows, keys);
            let Shares { parts, whole } = Shares::of(&scores, visible.as_ref(), self.visible.is_some());
            let parts = match self.number {
                Some(head) => dropout.call_in_scan(&parts, &(head * extents.blocks as i64 + block.cast(DType::I64))),
                None => parts,
            };
            (vec![], vec![parts.weighted_mean(v, &whole, [], [(1, 0)])])
        });
        found.into_iter().next()
    }

    /// Which of the first keys the queries of a block see: broadcasts to `[rows, keys]`.
    #[track_caller]
    fn visible_in(&self, block: &Tensor, rows: usize, keys: usize) -> Option<Tensor> {
        let causal = self.mask.causal.then(|| {
            let ty = TypeSpec::new(DType::I32, [rows, keys]);
            let g = block.builder();
            (g.iota(ty.clone(), 0) + block * rows as i32).ge(self.mask.first_row(g.iota(ty, 1)))
        });
        let padding = self.visible.map(|visible| causal::part(visible, 0, &(0..keys)).unsqueeze(0));
        match (causal, padding) {
            (Some(causal), Some(padding)) => Some(causal.and(padding)),
            (causal, padding) => causal.or(padding),
        }
    }
}
