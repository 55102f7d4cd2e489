//! Decides which kernels are shared among threads.
//!
//! # Does
//! A kernel whose only statement is a loop becomes parallel along it if its iterations provably write different places and there is
//! enough to do.
//! # Requires
//! Stage `decomposed`, after vectorization.
//! # Ensures
//! The same stage. What is computed doesn't depend on the number of threads: iterations are whole and independent.
//! # Example
//! `for i0 in 0..16 { vector i1 in 0..1024 { .. } }` becomes `parallel i0 in 0..16 { .. }`.

use crate::{PassContext, PassError};
use kernel::walk::{visit_exprs, visit_stmts};
use kernel::{Affine, BufRef, Expr, IndexVar, Kernel, LoopKind, Program, Stmt, Types};
use std::collections::BTreeMap;

/// Less work than this, in statements executed, isn't worth waking a thread: it takes a few microseconds.
const MIN_WORK: usize = 1 << 14;

/// Runs the pass.
///
/// # Errors
/// If a kernel doesn't type: a defect of an earlier pass.
pub fn run(program: &mut Program, _: &PassContext) -> Result<(), PassError> {
    for kernel in &mut program.kernels {
        let types = Types::of_kernel(kernel).map_err(|e| PassError::Invalid(format!("{}: {e}", kernel.name)))?;
        if is_worth_it(kernel)
            && iterations_are_disjoint(kernel, &types)
            && let [Stmt::For { kind, .. }] = kernel.body.as_mut_slice()
        {
            *kind = LoopKind::Parallel;
        }
    }
    Ok(())
}

fn is_worth_it(kernel: &Kernel) -> bool {
    match kernel.body.as_slice() {
        [Stmt::For { extent, kind: LoopKind::Serial, body, .. }] => *extent > 1 && extent * work(body) >= MIN_WORK,
        _ => false,
    }
}

/// How many statements a body executes; a step of a tile counts as one per vector.
fn work(body: &[Stmt]) -> usize {
    body.iter()
        .map(|stmt| match stmt {
            Stmt::For { extent, body, .. } => extent * work(body),
            Stmt::If { then, otherwise, .. } => work(then).max(work(otherwise)),
            Stmt::Micro(m) => {
                let steps: usize = m.reduce.iter().map(|d| d.extent).product();
                steps * (m.m * m.n).div_ceil(4)
            }
            _ => 1,
        })
        .sum()
}

/// True if no two iterations of the outermost loop meet in a buffer that one of them stores to: along the loop, all accesses to
/// such a buffer move by one step that is longer than what an iteration spans.
fn iterations_are_disjoint(kernel: &Kernel, types: &Types) -> bool {
    let [Stmt::For { var, body, .. }] = kernel.body.as_slice() else { return false };
    let mut accesses: BTreeMap<BufRef, Vec<(&Affine, i64)>> = BTreeMap::new();
    visit_stmts(body, &mut |stmt| {
        if let Stmt::Store { buf, index, value } = stmt {
            let lanes = types.type_of(value).map_or(1, |t| i64::from(t.lanes));
            accesses.entry(*buf).or_default().push((index, lanes - 1));
        }
    });
    let mut loads = vec![];
    visit_exprs(body, &mut |expr| {
        if let Expr::Load { buf, index, lanes, stride } = expr {
            loads.push((*buf, index, (i64::from(*lanes) - 1) * stride));
        }
    });
    for (buf, index, reach) in loads {
        if let Some(stores) = accesses.get_mut(&buf) {
            stores.push((index, reach));
        }
    }
    accesses
        .iter()
        .filter(|(buf, _)| matches!(buf, BufRef::Param(_)))
        .all(|(_, all)| step_exceeds_span(*var, all, types))
}

fn step_exceeds_span(var: IndexVar, accesses: &[(&Affine, i64)], types: &Types) -> bool {
    let step = accesses[0].0.coefficient(var);
    let (mut lo, mut hi) = (i64::MAX, i64::MIN);
    for (index, reach) in accesses {
        let rest = (*index).clone().plus_term(var, -step);
        let Some(range) = rest.range(types.ranges()) else { return false };
        if rest.coefficient(var) != 0 {
            return false;
        }
        lo = lo.min(range.lo).min(range.lo + reach);
        hi = hi.max(range.hi).max(range.hi + reach);
    }
    step.abs() > hi - lo
}
