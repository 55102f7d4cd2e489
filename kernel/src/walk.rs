//! Walking and rewriting: over statements, over expressions, over indices.

use crate::{Affine, BufRef, DType, Expr, Fresh, IndexExpr, IndexVar, Reg, Scalar, ScalarOp, Stmt};
use std::collections::{BTreeMap, BTreeSet};

/// Calls `f` on every statement, outer ones before those in their bodies.
pub fn visit_stmts<'a>(body: &'a [Stmt], f: &mut impl FnMut(&'a Stmt)) {
    for stmt in body {
        f(stmt);
        for inner in stmt.bodies() {
            visit_stmts(inner, f);
        }
    }
}

/// Whether a tile stands anywhere in the statements.
pub fn has_tile(body: &[Stmt]) -> bool {
    let mut found = false;
    visit_stmts(body, &mut |stmt| found |= matches!(stmt, Stmt::Micro(_)));
    found
}

/// The accumulators that the statements fold into or set.
pub fn assigned(body: &[Stmt]) -> BTreeSet<Reg> {
    let mut regs = BTreeSet::new();
    visit_stmts(body, &mut |stmt| {
        if let Stmt::Accumulate { reg, .. } | Stmt::Assign { reg, .. } = stmt {
            regs.insert(*reg);
        }
    });
    regs
}

/// The accumulators that loops and branches in the list fold into or set.
pub fn assigned_inside(body: &[Stmt]) -> BTreeSet<Reg> {
    body.iter().flat_map(Stmt::bodies).flat_map(assigned).collect()
}

/// Calls `f` on every expression of every statement, operators before their operands.
pub fn visit_exprs<'a>(body: &'a [Stmt], f: &mut impl FnMut(&'a Expr)) {
    visit_stmts(body, &mut |stmt| {
        if let Some(expr) = stmt.expr() {
            expr.visit(f);
        }
    });
}

/// Calls `f` on every affine index of every statement.
pub fn map_indices(body: &mut [Stmt], f: &mut impl FnMut(&mut Affine)) {
    for stmt in body {
        match stmt {
            Stmt::LetIndex { value, .. } => match value {
                IndexExpr::Affine(a) | IndexExpr::Div(a, _) | IndexExpr::Rem(a, _) | IndexExpr::Clamp(a, ..) => f(a),
                IndexExpr::Checked { .. } => {}
            },
            Stmt::Store { index, .. } => f(index),
            Stmt::Micro(micro) => {
                f(&mut micro.a.base);
                f(&mut micro.b.base);
                f(&mut micro.c.base);
            }
            _ => {}
        }
        if let Some(expr) = stmt.expr_mut() {
            expr.map_indices(f);
        }
        for inner in stmt.bodies_mut() {
            map_indices(inner, f);
        }
    }
}

/// Calls `f` on the buffer and the index of every load and store, and of the factors and the sums of every `micro`.
pub fn map_accesses(body: &mut [Stmt], f: &mut impl FnMut(&mut BufRef, &mut Affine)) {
    for stmt in body {
        match stmt {
            Stmt::Store { buf, index, .. } => f(buf, index),
            Stmt::Micro(micro) => {
                f(&mut micro.a.buf, &mut micro.a.base);
                f(&mut micro.b.buf, &mut micro.b.base);
                f(&mut micro.c.buf, &mut micro.c.base);
            }
            _ => {}
        }
        if let Some(expr) = stmt.expr_mut() {
            expr.map_accesses(f);
        }
        for inner in stmt.bodies_mut() {
            map_accesses(inner, f);
        }
    }
}

/// Replaces every expression of every statement by `f` of it, operands before operators.
pub fn map_exprs(body: &mut [Stmt], f: &mut impl FnMut(Expr) -> Expr) {
    for stmt in body {
        if let Some(expr) = stmt.expr_mut() {
            expr.map(f);
        }
        for inner in stmt.bodies_mut() {
            map_exprs(inner, f);
        }
    }
}

/// Replaces uses of an index variable by an affine expression, everywhere.
pub fn substitute(body: &mut [Stmt], var: IndexVar, by: &Affine) {
    map_indices(body, &mut |index| *index = index.substitute(var, by));
}

/// Replaces uses of a value by an expression, everywhere. What sets the value (`Accumulate`, `Assign`) stays.
pub fn substitute_reg(body: &mut [Stmt], reg: Reg, by: &Expr) {
    map_exprs(body, &mut |expr| if expr == Expr::Reg(reg) { by.clone() } else { expr });
}

/// A copy of the statements in which every name that they bind is a fresh one: what unrolling repeats.
pub fn refresh(body: &[Stmt], fresh: &mut Fresh) -> Vec<Stmt> {
    refresh_with(body, fresh, BTreeMap::new())
}

/// The same, with values from outside that the copy has others for: accumulators of its own.
pub fn refresh_with(body: &[Stmt], fresh: &mut Fresh, regs: BTreeMap<Reg, Reg>) -> Vec<Stmt> {
    let mut copy = body.to_vec();
    let mut names = Renaming { regs, ..Renaming::default() };
    names.rebind(&mut copy, fresh);
    map_indices(&mut copy, &mut |index| {
        let mut renamed = Affine::constant(index.offset());
        for &(var, c) in index.terms() {
            renamed = renamed.plus_term(names.indices.get(&var).copied().unwrap_or(var), c);
        }
        *index = renamed;
    });
    map_exprs(&mut copy, &mut |expr| match expr {
        Expr::Reg(reg) => Expr::Reg(names.reg(reg)),
        other => other,
    });
    copy
}

#[derive(Default)]
struct Renaming {
    indices: BTreeMap<IndexVar, IndexVar>,
    regs: BTreeMap<Reg, Reg>,
}

impl Renaming {
    fn reg(&self, reg: Reg) -> Reg {
        self.regs.get(&reg).copied().unwrap_or(reg)
    }

    fn new_index(&mut self, var: &mut IndexVar, fresh: &mut Fresh) {
        let new = fresh.index();
        self.indices.insert(*var, new);
        *var = new;
    }

    fn new_reg(&mut self, reg: &mut Reg, fresh: &mut Fresh) {
        let new = fresh.reg();
        self.regs.insert(*reg, new);
        *reg = new;
    }

    fn rebind(&mut self, body: &mut [Stmt], fresh: &mut Fresh) {
        for stmt in body {
            match stmt {
                Stmt::For { var, .. } | Stmt::LetIndex { var, .. } => self.new_index(var, fresh),
                Stmt::Let { reg, .. } | Stmt::Decl { reg, .. } => self.new_reg(reg, fresh),
                Stmt::Accumulate { reg, .. } | Stmt::Assign { reg, .. } => *reg = self.reg(*reg),
                Stmt::Store { .. } | Stmt::If { .. } | Stmt::Micro(_) => {}
            }
            for inner in stmt.bodies_mut() {
                self.rebind(inner, fresh);
            }
        }
    }
}

impl Stmt {
    /// The buffer that the statement itself writes, if it does: not what statements in its bodies write.
    pub fn stores_to(&self) -> Option<BufRef> {
        match self {
            Self::Store { buf, .. } => Some(*buf),
            Self::Micro(micro) => Some(micro.c.buf),
            _ => None,
        }
    }

    /// The bodies directly within: of a loop, both of an `if`.
    pub fn bodies(&self) -> impl Iterator<Item = &[Self]> {
        let [first, second] = match self {
            Self::For { body, .. } => [Some(&body[..]), None],
            Self::If { then, otherwise, .. } => [Some(&then[..]), Some(&otherwise[..])],
            _ => [None, None],
        };
        first.into_iter().chain(second)
    }

    /// The bodies directly within, for writing.
    pub fn bodies_mut(&mut self) -> impl Iterator<Item = &mut Vec<Self>> {
        let [first, second] = match self {
            Self::For { body, .. } => [Some(body), None],
            Self::If { then, otherwise, .. } => [Some(then), Some(otherwise)],
            _ => [None, None],
        };
        first.into_iter().chain(second)
    }

    /// The expression of the statement itself, if it has one: not those of statements in its bodies.
    pub fn expr(&self) -> Option<&Expr> {
        match self {
            Self::LetIndex { value: IndexExpr::Checked { value, .. }, .. } => Some(value),
            Self::Let { value, .. }
            | Self::Decl { init: value, .. }
            | Self::Accumulate { value, .. }
            | Self::Assign { value, .. }
            | Self::Store { value, .. }
            | Self::If { condition: value, .. } => Some(value),
            Self::Micro(_) | Self::For { .. } | Self::LetIndex { .. } => None,
        }
    }

    /// The expression of the statement itself, for writing.
    pub fn expr_mut(&mut self) -> Option<&mut Expr> {
        match self {
            Self::LetIndex { value: IndexExpr::Checked { value, .. }, .. } => Some(value),
            Self::Let { value, .. }
            | Self::Decl { init: value, .. }
            | Self::Accumulate { value, .. }
            | Self::Assign { value, .. }
            | Self::Store { value, .. }
            | Self::If { condition: value, .. } => Some(value),
            Self::Micro(_) | Self::For { .. } | Self::LetIndex { .. } => None,
        }
    }
}

impl Expr {
    /// The operands.
    pub fn children(&self) -> &[Self] {
        match self {
            Self::Const(_) | Self::Reg(_) | Self::Index { .. } | Self::Load { .. } => &[],
            Self::Apply(_, args) => args,
            Self::Cast(_, value) | Self::Bitcast(_, value) | Self::Splat(_, value) | Self::Fold(_, value) => {
                std::slice::from_ref(value)
            }
        }
    }

    /// The operands, for writing.
    pub fn children_mut(&mut self) -> &mut [Self] {
        match self {
            Self::Const(_) | Self::Reg(_) | Self::Index { .. } | Self::Load { .. } => &mut [],
            Self::Apply(_, args) => args,
            Self::Cast(_, value) | Self::Bitcast(_, value) | Self::Splat(_, value) | Self::Fold(_, value) => {
                std::slice::from_mut(value)
            }
        }
    }

    /// Calls `f` on this expression, then on everything below.
    pub fn visit<'a>(&'a self, f: &mut impl FnMut(&'a Self)) {
        f(self);
        for child in self.children() {
            child.visit(f);
        }
    }

    /// Replaces every expression below, then this one, by `f` of it.
    pub fn map(&mut self, f: &mut impl FnMut(Self) -> Self) {
        for child in self.children_mut() {
            child.map(f);
        }
        let old = std::mem::replace(self, Self::Reg(Reg(u32::MAX)));
        *self = f(old);
    }

    /// Calls `f` on every affine index in this expression.
    pub fn map_indices(&mut self, f: &mut impl FnMut(&mut Affine)) {
        if let Self::Index { index, .. } | Self::Load { index, .. } = self {
            f(index);
        }
        for child in self.children_mut() {
            child.map_indices(f);
        }
    }

    /// Calls `f` on the buffer and the index of every load in this expression.
    pub fn map_accesses(&mut self, f: &mut impl FnMut(&mut BufRef, &mut Affine)) {
        if let Self::Load { buf, index, .. } = self {
            f(buf, index);
        }
        for child in self.children_mut() {
            child.map_accesses(f);
        }
    }

    /// This with an index variable replaced by an affine expression.
    #[must_use]
    pub fn substitute(mut self, var: IndexVar, by: &Affine) -> Self {
        self.map_indices(&mut |index| *index = index.substitute(var, by));
        self
    }

    /// `var < end`, in the form that the verifier takes as a bound.
    pub fn is_below(var: IndexVar, end: usize) -> Self {
        let index = Self::Index { index: Affine::term(var, 1), dtype: DType::I64, lanes: 1, stride: 1 };
        Self::binary(ScalarOp::LT, index, Self::Const(Scalar::I64(end as i64)))
    }

    /// An element of a buffer.
    pub fn load(buf: BufRef, index: Affine) -> Self {
        Self::Load { buf, index, lanes: 1, stride: 1 }
    }

    /// An op of two operands.
    pub fn binary(op: ScalarOp, a: Self, b: Self) -> Self {
        Self::Apply(op, vec![a, b])
    }
}
