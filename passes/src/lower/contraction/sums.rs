//! Where a tile's sums go.
//!
//! What follows a tile are loops over its sums, which wait in scratch memory. Where the loops only store them, or add them to what stands there, the tile
//! does that itself.

use kernel::{Affine, BufRef, Expr, IndexVar, Micro, Reg, ScalarOp, Stmt, TileSums};

/// A tile and the loops behind it, or the tile alone, if it can put its sums where the loops would.
pub(super) fn placed(mut micro: Micro, after: Vec<Stmt>) -> Vec<Stmt> {
    if let Some(sums) = place(&micro, &after) {
        micro.c = sums;
        return vec![Stmt::Micro(Box::new(micro))];
    }
    let mut stmts = vec![Stmt::Micro(Box::new(micro))];
    stmts.extend(after);
    stmts
}

/// The place of the sums, if the loops are one store of them, or add them to what stands there.
fn place(micro: &Micro, after: &[Stmt]) -> Option<TileSums> {
    let [Stmt::For { var: i, body: row, .. }] = after else { return None };
    let [Stmt::For { var: j, body, .. }] = &row[..] else { return None };
    let [Stmt::Let { reg: sum, value: Expr::Load { buf: from, .. } }, body @ ..] = &body[..] else { return None };
    let (buf, index, accumulate) = stored(body, *sum)?;
    let steps = index.coefficient(*j) == 1;
    let apart = micro.m == 1 || index.coefficient(*i).unsigned_abs() >= micro.n as u64;
    let other = ![micro.a.buf, micro.b.buf].contains(&buf);
    (*from == micro.c.buf && steps && apart && other).then(|| TileSums {
        buf,
        base: first(index, [*i, *j]),
        stride: index.coefficient(*i),
        accumulate,
    })
}

/// Where a sum is stored, and whether it is added to what stands there, if nothing else is done with it.
fn stored(body: &[Stmt], sum: Reg) -> Option<(BufRef, &Affine, bool)> {
    let (Stmt::Store { buf, index, value: Expr::Reg(stored) }, before) = body.split_last()? else { return None };
    match before {
        [] if *stored == sum => Some((*buf, index, false)),
        [Stmt::Let { reg: old, value: load }, Stmt::Let { reg: new, value: add }] => {
            let adds = Expr::Apply(ScalarOp::ADD, vec![Expr::Reg(*old), Expr::Reg(sum)]);
            let same = stored == new && *add == adds && *load == Expr::load(*buf, index.clone());
            same.then_some((*buf, index, true))
        }
        _ => None,
    }
}

/// The index where these variables are 0.
fn first(index: &Affine, vars: [IndexVar; 2]) -> Affine {
    let zero = Affine::constant(0);
    vars.into_iter().fold(index.clone(), |index, var| index.substitute(var, &zero))
}
