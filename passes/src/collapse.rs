//! Merges nested loops that walk contiguous elements.
//!
//! # Does
//! Two loops, one directly inside the other, become one wherever every index walks both with one stride. Loops that run once go.
//! # Requires
//! Stage `lowered`.
//! # Ensures
//! Elementwise kernels on dense tensors are one loop, whatever the rank.
//! # Example
//! `for i0 in 0..8 { for i1 in 0..4 { store p1[i0*4 + i1] = .. } }` becomes `for i2 in 0..32 { store p1[i2] = .. }`.

use crate::{PassContext, PassError};
use kernel::walk::{map_indices, substitute};
use kernel::{Affine, Fresh, IndexVar, LoopKind, Program, Stmt};

/// Runs the pass.
///
/// # Errors
/// None.
pub fn run(program: &mut Program, _: &PassContext) -> Result<(), PassError> {
    for kernel in &mut program.kernels {
        let mut fresh = Fresh::above(&kernel.body);
        kernel.body = collapse(std::mem::take(&mut kernel.body), &mut fresh);
    }
    Ok(())
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
                out.push(merge(var, extent, kind, body, fresh));
            }
            other => out.push(other),
        }
    }
    out
}

/// The loop, merged with the one that is all its body, if they walk as one.
fn merge(var: IndexVar, extent: usize, kind: LoopKind, body: Vec<Stmt>, fresh: &mut Fresh) -> Stmt {
    let [Stmt::For { var: inner, extent: inner_extent, kind: LoopKind::Serial, body: inner_body }] = body.as_slice()
    else {
        return Stmt::For { var, extent, kind, body };
    };
    let mut merged_body = inner_body.clone();
    let mut as_one = true;
    map_indices(&mut merged_body, &mut |index| {
        as_one &= index.coefficient(var) == index.coefficient(*inner) * *inner_extent as i64;
    });
    if !as_one {
        return Stmt::For { var, extent, kind, body };
    }
    let merged = fresh.index();
    substitute(&mut merged_body, var, &Affine::constant(0));
    substitute(&mut merged_body, *inner, &Affine::term(merged, 1));
    Stmt::For { var: merged, extent: extent * inner_extent, kind, body: merged_body }
}
