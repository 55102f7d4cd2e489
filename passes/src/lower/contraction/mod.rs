//! Contraction clusters: a dot product or convolution and the elementwise ops on its result.
//!
//! `f32` and `f64` become register tiles ([`kernel::Micro`]) in loops over blocks; the elementwise ops run on the tile while it is in
//! registers. The right factor is packed into panels of the tile's width where it is not contiguous along the columns or is
//! read often. Other types, and products with a single column, become plain loops.

mod pack;
mod plain;
mod spec;

use super::Lowering;
use super::cx::flatten;
use super::expr::Emit;
use super::tile::{Run, Tiling, block, choose};
use crate::PassError;
use crate::fuse::cluster::outputs;
use ir::{DType, NodeId, Op};
use kernel::{Access, Affine, BufRef, BufferId, Expr, IndexVar, Micro, Operand, ReduceDim, Reg, Stmt};
use pack::Packed;
use spec::{Dim, Spec};
use std::collections::BTreeSet;

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
    let tiling = choose((m, n, depth_block * inner), usize::from(target.lanes(dtype)), &target);
    let packed = pack::pack_if_worth_it(lowering, cluster, anchor, &spec, &tiling)?;
    let partial =
        (depth_block < spec.k.first().map_or(1, |d| d.extent)).then(|| partial_buffer(lowering, anchor, &results));
    let row_bytes = Spec::size(&spec.k) * dtype.size_bytes();
    let tallest = tiling.rows.first().map_or(1, |r| r.size);
    let row_tiles = (target.l2_bytes / 2 / (row_bytes * tallest)).max(4);
    Ok(Plan { cluster, anchor, results, spec, tiling, packed, partial, depth_block, row_tiles, dtype })
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

/// A position in the iteration space: offsets in the factors and coordinates in the result.
#[derive(Clone)]
struct Position {
    a: Affine,
    b: Affine,
    at: Vec<Affine>,
}

impl Position {
    fn walk(&mut self, dim: &Dim, by: &Affine, result_strides: &[usize], packed: bool) {
        self.a = self.a.add(&by.scale(dim.a));
        if !packed {
            self.b = self.b.add(&by.scale(dim.b));
        }
        if dim.c != 0 {
            self.at[dim.axis] = self.at[dim.axis].add(&by.scale(dim.c / result_strides[dim.axis] as i64));
        }
    }
}

/// One kernel: all loops and tiles for some runs of columns.
fn emit_kernel(lowering: &mut Lowering<'_>, plan: &Plan, columns: &[Run], name: &str) -> Result<(), PassError> {
    let strides = lowering.graph.ty(plan.anchor).shape.strides().to_vec();
    let mut tiles = Tiles { emit: Emit::new(lowering, Some(plan.cluster)), plan, strides };
    let rank = tiles.strides.len();
    let mut position = Position { a: Affine::default(), b: Affine::default(), at: vec![Affine::default(); rank] };
    let packed = plan.packed.is_some();
    let blocks = plan.row_blocks();
    let extents: Vec<usize> = plan.outer_dims().map(|d| d.extent).chain(blocks.map(|(_, n)| n)).collect();
    let mut vars = tiles.emit.cx.open_shared(&extents, SHARES).into_iter();
    for (dim, var) in plan.outer_dims().zip(vars.by_ref()) {
        position.walk(dim, &var, &tiles.strides, packed);
        if let Some(packed) = &plan.packed {
            position.b = position.b.add(&var.scale(packed.outer_stride(dim)));
        }
    }
    let row_block = blocks.map(|(size, _)| size).zip(vars.next());
    for &run in columns {
        tiles.panels(&position, run, row_block.as_ref())?;
    }
    tiles.emit.finish(name.to_owned());
    Ok(())
}

fn outer(dims: &[Dim]) -> &[Dim] {
    &dims[..dims.len().saturating_sub(1)]
}

/// Makes the loops inside the outer ones.
struct Tiles<'p, 'a, 'g> {
    emit: Emit<'a, 'g>,
    plan: &'p Plan,
    strides: Vec<usize>,
}

/// A part of the reduction: `count` blocks of `size` iterations of the outermost dimension from `start`.
struct Segment {
    run: Run,
    first: bool,
    last: bool,
}

impl Tiles<'_, '_, '_> {
    /// Loops over the panels of a run of columns.
    fn panels(&mut self, around: &Position, run: Run, row_block: Option<&(usize, Affine)>) -> Result<(), PassError> {
        let depth = self.emit.cx.depth();
        let panel = self.emit.cx.open_all(if run.count > 1 { std::slice::from_ref(&run.count) } else { &[] });
        self.emit.cx.floor = usize::from(self.emit.cx.depth() > 0);
        let column = panel.first().map_or_else(Affine::default, |p| p.scale(run.size as i64)).plus(run.start as i64);
        let mut position = around.clone();
        if let Some(dim) = self.plan.spec.n.last() {
            position.walk(dim, &column, &self.strides, self.plan.packed.is_some());
        }
        if let Some(packed) = &self.plan.packed {
            position.b = position.b.add(&column.scale(packed.depth as i64));
        }
        for segment in segments(&self.plan.spec, self.plan.depth_block) {
            self.segment(&position, &segment, run.size, row_block)?;
        }
        self.emit.cx.close_to(depth);
        self.emit.values.drop_below(depth);
        Ok(())
    }

    /// Loops over the blocks of a part of the reduction, and over the rows.
    fn segment(
        &mut self,
        around: &Position,
        segment: &Segment,
        width: usize,
        row_block: Option<&(usize, Affine)>,
    ) -> Result<(), PassError> {
        let depth = self.emit.cx.depth();
        let count = segment.run.count;
        let blocks = self.emit.cx.open_all(if count > 1 { std::slice::from_ref(&count) } else { &[] });
        let start = blocks
            .first()
            .map_or_else(Affine::default, |b| b.scale(segment.run.size as i64))
            .plus(segment.run.start as i64);
        let mut position = around.clone();
        if let Some(dim) = self.plan.spec.k.first() {
            position.a = position.a.add(&start.scale(dim.a));
            position.b = position.b.add(&start.scale(self.b_strides(width)[0]));
        }
        match row_block {
            Some((tiles, block)) => {
                let size = self.plan.tiling.rows[0].size;
                let run = Run { start: 0, size, count: *tiles };
                self.rows(&position, segment, run, width, &block.scale((size * tiles) as i64))?;
            }
            None => {
                for run in self.plan.tiling.rows.clone() {
                    self.rows(&position, segment, run, width, &Affine::default())?;
                }
            }
        }
        self.emit.cx.close_to(depth);
        self.emit.values.drop_below(depth);
        Ok(())
    }

    /// Loops over the tiles of a run of rows.
    fn rows(
        &mut self,
        around: &Position,
        segment: &Segment,
        run: Run,
        width: usize,
        offset: &Affine,
    ) -> Result<(), PassError> {
        let depth = self.emit.cx.depth();
        let tile = self.emit.cx.open_all(if run.count > 1 { std::slice::from_ref(&run.count) } else { &[] });
        let row =
            tile.first().map_or_else(Affine::default, |t| t.scale(run.size as i64)).plus(run.start as i64).add(offset);
        let mut position = around.clone();
        if let Some(dim) = self.plan.spec.m.last() {
            position.walk(dim, &row, &self.strides, self.plan.packed.is_some());
        }
        self.micro(&position, segment, run.size, width)?;
        self.emit.cx.close_to(depth);
        self.emit.values.drop_below(depth);
        Ok(())
    }

    /// What one iteration of each reduction dimension adds to the right factor's index.
    fn b_strides(&self, width: usize) -> Vec<i64> {
        let k = &self.plan.spec.k;
        match &self.plan.packed {
            None => k.iter().map(|d| d.b).collect(),
            Some(_) => {
                let mut stride = width as i64;
                let mut strides: Vec<i64> = k
                    .iter()
                    .rev()
                    .map(|d| {
                        let this = stride;
                        stride *= d.extent as i64;
                        this
                    })
                    .collect();
                strides.reverse();
                strides
            }
        }
    }

    fn reduce_dims(&self, segment: &Segment, width: usize) -> Vec<ReduceDim> {
        let strides = self.b_strides(width);
        let mut dims: Vec<ReduceDim> = self
            .plan
            .spec
            .k
            .iter()
            .zip(strides)
            .map(|(d, b_stride)| ReduceDim { extent: d.extent, a_stride: d.a, b_stride })
            .collect();
        match dims.first_mut() {
            Some(first) => first.extent = segment.run.size,
            None => dims.push(ReduceDim { extent: 1, a_stride: 0, b_stride: 0 }),
        }
        if dims.len() > 1 {
            dims.retain(|d| d.extent > 1);
        }
        if dims.is_empty() {
            dims.push(ReduceDim { extent: 1, a_stride: 0, b_stride: 0 });
        }
        dims
    }

    /// The buffer of a factor, as a parameter.
    fn factor(&mut self, which: usize) -> Result<BufRef, PassError> {
        let graph = self.emit.lowering.graph;
        let node = graph.operands(self.plan.anchor)[which];
        let buffer = self.emit.lowering.operand_buffer(node)?;
        let ty = graph.ty(node);
        Ok(self.emit.cx.param(buffer, ty.dtype, ty.shape.numel(), Access::Read))
    }

    /// One register tile.
    fn micro(&mut self, at: &Position, segment: &Segment, height: usize, width: usize) -> Result<(), PassError> {
        let a = self.factor(0)?;
        let b = match &self.plan.packed {
            Some(packed) => self.emit.cx.param(packed.buffer, self.plan.dtype, packed.len, Access::Read),
            None => self.factor(1)?,
        };
        let inside = self.emit.cx.depth() + 1;
        let i = self.emit.cx.fresh_var(height, inside);
        let j = self.emit.cx.fresh_var(width, inside);
        let acc = self.emit.cx.fresh_reg();
        self.emit.cx.open_scope();
        let init = self.tile_body(at, segment, (i, j), acc)?;
        let body = self.emit.cx.close_scope();
        self.emit.values.drop_below(inside - 1);
        let a_stride = self.plan.spec.m.last().map_or(0, |d| d.a);
        let micro = Micro {
            m: height,
            n: width,
            a: Operand { buf: a, base: at.a.clone(), stride: a_stride },
            b: Operand { buf: b, base: at.b.clone(), stride: 1 },
            reduce: self.reduce_dims(segment, width),
            i,
            j,
            acc,
            init,
            body,
        };
        self.emit.cx.push(Stmt::Micro(Box::new(micro)));
        Ok(())
    }

    /// Statements on the finished (or partial) sum; gives the sum's first value.
    fn tile_body(
        &mut self,
        at: &Position,
        segment: &Segment,
        (i, j): (IndexVar, IndexVar),
        acc: Reg,
    ) -> Result<Option<Expr>, PassError> {
        let mut element = at.at.clone();
        let spec = &self.plan.spec;
        for (dim, var) in [(spec.m.last(), i), (spec.n.last(), j)] {
            if let Some(d) = dim {
                let step = d.c / self.strides[d.axis] as i64;
                element[d.axis] = element[d.axis].clone().plus_term(var, step);
            }
        }
        let shape = self.emit.lowering.graph.ty(self.plan.anchor).shape.clone();
        let flat = flatten(&element, &shape);
        let mut init = None;
        if let Some(partial) = self.plan.partial {
            let access = if segment.first { Access::Write } else { Access::ReadWrite };
            let buf = self.emit.cx.param(partial, self.plan.dtype, shape.numel(), access);
            if !segment.first {
                init = Some(Expr::load(buf, flat.clone()));
            }
            if !segment.last {
                self.emit.cx.store(buf, &flat, Expr::Reg(acc));
                return Ok(init);
            }
        }
        let level = self.emit.cx.depth();
        let sum = super::cx::Placed { expr: Expr::Reg(acc), level };
        self.emit.values.set(self.plan.anchor, element.clone(), sum);
        for &node in &self.plan.results {
            let value = self.emit.value(node, &element)?;
            self.emit.store_node(node, &element, value.expr);
        }
        Ok(init)
    }
}

/// The reduction in blocks: the first starts from nothing, the last finishes the sum.
fn segments(spec: &Spec, block: usize) -> Vec<Segment> {
    let extent = spec.k.first().map_or(1, |d| d.extent);
    let (full, rest) = (extent / block, extent % block);
    let run = |start: usize, size: usize, count: usize| Run { start, size, count };
    let mut runs = vec![run(0, block, 1)];
    let middle = if rest > 0 { full - 1 } else { full.saturating_sub(2) };
    if middle > 0 {
        runs.push(run(block, block, middle));
    }
    if rest > 0 {
        runs.push(run(full * block, rest, 1));
    } else if full > 1 {
        runs.push(run((full - 1) * block, block, 1));
    }
    let last = runs.len() - 1;
    runs.into_iter().enumerate().map(|(i, run)| Segment { run, first: i == 0, last: i == last }).collect()
}
