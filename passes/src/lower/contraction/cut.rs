//! Cuts contractions into register tiles, and reductions into blocks.

use super::left::{self, CACHE_PERIOD};
use super::pack;
use super::spec::{BatchedMatmul, inner_steps, outer};
use crate::lower::tile::{MatmulShape, TileLimits, Tiling, WIDEST_TILE, choose, even_block, panel_runs};
use ir::DType;
use kernel::Target;

/// The longest reduction of one tile: what keeps a panel of the right factor in the second-level cache.
pub(super) const MAX_DEPTH: usize = 512;
/// The same where partial sums would need memory of their own.
pub(super) const MAX_DEPTH_WITHOUT_PLACE: usize = 1024;
/// The same where each step of the reduction reads another cache line of the left factor.
pub(super) const MAX_STRIDED_DEPTH: usize = 192;
/// Terms that are added up one after the other: a longer reduction is summed in blocks, so that its error doesn't grow with its length.
pub(super) const MAX_TERMS: usize = 4096;
/// Fewer panels than that are too few for threads to share evenly,
pub(super) const FEW_PANELS: usize = 4;
/// and so many rows make enough tiles to share instead.
pub(super) const SHARED_ROWS: usize = 128;
/// What it takes to pack an element, in cycles.
pub(super) const PACK_CYCLES: f64 = 0.5;
/// Fewer rows than that are too few for threads to share tiles of them.
pub(super) const MIN_SWEPT_ROWS: usize = 64;
/// Longer sums than that take longer than writing them.
pub(super) const SHORT_STEPS: usize = 16;
/// A product of more rows takes longer than reading the right factor.
pub(super) const STREAMED_ROWS: usize = 8;
/// Bytes of a row of the right factor that are read in one go where there are few rows of the left.
pub(super) const PIECE_BYTES: usize = 1024;

/// Cuts contractions into register tiles and blocks.
pub(super) struct Cutter<'t> {
    pub(super) dtype: DType,
    pub(super) target: &'t Target,
    /// Whether partial sums can wait where the result goes.
    pub(super) has_place: bool,
    /// Whether a copy of the right factor serves all steps of a loop around.
    pub(super) once: bool,
}

impl Cutter<'_> {
    /// The tiles of a contraction, of a width if that is given, and how many iterations of the outermost reduction dimension one block takes.
    pub(super) fn cut(&self, spec: &BatchedMatmul, width: Option<usize>) -> (Tiling, usize) {
        let m = spec.m.last().map_or(1, |d| d.extent);
        let n = spec.n.last().map_or(1, |d| d.extent);
        let depth_block = self.depth_block(spec);
        let depth = depth_block * inner_steps(spec);
        let contiguous = spec.k.last().is_some_and(|d| d.a == 1);
        let row_bytes = spec.m.last().map_or(0, |d| d.a.unsigned_abs() as usize * self.dtype.size_bytes());
        let collide = |bytes: usize| bytes > 0 && bytes.is_multiple_of(CACHE_PERIOD);
        let along_rows = self.is_along_rows(spec);
        let colliding_rows = (contiguous && collide(row_bytes) && !self.packs_left(spec))
            || (along_rows && collide(n * self.dtype.size_bytes()));
        let copying = |width: usize| {
            let packs = !self.once && pack::is_worth_it(spec, &panel_runs(n, width), self.dtype, self.target);
            // All rows share what is copied; these are the innermost only.
            if packs { PACK_CYCLES * (depth * n) as f64 / BatchedMatmul::size(outer(&spec.m)) as f64 } else { 0.0 }
        };
        let around = BatchedMatmul::size(&spec.batch)
            * BatchedMatmul::size(outer(&spec.m))
            * BatchedMatmul::size(outer(&spec.n));
        let panels = around * n.div_ceil(WIDEST_TILE * self.target.tile().vector_bytes / self.dtype.size_bytes());
        let limits =
            TileLimits { width, colliding_rows, shared_rows: (panels < FEW_PANELS || along_rows) && m >= SHARED_ROWS };
        let tile = self.target.tile_for(self.dtype);
        (choose(MatmulShape { m, n, k: depth }, self.dtype, &tile, limits, copying), depth_block)
    }

    /// Whether the left factor is packed before.
    pub(super) fn packs_left(&self, spec: &BatchedMatmul) -> bool {
        // Quads, whose sums are integers, stand along the reduction.
        self.dtype.is_float() && !self.is_along_rows(spec) && left::is_worth_it(spec, self.dtype, self.target)
    }

    /// Whether tiles go along the rows of the result rather than down its columns: where sums are so short that it is the result that takes the time,
    /// and the right factor stays in the second-level cache meanwhile.
    pub(super) fn is_along_rows(&self, spec: &BatchedMatmul) -> bool {
        let [rows, columns, steps] = [&spec.m, &spec.n, &spec.k].map(|dims| BatchedMatmul::size(dims));
        let bytes = |elements: usize| elements * self.dtype.size_bytes();
        let is_short = steps <= SHORT_STEPS && bytes(steps * columns) <= self.target.caches().l2_bytes / 4;
        is_short && spec.m.len() == 1 && rows >= MIN_SWEPT_ROWS && bytes(columns) >= CACHE_PERIOD
    }

    /// Whether a product of few rows reads pieces of the right factor's rows one after the other, and adds to the partial sums of many columns, rather
    /// than few columns of all rows: memory gives what follows what was read before, within a page.
    pub(super) fn is_streamed(&self, spec: &BatchedMatmul) -> bool {
        let (Some(column), [step]) = (spec.n.last(), spec.k.as_slice()) else { return false };
        let bytes = |elements: usize| elements * self.dtype.size_bytes();
        let is_large = bytes(step.extent * column.extent) > self.target.caches().l2_bytes / 2;
        let is_wide = column.b == 1 && bytes(step.b.unsigned_abs() as usize) >= 2 * PIECE_BYTES;
        let rows = BatchedMatmul::size(&spec.m);
        let is_plain = spec.batch.is_empty() && spec.n.len() == 1 && self.target.tile().masked && !self.once;
        is_plain
            && rows <= STREAMED_ROWS
            && is_wide
            && is_large
            && (4..MAX_TERMS).contains(&(step.extent / stream_steps(rows)))
    }

    pub(super) fn depth_block(&self, spec: &BatchedMatmul) -> usize {
        let (inner, outermost) = (inner_steps(spec), spec.k.first().map_or(1, |d| d.extent));
        // Where a step of the reduction leaves the left factor's cache line, each step costs a line of the first-level cache.
        let contiguous = self.packs_left(spec) || spec.k.last().is_none_or(|d| d.a.abs() <= 1);
        let limit = match (contiguous, self.has_place) {
            (false, _) => MAX_STRIDED_DEPTH,
            (true, true) => MAX_DEPTH,
            (true, false) => MAX_DEPTH_WITHOUT_PLACE,
        };
        let limit = if self.is_streamed(spec) { stream_steps(BatchedMatmul::size(&spec.m)) } else { limit };
        if outermost * inner <= limit { outermost } else { even_block(outermost, limit / inner) }
    }
}

/// Steps of the reduction in a block where the right factor is read row by row: with few sums, a block is what memory can give at the same time.
pub(super) fn stream_steps(rows: usize) -> usize {
    if rows <= 2 { 16 } else { 64 }
}
