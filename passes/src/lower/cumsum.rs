//! Running sums: several rows side by side where elements of a sum are neighbours, whole rows of columns elsewhere.
//!
//! One sum is a chain of additions, each of which waits for the one before. So several are computed in one loop: columns in vectors, in a scratch buffer that stays in
//! the first-level cache while rows stream by; rows in a few registers. The order of additions in a sum is the op's own ([`CumSum`]).

use super::Lowering;
use super::expr::ValueEmitter;
use crate::PassError;
use ir::op::cumsum::{BLOCK, CumSum};
use ir::{DType, NodeId, Scalar, ScalarOp};
use kernel::{Access, Affine, BufRef, BufferId, Expr, Reg, Stmt};

/// As many columns are walked row by row.
const MIN_COLUMNS: usize = 8;
/// At most so many columns are walked at a time: two scratch rows of them and what streams by fit the first-level cache.
const MAX_COLUMNS: usize = 1024;
/// Scratch rows begin at cache lines.
const ALIGNED: usize = 64;
/// The outermost loop has so many iterations, if there are as many: it is what threads share.
const SHARES: usize = 64;
/// So many rows are summed side by side: enough to hide the latency of an addition, and few enough for rows of a power of two to have their cache lines.
const ROWS: usize = 4;

/// Sums of a tensor `[outer, n, inner]` along its middle.
struct Sums {
    operand: BufferId,
    result: BufferId,
    len: usize,
    dtype: DType,
    n: usize,
    inner: usize,
    exclusive: bool,
    reverse: bool,
}

/// A sum in registers: of all blocks before, what was lost of it, and whose it is.
struct Chain {
    before: Reg,
    lost: Reg,
    row: usize,
    column: usize,
}

/// A block of some rows: `count` elements of each sum from `from` on.
struct SumBlock<'s> {
    sums: &'s Sums,
    /// Where the rows begin.
    starts: &'s [Affine],
    from: &'s Affine,
    count: usize,
    /// A scratch buffer with the block's elements as they are computed with, if that is another type, and how many a row has there.
    wide: Option<(BufRef, usize)>,
}

/// Lowers a running sum.
pub(super) fn lower(lowering: &mut Lowering<'_>, anchor: NodeId, op: &CumSum) -> Result<(), PassError> {
    let operand = lowering.operand_buffer(lowering.graph.operands(anchor)[0])?;
    let ty = lowering.graph.ty(anchor).clone();
    let [outer, n, inner] = op.extents(&ty);
    let sums = Sums {
        operand,
        result: lowering.result_buffer(anchor),
        len: ty.shape.numel(),
        dtype: ty.dtype,
        n,
        inner,
        exclusive: op.exclusive,
        reverse: op.reverse,
    };
    let kernel = |lowering: &mut Lowering<'_>, body: &dyn Fn(&Sums, &mut ValueEmitter<'_, '_>)| {
        let mut emit = ValueEmitter::new(lowering, None);
        body(&sums, &mut emit);
        emit.finish("cumsum".into());
    };
    if inner >= MIN_COLUMNS {
        let width = inner.div_ceil(inner.div_ceil(MAX_COLUMNS)).next_multiple_of(ALIGNED).min(inner);
        let (tiles, rest) = (inner / width, inner % width);
        kernel(lowering, &|sums, emit| sums.columns(emit, [outer, tiles], (0, width)));
        if rest > 0 {
            kernel(lowering, &|sums, emit| sums.columns(emit, [outer, 1], (inner - rest, rest)));
        }
        return Ok(());
    }
    let side_by_side = if inner > 1 { 1 } else { ROWS };
    let (groups, rest) = (outer / side_by_side, outer % side_by_side);
    if groups > 0 {
        kernel(lowering, &|sums, emit| sums.rows(emit, (0, groups), side_by_side));
    }
    if rest > 0 {
        kernel(lowering, &|sums, emit| sums.rows(emit, (outer - rest, 1), rest));
    }
    Ok(())
}

impl Sums {
    /// What sums are computed in.
    fn wide(&self) -> DType {
        if self.dtype.is_short_float() { DType::F32 } else { self.dtype }
    }

    /// Whether sums are made of more than one block. Integers wrap, so that order doesn't matter.
    fn is_blocked(&self) -> bool {
        self.dtype.is_float() && self.n > BLOCK
    }

    fn zero(&self) -> Expr {
        Expr::Const(Scalar::zero(self.wide()))
    }

    /// The place of element `k` of the sum that starts at `start`.
    fn place(&self, start: &Affine, k: &Affine) -> Affine {
        let k = if self.reverse { k.scale(-1).plus(self.n as i64 - 1) } else { k.clone() };
        start.add(&k.scale(self.inner as i64))
    }

    fn load(&self, emit: &mut ValueEmitter<'_, '_>, at: &Affine) -> Expr {
        let buf = emit.cx.param(self.operand, self.dtype, self.len, Access::Read);
        let depth = emit.cx.depth();
        let value = emit.cx.load_at(buf, at, depth).expr;
        if self.wide() == self.dtype {
            return value;
        }
        emit.cx.bind(Expr::Cast(self.wide(), Box::new(value)), depth).expr
    }

    fn store(&self, emit: &mut ValueEmitter<'_, '_>, at: &Affine, value: Expr) {
        let buf = emit.cx.param(self.result, self.dtype, self.len, Access::Write);
        let value = if self.wide() == self.dtype { value } else { Expr::Cast(self.dtype, Box::new(value)) };
        emit.cx.store(buf, at, value);
    }

    /// Walks along the axis, block by block: elements from where, how many, and whether more blocks may follow.
    fn walk(&self, emit: &mut ValueEmitter<'_, '_>, block: &dyn Fn(&mut ValueEmitter<'_, '_>, &Affine, usize, bool)) {
        let (length, blocks) = if self.is_blocked() { (BLOCK, self.n / BLOCK) } else { (self.n, 0) };
        let depth = emit.cx.depth();
        if blocks > 0 {
            let start = Affine::term(emit.cx.open(blocks), length as i64);
            block(emit, &start, length, true);
            emit.cx.close_to(depth);
        }
        let rest = self.n - blocks * length;
        if rest > 0 {
            block(emit, &Affine::constant((blocks * length) as i64), rest, false);
        }
    }

    /// Groups of rows from row `first` on, so many side by side; the columns of one row each where there are several.
    fn rows(&self, emit: &mut ValueEmitter<'_, '_>, (first, groups): (usize, usize), rows: usize) {
        let row = (self.n * self.inner) as i64;
        let mut start = Affine::constant(first as i64 * row);
        if groups > 1 {
            start = start.plus_term(emit.cx.open(groups), rows as i64 * row);
            emit.cx.floor = 1;
        }
        let depth = emit.cx.depth();
        let mut zero = || emit.cx.declare(self.zero(), depth);
        let chains = (0..rows).flat_map(|r| (0..self.inner).map(move |c| (r, c)));
        let chains: Vec<Chain> =
            chains.map(|(row, column)| Chain { before: zero(), lost: zero(), row, column }).collect();
        let starts: Vec<Affine> = (0..rows as i64).map(|r| start.clone().plus(r * row)).collect();
        let length = BLOCK.min(self.n) * self.inner;
        // Conversions are vector code only by themselves.
        let wide = (self.wide() != self.dtype).then(|| emit.cx.local(self.wide(), rows * length));
        self.walk(emit, &|emit, from, count, whole| {
            let depth = emit.cx.depth();
            let sums: Vec<Reg> = chains.iter().map(|c| emit.cx.declare(Expr::Reg(c.lost), depth)).collect();
            let block = SumBlock { sums: self, starts: &starts, from, count, wide: wide.map(|buf| (buf, length)) };
            block.widen(emit);
            let k = Affine::term(emit.cx.open(count), 1);
            for (chain, &sum) in chains.iter().zip(&sums) {
                block.element(emit, chain, sum, &k);
            }
            emit.cx.close_to(depth);
            block.narrow(emit);
            for (chain, &sum) in chains.iter().zip(sums.iter().filter(|_| whole)) {
                let [all, lost] = self.exact_sum(emit, Expr::Reg(chain.before), Expr::Reg(sum));
                emit.cx.push(Stmt::Assign { reg: chain.before, value: all });
                emit.cx.push(Stmt::Assign { reg: chain.lost, value: lost });
            }
        });
    }

    /// Tiles of columns from column `first` on, each so many wide.
    fn columns(&self, emit: &mut ValueEmitter<'_, '_>, [outer, tiles]: [usize; 2], (first, width): (usize, usize)) {
        let slab = (self.n * self.inner) as i64;
        let mut start = Affine::constant(first as i64);
        let extents: Vec<usize> = [outer, tiles].into_iter().filter(|&extent| extent > 1).collect();
        let at = emit.cx.open_shared(&extents, SHARES);
        emit.cx.floor = usize::from(!extents.is_empty());
        let steps = [(outer, slab), (tiles, width as i64)].into_iter().filter(|(extent, _)| *extent > 1);
        for (at, (_, step)) in at.iter().zip(steps) {
            start = start.add(&at.scale(step));
        }
        let (sum, before) = (emit.cx.local(self.wide(), width), emit.cx.local(self.wide(), width));
        let used = if self.is_blocked() { vec![sum, before] } else { vec![sum] };
        each_column(emit, width, &|emit, c| used.iter().for_each(|&buf| emit.cx.store(buf, c, self.zero())));
        self.walk(emit, &|emit, from, count, whole| {
            let depth = emit.cx.depth();
            let k = Affine::term(emit.cx.open(count), 1);
            let row = self.place(&start, &from.add(&k));
            each_column(emit, width, &|emit, c| {
                let (depth, at) = (emit.cx.depth(), row.add(c));
                let without = emit.cx.load_at(sum, c, depth).expr;
                let x = self.load(emit, &at);
                let with = emit.cx.bind(Expr::binary(ScalarOp::ADD, without.clone(), x), depth).expr;
                emit.cx.store(sum, c, with.clone());
                let own = if self.exclusive { without } else { with };
                let result = match self.is_blocked() {
                    true => Expr::binary(ScalarOp::ADD, emit.cx.load_at(before, c, depth).expr, own),
                    false => own,
                };
                self.store(emit, &at, result);
            });
            emit.cx.close_to(depth);
            if whole {
                each_column(emit, width, &|emit, c| {
                    let depth = emit.cx.depth();
                    let [a, b] = [before, sum].map(|buf| emit.cx.load_at(buf, c, depth).expr);
                    let [all, lost] = self.exact_sum(emit, a, b);
                    emit.cx.store(before, c, all);
                    emit.cx.store(sum, c, lost);
                });
            }
        });
    }

    /// The rounded sum of two numbers and what rounding took from it, exactly; 0 where the sum isn't finite.
    fn exact_sum(&self, emit: &mut ValueEmitter<'_, '_>, a: Expr, b: Expr) -> [Expr; 2] {
        let depth = emit.cx.depth();
        let mut apply = |op: ScalarOp, args: [&Expr; 2]| {
            emit.cx.bind(Expr::binary(op, args[0].clone(), args[1].clone()), depth).expr
        };
        let sum = apply(ScalarOp::ADD, [&a, &b]);
        let of_b = apply(ScalarOp::SUB, [&sum, &a]);
        let of_a = apply(ScalarOp::SUB, [&sum, &of_b]);
        let lost_a = apply(ScalarOp::SUB, [&a, &of_a]);
        let lost_b = apply(ScalarOp::SUB, [&b, &of_b]);
        let lost = apply(ScalarOp::ADD, [&lost_a, &lost_b]);
        let is_number = apply(ScalarOp::EQ, [&lost, &lost]);
        let lost = emit.cx.bind(Expr::Apply(ScalarOp::SELECT, vec![is_number, lost, self.zero()]), depth);
        [sum, lost.expr]
    }
}

impl SumBlock<'_> {
    /// Loads the elements to the scratch buffer, in their order in memory.
    fn widen(&self, emit: &mut ValueEmitter<'_, '_>) {
        self.each_wide(emit, &|emit, buf, at, c| {
            let value = self.sums.load(emit, at);
            emit.cx.store(buf, c, value);
        });
    }

    /// Stores what has become of them.
    fn narrow(&self, emit: &mut ValueEmitter<'_, '_>) {
        self.each_wide(emit, &|emit, buf, at, c| {
            let depth = emit.cx.depth();
            let value = emit.cx.load_at(buf, c, depth).expr;
            self.sums.store(emit, at, value);
        });
    }

    /// A loop over each row's part of the scratch buffer, beside the elements it is for.
    fn each_wide(
        &self,
        emit: &mut ValueEmitter<'_, '_>,
        body: &dyn Fn(&mut ValueEmitter<'_, '_>, BufRef, &Affine, &Affine),
    ) {
        let Some((buf, length)) = self.wide else { return };
        let nearest = if self.sums.reverse { self.from.clone().plus(self.count as i64 - 1) } else { self.from.clone() };
        for (row, start) in self.starts.iter().enumerate() {
            let first = self.sums.place(start, &nearest);
            each_column(emit, self.count * self.sums.inner, &|emit, c| {
                body(emit, buf, &first.add(c), &c.clone().plus((row * length) as i64));
            });
        }
    }

    /// Adds element `k` of the block to one of the sums.
    fn element(&self, emit: &mut ValueEmitter<'_, '_>, chain: &Chain, sum: Reg, k: &Affine) {
        let sums = self.sums;
        let column = chain.column as i64;
        let at = match self.wide {
            Some((_, length)) => {
                let k = if sums.reverse { k.scale(-1).plus(self.count as i64 - 1) } else { k.clone() };
                k.scale(sums.inner as i64).plus((chain.row * length) as i64 + column)
            }
            None => sums.place(&self.starts[chain.row], &self.from.add(k)).plus(column),
        };
        let depth = emit.cx.depth();
        let x = match self.wide {
            Some((buf, _)) => emit.cx.load_at(buf, &at, depth).expr,
            None => sums.load(emit, &at),
        };
        let add = Stmt::Assign { reg: sum, value: Expr::binary(ScalarOp::ADD, Expr::Reg(sum), x) };
        let result = match sums.is_blocked() {
            true => Expr::binary(ScalarOp::ADD, Expr::Reg(chain.before), Expr::Reg(sum)),
            false => Expr::Reg(sum),
        };
        let (first, last) = if sums.exclusive { (None, Some(add)) } else { (Some(add), None) };
        first.into_iter().for_each(|stmt| emit.cx.push(stmt));
        match self.wide {
            Some((buf, _)) => emit.cx.store(buf, &at, result),
            None => sums.store(emit, &at, result),
        }
        last.into_iter().for_each(|stmt| emit.cx.push(stmt));
    }
}

/// A loop over the columns of a scratch row.
fn each_column(emit: &mut ValueEmitter<'_, '_>, width: usize, body: &dyn Fn(&mut ValueEmitter<'_, '_>, &Affine)) {
    let depth = emit.cx.depth();
    let c = Affine::term(emit.cx.open(width), 1);
    body(emit, &c);
    emit.cx.close_to(depth);
}
