//! Copies of a loop body side by side, with the loops inside them run together.

use kernel::walk::substitute;
use kernel::{Affine, Stmt};

/// One body from copies that differ in names and indices only: statement by statement, copy after copy; where the copies have a
/// loop, one loop around the jammed bodies.
pub(super) fn jam(copies: Vec<Vec<Stmt>>) -> Vec<Stmt> {
    let length = copies.first().map_or(0, Vec::len);
    let mut columns: Vec<Vec<Stmt>> = (0..length).map(|_| vec![]).collect();
    for copy in copies {
        for (column, stmt) in columns.iter_mut().zip(copy) {
            column.push(stmt);
        }
    }
    columns.into_iter().flat_map(jam_column).collect()
}

/// The same statement of each copy.
fn jam_column(stmts: Vec<Stmt>) -> Vec<Stmt> {
    let Some(Stmt::For { var, extent, kind, .. }) = stmts.first().cloned() else { return stmts };
    let bodies = stmts
        .into_iter()
        .filter_map(|stmt| match stmt {
            Stmt::For { var: own, mut body, .. } => {
                if own != var {
                    substitute(&mut body, own, &Affine::term(var, 1));
                }
                Some(body)
            }
            _ => None,
        })
        .collect();
    vec![Stmt::For { var, extent, kind, body: jam(bodies) }]
}
