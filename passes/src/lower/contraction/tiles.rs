//! The loops of a contraction around its register tiles: outer dimensions, panels of columns, blocks of the reduction, rows.

use super::spec::{Dim, Spec};
use super::{Plan, SHARES};
use crate::PassError;
use crate::lower::Lowering;
use crate::lower::cx::{Placed, flatten};
use crate::lower::expr::Emit;
use crate::lower::tile::Run;
use kernel::{Access, Affine, BufRef, Expr, IndexVar, Micro, Operand, ReduceDim, Reg, Stmt};

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
pub(super) fn emit_kernel(
    lowering: &mut Lowering<'_>,
    plan: &Plan,
    columns: &[Run],
    name: &str,
) -> Result<(), PassError> {
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
        let sum = Placed { expr: Expr::Reg(acc), level };
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
