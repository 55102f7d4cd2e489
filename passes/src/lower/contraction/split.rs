//! Contractions in two steps: sums over chunks of the reduction, then the sum of those.
//!
//! The gradient of a convolution's kernel has few elements and a long reduction. With threads sharing its elements each would read all images; sharing the images instead,
//! a thread reads those that it wrote in the kernels before, which are in its own caches. Other contractions are cut where a reduction is so long that adding up its blocks, one
//! after the other, would lose digits. How many chunks there are depends on the shapes and the target alone, so results don't depend on the threads.

use super::spec::{BatchedMatmul, Dim, numbers};
use crate::PassError;
use crate::lower::Lowering;
use crate::lower::cx::flatten;
use crate::lower::expr::ValueEmitter;
use ir::{DType, NodeId, Op, Scalar, ScalarOp};
use kernel::{Access, Affine, BufferId, Expr, Stmt, Target};

/// Chunks at most: as many iterations threads share evenly.
const MOST_CHUNKS: usize = 16;
/// Chunks at least; with fewer there would be nothing to share.
const LEAST_CHUNKS: usize = 4;
/// Steps of the reduction in a chunk at least: fewer don't pay for writing and adding up the chunk's sums.
const LEAST_STEPS: usize = 512;

/// Steps of the reduction in a chunk at most, where the sums of chunks stay in the cache.
const MOST_STEPS: usize = 1 << 18;

/// In how many chunks the outermost dimension of a contraction's reduction is summed; `None` if it is not cut.
pub(super) fn chunks(op: &Op, spec: &BatchedMatmul, dtype: DType, target: &Target) -> Option<usize> {
    let images = spec.k.first()?.extent;
    let results: usize = [&spec.batch, &spec.m, &spec.n].iter().map(|dims| BatchedMatmul::size(dims)).product();
    let steps = BatchedMatmul::size(&spec.k);
    let fits = |chunks: &usize| {
        images.is_multiple_of(*chunks) && chunks * results * dtype.size_bytes() <= target.caches().l2_bytes
    };
    let is_shared = matches!(numbers(op), Op::ConvWeightGrad(_)) && spec.batch.is_empty();
    let shared = |chunks: &usize| is_shared && fits(chunks) && steps / chunks >= LEAST_STEPS;
    let shared = (LEAST_CHUNKS..=MOST_CHUNKS).rev().find(shared);
    let least = steps.div_ceil(MOST_STEPS);
    if shared.unwrap_or(1) >= least { shared } else { (least..=LEAST_STEPS).find(fits).or(shared) }
}

impl BatchedMatmul {
    /// The sums over that many chunks, which are the outermost axis of a result that has `len` elements for each.
    pub(super) fn in_chunks(mut self, chunks: usize, len: usize) -> Self {
        for dim in self.batch.iter_mut().chain(&mut self.m).chain(&mut self.n) {
            dim.axis += 1;
        }
        if let Some(first) = self.k.first_mut() {
            first.extent /= chunks;
            let (a, b) = (first.a * first.extent as i64, first.b * first.extent as i64);
            self.batch.insert(0, Dim { extent: chunks, a, b, c: len as i64, axis: 0, steps: 0 });
        }
        self
    }
}

/// Emits the kernel that adds up the chunks' sums and computes the results from that.
pub(super) fn add_up(
    lowering: &mut Lowering<'_>,
    (cluster, anchor): (u32, NodeId),
    results: &[NodeId],
    (sums, chunks): (BufferId, usize),
    name: &str,
) -> Result<(), PassError> {
    let ty = lowering.graph.ty(anchor).clone();
    let mut emit = ValueEmitter::new(lowering, Some(cluster));
    let at: Vec<Affine> = emit.cx.open_all(&ty.shape);
    let depth = emit.cx.depth();
    emit.cx.floor = usize::from(depth > 0);
    let len = ty.shape.numel();
    let acc = emit.cx.declare(Expr::Const(Scalar::zero(ty.dtype)), depth);
    let chunk = emit.cx.open(chunks);
    let from = emit.cx.param(sums, ty.dtype, chunks * len, Access::Read);
    let value = emit.cx.load(from, &flatten(&at, &ty.shape).plus_term(chunk, len as i64));
    emit.cx.push(Stmt::Accumulate { reg: acc, op: ScalarOp::ADD, value: value.expr });
    emit.finish_sum(anchor, (acc, depth), &at, results)?;
    emit.finish(name.to_owned());
    Ok(())
}
