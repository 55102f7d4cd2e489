//! The accumulators that a loop folds into.

use kernel::walk::visit_stmts;
use kernel::{Expr, Reg, Scalar, ScalarOp, Stmt, Types};
use std::collections::{BTreeMap, BTreeSet};

/// An accumulator from outside of a loop.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Fold {
    pub(crate) reg: Reg,
    pub(crate) op: ScalarOp,
    /// What changes nothing when folded in.
    pub(crate) identity: Scalar,
}

impl Fold {
    /// Folds a value into an accumulator.
    pub(crate) fn accumulate(&self, reg: Reg, value: Expr) -> Stmt {
        Stmt::Accumulate { reg, op: self.op, value }
    }
}

/// The accumulators that the body folds into; `None` if it uses one in another way than by folding with one op.
pub(crate) fn of_body(types: &Types, body: &[Stmt]) -> Option<Vec<Fold>> {
    let mut inside = BTreeSet::new();
    visit_stmts(body, &mut |stmt| {
        if let Stmt::Decl { reg, .. } | Stmt::Let { reg, .. } = stmt {
            inside.insert(*reg);
        }
    });
    let mut ops: BTreeMap<Reg, ScalarOp> = BTreeMap::new();
    let mut reads: BTreeSet<Reg> = BTreeSet::new();
    let mut foldable = true;
    visit_stmts(body, &mut |stmt| {
        let folded = match stmt {
            Stmt::Accumulate { reg, op, value } => Some((*reg, *op, vec![value])),
            Stmt::Assign { reg, value: Expr::Apply(op, args) }
                if *op == ScalarOp::FMA && args[2] == Expr::Reg(*reg) =>
            {
                Some((*reg, ScalarOp::ADD, vec![&args[0], &args[1]]))
            }
            Stmt::Assign { reg, .. } => {
                foldable &= inside.contains(reg);
                None
            }
            _ => None,
        };
        let values = match folded {
            Some((reg, op, values)) => {
                if !inside.contains(&reg) {
                    foldable &= *ops.entry(reg).or_insert(op) == op;
                }
                values
            }
            None => stmt.expr().into_iter().collect(),
        };
        for value in values {
            value.visit(&mut |e| {
                if let Expr::Reg(reg) = e {
                    reads.insert(*reg);
                }
            });
        }
    });
    foldable &= ops.keys().all(|reg| !reads.contains(reg));
    if !foldable {
        return None;
    }
    ops.into_iter().map(|(reg, op)| Some(Fold { reg, op, identity: op.fold_start(types.reg(reg)?.dtype)? })).collect()
}
