//! Every access to memory of a kernel, as an affine index over loops, with its place in the program's order.

use crate::{
    Affine, BufRef, DType, Expr, IndexExpr, IndexVar, Interval, Kernel, Micro, Stmt, TileOperand, TileSums, TypeError,
    Types,
};
use std::collections::BTreeMap;

/// A load, a store, or all loads of a `micro`'s factor, or all its sums.
#[derive(Debug)]
pub(super) struct MemoryAccess {
    pub(super) buf: BufRef,
    pub(super) is_store: bool,
    /// Where, with affine `let`s of indices put in.
    pub(super) index: Affine,
    /// What lanes, the rows and the reduction of a factor, or the columns of a tile's sums add to the index.
    pub(super) extra: Interval,
    /// How far apart the rows of a tile's sums are, and what they add to the index.
    pub(super) rows: Option<(i64, Interval)>,
    /// The loops around, outermost first.
    pub(super) loops: Vec<IndexVar>,
    /// Orders accesses in one iteration of the loops that they share.
    pub(super) path: Vec<usize>,
    /// The `micro` whose factor this is: its accesses aren't ordered with those of its sums.
    pub(super) factor_of: Option<usize>,
    /// The `micro` whose sums these are.
    pub(super) sums_of: Option<usize>,
    /// The number of the statement in printing order.
    pub(super) stmt: usize,
}

impl MemoryAccess {
    /// All that is added to the index.
    pub(super) fn around(&self) -> Option<Interval> {
        self.rows.map_or(Some(self.extra), |(_, rows)| self.extra.plus(rows))
    }
}

/// What `let` bound an index to.
pub type Definitions = BTreeMap<IndexVar, IndexExpr>;

/// All accesses of a kernel, and what its indices are.
#[derive(Debug)]
pub(super) struct Accesses {
    pub(super) all: Vec<MemoryAccess>,
    pub(super) definitions: Definitions,
    pub(super) types: Types,
}

/// Puts affine definitions in, and joins quotients with their remainders: `(x / 8) * 8 + x % 8` is `x`.
pub fn expand(index: &Affine, definitions: &Definitions) -> Affine {
    let mut index = index.clone();
    // Definitions use earlier ones only, so that this ends.
    while let Some(next) = expand_once(&index, definitions) {
        index = next;
    }
    index
}

/// One step; `None` where there is none, or a number wouldn't fit.
fn expand_once(index: &Affine, definitions: &Definitions) -> Option<Affine> {
    for &(var, c) in index.terms() {
        match definitions.get(&var) {
            Some(IndexExpr::Affine(value)) => return index.checked_substitute(var, value),
            Some(IndexExpr::Rem(dividend, by)) => {
                let quotient = index.terms().iter().find(|(q, qc)| {
                    c.checked_mul(*by) == Some(*qc)
                        && matches!(definitions.get(q), Some(IndexExpr::Div(d, b)) if d == dividend && b == by)
                });
                if let Some(&(q, qc)) = quotient {
                    return index.clone().plus_term(q, -qc).checked_substitute(var, dividend);
                }
            }
            _ => {}
        }
    }
    None
}

/// The interval that lanes add.
pub(super) fn lanes_extra(lanes: u16, stride: i64) -> Option<Interval> {
    let last = stride.checked_mul(i64::from(lanes) - 1)?;
    Some(Interval { lo: last.min(0), hi: last.max(0) })
}

/// The interval that rows or columns and the reduction add to a factor's index.
pub(super) fn operand_extra(
    operand: &TileOperand,
    element: DType,
    tile: usize,
    reduce: impl Iterator<Item = (usize, i64)>,
) -> Option<Interval> {
    let mut sum = Interval::of_extent(tile)?.scale(operand.stride)?;
    sum = sum.plus(Interval { lo: 0, hi: Micro::step_elements(element) - 1 })?;
    for (extent, stride) in reduce {
        sum = sum.plus(Interval::of_extent(extent)?.scale(stride)?)?;
    }
    Some(sum)
}

/// The interval that rows and columns add to the index of a tile's sums.
pub(super) fn sums_extra(sums: &TileSums, m: usize, n: usize) -> Option<Interval> {
    Interval::of_extent(m)?.scale(sums.stride)?.plus(Interval::of_extent(n)?)
}

impl Accesses {
    /// Of a kernel whose names and types are sound.
    ///
    /// # Errors
    /// The first expression or index that isn't.
    pub(super) fn of(kernel: &Kernel) -> Result<Self, TypeError> {
        let types = Types::of_kernel(kernel)?;
        let mut definitions = Definitions::new();
        crate::walk::visit_stmts(&kernel.body, &mut |stmt| {
            if let Stmt::LetIndex { var, value } = stmt {
                definitions.insert(*var, value.clone());
            }
        });
        let mut collector =
            Collector { all: vec![], definitions: &definitions, types: &types, loops: vec![], path: vec![], stmt: 0 };
        collector.body(&kernel.body);
        let all = collector.all;
        Ok(Self { all, definitions, types })
    }
}

struct Collector<'a> {
    all: Vec<MemoryAccess>,
    definitions: &'a Definitions,
    types: &'a Types,
    loops: Vec<IndexVar>,
    path: Vec<usize>,
    stmt: usize,
}

impl Collector<'_> {
    fn push(&mut self, buf: BufRef, is_store: bool, index: &Affine, extra: Option<Interval>, factor_of: Option<usize>) {
        // An extra that overflows was reported with the bounds.
        let Some(extra) = extra else { return };
        let index = expand(index, self.definitions);
        let (loops, path) = (self.loops.clone(), self.path.clone());
        self.all.push(MemoryAccess {
            buf,
            is_store,
            index,
            extra,
            loops,
            path,
            rows: None,
            factor_of,
            sums_of: None,
            stmt: self.stmt,
        });
    }

    fn loads(&mut self, expr: &Expr) {
        expr.visit(&mut |e| {
            if let Expr::Load { buf, index, lanes, stride } = e {
                self.push(*buf, false, index, lanes_extra(*lanes, *stride), None);
            }
        });
    }

    fn micro(&mut self, micro: &Micro) {
        let number = self.stmt;
        let [of_a, of_b] = [micro.a.buf, micro.b.buf].map(|buf| self.types.element(buf).ok());
        let extra = |operand, element: Option<DType>, tile, reduce: Vec<(usize, i64)>| {
            operand_extra(operand, element?, tile, reduce.into_iter())
        };
        let a = extra(&micro.a, of_a, micro.m, micro.reduce.iter().map(|r| (r.extent, r.a_stride)).collect());
        let b = extra(&micro.b, of_b, micro.n, micro.reduce.iter().map(|r| (r.extent, r.b_stride)).collect());
        self.push(micro.a.buf, false, &micro.a.base, a, Some(number));
        self.push(micro.b.buf, false, &micro.b.base, b, Some(number));
        let (rows, columns) = (Interval::of_extent(micro.m), Interval::of_extent(micro.n));
        let rows = rows.and_then(|rows| rows.scale(micro.c.stride));
        let accesses = if micro.c.accumulate { &[false, true][..] } else { &[true] };
        for &is_store in accesses {
            self.push(micro.c.buf, is_store, &micro.c.base, columns.filter(|_| rows.is_some()), None);
            if let (Some(rows), Some(_), Some(access)) = (rows, columns, self.all.last_mut()) {
                access.rows = (micro.m > 1).then_some((micro.c.stride, rows));
                access.sums_of = is_store.then_some(number);
            }
        }
        self.stmt += 1;
    }

    fn body(&mut self, body: &[Stmt]) {
        for (at, stmt) in body.iter().enumerate() {
            self.path.push(at);
            self.stmt(stmt);
            self.path.pop();
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        if let Stmt::Micro(micro) = stmt {
            return self.micro(micro);
        }
        if let Some(expr) = stmt.expr() {
            self.loads(expr);
        }
        if let Stmt::Store { buf, index, value } = stmt {
            let lanes = self.types.type_of(value).map_or(1, |ty| ty.lanes);
            self.push(*buf, true, index, lanes_extra(lanes, 1), None);
        }
        self.stmt += 1;
        match stmt {
            Stmt::For { var, body, .. } => {
                self.loops.push(*var);
                self.body(body);
                self.loops.pop();
            }
            Stmt::If { then, otherwise, .. } => {
                for (branch, body) in [then, otherwise].into_iter().enumerate() {
                    self.path.push(branch);
                    self.body(body);
                    self.path.pop();
                }
            }
            _ => {}
        }
    }
}
