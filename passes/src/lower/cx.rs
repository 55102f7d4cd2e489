//! The kernel under construction: a stack of open loops, the parameters bound so far, and fresh names.
//!
//! Values are placed at the outermost loop in which their operands are known, so what doesn't change in a loop is computed before it.

use super::buffers::KernelBuffers;
use ir::{DType, Scalar, ScalarOp};
use kernel::walk::map_accesses;
use kernel::{Access, Affine, BufRef, BufferId, Expr, IndexExpr, IndexVar, Kernel, Local, LoopKind, Reg, Stmt};
use std::collections::{BTreeMap, BTreeSet};

/// An expression and the number of loops that must be open around it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Placed {
    pub(super) expr: Expr,
    pub(super) level: usize,
}

/// What is known of an index variable.
#[derive(Clone, Copy, Debug)]
struct VarInfo {
    /// Values are in `0..=max`, except for a clamp below zero, which never occurs.
    max: i64,
    level: usize,
}

struct LoopLevel {
    var: Option<(IndexVar, usize)>,
    stmts: Vec<Stmt>,
}

/// A kernel being built.
pub(super) struct KernelCx {
    levels: Vec<LoopLevel>,
    vars: BTreeMap<IndexVar, VarInfo>,
    buffers: KernelBuffers,
    /// Where among the locals tiles of a type have their sums.
    sums: BTreeMap<DType, usize>,
    next_reg: u32,
    next_var: u32,
    /// The level that values are placed at or inside: 1 once the kernel has an outermost loop, which may run in parallel.
    pub(super) floor: usize,
}

impl KernelCx {
    pub(super) fn new() -> Self {
        Self {
            levels: vec![LoopLevel { var: None, stmts: vec![] }],
            vars: BTreeMap::new(),
            buffers: KernelBuffers::default(),
            sums: BTreeMap::new(),
            next_reg: 0,
            next_var: 0,
            floor: 0,
        }
    }

    /// How many loops are open.
    pub(super) fn depth(&self) -> usize {
        self.levels.len() - 1
    }

    fn fresh_var(&mut self, extent: usize, level: usize) -> IndexVar {
        let var = IndexVar(self.next_var);
        self.next_var += 1;
        self.vars.insert(var, VarInfo { max: extent as i64 - 1, level });
        var
    }

    pub(super) fn fresh_reg(&mut self) -> Reg {
        self.next_reg += 1;
        Reg(self.next_reg - 1)
    }

    /// Opens a loop; statements go into it until it is closed.
    pub(super) fn open(&mut self, extent: usize) -> IndexVar {
        let var = self.fresh_var(extent, self.levels.len());
        self.levels.push(LoopLevel { var: Some((var, extent)), stmts: vec![] });
        var
    }

    /// Opens one loop for each extent and gives their variables as affine indices.
    pub(super) fn open_all(&mut self, extents: &[usize]) -> Vec<Affine> {
        extents.iter().map(|&n| Affine::term(self.open(n), 1)).collect()
    }

    /// As [`KernelCx::open_all`], but while the outer loops have fewer than `shares` iterations together, they are one loop, whose
    /// variable is taken apart: only the outermost loop is shared among threads.
    pub(super) fn open_shared(&mut self, extents: &[usize], shares: usize) -> Vec<Affine> {
        let mut total = 1;
        let merged = extents.iter().take_while(|&&n| (total < shares).then(|| total *= n).is_some()).count();
        let (first, rest) = extents.split_at(merged);
        if first.len() < 2 {
            return self.open_all(extents);
        }
        let mut whole = Affine::term(self.open(first.iter().product()), 1);
        self.floor = 1;
        let mut vars = vec![];
        for &extent in first[1..].iter().rev() {
            let (quotient, remainder) = self.div_rem(&whole, extent as i64);
            vars.push(remainder);
            whole = quotient;
        }
        vars.push(whole);
        vars.reverse();
        vars.extend(self.open_all(rest));
        vars
    }

    /// Opens a scope without a loop, whose statements [`KernelCx::close_scope`] returns.
    pub(super) fn open_scope(&mut self) {
        self.levels.push(LoopLevel { var: None, stmts: vec![] });
    }

    /// The statements placed in the innermost scope, which is gone.
    pub(super) fn close_scope(&mut self) -> Vec<Stmt> {
        self.levels.pop().map(|l| l.stmts).unwrap_or_default()
    }

    /// Closes the innermost loop.
    pub(super) fn close(&mut self) {
        let Some(LoopLevel { var: Some((var, extent)), stmts }) = self.levels.pop() else { return };
        self.push(Stmt::For { var, extent, kind: LoopKind::Serial, body: stmts });
    }

    /// Closes loops until `depth` are open.
    pub(super) fn close_to(&mut self, depth: usize) {
        while self.depth() > depth {
            self.close();
        }
    }

    /// Appends a statement to the innermost scope.
    pub(super) fn push(&mut self, stmt: Stmt) {
        let at = self.depth();
        self.push_at(at, stmt);
    }

    /// Appends statements to the innermost scope.
    pub(super) fn extend(&mut self, stmts: Vec<Stmt>) {
        stmts.into_iter().for_each(|stmt| self.push(stmt));
    }

    /// Appends a statement to the scope of that level.
    pub(super) fn push_at(&mut self, level: usize, stmt: Stmt) {
        self.levels[level].stmts.push(stmt);
    }

    /// The level at which all variables of an index are known.
    pub(super) fn level_of(&self, index: &Affine) -> usize {
        index.terms().iter().map(|(v, _)| self.vars[v].level).max().unwrap_or(0).max(self.floor)
    }

    /// The least and the greatest value an index takes.
    pub(super) fn range(&self, index: &Affine) -> (i64, i64) {
        index.terms().iter().fold((index.offset(), index.offset()), |(lo, hi), &(v, c)| {
            let end = c * self.vars[&v].max;
            (lo + end.min(0), hi + end.max(0))
        })
    }

    /// Binds an index at the outermost level possible.
    pub(super) fn let_index(&mut self, value: IndexExpr, level: usize) -> Affine {
        let max = match &value {
            IndexExpr::Affine(a) => self.range(a).1,
            IndexExpr::Div(a, by) => self.range(a).1 / by,
            IndexExpr::Rem(_, by) => by - 1,
            IndexExpr::Clamp(_, _, hi) => *hi,
            IndexExpr::Checked { bound, .. } => bound - 1,
        };
        let var = IndexVar(self.next_var);
        self.next_var += 1;
        self.vars.insert(var, VarInfo { max, level });
        self.push_at(level, Stmt::LetIndex { var, value });
        Affine::term(var, 1)
    }

    /// `(quotient, remainder)` of an index that is never negative, as affine indices where the terms split, else bound to variables.
    pub(super) fn div_rem(&mut self, index: &Affine, by: i64) -> (Affine, Affine) {
        if by == 1 {
            return (index.clone(), Affine::constant(0));
        }
        let (mut whole, mut rest) = (Affine::constant(0), Affine::constant(0));
        for &(var, c) in index.terms() {
            if c % by == 0 {
                whole = whole.plus_term(var, c / by);
            } else {
                rest = rest.plus_term(var, c);
            }
        }
        let offset = index.offset();
        whole = whole.plus(offset.div_euclid(by));
        rest = rest.plus(offset.rem_euclid(by));
        let (lo, hi) = self.range(&rest);
        if lo >= 0 && hi < by {
            return (whole, rest);
        }
        let level = self.level_of(&rest);
        if lo >= 0 {
            let q = self.let_index(IndexExpr::Div(rest.clone(), by), level);
            let r = self.let_index(IndexExpr::Rem(rest, by), level);
            return (whole.add(&q), r);
        }
        let level = self.level_of(index);
        let q = self.let_index(IndexExpr::Div(index.clone(), by), level);
        let r = self.let_index(IndexExpr::Rem(index.clone(), by), level);
        (q, r)
    }

    /// The parameter bound to a buffer, used in that way too.
    pub(super) fn param(&mut self, buffer: BufferId, dtype: DType, len: usize, access: Access) -> BufRef {
        self.buffers.param(buffer, dtype, len, access)
    }

    /// A new scratch buffer.
    pub(super) fn local(&mut self, dtype: DType, len: usize) -> BufRef {
        self.buffers.local(dtype, len)
    }

    /// The scratch buffer for the sums of tiles, with room for as many as the largest of them has.
    pub(super) fn sums(&mut self, dtype: DType, len: usize) -> BufRef {
        let locals = &mut self.buffers.locals;
        let at = *self.sums.entry(dtype).or_insert_with(|| {
            locals.push(Local { dtype, len });
            locals.len() - 1
        });
        locals[at].len = locals[at].len.max(len);
        BufRef::Local(at as u32)
    }

    /// Binds a value at `level`.
    pub(super) fn bind(&mut self, value: Expr, level: usize) -> Placed {
        if matches!(value, Expr::Reg(_) | Expr::Const(_)) {
            return Placed { expr: value, level };
        }
        let level = level.max(self.floor);
        let reg = self.fresh_reg();
        self.push_at(level, Stmt::Let { reg, value });
        Placed { expr: Expr::Reg(reg), level }
    }

    /// Applies a scalar op to placed operands.
    pub(super) fn apply(&mut self, op: ScalarOp, args: &[Placed]) -> Placed {
        let level = args.iter().map(|a| a.level).max().unwrap_or(0);
        self.bind(Expr::Apply(op, args.iter().map(|a| a.expr.clone()).collect()), level)
    }

    /// A constant.
    pub(super) fn constant(&self, value: Scalar) -> Placed {
        Placed { expr: Expr::Const(value), level: self.floor }
    }

    /// An index as a value.
    pub(super) fn index_value(&mut self, index: &Affine, dtype: DType) -> Placed {
        let level = self.level_of(index);
        let wide = match dtype {
            DType::I64 | DType::U64 | DType::U32 => DType::I64,
            _ => DType::I32,
        };
        let value = Expr::Index { index: index.clone(), dtype: wide, lanes: 1, stride: 1 };
        let value = if wide == dtype { value } else { Expr::Cast(dtype, Box::new(value)) };
        self.bind(value, level)
    }

    /// Loads one element.
    pub(super) fn load(&mut self, buf: BufRef, index: &Affine) -> Placed {
        let level = self.level_of(index);
        self.load_at(buf, index, level)
    }

    /// Loads one element at a level that may be deeper than the index asks for (after a store at that level).
    pub(super) fn load_at(&mut self, buf: BufRef, index: &Affine, level: usize) -> Placed {
        self.bind(Expr::load(buf, index.clone()), level)
    }

    /// Stores one element in the innermost scope.
    pub(super) fn store(&mut self, buf: BufRef, index: &Affine, value: Expr) {
        self.push(Stmt::Store { buf, index: index.clone(), value });
    }

    /// Declares an accumulator at a level.
    pub(super) fn declare(&mut self, init: Expr, level: usize) -> Reg {
        let reg = self.fresh_reg();
        self.push_at(level, Stmt::Decl { reg, init });
        reg
    }

    /// The finished kernel and the buffers its parameters are bound to.
    pub(super) fn finish(mut self, name: String) -> (Kernel, Vec<BufferId>) {
        self.close_to(0);
        let mut body = self.levels.pop().map(|l| l.stmts).unwrap_or_default();
        let mut used = BTreeSet::new();
        map_accesses(&mut body, &mut |buf, _| {
            used.insert(*buf);
        });
        // Where all tiles put their sums elsewhere, nothing uses the buffer for them.
        let locals = &mut self.buffers.locals;
        while locals.len().checked_sub(1).is_some_and(|last| !used.contains(&BufRef::Local(last as u32))) {
            locals.pop();
        }
        self.buffers.finish(name, body)
    }
}

/// Row-major position of coordinates.
pub(super) fn flatten(index: &[Affine], shape: &[usize]) -> Affine {
    let mut stride = 1i64;
    let mut flat = Affine::constant(0);
    for (coordinate, &extent) in index.iter().zip(shape).rev() {
        flat = flat.add(&coordinate.scale(stride));
        stride *= extent as i64;
    }
    flat
}
