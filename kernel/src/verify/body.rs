//! Invariants 1 to 9 and 14: names, types, structure and bounds of one kernel.

use super::access::{Accesses, Definitions, lanes_extra};
use super::{ErrorReport, Spec, disjoint};
use crate::text::{MAX_NESTING, TextLine};
use crate::{
    Affine, BufRef, DType, Expr, IndexExpr, IndexVar, Interval, Kernel, LoopKind, Reg, ScalarOp, Stmt, Types,
    ValueType, check_foldable,
};
use std::collections::BTreeSet;

/// Checks the name of kernel number `at`.
pub(super) fn check_name(kernel: &Kernel, at: usize, report: &mut ErrorReport) {
    let name = &kernel.name;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(fits) {
        report.add(1, TextLine::Kernel(at), format!("{name:?} is no name: letters, digits and `_`, a letter first"));
    }
}

/// Checks one kernel but for its name, number `at` of a program with that many checks.
pub(super) fn check(kernel: &Kernel, at: usize, checks: usize, spec: Spec, report: &mut ErrorReport) {
    let before = report.0.len();
    if nests_deeper(&kernel.body, MAX_NESTING) {
        return report.add(5, TextLine::Kernel(at), format!("more than {MAX_NESTING} levels of nesting"));
    }
    let mut checker = Checker {
        kernel,
        at,
        checks,
        spec,
        report,
        types: Types::of_buffers(kernel),
        bound: BoundNames::default(),
        accumulators: BTreeSet::new(),
        definitions: Definitions::new(),
        stmt: 0,
    };
    let parallel = matches!(kernel.body.as_slice(), [Stmt::For { kind: LoopKind::Parallel, .. }]);
    checker.body(&kernel.body, parallel);
    // Types are sound then; where accesses are matters among the iterations of a parallel loop only.
    if parallel && report.0.len() == before {
        match Accesses::of(kernel) {
            Ok(accesses) => disjoint::check_parallel(kernel, at, &accesses, report),
            Err(e) => report.add(3, TextLine::Kernel(at), e.to_string()),
        }
    }
}

/// The variable that a condition bounds, and the first value that it excludes: `lt(index i + 1 : i64, 4i64)` is `i < 3`.
fn upper_bound(condition: &Expr) -> Option<(IndexVar, i64)> {
    let Expr::Apply(op, args) = condition else { return None };
    match args.as_slice() {
        [Expr::Index { index, lanes: 1, .. }, Expr::Const(end)] if *op == ScalarOp::LT => match index.terms() {
            [(var, 1)] => Some((*var, end.as_i64().checked_sub(index.offset())?)),
            _ => None,
        },
        _ => None,
    }
}

fn nests_deeper(body: &[Stmt], left: usize) -> bool {
    fn expr(e: &Expr, left: usize) -> bool {
        left == 0 || e.children().iter().any(|c| expr(c, left - 1))
    }
    body.iter().any(|stmt| {
        left == 0
            || stmt.expr().is_some_and(|e| expr(e, left - 1))
            || stmt.bodies().any(|inner| nests_deeper(inner, left - 1))
    })
}

/// Every name that is bound anywhere: none may be bound twice. Those whose value has no type are not worth further errors.
#[derive(Default)]
struct BoundNames {
    regs: BTreeSet<Reg>,
    indices: BTreeSet<IndexVar>,
    broken_regs: BTreeSet<Reg>,
    broken_indices: BTreeSet<IndexVar>,
}

/// Walks a kernel; `types` holds what is in scope.
pub(super) struct Checker<'a> {
    pub(super) kernel: &'a Kernel,
    at: usize,
    checks: usize,
    spec: Spec,
    report: &'a mut ErrorReport,
    pub(super) types: Types,
    bound: BoundNames,
    accumulators: BTreeSet<Reg>,
    definitions: Definitions,
    /// The number of the statement in printing order.
    pub(super) stmt: usize,
}

impl Checker<'_> {
    pub(super) fn fail(&mut self, invariant: u32, message: impl Into<String>) {
        self.fail_at(self.stmt, invariant, message);
    }

    pub(super) fn fail_at(&mut self, stmt: usize, invariant: u32, message: impl Into<String>) {
        self.report.add(invariant, TextLine::Stmt(self.at, stmt), message);
    }

    /// Checks statements; what they bind goes out of scope at the end.
    pub(super) fn body(&mut self, body: &[Stmt], parallel_may_stand_here: bool) {
        let outside = self.types.mark();
        for stmt in body {
            self.check_stmt(stmt, parallel_may_stand_here);
        }
        self.types.go_back(outside);
    }

    fn check_stmt(&mut self, stmt: &Stmt, parallel_may_stand_here: bool) {
        match stmt {
            Stmt::For { var, extent, kind, body } => {
                match kind {
                    LoopKind::Parallel if !parallel_may_stand_here => {
                        self.fail(4, "a parallel loop is the one statement of its kernel");
                    }
                    LoopKind::Vector => self.check_strip(body),
                    _ => {}
                }
                let outside = self.types.mark();
                self.bind_extent(*var, *extent);
                self.stmt += 1;
                self.body(body, false);
                self.types.go_back(outside);
                return;
            }
            Stmt::If { condition, then, otherwise } => {
                match self.expr(condition) {
                    Some(ty) if ty != ValueType::scalar(DType::Bool) => {
                        self.fail(3, format!("a condition is one bool, not {ty}"));
                    }
                    _ => {}
                }
                self.stmt += 1;
                let bound = upper_bound(condition);
                self.branch(then, bound, |range, end| Interval { hi: range.hi.min(end - 1), ..range });
                self.branch(otherwise, bound, |range, end| Interval { lo: range.lo.max(end), ..range });
                return;
            }
            Stmt::Micro(micro) => return self.micro(micro),
            Stmt::LetIndex { var, value } => self.let_index(*var, value),
            Stmt::Let { reg, value } => {
                let ty = self.expr(value);
                self.bind_reg(*reg, ty);
            }
            Stmt::Decl { reg, init } => {
                let ty = self.expr(init);
                self.bind_reg(*reg, ty);
                self.accumulators.insert(*reg);
            }
            Stmt::Accumulate { reg, op, value } => {
                let ty = self.set(*reg, value);
                if let Some(Err(e)) = ty.map(|ty| check_foldable(*op, ty.dtype)) {
                    self.fail(3, e.to_string());
                }
            }
            Stmt::Assign { reg, value } => {
                self.set(*reg, value);
            }
            Stmt::Store { buf, index, value } => self.store(*buf, index, value),
        }
        self.stmt += 1;
    }

    /// One side of a branch, within which a bounded variable has a smaller range.
    fn branch(&mut self, body: &[Stmt], bound: Option<(IndexVar, i64)>, narrow: impl Fn(Interval, i64) -> Interval) {
        let narrowed = bound.and_then(|(var, end)| {
            let range = self.types.range(var)?;
            Some((var, range, narrow(range, end))).filter(|(_, _, narrow)| narrow.lo <= narrow.hi)
        });
        if let Some((var, _, range)) = narrowed {
            self.types.bind_index(var, range);
        }
        self.body(body, false);
        if let Some((var, range, _)) = narrowed {
            self.types.bind_index(var, range);
        }
    }

    fn check_strip(&mut self, body: &[Stmt]) {
        let straight = body.iter().all(|s| {
            matches!(s, Stmt::Let { .. } | Stmt::Store { .. } | Stmt::Accumulate { .. } | Stmt::Assign { .. })
        });
        if !straight {
            self.fail(4, "the body of a vector loop holds `let`, `store`, accumulations and assignments only");
        }
    }

    pub(super) fn bind_extent(&mut self, var: IndexVar, extent: usize) {
        let range = Interval::of_extent(extent);
        if range.is_none() {
            self.fail(4, format!("{var} has {extent} values: at least 1 is needed, and they must fit 64 bits"));
        }
        self.bind_index(var, range);
    }

    fn bind_index(&mut self, var: IndexVar, range: Option<Interval>) {
        if !self.bound.indices.insert(var) {
            self.fail(2, format!("{var} is bound twice in this kernel"));
        }
        match range {
            Some(range) => self.types.bind_index(var, range),
            None => {
                self.bound.broken_indices.insert(var);
            }
        }
    }

    pub(super) fn bind_reg(&mut self, reg: Reg, ty: Option<ValueType>) {
        if !self.bound.regs.insert(reg) {
            self.fail(2, format!("{reg} is bound twice in this kernel"));
        }
        match ty {
            Some(ty) => self.types.bind_reg(reg, ty),
            None => {
                self.bound.broken_regs.insert(reg);
            }
        }
    }

    fn let_index(&mut self, var: IndexVar, value: &IndexExpr) {
        let affine = match value {
            IndexExpr::Affine(a) | IndexExpr::Div(a, _) | IndexExpr::Rem(a, _) | IndexExpr::Clamp(a, ..) => Some(a),
            IndexExpr::Checked { value, bound, check } => {
                self.checked(value, *bound, *check);
                None
            }
        };
        let known = affine.is_none_or(|a| self.affine(a).is_some());
        let range = if known { value.range(self.types.ranges()) } else { None };
        if known && range.is_none() {
            self.fail(
                6,
                format!("`{value}`: the dividend may be negative, or a divisor, bound or clamp isn't positive"),
            );
        }
        if range.is_some() && !self.bound.indices.contains(&var) {
            self.definitions.insert(var, value.clone());
        }
        self.bind_index(var, range);
    }

    fn checked(&mut self, value: &Expr, bound: i64, check: u32) {
        match self.expr(value) {
            Some(ty) if ty != ValueType::scalar(DType::I32) && ty != ValueType::scalar(DType::I64) => {
                self.fail(3, format!("a checked index is one i32 or i64, not {ty}"));
            }
            _ => {}
        }
        if check as usize >= self.checks {
            self.fail(6, format!("there is no check #{check}"));
        }
        // An i32 never reaches a larger bound; then the comparison would not even be an i32's.
        if bound > i64::from(i32::MAX) && self.types.type_of(value).is_ok_and(|ty| ty.dtype == DType::I32) {
            self.fail(6, format!("the bound {bound} doesn't fit the i32 that it is compared with"));
        }
    }

    fn set(&mut self, reg: Reg, value: &Expr) -> Option<ValueType> {
        let found = self.expr(value);
        if self.bound.broken_regs.contains(&reg) {
            return None;
        }
        let Some(ty) = self.types.reg(reg).filter(|_| self.accumulators.contains(&reg)) else {
            self.fail(3, format!("{reg} can't be set: no `var` declares it here"));
            return None;
        };
        if let Some(found) = found.filter(|f| *f != ty) {
            self.fail(3, format!("{reg} is {ty}, the value is {found}"));
        }
        Some(ty)
    }

    fn store(&mut self, buf: BufRef, index: &Affine, value: &Expr) {
        let ty = self.expr(value);
        let Ok(dtype) = self.types.element(buf) else { return self.fail(2, format!("there is no {buf}")) };
        if let Some(ty) = ty.filter(|ty| ty.dtype != dtype) {
            self.fail(3, format!("{buf} holds {dtype}, the value is {ty}"));
        }
        self.access(buf, true);
        self.bounds(buf, index, ty.and_then(|ty| lanes_extra(ty.lanes, 1)), "store");
    }

    pub(super) fn access(&mut self, buf: BufRef, is_store: bool) {
        let BufRef::Param(p) = buf else { return };
        match self.kernel.params.get(p as usize).map(|p| p.access) {
            Some(access) if is_store && !access.stores() => {
                self.fail(9, format!("{buf} is a `{access}` parameter, and stored to"));
            }
            Some(access) if !is_store && !access.loads() => {
                self.fail(9, format!("{buf} is a `{access}` parameter, and loaded"));
            }
            _ => {}
        }
    }

    /// The interval of an index; reports what is unknown.
    pub(super) fn affine(&mut self, index: &Affine) -> Option<Interval> {
        for (var, _) in index.terms() {
            if self.types.range(*var).is_none() {
                if !self.bound.broken_indices.contains(var) {
                    self.fail(2, format!("{var} is not bound here"));
                }
                return None;
            }
        }
        let range = index.range(self.types.ranges());
        if range.is_none() {
            self.fail(6, format!("`{index}` may leave 64 bits"));
        }
        range
    }

    /// Invariant 7. `extra` is what is added to the index, `None` if it isn't known (and reported).
    pub(super) fn bounds(&mut self, buf: BufRef, index: &Affine, extra: Option<Interval>, what: &str) {
        let (Some(plain), Ok(len)) = (self.affine(index), self.types.len(buf)) else { return };
        let Some(extra) = extra else { return };
        let expanded = super::access::expand(index, &self.definitions);
        let exact = expanded.range(self.types.ranges()).unwrap_or(plain);
        match exact.plus(extra) {
            Some(range) if range.is_within(len) => {}
            Some(Interval { lo, hi }) => {
                self.fail(7, format!("{what} of {buf}[{lo}..={hi}] leaves its {len} elements"));
            }
            None => self.fail(6, format!("`{index}` may leave 64 bits")),
        }
    }

    /// Checks an expression and all below; its type, if it has one.
    pub(super) fn expr(&mut self, expr: &Expr) -> Option<ValueType> {
        let mut below = vec![];
        expr.visit(&mut |e| below.push(e));
        let mut unknown = false;
        for e in below {
            match e {
                Expr::Load { buf, index, lanes, stride } => {
                    self.access(*buf, false);
                    self.bounds(*buf, index, lanes_extra(*lanes, *stride), "load");
                }
                Expr::Index { index, dtype, lanes, stride } => {
                    let range =
                        self.affine(index).zip(lanes_extra(*lanes, *stride)).and_then(|(r, extra)| r.plus(extra));
                    let fits = |r: Interval| i32::try_from(r.lo).is_ok() && i32::try_from(r.hi).is_ok();
                    if *dtype == DType::I32 && range.is_some_and(|r| !fits(r)) {
                        self.fail(6, format!("`{index}` doesn't fit an i32"));
                    }
                }
                Expr::Reg(reg) => unknown |= self.bound.broken_regs.contains(reg),
                Expr::Apply(op, args) if self.spec.decomposed => self.check_decomposed(*op, args),
                _ => {}
            }
        }
        if unknown {
            return None;
        }
        match self.types.type_of(expr) {
            Ok(ty) => Some(ty),
            Err(e) => {
                self.fail(3, e.to_string());
                None
            }
        }
    }

    fn check_decomposed(&mut self, op: ScalarOp, args: &[Expr]) {
        // The element type is that of the first operand that is not a condition.
        let typed = if args.len() == 3 && op == ScalarOp::SELECT { &args[1..] } else { args };
        let dtype = typed.first().and_then(|a| self.types.type_of(a).ok()).map(|ty| ty.dtype);
        if let Some(dtype) = dtype.filter(|&d| (op.def().expand)(d).is_some()) {
            self.fail(14, format!("`{op}` of {dtype} has an expansion, and should be gone by now"));
        }
    }
}
