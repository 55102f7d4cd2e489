//! Tidies vector code: sums of straight-line code become values, equal values are computed once, what a loop doesn't change goes before it.

use super::folds::Fold;
use kernel::walk::{assigned, assigned_inside, map_exprs, visit_exprs, visit_stmts};
use kernel::{Affine, BufRef, Expr, Fresh, IndexVar, Reg, ScalarOp, Stmt, Types};
use std::collections::{BTreeMap, BTreeSet};

/// Makes values of the accumulators that no loop in the list folds into. The first fold into one is what is folded: the identity that
/// it is declared with drops out.
pub(super) fn straighten(body: Vec<Stmt>, sums: &BTreeMap<Reg, Fold>, fresh: &mut Fresh) -> Vec<Stmt> {
    let looped = assigned_inside(&body);
    let is_sum = |reg: &Reg| sums.contains_key(reg) && !looped.contains(reg);
    let mut latest: BTreeMap<Reg, Reg> = BTreeMap::new();
    let mut out = Vec::with_capacity(body.len());
    for mut stmt in body {
        // An assignment names what it folds into; only its other operands are replaced here.
        let own = if let Stmt::Assign { reg, .. } = &stmt { Some(*reg) } else { None };
        if !latest.is_empty() {
            rename(&mut stmt, &|reg| if own == Some(reg) { None } else { latest.get(&reg).map(|&r| Expr::Reg(r)) });
        }
        let (reg, value) = match stmt {
            Stmt::Decl { reg, .. } if is_sum(&reg) => continue,
            Stmt::Accumulate { reg, op, value } if is_sum(&reg) => match latest.get(&reg) {
                Some(&old) => (reg, Expr::binary(op, Expr::Reg(old), value)),
                None => (reg, value),
            },
            Stmt::Assign { reg, value: Expr::Apply(op, mut args) } if is_sum(&reg) => {
                // The one assignment that folds: `fma(a, b, sum)`.
                args.pop();
                match latest.get(&reg) {
                    Some(&old) => {
                        args.push(Expr::Reg(old));
                        (reg, Expr::Apply(op, args))
                    }
                    None => (reg, Expr::Apply(ScalarOp::MUL, args)),
                }
            }
            other => {
                out.push(other);
                continue;
            }
        };
        let new = fresh.reg();
        out.push(Stmt::Let { reg: new, value });
        latest.insert(reg, new);
    }
    out
}

/// Replaces uses of values by what is known of them.
fn replace(stmt: &mut Stmt, by: &BTreeMap<Reg, Expr>) {
    if !by.is_empty() {
        rename(stmt, &|reg| by.get(&reg).cloned());
    }
}

/// Replaces uses of values by those of others.
fn rename(stmt: &mut Stmt, new: &dyn Fn(Reg) -> Option<Expr>) {
    map_exprs(std::slice::from_mut(stmt), &mut |expr| match expr {
        Expr::Reg(reg) => new(reg).unwrap_or(expr),
        other => other,
    });
}

/// Whether an expression keeps its value while the body runs: it reads no accumulator and no memory that changes.
struct Steady {
    assigned: BTreeSet<Reg>,
    stored: BTreeSet<BufRef>,
}

impl Steady {
    fn of(body: &[Stmt]) -> Self {
        let mut stored = BTreeSet::new();
        visit_stmts(body, &mut |stmt| {
            stored.extend(stmt.stores_to());
        });
        Self { assigned: assigned(body), stored }
    }

    fn keeps(&self, expr: &Expr) -> bool {
        let mut keeps = true;
        expr.visit(&mut |e| match e {
            Expr::Reg(reg) => keeps &= !self.assigned.contains(reg),
            Expr::Load { buf, .. } => keeps &= !self.stored.contains(buf),
            _ => {}
        });
        keeps
    }
}

/// Binds equal values of the list once, and constants not at all: copies of a body share what is the same in all of them.
pub(super) fn share(body: Vec<Stmt>) -> Vec<Stmt> {
    let steady = Steady::of(&body);
    let mut known: BTreeMap<Expr, Reg> = BTreeMap::new();
    let mut replaced: BTreeMap<Reg, Expr> = BTreeMap::new();
    let mut out = Vec::with_capacity(body.len());
    for mut stmt in body {
        replace(&mut stmt, &replaced);
        if let Stmt::Let { reg, value } = &stmt
            && steady.keeps(value)
        {
            let same = match value {
                Expr::Const(_) => value.clone(),
                _ => Expr::Reg(*known.entry(value.clone()).or_insert(*reg)),
            };
            if same != Expr::Reg(*reg) {
                replaced.insert(*reg, same);
                continue;
            }
        }
        out.push(stmt);
    }
    out
}

/// Values that go through a scratch buffer within one iteration needn't: loads of what the list has stored just there become that value, and
/// a buffer that nothing loads any more isn't stored to. Lists within, too.
pub(super) fn forward(body: Vec<Stmt>, types: &Types) -> Vec<Stmt> {
    let kept = StoredValues { types, stores: count_stores(&body), assigned: assigned(&body) };
    let body = kept.forward(body);
    let mut loaded = BTreeSet::new();
    visit_exprs(&body, &mut |expr| {
        if let Expr::Load { buf, .. } = expr {
            loaded.insert(*buf);
        }
    });
    visit_stmts(&body, &mut |stmt| {
        if let Stmt::Micro(micro) = stmt {
            loaded.extend([micro.a.buf, micro.b.buf]);
        }
    });
    without_dead_stores(body, &|buf| matches!(buf, BufRef::Local(_)) && !loaded.contains(&buf))
}

fn count_stores(body: &[Stmt]) -> BTreeMap<BufRef, usize> {
    let mut stores = BTreeMap::new();
    visit_stmts(body, &mut |stmt| {
        if let Some(buf) = stmt.stores_to() {
            *stores.entry(buf).or_insert(0) += 1;
        }
    });
    stores
}

/// What tells whether a buffer still holds what was stored.
struct StoredValues<'a> {
    types: &'a Types,
    stores: BTreeMap<BufRef, usize>,
    assigned: BTreeSet<Reg>,
}

impl StoredValues<'_> {
    fn forward(&self, body: Vec<Stmt>) -> Vec<Stmt> {
        let mut stored: BTreeMap<BufRef, (Affine, Reg)> = BTreeMap::new();
        let mut replaced: BTreeMap<Reg, Expr> = BTreeMap::new();
        let mut out = Vec::with_capacity(body.len());
        for mut stmt in body {
            replace(&mut stmt, &replaced);
            match &stmt {
                // The only store there is, of a value that doesn't change.
                Stmt::Store { buf: buf @ BufRef::Local(_), index, value: Expr::Reg(reg) }
                    if self.stores.get(buf) == Some(&1) && !self.assigned.contains(reg) =>
                {
                    stored.insert(*buf, (index.clone(), *reg));
                }
                Stmt::Let { reg, value: Expr::Load { buf, index, lanes, stride: 1 } } => match stored.get(buf) {
                    Some((at, value)) if at == index && self.types.reg(*value).is_some_and(|ty| ty.lanes == *lanes) => {
                        replaced.insert(*reg, Expr::Reg(*value));
                        continue;
                    }
                    _ => {}
                },
                _ => {}
            }
            for inner in stmt.bodies_mut() {
                *inner = self.forward(std::mem::take(inner));
            }
            out.push(stmt);
        }
        out
    }
}

fn without_dead_stores(body: Vec<Stmt>, dead: &dyn Fn(BufRef) -> bool) -> Vec<Stmt> {
    let mut out = Vec::with_capacity(body.len());
    for mut stmt in body {
        if matches!(&stmt, Stmt::Store { buf, .. } if dead(*buf)) {
            continue;
        }
        for inner in stmt.bodies_mut() {
            *inner = without_dead_stores(std::mem::take(inner), dead);
        }
        out.push(stmt);
    }
    out
}

/// Shares equal values in the list and in those within.
pub(super) fn share_all(body: Vec<Stmt>) -> Vec<Stmt> {
    let mut body = share(body);
    for inner in body.iter_mut().flat_map(Stmt::bodies_mut) {
        *inner = share_all(std::mem::take(inner));
    }
    body
}

/// Takes the values out of a loop's body that no iteration changes: they come first of the two.
pub(super) fn hoist(body: Vec<Stmt>, var: IndexVar) -> (Vec<Stmt>, Vec<Stmt>) {
    let steady = Steady::of(&body);
    let (mut regs, mut indices) = (BTreeSet::new(), BTreeSet::from([var]));
    let (mut before, mut inside) = (vec![], vec![]);
    for stmt in body {
        if let Stmt::Let { value, .. } = &stmt
            && steady.keeps(value)
            && is_free_of(value, &regs, &indices)
        {
            before.push(stmt);
            continue;
        }
        visit_stmts(std::slice::from_ref(&stmt), &mut |s| match s {
            Stmt::Let { reg, .. } | Stmt::Decl { reg, .. } => {
                regs.insert(*reg);
            }
            Stmt::For { var, .. } | Stmt::LetIndex { var, .. } => {
                indices.insert(*var);
            }
            _ => {}
        });
        inside.push(stmt);
    }
    (before, inside)
}

fn is_free_of(value: &Expr, regs: &BTreeSet<Reg>, indices: &BTreeSet<IndexVar>) -> bool {
    let mut free = true;
    value.visit(&mut |e| match e {
        Expr::Reg(reg) => free &= !regs.contains(reg),
        Expr::Index { index, .. } | Expr::Load { index, .. } => {
            free &= index.terms().iter().all(|(v, _)| !indices.contains(v));
        }
        _ => {}
    });
    free
}
