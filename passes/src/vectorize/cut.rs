//! How a loop is cut into vectors.

use kernel::walk::{visit_exprs, visit_stmts};
use kernel::{Expr, IndexVar, Stmt, Target};
use std::collections::BTreeSet;

/// A loop along `var`.
#[derive(Clone, Copy)]
pub(crate) struct CandidateLoop<'a> {
    pub(crate) var: IndexVar,
    pub(crate) extent: usize,
    pub(crate) body: &'a [Stmt],
}

/// Most vectors that one iteration handles.
const INTERLEAVE: usize = 4;
/// As many where a few statements stream rows into accumulators, and registers hold them.
const STREAMED: usize = 8;
/// Registers for what is added to them.
const OTHERS: usize = 4;
/// Statements on 128-bit vectors that one iteration of an elementwise loop is unrolled to; wider vectors do as much with fewer.
const MAX_UNROLLED: usize = 48;
/// Statements whose results wait for one another, as those of an expansion do: a vector alone leaves the multipliers idle most of the time, and the
/// processor doesn't look far enough ahead to find the next one.
const LONG_CHAIN: usize = 16;
/// Registers that each vector of such a loop wants, besides the constants, which may be operands in memory.
const CHAIN_REGISTERS: usize = 8;
/// Where a body reads so many vectors, it is for sums that share them: each value that is alive wants a register, and copies of the body would only read again.
const MANY_READS: usize = 16;
/// A fold's latency in statements: as many independent ones as fill it hide it.
const FOLD_LATENCY: usize = 12;
/// A loop of at most that many vectors becomes straight-line code.
const FEW: usize = 8;
/// A short loop with fewer elements is not worth a vector.
const MIN_SHORT: usize = 4;
/// A loop of at most that many vectors is cut evenly, so that no rest remains.
const EVEN: usize = 4;

/// The vectors of a loop: groups of `interleave`, single ones, one of fewer lanes; what is left then is scalar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct VectorCut {
    pub(super) lanes: u16,
    pub(super) interleave: usize,
    pub(super) groups: usize,
    pub(super) singles: usize,
    /// Lanes of the last vector, 0 if there is none.
    pub(super) rest: u16,
}

impl VectorCut {
    /// The cut of a loop with elements of which a register holds `full`; `None` if the loop is too short.
    pub(super) fn of(l: CandidateLoop<'_>, full: u16, folds: bool, target: &Target) -> Option<Self> {
        let register = usize::from(full);
        if l.extent < if target.masked() { MIN_SHORT.min(register) } else { register } {
            return None;
        }
        let vectors = l.extent.div_ceil(register);
        let even = target.masked() && vectors <= EVEN && l.extent.is_multiple_of(vectors);
        let lanes = if even { l.extent / vectors } else { register };
        let (whole, left) = (l.extent / lanes, l.extent % lanes);
        let interleave = interleave(l.body, whole, folds, target);
        let rest = if target.masked() && left > 1 { left as u16 } else { 0 };
        Some(Self { lanes: lanes as u16, interleave, groups: whole / interleave, singles: whole % interleave, rest })
    }

    /// The first element after the groups.
    pub(super) fn first_single(&self) -> usize {
        self.groups * self.interleave * usize::from(self.lanes)
    }

    /// The first element after all whole vectors.
    pub(super) fn first_rest(&self) -> usize {
        self.first_single() + self.singles * usize::from(self.lanes)
    }
}

/// How many of `whole` vectors an iteration handles: enough to fill the latency of folds, and to make the loop's own instructions few; all
/// if they are few.
fn interleave(body: &[Stmt], whole: usize, folds: bool, target: &Target) -> usize {
    let (mut statements, mut loops, mut accumulators) = (0, 0, 0);
    visit_stmts(body, &mut |stmt| {
        statements += 1;
        loops += usize::from(matches!(stmt, Stmt::For { .. }));
        accumulators += usize::from(matches!(stmt, Stmt::Decl { .. }));
    });
    let unrolled = MAX_UNROLLED * 16 / target.vector_bytes() / statements.max(1);
    let few = whole <= FEW && whole * statements <= MAX_UNROLLED;
    let best = if loops > 0 {
        let fits = accumulators * STREAMED <= target.vector_registers() / 2;
        let most = (target.vector_registers() - OTHERS) / accumulators.max(1);
        if fits && statements * STREAMED <= 2 * MAX_UNROLLED { STREAMED } else { most.clamp(1, INTERLEAVE) }
    } else if few && target.masked() {
        whole
    } else if statements >= LONG_CHAIN {
        let shares = reads(body) >= MANY_READS;
        let wanted = if shares { most_alive(body).max(CHAIN_REGISTERS) } else { CHAIN_REGISTERS };
        (target.vector_registers() / wanted).clamp(1, INTERLEAVE)
    } else if folds {
        (FOLD_LATENCY / statements.max(1)).clamp(2, INTERLEAVE)
    } else {
        unrolled.clamp(1, INTERLEAVE)
    };
    best.min(whole)
}

/// How often a body reads memory.
fn reads(body: &[Stmt]) -> usize {
    let mut reads = 0;
    visit_exprs(body, &mut |expr| reads += usize::from(matches!(expr, Expr::Load { .. })));
    reads
}

/// The most values of a body without loops that are alive at once.
fn most_alive(body: &[Stmt]) -> usize {
    let (mut alive, mut most) = (BTreeSet::new(), 0);
    for stmt in body.iter().rev() {
        if let Stmt::Let { reg, .. } | Stmt::Decl { reg, .. } = stmt {
            alive.remove(reg);
        }
        if let Stmt::Accumulate { reg, .. } = stmt {
            alive.insert(*reg);
        }
        visit_exprs(std::slice::from_ref(stmt), &mut |expr| {
            if let Expr::Reg(reg) = expr {
                alive.insert(*reg);
            }
        });
        most = most.max(alive.len());
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{Affine, BufRef};

    fn cut(extent: usize, target: &Target) -> Option<VectorCut> {
        let var = IndexVar(0);
        let at = Affine::term(var, 1);
        let value = Expr::load(BufRef::Param(0), at.clone());
        let body = [Stmt::Store { buf: BufRef::Param(1), index: at, value }];
        VectorCut::of(CandidateLoop { var, extent, body: &body }, (target.vector_bytes() / 4) as u16, false, target)
    }

    #[test]
    fn cuts_cover_the_extent() {
        for target in [Target::baseline(), Target::avx2(), Target::avx512()] {
            for extent in 1..300 {
                let Some(cut) = cut(extent, &target) else {
                    assert!(extent < target.vector_bytes() / 4);
                    continue;
                };
                let left = extent - cut.first_rest() - usize::from(cut.rest);
                assert!(left < if target.masked() { 2 } else { 4 }, "{cut:?} of {extent}");
                assert!(usize::from(cut.lanes) * 4 <= target.vector_bytes() && cut.rest < cut.lanes);
            }
        }
    }

    #[test]
    fn short_rows_are_one_vector() {
        let wide =
            |extent| cut(extent, &Target::avx512()).map(|c| (c.lanes, c.interleave * c.groups + c.singles, c.rest));
        assert_eq!(wide(3), None);
        assert_eq!(wide(10), Some((10, 1, 0)));
        assert_eq!(wide(26), Some((13, 2, 0)));
        assert_eq!(wide(100), Some((16, 6, 4)));
    }
}
