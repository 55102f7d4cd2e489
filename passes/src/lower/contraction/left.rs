//! Packing of the left factor: the rows of each tile side by side, one element of each after the other, so that a tile reads memory in order.
//!
//! Where a reduction runs down the columns of the factor, as in the gradient of a weight, each of its steps takes another line of the cache. If the
//! lines are a multiple of some KiB apart, they have the same few places in the first-level cache and evict each other and the panel of the right
//! factor.

use super::pack::{self, PanelColumns};
use super::spec::{BatchedMatmul, Dim};
use crate::PassError;
use crate::lower::Lowering;
use crate::lower::expr::ValueEmitter;
use crate::lower::subview::Subview;
use crate::lower::tile::TileRun;
use ir::{DType, NodeId};
use kernel::{Access, Affine, BufferId, Target};

/// Fewer rows are not worth a kernel of their own.
const MIN_ROWS: usize = 64;
/// Multiply-adds of vectors for each element that is packed, at least,
const MIN_USES: usize = 24;
/// and where rows are a multiple of a page apart, so that all of a column is in the same place of the first-level cache: the gradients of keys and values
/// in blocks of queries, with as few columns as a head has, took twice the time in place.
const MIN_USES_IN_ONE_PLACE: usize = 4;
/// Places of the first-level cache repeat after that many bytes.
pub(super) const CACHE_PERIOD: usize = 4096;
/// Steps of the reduction that are copied together where it runs down the columns: as many lines fit the places that rows 4 KiB apart share.
const STEPS: usize = 8;

/// Where fewer lines than that stay in the first-level cache, tiles side by side don't find again what they share.
const FEW_LINES: usize = 24;
/// Bytes of a line of the cache.
const LINE_BYTES: usize = 64;

/// A packed left factor. Element (row `i` of the tile that starts at row `r` and has `h`, k) stands at `r * depth + k * h + i`, rows of all dimensions
/// counted in order.
pub(super) struct PackedLeft {
    pub(super) buffer: BufferId,
    pub(super) len: usize,
    /// Steps of the whole reduction.
    depth: usize,
    /// The dimensions of the rows, the innermost last.
    rows: Vec<Dim>,
}

impl PackedLeft {
    /// What one step along a dimension of the rows adds to the packed index; 0 for dimensions that the factor doesn't have.
    pub(super) fn stride(&self, dim: &Dim) -> i64 {
        let inner = |at: usize| BatchedMatmul::size(&self.rows[at + 1..]) * self.depth;
        self.rows.iter().position(|d| d == dim).map_or(0, |at| inner(at) as i64)
    }
}

/// Whether a left factor is better copied than read in place.
pub(super) fn is_worth_it(spec: &BatchedMatmul, dtype: DType, target: &Target) -> bool {
    let is_whole = spec.batch.is_empty() && spec.origin.at.is_empty();
    let (Some(row), [step], true) = (spec.m.last(), spec.k.as_slice(), is_whole) else { return false };
    let lanes = target.tile().vector_bytes / dtype.size_bytes();
    let uses = BatchedMatmul::size(&spec.n).div_ceil(lanes);
    // Rows that are contiguous along the reduction are read in order as they stand.
    let runs_down = row.a == 1 && step.a != 1 && step.extent > FEW_LINES;
    let stride = step.a.unsigned_abs() as usize * dtype.size_bytes();
    let least = if stride.is_multiple_of(CACHE_PERIOD) { MIN_USES_IN_ONE_PLACE } else { MIN_USES };
    target.tile().masked
        && BatchedMatmul::size(&spec.m) >= MIN_ROWS
        && uses >= least
        && runs_down
        && lines(stride, target) < FEW_LINES
}

/// How many lines of the first-level cache hold what stands so many bytes apart.
fn lines(stride: usize, target: &Target) -> usize {
    let places = (CACHE_PERIOD / (stride & stride.wrapping_neg()).clamp(LINE_BYTES, CACHE_PERIOD)).max(1);
    places * (target.caches().l1_bytes / CACHE_PERIOD)
}

/// Emits the kernel that packs the tiles of these rows.
pub(super) fn pack(
    lowering: &mut Lowering<'_>,
    (cluster, anchor): (u32, NodeId),
    spec: &BatchedMatmul,
    rows: &[TileRun],
) -> Result<Option<PackedLeft>, PassError> {
    let &[step] = spec.k.as_slice() else { return Ok(None) };
    let dtype = lowering.graph.ty(lowering.graph.operands(anchor)[0]).dtype;
    let len = BatchedMatmul::size(&spec.m) * step.extent;
    let packed = PackedLeft { buffer: lowering.temp(dtype, len), len, depth: step.extent, rows: spec.m.clone() };
    for &run in rows {
        emit(lowering, (cluster, anchor), step, &packed, run)?;
    }
    Ok(Some(packed))
}

/// One kernel for the tiles of one height.
fn emit(
    lowering: &mut Lowering<'_>,
    (cluster, anchor): (u32, NodeId),
    step: Dim,
    packed: &PackedLeft,
    run: TileRun,
) -> Result<(), PassError> {
    let operand = lowering.graph.operands(anchor)[0];
    let ty = lowering.graph.ty(operand).clone();
    let buffer = lowering.operand_buffer(operand)?;
    let mut emit = ValueEmitter::new(lowering, Some(cluster));
    let together = (1..=STEPS).rev().find(|n| step.extent.is_multiple_of(*n)).unwrap_or(1);
    let first = Affine::term(emit.cx.open(step.extent / together), together as i64);
    emit.cx.floor = 1;
    let source = emit.cx.param(buffer, ty.dtype, ty.shape.numel(), Access::Read);
    let target = emit.cx.param(packed.buffer, ty.dtype, packed.len, Access::Write);
    let (mut from, mut to) = (first.scale(step.a), first.scale(run.size as i64));
    let Some((row, outer)) = packed.rows.split_last() else { return Ok(()) };
    for dim in outer {
        let var = emit.cx.open(dim.extent);
        (from, to) = (from.plus_term(var, dim.a), to.plus_term(var, packed.stride(dim)));
    }
    let rows = Affine::term(emit.cx.open(run.count), run.size as i64).plus(run.start as i64);
    (from, to) = (from.add(&rows.scale(row.a)), to.add(&rows.scale(packed.stride(row))));
    let steps = Dim { extent: together, b: step.a, ..step };
    let (from, to) = (Subview { buf: source, offset: from }, Subview { buf: target, offset: to });
    pack::copy(&mut emit.cx, from, to, &[steps], PanelColumns { width: run.size, step: row.a, to: None });
    emit.finish("pack".into());
    Ok(())
}
