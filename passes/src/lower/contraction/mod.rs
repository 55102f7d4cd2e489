//! Contraction clusters: a dot product or convolution and the elementwise ops on its result.
//!
//! `f32` and `f64` become register tiles ([`kernel::Micro`]) in loops over blocks; the elementwise ops run on the tile while it is in
//! registers. The right factor is packed into panels of the tile's width where it is not contiguous along the columns or is
//! read often. Other types, and products with a single column, become plain loops.

mod pack;
mod plain;
mod spec;
mod tiles;

use super::Lowering;
use super::tile::{Tiling, block, choose};
use crate::PassError;
use crate::fuse::cluster::outputs;
use ir::{DType, NodeId, Op};
use kernel::BufferId;
use pack::Packed;
use spec::{Dim, Spec};
use std::collections::BTreeSet;
use tiles::emit_kernel;

/// The longest reduction of one tile: what keeps a panel of the right factor in the first-level cache.
const MAX_DEPTH: usize = 512;
/// The same where each step of the reduction reads another cache line of the left factor.
const MAX_STRIDED_DEPTH: usize = 192;

/// As many iterations are enough for threads to share evenly.
const SHARES: usize = 16;

/// What is decided before loops are made.
struct Plan {
    cluster: u32,
    anchor: NodeId,
    results: Vec<NodeId>,
    spec: Spec,
    tiling: Tiling,
    packed: Option<Packed>,
    /// Where partial sums wait between two blocks of the reduction.
    partial: Option<BufferId>,
    /// How many iterations of the outermost reduction dimension one block takes.
    depth_block: usize,
    /// Rows of one block, so that its part of the left factor stays in the second-level cache.
    row_tiles: usize,
    dtype: DType,
}

/// Lowers a contraction and what follows it.
pub(super) fn lower(
    lowering: &mut Lowering<'_>,
    cluster: u32,
    anchor: NodeId,
    nodes: &[NodeId],
) -> Result<(), PassError> {
    let mut spec = Spec::of(lowering, anchor)?;
    let used = coordinates_used(lowering, cluster, nodes);
    spec.collapse(|axis| !used.contains(&axis));
    let dtype = lowering.graph.ty(anchor).dtype;
    let results = outputs(lowering.graph, cluster, nodes);
    if !matches!(dtype, DType::F32 | DType::F64) || spec.n.is_empty() {
        return plain::lower(lowering, cluster, anchor, &results, &spec);
    }
    let name = lowering.kernel_name(nodes);
    let plan = plan(lowering, cluster, anchor, results, spec)?;
    // Column runs of different widths become kernels of their own, unless a loop around holds them together.
    if plan.outer_dims().next().is_none() && plan.row_blocks().is_none() {
        for columns in plan.tiling.columns.clone() {
            emit_kernel(lowering, &plan, &[columns], &name)?;
        }
        return Ok(());
    }
    emit_kernel(lowering, &plan, &plan.tiling.columns, &name)
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
    spec: Spec,
) -> Result<Plan, PassError> {
    let dtype = lowering.graph.ty(anchor).dtype;
    let target = lowering.target.clone();
    let m = spec.m.last().map_or(1, |d| d.extent);
    let n = spec.n.last().map_or(1, |d| d.extent);
    let depth_block = depth_block(&spec);
    let inner: usize = spec.k.iter().skip(1).map(|d| d.extent).product();
    let tiling = choose((m, n, depth_block * inner), dtype, &target.tile);
    let packed = pack::pack_if_worth_it(lowering, cluster, anchor, &spec, &tiling)?;
    let row_bytes = Spec::size(&spec.k) * dtype.size_bytes();
    let tallest = tiling.rows.first().map_or(1, |r| r.size);
    let row_tiles = (target.l2_bytes / 2 / (row_bytes * tallest)).max(4);
    let mut plan =
        Plan { cluster, anchor, results, spec, tiling, packed, partial: None, depth_block, row_tiles, dtype };
    let outermost = plan.spec.k.first().map_or(1, |d| d.extent);
    if plan.tiles_of_panel() == 1 {
        // Nothing comes back to a block of the panel while it is in the cache.
        plan.depth_block = outermost;
    }
    plan.partial = (plan.depth_block < outermost).then(|| partial_buffer(lowering, anchor, &plan.results));
    Ok(plan)
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

/// How many iterations of the outermost reduction dimension one block takes.
fn depth_block(spec: &Spec) -> usize {
    let inner: usize = spec.k.iter().skip(1).map(|d| d.extent).product();
    let outermost = spec.k.first().map_or(1, |d| d.extent);
    // Where a step of the reduction leaves the left factor's cache line, each step costs a line of the first-level cache.
    let contiguous = spec.k.last().is_none_or(|d| d.a.abs() <= 1);
    let (whole, part) = if contiguous { (MAX_DEPTH, MAX_DEPTH / 2) } else { (MAX_STRIDED_DEPTH, MAX_STRIDED_DEPTH) };
    if outermost * inner <= whole { outermost } else { block(outermost, (part / inner).max(1)) }
}

impl Plan {
    /// How many tiles one panel of columns serves before the next.
    fn tiles_of_panel(&self) -> usize {
        self.row_blocks().map_or_else(|| self.tiling.rows.iter().map(|r| r.count).sum(), |(tiles, _)| tiles)
    }

    /// The dimensions of the loops around blocks and panels: batch, all rows' dimensions but the innermost, all columns' likewise.
    fn outer_dims(&self) -> impl Iterator<Item = &Dim> {
        self.spec.batch.iter().chain(outer(&self.spec.m)).chain(outer(&self.spec.n))
    }

    /// (tiles in a block, blocks), where all tiles are equal and more than one block is wanted: so that a block's part of the left factor
    /// stays in the cache, or, where there are few panels and no loops around them, for threads to share.
    fn row_blocks(&self) -> Option<(usize, usize)> {
        let [run] = self.tiling.rows.as_slice() else { return None };
        let panels = self.tiling.columns.first().map_or(0, |c| c.count);
        let few_panels = self.tiling.columns.len() > 1 || panels < SHARES;
        let share = if self.outer_dims().next().is_none() && few_panels { run.count / SHARES } else { run.count };
        let tiles = block(run.count, share.clamp(1, self.row_tiles));
        (tiles < run.count && run.count.is_multiple_of(tiles)).then(|| (tiles, run.count / tiles))
    }
}

/// All dimensions but the innermost, which tiles cut.
fn outer(dims: &[Dim]) -> &[Dim] {
    &dims[..dims.len().saturating_sub(1)]
}
