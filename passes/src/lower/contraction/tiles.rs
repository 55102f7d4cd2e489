//! The loops of a contraction around its register tiles: outer dimensions, panels of columns, blocks of the reduction, rows.

use super::left::PackedLeft;
use super::pack::{self, PackedFactor, PanelColumns, row_strides};
use super::plan::{ContractionPlan, Region, SHARES};
use super::spec::{Dim, inner_steps, outer};
use super::sums::placed;
use super::triangle::MaskedPanel;
use crate::PassError;
use crate::lower::Lowering;
use crate::lower::cx::{Placed, flatten};
use crate::lower::expr::ValueEmitter;
use crate::lower::subview::Subview;
use crate::lower::tile::TileRun;
use kernel::{Access, Affine, BufRef, IndexVar, Micro, ReduceDim, ScalarOp, Stmt, TileOperand, TileSums};

/// A position in the iteration space: offsets in the factors and coordinates in the result.
#[derive(Clone)]
struct Position {
    a: Affine,
    b: Affine,
    at: Vec<Affine>,
    /// The first step of the reduction, where the left factor is packed.
    step: Affine,
}

impl Position {
    fn walk(
        &mut self,
        dim: &Dim,
        by: &Affine,
        result_strides: &[usize],
        (left, packed): (Option<&PackedLeft>, Option<&PackedFactor>),
    ) {
        let a = left.map_or(dim.a, |left| left.stride(dim));
        self.a = self.a.add(&by.scale(a));
        self.b = self.b.add(&by.scale(packed.map_or(dim.b, |packed| packed.outer_stride(dim))));
        if dim.c != 0 {
            self.at[dim.axis] = self.at[dim.axis].add(&by.scale(dim.c / result_strides[dim.axis] as i64));
        }
    }
}

/// Where a kernel finds the right factor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RightFactor {
    /// In place, or packed before.
    Ahead,
    /// A block of a panel, in the thread's own memory.
    Own(BufRef),
}

/// One kernel for some runs of columns: the right factor is read in place, or packed before.
pub(super) fn emit_kernel(
    lowering: &mut Lowering<'_>,
    plan: &ContractionPlan,
    columns: &[TileRun],
    name: &str,
) -> Result<(), PassError> {
    let mut tiles = Tiles::new(lowering, plan, RightFactor::Ahead);
    let blocks = plan.row_blocks();
    let (position, block) = tiles.open(blocks.map(|(_, count)| count));
    let row_block = blocks.map(|(size, _)| size).zip(block);
    for part in &plan.parts {
        for &run in columns {
            tiles.panels(&position, part, run, row_block.as_ref())?;
        }
    }
    tiles.emit.finish(name.to_owned());
    Ok(())
}

/// One kernel for a run of columns whose panels threads share: each packs a block of its panel, then goes down the rows.
pub(super) fn emit_panels(
    lowering: &mut Lowering<'_>,
    plan: &ContractionPlan,
    run: TileRun,
    name: &str,
) -> Result<(), PassError> {
    let part = &plan.parts[0];
    let mut tiles = Tiles::new(lowering, plan, RightFactor::Ahead);
    let steps = part.depth_block * inner_steps(&part.spec);
    tiles.factor = RightFactor::Own(tiles.emit.cx.local(plan.factors[1], steps * run.size * plan.step_elements()));
    let (position, panel) = tiles.open((run.count > 1).then_some(run.count));
    tiles.emit.cx.floor = 1;
    tiles.panel(&position, part, run, (&panel.unwrap_or_default(), None))?;
    tiles.emit.finish(name.to_owned());
    Ok(())
}

/// One kernel for panels of which each has rows of its own, packed and multiplied one after the other in each iteration of the outer loops.
pub(super) fn emit_masked_panels(
    lowering: &mut Lowering<'_>,
    plan: &ContractionPlan,
    panels: &[MaskedPanel],
    name: &str,
) -> Result<(), PassError> {
    let mut tiles = Tiles::new(lowering, plan, RightFactor::Ahead);
    let block = |panel: &MaskedPanel| panel.rows.depth_block * inner_steps(&panel.rows.spec) * panel.columns.size;
    let largest = panels.iter().map(block).max().unwrap_or(0);
    tiles.factor = RightFactor::Own(tiles.emit.cx.local(plan.factors[1], largest * plan.step_elements()));
    let (position, _) = tiles.open(None);
    tiles.emit.cx.floor = 1;
    let depth = tiles.emit.cx.depth();
    for panel in panels {
        tiles.panel(&position, &panel.rows, panel.columns, (&Affine::default(), None))?;
        tiles.emit.cx.close_to(depth);
        tiles.emit.values.drop_below(depth);
    }
    tiles.emit.finish(name.to_owned());
    Ok(())
}

/// Makes the loops inside the outer ones.
struct Tiles<'p, 'a, 'g> {
    emit: ValueEmitter<'a, 'g>,
    plan: &'p ContractionPlan,
    strides: Vec<usize>,
    factor: RightFactor,
}

/// A part of the reduction: `count` blocks of `size` iterations of the outermost dimension from `start`.
struct Segment<'p> {
    part: &'p Region,
    run: TileRun,
    first: bool,
    last: bool,
    /// How many panels go down the rows side by side.
    group: usize,
}

/// Rows of one block and the number of the block, if rows are cut into blocks.
type RowBlock<'v> = Option<&'v (usize, Affine)>;

impl<'p, 'a, 'g> Tiles<'p, 'a, 'g> {
    fn new(lowering: &'a mut Lowering<'g>, plan: &'p ContractionPlan, factor: RightFactor) -> Self {
        let strides = plan.shape.strides().to_vec();
        Self { emit: ValueEmitter::new(lowering, Some(plan.cluster)), plan, strides, factor }
    }

    /// Opens the loops that threads share: those around the tiles, and inside them one more, if an extent is given for it. Gives the place where they
    /// stand, and that loop's variable.
    fn open(&mut self, more: Option<usize>) -> (Position, Option<Affine>) {
        let plan = self.plan;
        let extents: Vec<usize> = plan.outer_dims().map(|d| d.extent).chain(more).collect();
        let mut vars = self.emit.cx.open_shared(&extents, SHARES).into_iter();
        let at = vec![Affine::default(); self.strides.len()];
        let mut position = Position { a: Affine::default(), b: Affine::default(), at, step: Affine::default() };
        for (dim, var) in plan.outer_dims().zip(vars.by_ref()) {
            self.walk(&mut position, dim, &var);
        }
        (position, vars.next())
    }

    fn walk(&self, position: &mut Position, dim: &Dim, by: &Affine) {
        let packed = if self.factor == RightFactor::Ahead { self.plan.packed.as_ref() } else { None };
        position.walk(dim, by, &self.strides, (self.plan.left.as_ref(), packed));
    }

    /// Loops over the panels of a run of columns.
    fn panels(&mut self, around: &Position, part: &Region, run: TileRun, block: RowBlock<'_>) -> Result<(), PassError> {
        let depth = self.emit.cx.depth();
        let groups = run.count / self.plan.group(&run);
        let panel = self.emit.cx.open_all(if groups > 1 { std::slice::from_ref(&groups) } else { &[] });
        self.emit.cx.floor = usize::from(self.emit.cx.depth() > 0);
        let panel = panel.into_iter().next().unwrap_or_default();
        self.panel(around, part, run, (&panel, block))?;
        self.emit.cx.close_to(depth);
        self.emit.values.drop_below(depth);
        Ok(())
    }

    /// One panel of columns, or one group of panels.
    fn panel(
        &mut self,
        around: &Position,
        part: &Region,
        run: TileRun,
        (panel, block): (&Affine, RowBlock<'_>),
    ) -> Result<(), PassError> {
        let group = if self.factor == RightFactor::Ahead { self.plan.group(&run) } else { 1 };
        let column = panel.scale((group * run.size) as i64).plus(run.start as i64);
        let mut position = around.clone();
        let origin = &part.spec.origin;
        position.a = position.a.plus(origin.a);
        for (at, &first) in position.at.iter_mut().zip(&origin.at) {
            *at = at.clone().plus(first as i64);
        }
        self.walk_columns(&mut position, &column);
        let packed = self.plan.packed.as_ref().filter(|_| self.factor == RightFactor::Ahead);
        let first = packed.map_or(origin.b, |packed| packed.origin() + (origin.steps * run.size) as i64);
        position.b = position.b.plus(first);
        for segment in segments(part, group) {
            self.segment(&position, &segment, run.size, block)?;
        }
        Ok(())
    }

    /// Moves on by so many columns.
    fn walk_columns(&self, position: &mut Position, by: &Affine) {
        if let Some(dim) = self.plan.whole.n.last() {
            self.walk(position, dim, by);
        }
        if let (Some(packed), RightFactor::Ahead) = (&self.plan.packed, self.factor) {
            position.b = position.b.add(&by.scale(packed.depth as i64));
        }
    }

    /// Loops over the blocks of a part of the reduction, and over the rows.
    fn segment(
        &mut self,
        around: &Position,
        segment: &Segment<'_>,
        width: usize,
        row_block: RowBlock<'_>,
    ) -> Result<(), PassError> {
        let depth = self.emit.cx.depth();
        let count = segment.run.count;
        let blocks = self.emit.cx.open_all(if count > 1 { std::slice::from_ref(&count) } else { &[] });
        let start = blocks
            .first()
            .map_or_else(Affine::default, |b| b.scale(segment.run.size as i64))
            .plus(segment.run.start as i64);
        let mut position = around.clone();
        if let Some(dim) = segment.part.spec.k.first() {
            match self.plan.left {
                Some(_) => position.step = start.clone(),
                None => position.a = position.a.add(&start.scale(dim.a)),
            }
            let b = if self.factor == RightFactor::Ahead { self.b_strides(segment.part, width)[0] } else { dim.b };
            position.b = position.b.add(&start.scale(b));
        }
        if let RightFactor::Own(block) = self.factor {
            self.pack_block(&mut position, segment, width, block)?;
        }
        self.all_rows(&position, segment, width, row_block)?;
        self.emit.cx.close_to(depth);
        self.emit.values.drop_below(depth);
        Ok(())
    }

    /// Copies a block of a panel into the thread's memory, where the tiles then find it.
    fn pack_block(
        &mut self,
        position: &mut Position,
        segment: &Segment<'_>,
        width: usize,
        block: BufRef,
    ) -> Result<(), PassError> {
        let source = self.operand(1)?;
        let to = self.plan.converts.then_some(self.plan.factors[1]);
        let from = std::mem::take(&mut position.b);
        let mut dims = segment.part.spec.k.clone();
        if let Some(first) = dims.first_mut() {
            first.extent = segment.run.size;
        }
        let step = self.plan.whole.n.last().map_or(1, |d| d.b);
        let elements = self.plan.step_elements();
        dims.iter_mut().for_each(|dim| dim.b *= elements as i64);
        let from = Subview { buf: source, offset: from.scale(elements as i64) };
        let columns = PanelColumns { width: width * elements, step, to };
        pack::copy(&mut self.emit.cx, from, block.into(), &dims, columns);
        Ok(())
    }

    /// Loops over the rows of a part: its outer dimensions, where they aren't around everything, and the tiles of the innermost.
    fn all_rows(
        &mut self,
        around: &Position,
        segment: &Segment<'_>,
        width: usize,
        row_block: RowBlock<'_>,
    ) -> Result<(), PassError> {
        let depth = self.emit.cx.depth();
        let mut position = around.clone();
        if self.plan.rows_inside {
            for dim in outer(&segment.part.spec.m) {
                let var = Affine::term(self.emit.cx.open(dim.extent), 1);
                self.walk(&mut position, dim, &var);
            }
        }
        match row_block {
            Some((tiles, block)) => {
                let TileRun { start, size, .. } = segment.part.rows[0];
                let run = TileRun { start, size, count: *tiles };
                self.rows(&position, segment, run, width, &block.scale((size * tiles) as i64))?;
            }
            None => {
                for &run in &segment.part.rows {
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
        segment: &Segment<'_>,
        run: TileRun,
        width: usize,
        offset: &Affine,
    ) -> Result<(), PassError> {
        let depth = self.emit.cx.depth();
        let tile = self.emit.cx.open_all(if run.count > 1 { std::slice::from_ref(&run.count) } else { &[] });
        let row =
            tile.first().map_or_else(Affine::default, |t| t.scale(run.size as i64)).plus(run.start as i64).add(offset);
        let mut position = around.clone();
        if let Some(dim) = segment.part.spec.m.last() {
            self.walk(&mut position, dim, &row);
        }
        if segment.group > 1 {
            let panel = Affine::term(self.emit.cx.open(segment.group), width as i64);
            self.walk_columns(&mut position, &panel);
        }
        self.micro(&position, segment, run.size, width)?;
        self.emit.cx.close_to(depth);
        self.emit.values.drop_below(depth);
        Ok(())
    }

    /// What one iteration of each reduction dimension adds to the right factor's index.
    fn b_strides(&self, part: &Region, width: usize) -> Vec<i64> {
        match (&self.plan.packed, self.factor) {
            (None, RightFactor::Ahead) => part.spec.k.iter().map(|d| d.b).collect(),
            _ => row_strides(&part.spec.k, width),
        }
    }

    fn reduce_dims(&self, segment: &Segment<'_>, width: usize) -> Vec<ReduceDim> {
        let strides = self.b_strides(segment.part, width);
        let mut dims: Vec<ReduceDim> = segment
            .part
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

    /// The buffer of an operand, as a parameter.
    fn operand(&mut self, which: usize) -> Result<BufRef, PassError> {
        let graph = self.emit.lowering.graph;
        let node = match which {
            1 => pack::in_memory(graph, self.plan.anchor),
            _ => graph.operands(self.plan.anchor)[which],
        };
        let buffer = self.emit.lowering.operand_buffer(node)?;
        let ty = graph.ty(node);
        Ok(self.emit.cx.param(buffer, ty.dtype, ty.shape.numel(), Access::Read))
    }

    /// One register tile.
    fn micro(&mut self, at: &Position, segment: &Segment<'_>, height: usize, width: usize) -> Result<(), PassError> {
        let a = match &self.plan.left {
            Some(left) => self.emit.cx.param(left.buffer, self.plan.factors[0], left.len, Access::Read),
            None => self.operand(0)?,
        };
        let b = match (self.factor, &self.plan.packed) {
            (RightFactor::Own(block), _) => block,
            (RightFactor::Ahead, Some(packed)) => {
                self.emit.cx.param(packed.buffer, self.plan.factors[1], packed.len, Access::Read)
            }
            (RightFactor::Ahead, None) => self.operand(1)?,
        };
        let (mut base, mut stride) = (at.a.clone(), segment.part.spec.m.last().map_or(0, |d| d.a));
        let mut reduce = self.reduce_dims(segment, width);
        if self.plan.left.is_some() {
            (base, stride) = (base.add(&at.step.scale(height as i64)), 1);
            reduce.iter_mut().for_each(|dim| dim.a_stride = height as i64);
        }
        // Places have been counted in quads, if the factors are of those.
        let elements = self.plan.step_elements() as i64;
        for dim in &mut reduce {
            (dim.a_stride, dim.b_stride) = (dim.a_stride * elements, dim.b_stride * elements);
        }
        let micro = Micro {
            m: height,
            n: width,
            a: TileOperand { buf: a, base: base.scale(elements), stride: stride * elements },
            b: TileOperand { buf: b, base: at.b.scale(elements), stride: elements },
            reduce,
            c: TileSums {
                buf: self.emit.cx.sums(self.plan.dtype, height * width),
                base: Affine::default(),
                stride: width as i64,
                accumulate: false,
            },
        };
        let after = self.after(&micro, at, segment)?;
        self.emit.cx.extend(placed(micro, after));
        Ok(())
    }

    /// The loops over a tile's sums that do what follows them.
    fn after(&mut self, micro: &Micro, at: &Position, segment: &Segment<'_>) -> Result<Vec<Stmt>, PassError> {
        self.emit.cx.open_scope();
        let depth = self.emit.cx.depth();
        let (i, j) = (self.emit.cx.open(micro.m), self.emit.cx.open(micro.n));
        let place = Affine::term(i, micro.c.stride).plus_term(j, 1);
        let sum = self.emit.cx.load(micro.c.buf, &place);
        self.element(at, segment, (i, j), sum)?;
        self.emit.cx.close_to(depth);
        let after = self.emit.cx.close_scope();
        self.emit.values.drop_below(depth - 1);
        Ok(after)
    }

    /// Statements on the finished sum, or on that of a block: blocks start from nothing, and their sums are added up, so that errors don't grow with
    /// the length of the reduction.
    fn element(
        &mut self,
        at: &Position,
        segment: &Segment<'_>,
        (i, j): (IndexVar, IndexVar),
        mut sum: Placed,
    ) -> Result<(), PassError> {
        let mut element = at.at.clone();
        let spec = &segment.part.spec;
        for (dim, var) in [(spec.m.last(), i), (spec.n.last(), j)] {
            if let Some(d) = dim {
                let step = d.c / self.strides[d.axis] as i64;
                element[d.axis] = element[d.axis].clone().plus_term(var, step);
            }
        }
        let flat = flatten(&element, &self.plan.shape);
        let level = self.emit.cx.depth();
        if let Some(partial) = self.plan.partial {
            let access = if segment.first { Access::Write } else { Access::ReadWrite };
            let buf = self.emit.cx.param(partial, self.plan.dtype, self.plan.shape.numel(), access);
            if !segment.first {
                let before = self.emit.cx.load_at(buf, &flat, level);
                sum = self.emit.cx.apply(ScalarOp::ADD, &[before, sum]);
            }
            if !segment.last || self.plan.chunks.is_some() {
                self.emit.cx.store(buf, &flat, sum.expr);
                return Ok(());
            }
        }
        self.emit.values.set(self.plan.anchor, element.clone(), sum);
        for &node in &self.plan.results {
            let value = self.emit.value(node, &element)?;
            self.emit.store_node(node, &element, value.expr);
        }
        Ok(())
    }
}

/// The reduction in blocks: the first starts from nothing, the last finishes the sum.
fn segments(part: &Region, group: usize) -> Vec<Segment<'_>> {
    let (extent, block) = (part.outermost(), part.depth_block);
    let (full, rest) = (extent / block, extent % block);
    let run = |start: usize, size: usize, count: usize| TileRun { start, size, count };
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
    runs.into_iter().enumerate().map(|(i, run)| Segment { part, run, first: i == 0, last: i == last, group }).collect()
}
