//! How much work a kernel is, roughly: decides whether waking threads for it pays.

use kernel::{Expr, Kernel, Stmt};

/// A launch of less work than this many instructions runs on the calling thread: at 4 billion a second it takes 10 µs, a few times
/// what a fork and a join cost.
const WORTH_A_FORK: u64 = 40_000;

/// Whether a kernel's parallel loop is worth running on several threads.
pub(crate) fn worth_a_fork(kernel: &Kernel) -> bool {
    body(&kernel.body) >= WORTH_A_FORK
}

fn body(stmts: &[Stmt]) -> u64 {
    stmts.iter().map(stmt).fold(0, u64::saturating_add)
}

fn stmt(stmt: &Stmt) -> u64 {
    match stmt {
        Stmt::For { extent, body: inner, .. } => body(inner).saturating_mul(*extent as u64),
        Stmt::LetIndex { .. } => 2,
        Stmt::Let { value, .. } | Stmt::Decl { init: value, .. } | Stmt::Assign { value, .. } => expr(value),
        Stmt::Accumulate { value, .. } | Stmt::Store { value, .. } => 1 + expr(value),
        Stmt::If { condition, then, otherwise } => expr(condition) + body(then).max(body(otherwise)),
        Stmt::Micro(micro) => {
            // A fused multiply-add of a 4-lane vector is one instruction.
            let steps: u64 = micro.reduce.iter().map(|d| d.extent as u64).fold(1, u64::saturating_mul);
            let tile = (micro.m * micro.n) as u64;
            (steps / 4 + 1).saturating_mul(tile).saturating_add(body(&micro.body).saturating_mul(tile / 4 + 1))
        }
    }
}

fn expr(expression: &Expr) -> u64 {
    match expression {
        Expr::Const(_) | Expr::Reg(_) => 0,
        Expr::Index { .. } | Expr::Load { .. } => 1,
        Expr::Apply(_, operands) => 1 + operands.iter().map(expr).sum::<u64>(),
        Expr::Cast(_, value) | Expr::Bitcast(_, value) | Expr::Splat(_, value) => 1 + expr(value),
        Expr::Fold(_, value) => 4 + expr(value),
    }
}
