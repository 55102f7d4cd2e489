//! Cuts long chains of additions into blocks that have sums of their own, so that a sum's error grows with the logarithm of its length.
//!
//! An accumulator that a million terms are added to, one after the other, rounds each of them to its own magnitude: the error grows with the number of
//! terms, and `f32` stops growing at 2^24 ones. Here no accumulator takes more than a bounded number of terms: blocks are summed by themselves, blocks of
//! blocks too where there are many.

use crate::vectorize::folds::{self, Fold};
use kernel::walk::{has_tile, refresh, substitute, visit_exprs};
use kernel::{Affine, Expr, Fresh, IndexVar, LoopKind, Reg, ScalarOp, Stmt, Types};

/// Terms of a block whose elements lie side by side: vectors divide them among their lanes.
pub(super) const DENSE: usize = 4096;
/// Terms of any other block.
pub(super) const BLOCK: usize = 512;
/// An iteration with as many terms has a sum of its own.
const OWN: usize = 64;

/// Cuts the chains in `body`, from the innermost loops outwards.
pub(super) fn cut(body: &mut Vec<Stmt>, types: &mut Types, fresh: &mut Fresh) {
    for mut stmt in std::mem::take(body) {
        stmt.bodies_mut().for_each(|inner| cut(inner, types, fresh));
        match stmt {
            Stmt::For { var, extent, kind: LoopKind::Serial, body: inner } => {
                body.extend(cut_loop((var, extent), inner, types, fresh));
            }
            other => body.push(other),
        }
    }
}

/// A loop whose inner loops are cut, with blocks in it or around it as far as it has long chains.
fn cut_loop((var, extent): (IndexVar, usize), mut body: Vec<Stmt>, types: &mut Types, fresh: &mut Fresh) -> Vec<Stmt> {
    let whole = |body| vec![Stmt::serial(var, extent, body)];
    let Some(sums) = sums(types, &body).filter(|_| !has_tile(&body)) else { return whole(body) };
    let block = if is_dense(&body, var) { DENSE } else { BLOCK };
    let mut each = sums.iter().map(|f| terms(&body, f.reg)).max().unwrap_or(0);
    if each.saturating_mul(extent) <= 2 * block {
        return whole(body);
    }
    if each >= OWN {
        body = with_own_sums(body, &sums, types, fresh);
        each = 1;
        if extent <= 2 * block {
            return whole(body);
        }
    }
    let length = length_of_block(extent, (block / each).max(1));
    let (outer, inner) = (fresh.index(), fresh.index());
    let mut rest = refresh(&body, fresh);
    substitute(&mut body, var, &Affine::term(outer, length as i64).plus_term(inner, 1));
    let one = with_own_sums(vec![Stmt::serial(inner, length, body)], &sums, types, fresh);
    let mut out = cut_loop((outer, extent / length), one, types, fresh);
    let left = extent % length;
    if left > 0 {
        let last = fresh.index();
        substitute(&mut rest, var, &Affine::term(last, 1).plus((extent - left) as i64));
        out.push(Stmt::serial(last, left, rest));
    }
    out
}

/// The floating-point sums from outside of a loop's body that it adds to; `None` if there are none, or if one is used otherwise.
fn sums(types: &Types, body: &[Stmt]) -> Option<Vec<Fold>> {
    let mut found = folds::of_body(types, body)?;
    found
        .retain(|f| f.op == ScalarOp::ADD && types.reg(f.reg).is_some_and(|ty| ty.dtype.is_float() && !ty.is_vector()));
    (!found.is_empty()).then_some(found)
}

/// How many terms statements add to an accumulator, at most.
fn terms(body: &[Stmt], sum: Reg) -> usize {
    let of = |stmt: &Stmt| match stmt {
        Stmt::For { extent, body, .. } => extent.saturating_mul(terms(body, sum)),
        Stmt::If { then, otherwise, .. } => terms(then, sum).max(terms(otherwise, sum)),
        Stmt::Accumulate { reg, .. } | Stmt::Assign { reg, .. } => usize::from(*reg == sum),
        _ => 0,
    };
    body.iter().map(of).fold(0, usize::saturating_add)
}

/// Whether a loop without loops in it walks along elements that lie side by side.
fn is_dense(body: &[Stmt], var: IndexVar) -> bool {
    let mut dense = !body.iter().any(|s| matches!(s, Stmt::For { .. } | Stmt::LetIndex { .. } | Stmt::If { .. }));
    visit_exprs(body, &mut |expr| {
        if let Expr::Load { index, .. } = expr {
            dense &= matches!(index.coefficient(var), 0 | 1);
        }
    });
    dense
}

/// The longest block of at most `most` iterations, and at least half as many, that leaves no rest; else the longest.
fn length_of_block(extent: usize, most: usize) -> usize {
    (most.div_ceil(2)..=most).rev().find(|&length| extent.is_multiple_of(length)).unwrap_or(most)
}

/// The statements with accumulators of their own, which they add to the sums at their end.
fn with_own_sums(body: Vec<Stmt>, sums: &[Fold], types: &mut Types, fresh: &mut Fresh) -> Vec<Stmt> {
    let (mut out, mut body, mut ends) = (vec![], body, vec![]);
    for sum in sums {
        let Some(ty) = types.reg(sum.reg) else { continue };
        let own = fresh.reg();
        types.bind_reg(own, ty);
        out.push(Stmt::Decl { reg: own, init: Expr::Const(sum.identity) });
        redirect(&mut body, sum.reg, own);
        ends.push(sum.accumulate(sum.reg, Expr::Reg(own)));
    }
    out.extend(body);
    out.extend(ends);
    out
}

/// Adds to another accumulator.
fn redirect(body: &mut [Stmt], from: Reg, to: Reg) {
    for stmt in body {
        match stmt {
            Stmt::Accumulate { reg, .. } if *reg == from => *reg = to,
            Stmt::Assign { reg, value } if *reg == from => {
                *reg = to;
                value.map(&mut |expr| if expr == Expr::Reg(from) { Expr::Reg(to) } else { expr });
            }
            other => other.bodies_mut().for_each(|inner| redirect(inner, from, to)),
        }
    }
}
