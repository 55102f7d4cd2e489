//! Merges nested loops that walk contiguous elements.
//!
//! # Does
//! Two loops, one directly inside the other, become one wherever every index walks both with one stride; loads between them of what is
//! the same in every iteration go before. Loops that run once go. Before, a loop whose variable is divided by a number, as a reshape of its axis does, becomes two.
//! # Requires
//! Stage `lowered`.
//! # Ensures
//! Elementwise kernels on dense tensors are one loop, whatever the rank.
//! # Example
//! `for i0 in 0..8 { for i1 in 0..4 { store p1[i0*4 + i1] = .. } }` becomes `for i2 in 0..32 { store p1[i2] = .. }`.

mod digits;

use crate::{PassContext, PassError};
use kernel::walk::{map_indices, substitute, visit_stmts};
use kernel::{Affine, Expr, Fresh, IndexVar, LoopKind, Program, Stmt};

/// Runs the pass.
///
/// # Errors
/// None.
pub fn run(program: &mut Program, _: &PassContext) -> Result<(), PassError> {
    program.change_kernels(|kernel| {
        let mut fresh = Fresh::above(&kernel.body);
        let body = digits::split(std::mem::take(&mut kernel.body), 0, &mut fresh);
        kernel.body = enclose(collapse(body, &mut fresh));
        Ok(())
    })
}

fn collapse(body: Vec<Stmt>, fresh: &mut Fresh) -> Vec<Stmt> {
    let mut out = Vec::with_capacity(body.len());
    for stmt in body {
        match stmt {
            Stmt::For { var, extent: 1, mut body, .. } => {
                substitute(&mut body, var, &Affine::constant(0));
                out.extend(collapse(body, fresh));
            }
            Stmt::For { var, extent, kind, body } => {
                let body = collapse(body, fresh);
                out.extend(merge(var, extent, kind, body, fresh));
            }
            other => out.push(other),
        }
    }
    out
}

/// The loop, merged with the one that is all its body but for loads of what is the same in every iteration, if they walk as one. Those
/// loads, of a learning rate for instance, go before it.
fn merge(var: IndexVar, extent: usize, kind: LoopKind, mut body: Vec<Stmt>, fresh: &mut Fresh) -> Vec<Stmt> {
    let whole = |body| vec![Stmt::For { var, extent, kind, body }];
    let Some((Stmt::For { var: inner, extent: inner_extent, kind: LoopKind::Serial, body: inner_body }, loads)) =
        body.split_last()
    else {
        return whole(body);
    };
    if !loads.iter().all(|load| is_fixed_load(load, var, inner_body)) {
        return whole(body);
    }
    let (inner, inner_extent, mut merged_body) = (*inner, *inner_extent, inner_body.clone());
    let mut as_one = true;
    map_indices(&mut merged_body, &mut |index| {
        as_one &= index.coefficient(var) == index.coefficient(inner) * inner_extent as i64;
    });
    if !as_one {
        return whole(body);
    }
    let merged = fresh.index();
    substitute(&mut merged_body, var, &Affine::constant(0));
    substitute(&mut merged_body, inner, &Affine::term(merged, 1));
    body.pop();
    body.push(Stmt::For { var: merged, extent: extent * inner_extent, kind, body: merged_body });
    body
}

/// Binds an element that is the same in all iterations of the loop over `var`, in which `body` does all that is stored.
fn is_fixed_load(stmt: &Stmt, var: IndexVar, body: &[Stmt]) -> bool {
    let Stmt::Let { value: Expr::Load { buf, index, .. }, .. } = stmt else { return false };
    let mut stored = false;
    visit_stmts(body, &mut |stmt| stored |= stmt.stores_to() == Some(*buf));
    index.coefficient(var) == 0 && !stored
}

/// Puts what stands before the only loop of a kernel in it, where that is a loop of loops: it may be shared among threads.
fn enclose(mut body: Vec<Stmt>) -> Vec<Stmt> {
    let before = body.len().saturating_sub(1);
    let is_load = |stmt: &Stmt| matches!(stmt, Stmt::Let { value: Expr::Load { .. }, .. });
    match body.last() {
        Some(Stmt::For { body: inner, .. })
            if body[..before].iter().all(is_load) && inner.iter().any(|s| matches!(s, Stmt::For { .. })) => {}
        _ => return body,
    }
    let mut last = body.split_off(before);
    if let Some(Stmt::For { body: inner, .. }) = last.first_mut() {
        body.append(inner);
        *inner = body;
    }
    last
}
