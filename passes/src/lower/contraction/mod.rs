//! Contraction clusters: a dot product or convolution and the elementwise ops on its result.
//!
//! `f32` and `f64` become register tiles ([`kernel::Micro`]) in loops over blocks; the elementwise ops run on the tile while it is in
//! registers. The right factor is packed into panels of the tile's width where it is not contiguous along the columns or is
//! read often: a block at a time in each thread's own memory where there are enough panels to share, else all of it before. The left one is packed where
//! its columns collide in the cache. Padded
//! convolutions are cut into regions without padding, gradients of strided ones into places that have the same taps, long reductions of few elements into chunks. Other types, and products with a single column, become plain loops.

mod border;
mod left;
mod pack;
mod plain;
mod remainder;
mod spec;
mod split;
mod tiles;
mod triangle;

pub(crate) use border::in_regions;

use super::Lowering;
use super::tile::{Limits, Run, Tiling, WIDEST_TILE, block, choose, even_block, panel_runs};
use crate::PassError;
use crate::fuse::cluster::outputs;
use ir::{DType, NodeId, Op, Shape};
use kernel::{BufferId, Target};
use left::PackedLeft;
use pack::Packed;
use spec::{Dim, Spec};
use std::collections::BTreeSet;
use tiles::{emit_kernel, emit_panels, emit_pieces};

/// The longest reduction of one tile: what keeps a panel of the right factor in the second-level cache.
const MAX_DEPTH: usize = 512;
/// The same where partial sums would need memory of their own.
const MAX_DEPTH_WITHOUT_PLACE: usize = 1024;
/// The same where each step of the reduction reads another cache line of the left factor.
const MAX_STRIDED_DEPTH: usize = 192;

/// Terms that are added up one after the other: a longer reduction is summed in blocks, so that its error doesn't grow with its length.
const MAX_TERMS: usize = 4096;
/// As many iterations are enough for threads to share evenly.
const SHARES: usize = 16;
/// From that many panels on, threads share panels and pack their own.
const SHARED_PANELS: usize = 8;
/// Fewer panels than that are too few for threads to share evenly,
const FEW_PANELS: usize = 4;
/// and so many rows make enough tiles to share instead.
const SHARED_ROWS: usize = 128;
/// What it takes to pack an element, in cycles.
const PACK_CYCLES: f64 = 0.5;
/// Fewer rows than that are too few for threads to share tiles of them.
const MIN_SWEPT_ROWS: usize = 64;
/// Longer sums than that take longer than writing them.
const SHORT_STEPS: usize = 16;
/// A product of more rows takes longer than reading the right factor.
const STREAMED_ROWS: usize = 8;
/// Bytes of a row of the right factor that are read in one go where there are few rows of the left.
const PIECE_BYTES: usize = 1024;
/// Places of the first-level cache repeat after that many bytes.
const CACHE_PERIOD: usize = 4096;

/// One of the regions that make up the result, with loops of its own; mostly there is one.
struct Part {
    spec: Spec,
    rows: Vec<Run>,
    /// How many iterations of the outermost reduction dimension one block takes.
    depth_block: usize,
}

/// What is decided before loops are made.
struct Plan {
    cluster: u32,
    anchor: NodeId,
    results: Vec<NodeId>,
    /// The whole contraction.
    whole: Spec,
    parts: Vec<Part>,
    /// Columns of each register tile whose part of the right factor is read in place, or packed before.
    columns: Vec<Run>,
    /// Those of which each thread packs its own panels.
    own: Vec<Run>,
    /// Whether all rows' dimensions are gone down for each panel, as where each has regions of its own, or a panel is packed when it is used.
    rows_inside: bool,
    packed: Option<Packed>,
    /// The left factor, where that is packed before.
    left: Option<PackedLeft>,
    /// Whether a row of tiles goes along all panels before the next, as befits short reductions: what takes time then is to write the result.
    along_rows: bool,
    /// Whether the right factor is read row by row in pieces, once, as befits products of few rows.
    streams: bool,
    /// Where partial sums wait between two blocks of the reduction.
    partial: Option<BufferId>,
    /// Chunks of the reduction whose sums are left where partial sums wait, the chunks being the outermost axis.
    chunks: Option<usize>,
    /// Extents of what tiles compute: the result, or the sums of the chunks.
    shape: Shape,
    /// Rows of one block, so that its part of the left factor stays in the second-level cache.
    row_tiles: usize,
    /// What a group of panels may take of the second-level cache.
    group_bytes: usize,
    /// The type of the sums.
    dtype: DType,
    /// The type of the factors' elements; `i32` if those are pairs.
    factors: DType,
}

/// Lowers a contraction and what follows it.
pub(super) fn lower(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    nodes: &[NodeId],
) -> Result<(), PassError> {
    let graph = lowering.graph;
    let Op::ConvInputGrad(op) = graph.op(anchor) else {
        let whole = Spec::of(lowering, anchor)?;
        let parts = whole.parts(lowering, anchor);
        return lower_parts(lowering, (cluster, anchor), nodes, (whole, parts));
    };
    let [dy, w] = [0, 1].map(|i| graph.ty(graph.operands(anchor)[i]));
    let Some(parts) = remainder::parts(op, dy, w, graph.ty(anchor)) else {
        return Err(lowering.defect(anchor, "the gradient should have been legalized"));
    };
    for places in &parts {
        match &places.spec {
            Some(spec) => lower_parts(lowering, (cluster, anchor), nodes, (spec.clone(), vec![spec.clone()]))?,
            None => {
                let results = outputs(graph, cluster, nodes);
                remainder::clear(lowering, (cluster, anchor), &results, places)?;
            }
        }
    }
    Ok(())
}

/// Lowers a contraction that consists of these parts.
fn lower_parts(
    lowering: &mut Lowering<'_>,
    (cluster, anchor): (u32, NodeId),
    nodes: &[NodeId],
    (whole, mut parts): (Spec, Vec<Spec>),
) -> Result<(), PassError> {
    let used = coordinates_used(lowering, cluster, nodes);
    parts.iter_mut().for_each(|part| part.collapse(|axis| !used.contains(&axis)));
    let dtype = lowering.graph.ty(anchor).dtype;
    let results = outputs(lowering.graph, cluster, nodes);
    let largest = parts.iter().max_by_key(|part| Spec::size(&part.m) * Spec::size(&part.k)).unwrap_or(&whole);
    if !matches!(dtype, DType::F32 | DType::F64) || largest.n.is_empty() || is_row_of_dots(largest) {
        if matches!(lowering.graph.op(anchor), Op::PairProduct(_)) {
            return Err(lowering.defect(anchor, "pairs are multiplied in tiles only"));
        }
        return plain::lower(lowering, cluster, anchor, &results, largest);
    }
    let name = lowering.kernel_name(nodes);
    let largest = largest.clone();
    let chunks = split::chunks(lowering.graph.op(anchor), &largest, dtype, &lowering.target);
    if let (Some(chunks), 1) = (chunks, parts.len()) {
        let spec = largest.in_chunks(chunks, lowering.graph.ty(anchor).shape.numel());
        let plan = plan(lowering, cluster, anchor, vec![], (spec.clone(), vec![spec]), Some(chunks))?;
        let own_name = lowering.kernel_name(&[anchor]);
        emit(lowering, &plan, &own_name)?;
        let Some(sums) = plan.partial else { return Err(lowering.defect(anchor, "sums without a place")) };
        return split::add_up(lowering, (cluster, anchor), &results, (sums, chunks), &name);
    }
    let plan = plan(lowering, cluster, anchor, results, (largest, parts), None)?;
    let target = lowering.target.clone();
    let cutter = Cutter { dtype, target: &target, has_place: plan.results.contains(&anchor), once: false };
    if let Some(pieces) = triangle::pieces(lowering, &plan, |spec, width| cutter.cut(spec, Some(width)).0.rows) {
        return emit_pieces(lowering, &plan, &pieces, &name);
    }
    if !plan.along_rows || plan.outer_dims().next().is_some() {
        return emit(lowering, &plan, &name);
    }
    // Threads share rows of tiles, which are alike in each kernel.
    let mut plan = plan;
    for run in std::mem::take(&mut plan.parts[0].rows) {
        plan.parts[0].rows = vec![run];
        emit(lowering, &plan, &name)?;
    }
    Ok(())
}

/// Emits the kernels of a plan.
fn emit(lowering: &mut Lowering<'_>, plan: &Plan, name: &str) -> Result<(), PassError> {
    for &run in &plan.own {
        emit_panels(lowering, plan, run, name)?;
    }
    // Column runs of different widths become kernels of their own, unless a loop around holds them together.
    if plan.outer_dims().next().is_none() && plan.row_blocks().is_none() {
        return plan.columns.iter().try_for_each(|run| emit_kernel(lowering, plan, std::slice::from_ref(run), name));
    }
    if plan.columns.is_empty() { Ok(()) } else { emit_kernel(lowering, plan, &plan.columns, name) }
}

/// A vector times a matrix whose columns are contiguous: each element is a sum along memory, which plain loops make with vectors.
fn is_row_of_dots(spec: &Spec) -> bool {
    let strided = spec.n.last().is_some_and(|d| d.b != 1);
    strided && Spec::size(&spec.m) < 4 && spec.k.last().is_some_and(|d| d.a == 1 && d.b == 1)
}

/// The result's axes whose coordinates the elementwise ops look at one by one.
fn coordinates_used(lowering: &Lowering<'_>, cluster: u32, nodes: &[NodeId]) -> BTreeSet<usize> {
    let graph = lowering.graph;
    let mut used = BTreeSet::new();
    let mut stack: Vec<NodeId> =
        nodes.iter().filter(|&&n| graph.cluster(n) == Some(cluster) && !is_contraction(graph.op(n))).copied().collect();
    let mut seen = BTreeSet::new();
    while let Some(node) = stack.pop() {
        for &operand in graph.operands(node) {
            if graph.cluster(operand).is_some() || !seen.insert(operand) {
                continue;
            }
            match graph.op(operand) {
                Op::Broadcast(op) => used.extend(op.axes.iter().copied()),
                Op::Full(_) | Op::Input(_) | Op::State(_) | Op::Constant(_) => {}
                // Anything else may look at any of them.
                _ => used.extend(0..graph.ty(operand).shape.rank()),
            }
        }
    }
    used
}

fn is_contraction(op: &Op) -> bool {
    op.family() == ir::Family::Contraction
}

fn plan(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    results: Vec<NodeId>,
    (whole, specs): (Spec, Vec<Spec>),
    chunks: Option<usize>,
) -> Result<Plan, PassError> {
    let dtype = lowering.graph.ty(anchor).dtype;
    let target = lowering.target.clone();
    // Packed once for all steps of a loop.
    let once = whole.n.last().is_some() && lowering.is_invariant(lowering.graph.operands(anchor)[1]);
    let cutter = Cutter { dtype, target: &target, has_place: chunks.is_some() || results.contains(&anchor), once };
    let (tiling, _) = cutter.cut(&whole, None);
    let width = tiling.columns.first().map(|run| run.size);
    let parts: Vec<Part> = specs
        .into_iter()
        .map(|spec| {
            let (tiling, depth_block) = cutter.cut(&spec, width);
            Part { spec, rows: tiling.rows, depth_block }
        })
        .collect();
    let packs = once || pack::is_worth_it(&whole, &tiling.columns, dtype, &target);
    let along_rows = chunks.is_none() && parts.len() == 1 && cutter.is_along_rows(&whole);
    let streams = chunks.is_none() && parts.len() == 1 && !packs && cutter.is_streamed(&whole);
    let shares = packs && !once && !along_rows && parts.len() == 1;
    let is_own = |run: &Run| {
        let steps = parts[0].depth_block * inner_steps(&parts[0].spec);
        let is_own = shares && pack::is_own(&whole, (steps, run.size), dtype, &target);
        is_own && panels(&whole, run) >= SHARED_PANELS
    };
    let (own, columns): (Vec<Run>, Vec<Run>) = tiling.columns.iter().partition(|run| is_own(run));
    let rows_inside = parts.len() > 1 || (!own.is_empty() && whole.m.len() > 1);
    let packed = if packs { pack::pack(lowering, cluster, anchor, &whole, &columns)? } else { None };
    let left = match parts.as_slice() {
        [part] if cutter.packs_left(&part.spec) => left::pack(lowering, (cluster, anchor), &part.spec, &part.rows)?,
        _ => None,
    };
    let row_bytes = Spec::size(&whole.k) * dtype.size_bytes();
    let tallest = tiling.rows.first().map_or(1, |r| r.size);
    let row_tiles = (target.caches().l2_bytes / 2 / (row_bytes * tallest)).max(4);
    let (partial, group_bytes) = (None, target.caches().l2_bytes / 2);
    let dims: Vec<usize> = chunks.into_iter().chain(lowering.graph.ty(anchor).shape.iter().copied()).collect();
    let shape = Shape::new(dims).map_err(|e| lowering.defect(anchor, &e.to_string()))?;
    let mut plan = Plan {
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
        factors: lowering.graph.ty(lowering.graph.operands(anchor)[1]).dtype,
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

/// How many panels of a run there are for threads to share.
fn panels(spec: &Spec, run: &Run) -> usize {
    Spec::size(&spec.batch) * Spec::size(outer(&spec.n)) * run.count
}

/// Cuts contractions into register tiles and blocks.
struct Cutter<'t> {
    dtype: DType,
    target: &'t Target,
    /// Whether partial sums can wait where the result goes.
    has_place: bool,
    /// Whether a copy of the right factor serves all steps of a loop around.
    once: bool,
}

impl Cutter<'_> {
    /// The tiles of a contraction, of a width if that is given, and how many iterations of the outermost reduction dimension one block takes.
    fn cut(&self, spec: &Spec, width: Option<usize>) -> (Tiling, usize) {
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
            if packs { PACK_CYCLES * (depth * n) as f64 / Spec::size(outer(&spec.m)) as f64 } else { 0.0 }
        };
        let around = Spec::size(&spec.batch) * Spec::size(outer(&spec.m)) * Spec::size(outer(&spec.n));
        let panels = around * n.div_ceil(WIDEST_TILE * self.target.tile().vector_bytes / self.dtype.size_bytes());
        let limits =
            Limits { width, colliding_rows, shared_rows: (panels < FEW_PANELS || along_rows) && m >= SHARED_ROWS };
        (choose((m, n, depth), self.dtype, &self.target.tile(), limits, copying), depth_block)
    }

    /// Whether the left factor is packed before.
    fn packs_left(&self, spec: &Spec) -> bool {
        !self.is_along_rows(spec) && left::is_worth_it(spec, self.dtype, self.target)
    }

    /// Whether tiles go along the rows of the result rather than down its columns: where sums are so short that it is the result that takes the time,
    /// and the right factor stays in the second-level cache meanwhile.
    fn is_along_rows(&self, spec: &Spec) -> bool {
        let [rows, columns, steps] = [&spec.m, &spec.n, &spec.k].map(|dims| Spec::size(dims));
        let bytes = |elements: usize| elements * self.dtype.size_bytes();
        let is_short = steps <= SHORT_STEPS && bytes(steps * columns) <= self.target.caches().l2_bytes / 4;
        is_short && spec.m.len() == 1 && rows >= MIN_SWEPT_ROWS && bytes(columns) >= CACHE_PERIOD
    }

    /// Whether a product of few rows reads pieces of the right factor's rows one after the other, and adds to the partial sums of many columns, rather
    /// than few columns of all rows: memory gives what follows what was read before, within a page.
    fn is_streamed(&self, spec: &Spec) -> bool {
        let (Some(column), [step]) = (spec.n.last(), spec.k.as_slice()) else { return false };
        let bytes = |elements: usize| elements * self.dtype.size_bytes();
        let is_large = bytes(step.extent * column.extent) > self.target.caches().l2_bytes / 2;
        let is_wide = column.b == 1 && bytes(step.b.unsigned_abs() as usize) >= 2 * PIECE_BYTES;
        let rows = Spec::size(&spec.m);
        let is_plain = spec.batch.is_empty() && spec.n.len() == 1 && self.target.tile().masked && !self.once;
        is_plain
            && rows <= STREAMED_ROWS
            && is_wide
            && is_large
            && (4..MAX_TERMS).contains(&(step.extent / stream_steps(rows)))
    }

    fn depth_block(&self, spec: &Spec) -> usize {
        let (inner, outermost) = (inner_steps(spec), spec.k.first().map_or(1, |d| d.extent));
        // Where a step of the reduction leaves the left factor's cache line, each step costs a line of the first-level cache.
        let contiguous = self.packs_left(spec) || spec.k.last().is_none_or(|d| d.a.abs() <= 1);
        let limit = match (contiguous, self.has_place) {
            (false, _) => MAX_STRIDED_DEPTH,
            (true, true) => MAX_DEPTH,
            (true, false) => MAX_DEPTH_WITHOUT_PLACE,
        };
        let limit = if self.is_streamed(spec) { stream_steps(Spec::size(&spec.m)) } else { limit };
        if outermost * inner <= limit { outermost } else { even_block(outermost, limit / inner) }
    }
}

/// Steps of the reduction in a block where the right factor is read row by row: with few sums, a block is what memory can give at the same time.
fn stream_steps(rows: usize) -> usize {
    if rows <= 2 { 16 } else { 64 }
}

/// Steps of the reduction in one iteration of its outermost dimension.
fn inner_steps(spec: &Spec) -> usize {
    spec.k.iter().skip(1).map(|d| d.extent).product()
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

impl Part {
    /// Iterations of the outermost reduction dimension.
    fn outermost(&self) -> usize {
        self.spec.k.first().map_or(1, |d| d.extent)
    }
}

impl Plan {
    /// How many tiles one panel of columns serves before the next.
    fn tiles_of_panel(&self) -> usize {
        let all = || self.parts.iter().flat_map(|p| &p.rows).map(|r| r.count).sum();
        self.row_blocks().map_or_else(all, |(tiles, _)| tiles)
    }

    /// The dimensions of the loops around everything: batch, all columns' dimensions but the innermost, and, unless they are inside, all rows'
    /// dimensions but the innermost.
    fn outer_dims(&self) -> impl Iterator<Item = &Dim> {
        let rows = if self.rows_inside { &[] } else { outer(&self.whole.m) };
        self.parts.iter().take(1).flat_map(|part| &part.spec.batch).chain(rows).chain(outer(&self.whole.n))
    }

    /// How many panels of a packed factor go down the rows together, so that a row of tiles of the left factor is read once for all of them: as
    /// many as the second-level cache holds, if enough groups are left for threads to share.
    fn group(&self, run: &Run) -> usize {
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
    fn row_blocks(&self) -> Option<(usize, usize)> {
        let [Part { rows, .. }] = self.parts.as_slice() else { return None };
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

/// All dimensions but the innermost, which tiles cut.
fn outer(dims: &[Dim]) -> &[Dim] {
    &dims[..dims.len().saturating_sub(1)]
}
