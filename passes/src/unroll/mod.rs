//! Unrolls short loops that have no vector form.
//!
//! # Does
//! A loop of few iterations over straight-line code, such as the taps of a window, is replaced by its iterations, from the inside out,
//! unless it can be vectorized itself. Accumulators that are left in straight-line code become plain values.
//! # Requires
//! Stage `decomposed`, before vectorization.
//! # Ensures
//! The same stage; the loop around may now be straight-line code.
//! # Example
//! `for i0 in 0..2 { v1 add= load p0[i2*2 + i0] }` inside of another loop becomes `v1 add= load p0[i2*2]`, `v1 add= load p0[i2*2 + 1]`.

mod promote;

use crate::vectorize::{CandidateLoop, Vectorizer};
use crate::{PassContext, PassError};
use kernel::walk::{map_exprs, refresh, substitute};
use kernel::{Affine, Expr, Fresh, IndexVar, Program, Scalar, Stmt, Types};

/// Loops with more iterations stay.
const MAX_ITERATIONS: usize = 16;
/// So do loops that would become more statements.
const MAX_STATEMENTS: usize = 256;

/// Runs the pass.
///
/// # Errors
/// If a kernel doesn't type: a defect of an earlier pass.
pub fn run(program: &mut Program, context: &PassContext) -> Result<(), PassError> {
    program.change_kernels(|kernel| {
        let types = Types::of_kernel(kernel).map_err(|e| PassError::Invalid(format!("{}: {e}", kernel.name)))?;
        let mut vectorizer = Vectorizer { types, fresh: Fresh::above(&kernel.body), target: context.target.clone() };
        let body = std::mem::take(&mut kernel.body);
        kernel.body = unroll(body, &mut vectorizer, 0);
        Ok(())
    })
}

fn unroll(body: Vec<Stmt>, vectorizer: &mut Vectorizer, depth: usize) -> Vec<Stmt> {
    let mut out = vec![];
    for stmt in body {
        match stmt {
            Stmt::For { var, extent, kind, body } => {
                let body = unroll(body, vectorizer, depth + 1);
                // The outermost loop may be shared among threads.
                if depth > 0
                    && is_short(extent, &body)
                    && !vectorizer.has_vector_form(CandidateLoop { var, extent, body: &body })
                {
                    out.extend(iterations(var, extent, &body, &mut vectorizer.fresh));
                } else {
                    out.push(Stmt::For { var, extent, kind, body });
                }
            }
            Stmt::If { condition, then, otherwise } => {
                let then = unroll(then, vectorizer, depth + 1);
                let otherwise = unroll(otherwise, vectorizer, depth + 1);
                out.push(Stmt::If { condition, then, otherwise });
            }
            other => out.push(other),
        }
    }
    promote::promote(out, &mut vectorizer.fresh)
}

fn is_short(extent: usize, body: &[Stmt]) -> bool {
    let straight = body.iter().all(|s| !matches!(s, Stmt::For { .. } | Stmt::If { .. } | Stmt::Micro(_)));
    straight && extent <= MAX_ITERATIONS && extent * body.len() <= MAX_STATEMENTS
}

fn iterations(var: IndexVar, extent: usize, body: &[Stmt], fresh: &mut Fresh) -> Vec<Stmt> {
    let mut out = vec![];
    for i in 0..extent {
        let mut copy = refresh(body, fresh);
        substitute(&mut copy, var, &Affine::constant(i as i64));
        map_exprs(&mut copy, &mut constant_index);
        out.extend(copy);
    }
    out
}

/// An index without variables is a constant.
fn constant_index(expr: Expr) -> Expr {
    match &expr {
        Expr::Index { index, dtype, lanes: 1, .. } if index.is_constant() => {
            Expr::Const(Scalar::from_i64(index.offset(), *dtype))
        }
        _ => expr,
    }
}
