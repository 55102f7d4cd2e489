//! Loops whose variable is taken apart by a division become two loops, so that both parts walk memory by themselves. Loops over tiles stay: they are as
//! long as they are for threads to share, and a tile is fast wherever it starts.

use kernel::walk::{has_tile, substitute, visit_stmts};
use kernel::{Affine, Fresh, IndexExpr, IndexVar, LoopKind, Stmt};

/// An inner loop of fewer iterations is no vector.
const LEAST: usize = 4;
/// An outermost loop keeps so many iterations for threads to share.
const SHARED: usize = 8;

/// Splits the loops of a kernel's body, the outermost at `depth` 0.
pub(super) fn split(body: Vec<Stmt>, depth: usize, fresh: &mut Fresh) -> Vec<Stmt> {
    let mut out = Vec::with_capacity(body.len());
    for stmt in body {
        let Stmt::For { var, extent, kind, body } = stmt else {
            let mut stmt = stmt;
            for inner in stmt.bodies_mut() {
                *inner = split(std::mem::take(inner), depth + 1, fresh);
            }
            out.push(stmt);
            continue;
        };
        let mut body = split(body, depth + 1, fresh);
        let fits = |by: &usize| {
            let (rest, outer) = (extent % by, extent / by);
            rest == 0 && *by >= LEAST && outer >= if depth == 0 { SHARED } else { 2 }
        };
        let Some(by) = divisor(&body, var).filter(fits).filter(|_| kind == LoopKind::Serial && !has_tile(&body)) else {
            out.push(Stmt::For { var, extent, kind, body });
            continue;
        };
        let (high, low) = (fresh.index(), fresh.index());
        bind(&mut body, var, (high, low));
        substitute(&mut body, var, &Affine::term(high, by as i64).plus_term(low, 1));
        out.push(Stmt::serial(high, extent / by, vec![Stmt::serial(low, by, body)]));
    }
    out
}

/// What a loop's variable is divided by, if it is divided by one number only, and alone.
fn divisor(body: &[Stmt], var: IndexVar) -> Option<usize> {
    let (mut found, mut alone) = (None, true);
    visit_stmts(body, &mut |stmt| {
        let Stmt::LetIndex { value, .. } = stmt else { return };
        match value {
            IndexExpr::Div(index, by) | IndexExpr::Rem(index, by) if index.coefficient(var) != 0 => {
                alone &= *index == Affine::term(var, 1) && found.is_none_or(|other| other == *by);
                found = Some(*by);
            }
            _ => {}
        }
    });
    found.filter(|_| alone).and_then(|by| usize::try_from(by).ok())
}

/// Puts the two variables in the place of quotients and remainders.
fn bind(body: &mut Vec<Stmt>, var: IndexVar, (high, low): (IndexVar, IndexVar)) {
    let mut at = 0;
    while at < body.len() {
        let part = match &body[at] {
            Stmt::LetIndex { var: bound, value: IndexExpr::Div(index, _) } if index.coefficient(var) != 0 => {
                Some((*bound, high))
            }
            Stmt::LetIndex { var: bound, value: IndexExpr::Rem(index, _) } if index.coefficient(var) != 0 => {
                Some((*bound, low))
            }
            _ => None,
        };
        if let Some((bound, part)) = part {
            body.remove(at);
            substitute(&mut body[at..], bound, &Affine::term(part, 1));
            continue;
        }
        body[at].bodies_mut().for_each(|inner| bind(inner, var, (high, low)));
        at += 1;
    }
}
