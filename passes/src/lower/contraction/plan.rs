//! What is decided of a contraction before its loops are made.

use super::cut::{Cutter, FEW_PANELS, MAX_TERMS, PIECE_BYTES};
use super::left::{self, PackedLeft};
use super::pack::{self, PackedFactor};
use super::spec::{BatchedMatmul, Dim, inner_steps, outer};
use crate::PassError;
use crate::lower::Lowering;
use crate::lower::tile::{TileRun, block, even_block};
use ir::{DType, NodeId, Shape};
use kernel::{BufferId, Micro};

/// As many iterations are enough for threads to share evenly.
pub(super) const SHARES: usize = 16;
/// From that many panels on, threads share panels and pack their own.
pub(super) const SHARED_PANELS: usize = 8;

/// One of the regions that make up the result, with loops of its own; mostly there is one.
pub(super) struct Region {
    pub(super) spec: BatchedMatmul,
    pub(super) rows: Vec<TileRun>,
    /// How many iterations of the outermost reduction dimension one block takes.
    pub(super) depth_block: usize,
}

/// What is decided before loops are made.
pub(super) struct ContractionPlan {
    pub(super) cluster: u32,
    pub(super) anchor: NodeId,
    pub(super) results: Vec<NodeId>,
    /// The whole contraction.
    pub(super) whole: BatchedMatmul,
    pub(super) parts: Vec<Region>,
    /// Columns of each register tile whose part of the right factor is read in place, or packed before.
    pub(super) columns: Vec<TileRun>,
    /// Those of which each thread packs its own panels.
    pub(super) own: Vec<TileRun>,
    /// Whether all rows' dimensions are gone down for each panel, as where each has regions of its own, or a panel is packed when it is used.
    pub(super) rows_inside: bool,
    pub(super) packed: Option<PackedFactor>,
    /// The left factor, where that is packed before.
    pub(super) left: Option<PackedLeft>,
    /// Whether a row of tiles goes along all panels before the next, as befits short reductions: what takes time then is to write the result.
    pub(super) along_rows: bool,
    /// Whether the right factor is read row by row in pieces, once, as befits products of few rows.
    pub(super) streams: bool,
    /// Where partial sums wait between two blocks of the reduction.
    pub(super) partial: Option<BufferId>,
    /// Chunks of the reduction whose sums are left where partial sums wait, the chunks being the outermost axis.
    pub(super) chunks: Option<usize>,
    /// Extents of what tiles compute: the result, or the sums of the chunks.
    pub(super) shape: Shape,
    /// Rows of one block, so that its part of the left factor stays in the second-level cache.
    pub(super) row_tiles: usize,
    /// What a group of panels may take of the second-level cache.
    pub(super) group_bytes: usize,
    /// The type of the sums.
    pub(super) dtype: DType,
    /// The type of the left factor's elements, and of the right one's; `i32` if those are pairs, `u8` and `i8` if quads.
    pub(super) factors: [DType; 2],
    /// Whether the right factor is in memory in 16 bits, and converted where it is packed.
    pub(super) converts: bool,
}

pub(super) fn plan(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    results: Vec<NodeId>,
    (whole, specs): (BatchedMatmul, Vec<BatchedMatmul>),
    chunks: Option<usize>,
) -> Result<ContractionPlan, PassError> {
    let dtype = lowering.graph.ty(anchor).dtype;
    let target = lowering.target.clone();
    // Packed once for all steps of a loop.
    let once = whole.n.last().is_some() && lowering.is_invariant(lowering.graph.operands(anchor)[1]);
    let cutter = Cutter { dtype, target: &target, has_place: chunks.is_some() || results.contains(&anchor), once };
    let (tiling, _) = cutter.cut(&whole, None);
    let width = tiling.columns.first().map(|run| run.size);
    let parts: Vec<Region> = specs
        .into_iter()
        .map(|spec| {
            let (tiling, depth_block) = cutter.cut(&spec, width);
            Region { spec, rows: tiling.rows, depth_block }
        })
        .collect();
    let right = lowering.graph.operands(anchor)[1];
    let converts = pack::in_memory(lowering.graph, anchor) != right;
    let packs = once || converts || pack::is_worth_it(&whole, &tiling.columns, dtype, &target);
    let along_rows = chunks.is_none() && parts.len() == 1 && cutter.is_along_rows(&whole);
    let streams = chunks.is_none() && parts.len() == 1 && !packs && cutter.is_streamed(&whole);
    let shares = packs && !once && !along_rows && parts.len() == 1;
    let is_own = |run: &TileRun| {
        let steps = parts[0].depth_block * inner_steps(&parts[0].spec);
        let is_own = || pack::is_own(&whole, (steps, run.size), dtype, &target) && panels(&whole, run) >= SHARED_PANELS;
        // A copy of all of it in `f32` would take twice the memory that the factor does.
        shares && (converts || is_own())
    };
    let (own, columns): (Vec<TileRun>, Vec<TileRun>) = tiling.columns.iter().partition(|run| is_own(run));
    let rows_inside = parts.len() > 1 || (!own.is_empty() && whole.m.len() > 1);
    let packed = if packs { pack::pack(lowering, cluster, anchor, &whole, &columns)? } else { None };
    let left = match parts.as_slice() {
        [part] if cutter.packs_left(&part.spec) => left::pack(lowering, (cluster, anchor), &part.spec, &part.rows)?,
        _ => None,
    };
    let (partial, group_bytes) = (None, target.caches().l2_bytes / 2);
    let row_tiles = row_tiles(&whole, tiling.rows.first(), dtype, group_bytes);
    let shape = shape_with_chunks(lowering, anchor, chunks)?;
    let mut plan = ContractionPlan {
        cluster,
        anchor,
        results,
        whole,
        parts,
        columns,
        own,
        rows_inside,
        packed,
        left,
        along_rows,
        streams,
        partial,
        chunks,
        shape,
        row_tiles,
        group_bytes,
        dtype,
        factors: [0, 1].map(|i| lowering.graph.ty(lowering.graph.operands(anchor)[i]).dtype),
        converts,
    };
    if plan.own.is_empty() && plan.parts.len() == 1 && plan.tiles_of_panel() == 1 && !plan.streams {
        // Nothing comes back to a block of the panel while it is in the cache.
        let part = &mut plan.parts[0];
        let (outermost, inner) = (part.outermost(), inner_steps(&part.spec));
        part.depth_block =
            if outermost * inner <= MAX_TERMS { outermost } else { even_block(outermost, MAX_TERMS / inner) };
    }
    let is_cut = plan.parts.iter().any(|part| part.depth_block < part.outermost());
    plan.partial = match chunks {
        Some(_) => Some(lowering.temp(dtype, plan.shape.numel())),
        None => is_cut.then(|| partial_buffer(lowering, anchor, &plan.results)),
    };
    Ok(plan)
}

/// How many tiles of rows, as high as the first, have a part of the left factor of so many bytes.
fn row_tiles(whole: &BatchedMatmul, first: Option<&TileRun>, dtype: DType, bytes: usize) -> usize {
    let row_bytes = BatchedMatmul::size(&whole.k) * dtype.size_bytes();
    (bytes / (row_bytes * first.map_or(1, |run| run.size))).max(4)
}

/// The extents of what tiles compute: the result's, with the chunks as its outermost axis if the reduction is cut into those.
fn shape_with_chunks(lowering: &Lowering<'_>, anchor: NodeId, chunks: Option<usize>) -> Result<Shape, PassError> {
    let dims: Vec<usize> = chunks.into_iter().chain(lowering.graph.ty(anchor).shape.iter().copied()).collect();
    Shape::new(dims).map_err(|e| lowering.defect(anchor, &e.to_string()))
}

/// How many panels of a run there are for threads to share.
fn panels(spec: &BatchedMatmul, run: &TileRun) -> usize {
    BatchedMatmul::size(&spec.batch) * BatchedMatmul::size(outer(&spec.n)) * run.count
}

/// Partial sums wait where the anchor's own result goes, if it is one. Not where another result of the cluster goes: that may be a
/// state's next value, and share memory with the old one.
fn partial_buffer(lowering: &mut Lowering<'_>, anchor: NodeId, results: &[NodeId]) -> BufferId {
    if results.contains(&anchor) {
        return lowering.result_buffer(anchor);
    }
    let ty = lowering.graph.ty(anchor).clone();
    lowering.temp(ty.dtype, ty.shape.numel())
}

impl Region {
    /// Iterations of the outermost reduction dimension.
    pub(super) fn outermost(&self) -> usize {
        self.spec.k.first().map_or(1, |d| d.extent)
    }
}

impl ContractionPlan {
    /// Elements of a factor that a step multiplies.
    pub(super) fn step_elements(&self) -> usize {
        Micro::step_elements(self.factors[1]) as usize
    }

    /// How many tiles one panel of columns serves before the next.
    pub(super) fn tiles_of_panel(&self) -> usize {
        let all = || self.parts.iter().flat_map(|p| &p.rows).map(|r| r.count).sum();
        self.row_blocks().map_or_else(all, |(tiles, _)| tiles)
    }

    /// The dimensions of the loops around everything: batch, all columns' dimensions but the innermost, and, unless they are inside, all rows'
    /// dimensions but the innermost.
    pub(super) fn outer_dims(&self) -> impl Iterator<Item = &Dim> {
        let rows = if self.rows_inside { &[] } else { outer(&self.whole.m) };
        self.parts.iter().take(1).flat_map(|part| &part.spec.batch).chain(rows).chain(outer(&self.whole.n))
    }

    /// How many panels of a packed factor go down the rows together, so that a row of tiles of the left factor is read once for all of them: as
    /// many as the second-level cache holds, if enough groups are left for threads to share.
    pub(super) fn group(&self, run: &TileRun) -> usize {
        let [part] = self.parts.as_slice() else { return 1 };
        if self.along_rows {
            return run.count;
        }
        if self.streams {
            let panels = PIECE_BYTES / (run.size * self.dtype.size_bytes());
            let most = (2 * panels).min(run.count / FEW_PANELS);
            return (1..=most).rev().find(|g| run.count.is_multiple_of(*g)).unwrap_or(1);
        }
        if self.packed.is_none() || self.outer_dims().next().is_some() || self.row_blocks().is_some() {
            return 1;
        }
        let block_bytes = part.depth_block * inner_steps(&part.spec) * run.size * self.dtype.size_bytes();
        let most = (self.group_bytes / block_bytes).min(run.count / SHARED_PANELS);
        (1..=most).rev().find(|g| run.count.is_multiple_of(*g)).unwrap_or(1)
    }

    /// (tiles in a block, blocks), where all tiles are equal and more than one block is wanted: so that a block's part of the left factor
    /// stays in the cache, or, where there are few panels and no loops around them, for threads to share.
    pub(super) fn row_blocks(&self) -> Option<(usize, usize)> {
        let [Region { rows, .. }] = self.parts.as_slice() else { return None };
        let [run] = rows.as_slice() else { return None };
        if self.chunks.is_some() || self.streams {
            return None;
        }
        let panels = self.columns.first().map_or(0, |c| c.count);
        let few_panels = self.columns.len() > 1 || panels < SHARES || self.along_rows;
        let share = if self.outer_dims().next().is_none() && few_panels { run.count / SHARES } else { run.count };
        let tiles = block(run.count, share.clamp(1, self.row_tiles));
        (tiles < run.count && run.count.is_multiple_of(tiles)).then(|| (tiles, run.count / tiles))
    }
}
