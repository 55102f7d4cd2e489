//! Loops one behind the other within an iteration of a kernel's loop, as one.
//!
//! Joining leaves the loops of two kernels one behind the other where their stretches don't fit at once, the heads of an attention's scores before those of the product with them say: all heads'
//! scores are in scratch memory in between. Where such loops have as many iterations and each uses of scratch memory what the same iteration of the other one does, they become one
//! loop; a loop is turned inside out for that, rows of heads to heads of rows. Scratch memory that only one such loop uses then holds what one iteration needs.

use super::steps::{AccessRanges, MIN_STRETCH, are_apart, definitions, reads, step, uses};
use crate::PassError;
use ir::map_of;
use kernel::verify::expand;
use kernel::walk::{map_accesses, substitute, visit_stmts};
use kernel::{Affine, BufRef, IndexVar, Kernel, LoopKind, Ranges, Stmt, Types};
use std::collections::{BTreeMap, BTreeSet};

/// One of the statements that a loop's body is, with what it uses.
#[derive(Clone)]
struct Part {
    stmt: Stmt,
    uses: BTreeMap<BufRef, AccessRanges>,
    reads: BTreeSet<BufRef>,
    writes: BTreeSet<BufRef>,
}

/// Makes one of the loops within a kernel's one loop that hand over scratch memory to each other.
///
/// # Errors
/// If the kernel doesn't type: a defect of an earlier pass.
pub(super) fn fuse(kernel: &mut Kernel) -> Result<(), PassError> {
    let [Stmt::For { var: outer, kind: LoopKind::Serial, body, .. }] = &kernel.body[..] else { return Ok(()) };
    if kernel.locals.is_empty() || body.len() < 2 || !body.iter().all(is_loop) {
        return Ok(());
    }
    let types = Types::of_kernel(kernel).map_err(|e| PassError::Invalid(format!("{}: {e}", kernel.name)))?;
    let around = Around { outer: *outer, ranges: types.ranges() };
    let mut parts: Vec<Part> = body.iter().cloned().map(Part::of).collect();
    let mut fused = BTreeSet::new();
    while let Some(var) = around.fuse_two(&mut parts) {
        fused.insert(var);
    }
    if fused.is_empty() {
        return Ok(());
    }
    let mut parts: Vec<Stmt> = parts.into_iter().map(|part| part.stmt).collect();
    let lens = shrink(&mut parts, &fused, around.ranges);
    if let [Stmt::For { body, .. }] = &mut kernel.body[..] {
        *body = parts;
    }
    for (local, len) in lens {
        kernel.locals[local as usize].len = len;
    }
    Ok(())
}

/// What the loops of a kernel are in.
struct Around<'a> {
    /// The variable of the kernel's one loop.
    outer: IndexVar,
    ranges: &'a Ranges,
}

fn is_loop(stmt: &Stmt) -> bool {
    matches!(stmt, Stmt::For { kind: LoopKind::Serial, .. })
}

impl Part {
    fn of(stmt: Stmt) -> Self {
        let one = std::slice::from_ref(&stmt);
        let definitions = definitions(one);
        let mut all = uses(one, true);
        for index in all.values_mut().flatten().flatten() {
            index.0 = expand(&index.0, &definitions);
        }
        let mut writes = BTreeSet::new();
        visit_stmts(one, &mut |inner| writes.extend(inner.stores_to()));
        Self { uses: all, reads: reads(one), writes, stmt }
    }

    /// True if one of the two writes what the other one uses.
    fn conflicts(&self, other: &Self) -> bool {
        let writes = |a: &Self, b: &Self| a.writes.iter().any(|buf| b.reads.contains(buf) || b.writes.contains(buf));
        writes(self, other) || writes(other, self)
    }

    /// The loop as it stands; and turned inside out, if it is nothing but another loop and that changes nothing.
    fn forms(&self, ranges: &Ranges) -> Vec<Self> {
        let mut forms = vec![self.clone()];
        if let Some(turned) = self.turned(ranges) {
            forms.push(turned);
        }
        forms
    }

    fn turned(&self, ranges: &Ranges) -> Option<Self> {
        let Stmt::For { var, extent, body, .. } = &self.stmt else { return None };
        let [Stmt::For { var: inner, extent: inside, kind: LoopKind::Serial, body }] = &body[..] else { return None };
        // Each place is written once: then it doesn't matter when.
        let once = self.writes.iter().all(|buf| {
            let uses = self.uses.get(buf).and_then(Option::as_ref);
            !self.reads.contains(buf) && uses.is_some_and(|uses| uses.len() == 1 && is_injective(&uses[0], ranges))
        });
        once.then(|| Self {
            stmt: Stmt::serial(*inner, *inside, vec![Stmt::serial(*var, *extent, body.clone())]),
            ..self.clone()
        })
    }

    /// This with another variable in the place of one.
    fn with(&self, var: IndexVar, by: IndexVar) -> Self {
        let mut stmt = vec![self.stmt.clone()];
        substitute(&mut stmt, var, &Affine::term(by, 1));
        Self::of(stmt.remove(0))
    }

    fn variable(&self) -> Option<(IndexVar, usize)> {
        match &self.stmt {
            Stmt::For { var, extent, .. } => Some((*var, *extent)),
            _ => None,
        }
    }
}

/// Whether an index has another value wherever its variables have, but for variables that it doesn't have and those that are outside of all it is asked about.
fn is_injective((index, span): &(Affine, i64), ranges: &Ranges) -> bool {
    let mut terms: Vec<(i64, IndexVar)> = index.terms().iter().map(|&(var, by)| (by, var)).collect();
    terms.sort_unstable();
    let mut width = *span;
    terms.iter().all(|&(by, var)| {
        let Some(most) = ranges.get(&var).and_then(|range| by.checked_mul(range.hi)) else { return false };
        let apart = by > width;
        width = width.saturating_add(most);
        apart
    })
}

fn is_local(buf: BufRef) -> bool {
    matches!(buf, BufRef::Local(_))
}

impl Around<'_> {
    /// Makes one of the first two loops that can be; gives its variable.
    fn fuse_two(&self, parts: &mut Vec<Part>) -> Option<IndexVar> {
        for second in 1..parts.len() {
            for first in (0..second).rev() {
                let hand_over =
                    parts[first].writes.iter().any(|buf| is_local(*buf) && parts[second].reads.contains(buf));
                let apart = |moved: usize| parts[first + 1..second].iter().all(|part| !parts[moved].conflicts(part));
                if !hand_over || !(apart(first) || apart(second)) {
                    continue;
                }
                let place = if apart(second) { first } else { second };
                if let Some((var, one)) = self.fused(&parts[first], &parts[second]) {
                    parts[place] = one;
                    parts.remove(first + second - place);
                    return Some(var);
                }
            }
        }
        None
    }

    /// One loop in the place of two.
    fn fused(&self, first: &Part, second: &Part) -> Option<(IndexVar, Part)> {
        for first in first.forms(self.ranges) {
            for second in second.forms(self.ranges) {
                let ((var, extent), (other, as_many)) = (first.variable()?, second.variable()?);
                let second = second.with(other, var);
                if extent > 1 && extent == as_many && self.fit(&first, &second, var) {
                    let bodies =
                        [&first.stmt, &second.stmt].map(|stmt| stmt.bodies().flatten().cloned().collect::<Vec<_>>());
                    return Some((var, Part::of(Stmt::serial(var, extent, bodies.concat()))));
                }
            }
        }
        None
    }

    /// True if no iteration of one loop uses what another iteration of the other one writes.
    fn fit(&self, first: &Part, second: &Part, var: IndexVar) -> bool {
        let shared = first.uses.keys().filter(|buf| second.uses.contains_key(buf));
        shared.filter(|buf| first.writes.contains(buf) || second.writes.contains(buf)).all(|buf| {
            let (Some(Some(one)), Some(Some(other))) = (first.uses.get(buf), second.uses.get(buf)) else {
                return false;
            };
            if !first.reads.contains(buf) && !second.reads.contains(buf) {
                return one.iter().all(|a| other.iter().all(|b| are_apart(a, b, self.outer, self.ranges)));
            }
            let all: Vec<_> = one.iter().chain(other).cloned().collect();
            step(&all, var, self.ranges).is_some_and(|step| step >= MIN_STRETCH)
        })
    }
}

/// Scratch memory that one of these loops alone uses, a stretch in each iteration: each iteration uses the same stretch, and that is all there is. Gives lengths.
fn shrink(body: &mut [Stmt], fused: &BTreeSet<IndexVar>, ranges: &Ranges) -> Vec<(u32, usize)> {
    let parts: Vec<Part> = body.iter().cloned().map(Part::of).collect();
    let mut lens = vec![];
    for (at, part) in parts.iter().enumerate() {
        let Some((var, _)) = part.variable().filter(|(var, _)| fused.contains(var)) else { continue };
        let alone =
            |buf: &BufRef| parts.iter().enumerate().all(|(place, other)| place == at || !other.uses.contains_key(buf));
        let stretches = part.uses.iter().filter(|(buf, _)| alone(buf)).filter_map(|(buf, uses)| match (buf, uses) {
            (BufRef::Local(local), Some(uses)) => Some((*local, step(uses, var, ranges).filter(|step| *step > 0)?)),
            _ => None,
        });
        let stretches = map_of(stretches);
        let one = std::slice::from_mut(&mut body[at]);
        let definitions = definitions(one);
        map_accesses(one, &mut |buf, index| {
            if let BufRef::Local(local) = buf
                && let Some(step) = stretches.get(local)
            {
                *index = expand(index, &definitions).plus_term(var, -step);
            }
        });
        lens.extend(stretches.into_iter().filter_map(|(local, step)| Some((local, usize::try_from(step).ok()?))));
    }
    lens
}
