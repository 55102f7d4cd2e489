//! Cuts transpositions into blocks: what is read across the order of memory goes through scratch memory.
//!
//! A loop that walks down a column takes a cache line for each element and uses one element of it; the next column wants the same lines, which are gone
//! if the column is long, or if its elements are a power of two apart and meet in the same set of the cache. Here a block of a line's width is
//! read, few rows at a time, so that each line is used up while it is there; what is computed then reads the block along its rows, in vectors.

use kernel::walk::{map_exprs, refresh, substitute, visit_exprs};
use kernel::{Affine, BufRef, Expr, Fresh, IndexVar, Kernel, Local, LoopKind, Stmt};
use std::collections::BTreeSet;

/// Elements of a block along the order of the result.
const WIDTH: usize = 64;
/// Bytes of a block along the order of what is read: a cache line.
const LINE: usize = 64;
/// So many lines are read side by side: the ways of a first-level cache, in one set of which they may all be.
const LINES: usize = 8;
/// Nests with fewer elements stay in the cache.
const MIN_ELEMENTS: usize = 1024;

/// An axis in blocks of a length, of which the last may be a shorter one.
#[derive(Clone, Copy)]
struct BlockedAxis {
    /// The block's number.
    block: IndexVar,
    extent: usize,
    length: usize,
}

/// A loop's variable and its extent.
#[derive(Clone, Copy)]
struct LoopAxis {
    var: IndexVar,
    extent: usize,
}

/// Loops around straight-line code, the outermost first.
struct Nest {
    loops: Vec<LoopAxis>,
    body: Vec<Stmt>,
}

/// A nest that reads across the order of memory.
struct Transposition {
    /// The loops around the two axes.
    around: Vec<LoopAxis>,
    /// Along this axis lie the elements that are read.
    read: LoopAxis,
    /// Along this one those that are written.
    written: LoopAxis,
    body: Vec<Stmt>,
    /// What is read, each with the scratch memory of its block.
    loads: Vec<(Expr, BufRef)>,
    /// The block's extent along `read`.
    height: usize,
}

/// Cuts the transpositions of a kernel.
pub(super) fn cut(kernel: &mut Kernel) {
    let mut fresh = Fresh::above(&kernel.body);
    let body = std::mem::take(&mut kernel.body);
    kernel.body = cut_in(body, kernel, &mut fresh);
}

fn cut_in(body: Vec<Stmt>, kernel: &mut Kernel, fresh: &mut Fresh) -> Vec<Stmt> {
    let mut out = vec![];
    for mut stmt in body {
        if let Some(found) = nest(&stmt).and_then(|nest| transposition(nest, kernel)) {
            out.push(found.blocks(fresh));
            continue;
        }
        for inner in stmt.bodies_mut() {
            *inner = cut_in(std::mem::take(inner), kernel, fresh);
        }
        out.push(stmt);
    }
    out
}

/// The nest that a statement is, if it is one of serial loops around code without accumulators.
fn nest(stmt: &Stmt) -> Option<Nest> {
    let mut loops = vec![];
    let mut at = std::slice::from_ref(stmt);
    while let [Stmt::For { var, extent, kind: LoopKind::Serial, body }] = at {
        loops.push(LoopAxis { var: *var, extent: *extent });
        at = body;
    }
    let straight = at.iter().all(|s| matches!(s, Stmt::Let { .. } | Stmt::LetIndex { .. } | Stmt::Store { .. }));
    (straight && loops.len() > 1).then(|| Nest { loops, body: at.to_vec() })
}

/// What a nest reads across the order of memory, if its iterations may run in any order.
fn transposition(nest: Nest, kernel: &mut Kernel) -> Option<Transposition> {
    let written = *nest.loops.last()?;
    let loads = loads(&nest.body);
    if !any_order(&nest, &loads) {
        return None;
    }
    let size = |buf: BufRef| dtype_of(kernel, buf).map(kernel::DType::size_bytes);
    let across = |index: &Affine, buf: BufRef| {
        let far = index.coefficient(written.var).unsigned_abs() as usize;
        let along = nest.loops.iter().find(|l| index.coefficient(l.var).abs() == 1)?;
        (far.checked_mul(size(buf)?)? >= LINE).then_some(*along)
    };
    let found = loads.iter().find_map(|(buf, index)| across(index, *buf).map(|axis| (axis, *buf)));
    let (read, first) = found?;
    if read.extent < LINES || written.extent < LINES || read.extent.checked_mul(written.extent)? < MIN_ELEMENTS {
        return None;
    }
    let height = LINE / size(first)?;
    let same = loads.into_iter().filter(|(buf, index)| across(index, *buf).is_some_and(|axis| axis.var == read.var));
    let same: Vec<(BufRef, Affine)> = same.collect();
    let mut blocks = vec![];
    for (buf, index) in same {
        let dtype = dtype_of(kernel, buf)?;
        kernel.locals.push(Local { dtype, len: height * WIDTH });
        blocks.push((Expr::load(buf, index), BufRef::Local(kernel.locals.len() as u32 - 1)));
    }
    let around = nest.loops.into_iter().filter(|l| l.var != read.var && l.var != written.var).collect();
    Some(Transposition { around, read, written, body: nest.body, loads: blocks, height })
}

fn dtype_of(kernel: &Kernel, buf: BufRef) -> Option<kernel::DType> {
    match buf {
        BufRef::Param(i) => kernel.params.get(i as usize).map(|p| p.dtype),
        BufRef::Local(i) => kernel.locals.get(i as usize).map(|l| l.dtype),
    }
}

/// What straight-line code reads, element by element, each once.
fn loads(body: &[Stmt]) -> BTreeSet<(BufRef, Affine)> {
    let mut found = BTreeSet::new();
    visit_exprs(body, &mut |expr| {
        if let Expr::Load { buf, index, lanes: 1, .. } = expr {
            found.insert((*buf, index.clone()));
        }
    });
    found
}

/// Whether each iteration writes elements of its own, of buffers that no iteration reads.
fn any_order(nest: &Nest, loads: &BTreeSet<(BufRef, Affine)>) -> bool {
    nest.body.iter().all(|stmt| match stmt {
        Stmt::Store { buf, index, .. } => {
            let own = nest.loops.iter().all(|l| l.extent == 1 || index.coefficient(l.var) != 0);
            own && matches!(buf, BufRef::Param(_)) && loads.iter().all(|(read, _)| read != buf)
        }
        _ => true,
    })
}

impl Transposition {
    /// The nest in blocks.
    fn blocks(&self, fresh: &mut Fresh) -> Stmt {
        let wide = LoopAxis { var: fresh.index(), extent: self.written.extent.div_ceil(WIDTH) };
        let high = LoopAxis { var: fresh.index(), extent: self.read.extent.div_ceil(self.height) };
        let columns = BlockedAxis { block: wide.var, extent: self.written.extent, length: WIDTH };
        let rows = BlockedAxis { block: high.var, extent: self.read.extent, length: self.height };
        let body = self.whole_or_rest(columns, fresh, &mut |columns, fresh| {
            self.whole_or_rest(rows, fresh, &mut |rows, fresh| self.block((wide.var, columns), (high.var, rows), fresh))
        });
        // Few blocks beside one another leave more rows of them to share among threads.
        let order = if wide.extent < LINES { [high, wide] } else { [wide, high] };
        let loops = self.around.iter().chain(&order);
        let mut body = body;
        for axis in loops.rev() {
            body = vec![Stmt::serial(axis.var, axis.extent, body)];
        }
        body.swap_remove(0)
    }

    /// Statements for a whole block, and where the extent leaves a rest, others for it.
    fn whole_or_rest(
        &self,
        cut: BlockedAxis,
        fresh: &mut Fresh,
        of: &mut dyn FnMut(usize, &mut Fresh) -> Vec<Stmt>,
    ) -> Vec<Stmt> {
        let BlockedAxis { block, extent, length } = cut;
        let (whole, rest) = (extent / length, extent % length);
        match (whole, rest) {
            (_, 0) => of(length, fresh),
            (0, _) => of(rest, fresh),
            _ => {
                let condition = Expr::is_below(block, whole);
                vec![Stmt::If { condition, then: of(length, fresh), otherwise: of(rest, fresh) }]
            }
        }
    }

    /// One block: what is read goes to scratch memory, what is computed reads it there.
    fn block(
        &self,
        (wide, columns): (IndexVar, usize),
        (high, rows): (IndexVar, usize),
        fresh: &mut Fresh,
    ) -> Vec<Stmt> {
        let place = |body: &mut Vec<Stmt>, row: &Affine, column: &Affine| {
            substitute(body, self.read.var, &Affine::term(high, self.height as i64).add(row));
            substitute(body, self.written.var, &Affine::term(wide, WIDTH as i64).add(column));
        };
        let mut out = vec![];
        for (load, block) in &self.loads {
            let (lines, rest) = (columns / LINES, columns % LINES);
            let strip = |first: Affine, count: usize, fresh: &mut Fresh| {
                let (row, column) = (fresh.index(), fresh.index());
                let (along, across) = (Affine::term(row, 1), first.plus_term(column, 1));
                let index = Affine::term(row, WIDTH as i64).add(&across);
                let mut copy = vec![Stmt::Store { buf: *block, index, value: load.clone() }];
                place(&mut copy, &along, &across);
                Stmt::serial(row, rows, vec![Stmt::serial(column, count, copy)])
            };
            if lines > 0 {
                let number = fresh.index();
                let one = strip(Affine::term(number, LINES as i64), LINES, fresh);
                out.push(Stmt::serial(number, lines, vec![one]));
            }
            if rest > 0 {
                out.push(strip(Affine::constant((lines * LINES) as i64), rest, fresh));
            }
        }
        let (row, column) = (fresh.index(), fresh.index());
        let mut body = refresh(&self.body, fresh);
        map_exprs(&mut body, &mut |expr| match self.loads.iter().find(|(load, _)| *load == expr) {
            Some((_, block)) => Expr::load(*block, Affine::term(row, WIDTH as i64).plus_term(column, 1)),
            None => expr,
        });
        place(&mut body, &Affine::term(row, 1), &Affine::term(column, 1));
        out.push(Stmt::serial(row, rows, vec![Stmt::serial(column, columns, body)]));
        out
    }
}
