//! Accumulators of straight-line code become values: each fold or assignment binds a new one.

use kernel::walk::{assigned_inside, substitute_reg};
use kernel::{Expr, Fresh, Reg, Stmt};
use std::collections::BTreeSet;

/// Promotes the accumulators that are declared in this list of statements and touched in no loop or branch inside it.
pub(super) fn promote(body: Vec<Stmt>, fresh: &mut Fresh) -> Vec<Stmt> {
    let touched_inside = assigned_inside(&body);
    let mut promoted: BTreeSet<Reg> = BTreeSet::new();
    let mut latest: Vec<(Reg, Expr)> = vec![];
    let mut out = Vec::with_capacity(body.len());
    for mut stmt in body {
        for (reg, value) in &latest {
            substitute_reg(std::slice::from_mut(&mut stmt), *reg, value);
        }
        let (reg, value) = match stmt {
            Stmt::Decl { reg, init } if !touched_inside.contains(&reg) => {
                promoted.insert(reg);
                (reg, init)
            }
            Stmt::Accumulate { reg, op, value } if promoted.contains(&reg) => {
                (reg, Expr::Apply(op, vec![current(&latest, reg), value]))
            }
            Stmt::Assign { reg, value } if promoted.contains(&reg) => (reg, value),
            other => {
                out.push(other);
                continue;
            }
        };
        let bound = match value {
            Expr::Const(_) | Expr::Reg(_) => value,
            value => {
                let new = fresh.reg();
                out.push(Stmt::Let { reg: new, value });
                Expr::Reg(new)
            }
        };
        latest.retain(|(r, _)| *r != reg);
        latest.push((reg, bound));
    }
    out
}

fn current(latest: &[(Reg, Expr)], reg: Reg) -> Expr {
    latest.iter().find(|(r, _)| *r == reg).map_or(Expr::Reg(reg), |(_, value)| value.clone())
}
