//! Tidies vector code: sums of straight-line code become values, equal values are computed once, what a loop doesn't change goes before it.

use super::folds::Fold;
use kernel::walk::{map_exprs, visit_stmts};
use kernel::{BufRef, Expr, Fresh, IndexVar, Reg, ScalarOp, Stmt};
use std::collections::{BTreeMap, BTreeSet};

/// Makes values of the accumulators that no loop in the list folds into. The first fold into one is what is folded: the identity that
/// it is declared with drops out.
pub(super) fn straighten(body: Vec<Stmt>, sums: &BTreeMap<Reg, Fold>, fresh: &mut Fresh) -> Vec<Stmt> {
    let looped = assigned_in_loops(&body);
    let is_sum = |reg: &Reg| sums.contains_key(reg) && !looped.contains(reg);
    let mut latest: BTreeMap<Reg, Reg> = BTreeMap::new();
    let mut out = Vec::with_capacity(body.len());
    for mut stmt in body {
        // An assignment names what it folds into; only its other operands are replaced here.
        let own = if let Stmt::Assign { reg, .. } = &stmt { Some(*reg) } else { None };
        rename(&mut stmt, &|reg| if own == Some(reg) { None } else { latest.get(&reg).copied() });
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

/// Replaces uses of values by those of others.
fn rename(stmt: &mut Stmt, new: &dyn Fn(Reg) -> Option<Reg>) {
    map_exprs(std::slice::from_mut(stmt), &mut |expr| match expr {
        Expr::Reg(reg) => Expr::Reg(new(reg).unwrap_or(reg)),
        other => other,
    });
}

fn assigned_in_loops(body: &[Stmt]) -> BTreeSet<Reg> {
    let mut regs = BTreeSet::new();
    for inner in body.iter().flat_map(Stmt::bodies) {
        regs.extend(assigned(inner));
    }
    regs
}

fn assigned(body: &[Stmt]) -> BTreeSet<Reg> {
    let mut regs = BTreeSet::new();
    visit_stmts(body, &mut |stmt| {
        if let Stmt::Accumulate { reg, .. } | Stmt::Assign { reg, .. } = stmt {
            regs.insert(*reg);
        }
    });
    regs
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
            if let Stmt::Store { buf, .. } = stmt {
                stored.insert(*buf);
            }
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

/// Binds equal values of the list once: copies of a body share what is the same in all of them.
pub(super) fn share(body: Vec<Stmt>) -> Vec<Stmt> {
    let steady = Steady::of(&body);
    let mut known: BTreeMap<Expr, Reg> = BTreeMap::new();
    let mut replaced: BTreeMap<Reg, Reg> = BTreeMap::new();
    let mut out = Vec::with_capacity(body.len());
    for mut stmt in body {
        rename(&mut stmt, &|reg| replaced.get(&reg).copied());
        if let Stmt::Let { reg, value } = &stmt
            && steady.keeps(value)
        {
            if let Some(&first) = known.get(value) {
                replaced.insert(*reg, first);
                continue;
            }
            known.insert(value.clone(), *reg);
        }
        out.push(stmt);
    }
    out
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
