//! Stores go at once where a copy would put them.
//!
//! A result that is put together of parts is one copy for each part. Where a part has been computed in the same iteration, into scratch memory that the copy alone
//! reads, what computes it stores it in its place among the others, and the copy is gone.

use super::steps::{are_apart, reads, uses};
use crate::PassError;
use kernel::walk::{map_accesses, visit_exprs, visit_stmts};
use kernel::{Affine, BufRef, Expr, IndexVar, Kernel, LoopKind, Ranges, Stmt, Types};

/// A nest of loops that copies a whole buffer.
struct CopyNest {
    /// Its place among the statements of the kernel's loop, and there.
    path: Vec<usize>,
    from: BufRef,
    to: BufRef,
    /// Where the first element goes, by variables of loops around.
    base: Affine,
    /// By how much an element's index changes with each digit of the index that it comes from, how many values the digit has, and by how much its place changes; the most
    /// significant digit first.
    digits: Vec<(i64, i64, i64)>,
    /// Where it stores, by its own loops.
    index: Affine,
}

/// Leaves out the copies of scratch memory within a kernel's one loop that needn't be.
///
/// # Errors
/// If the kernel doesn't type: a defect of an earlier pass.
pub(super) fn forward(kernel: &mut Kernel) -> Result<(), PassError> {
    for local in 0..kernel.locals.len() as u32 {
        let [Stmt::For { var, kind: LoopKind::Serial, body, .. }] = &kernel.body[..] else { return Ok(()) };
        let Some((copy, outer)) =
            CopyNest::of(BufRef::Local(local), kernel.locals[local as usize].len, body).zip(Some(*var))
        else {
            continue;
        };
        let types = Types::of_kernel(kernel).map_err(|e| PassError::Invalid(format!("{}: {e}", kernel.name)))?;
        if !copy.may_go(body, outer, types.ranges()) {
            continue;
        }
        let mut body = body.clone();
        if copy.redirect(&mut body, types.ranges()).is_none() {
            continue;
        }
        remove(&mut body, &copy.path);
        if let [Stmt::For { body: old, .. }] = &mut kernel.body[..] {
            *old = body;
        }
    }
    Ok(())
}

impl CopyNest {
    /// The copy that is all that reads a buffer of so many elements.
    fn of(from: BufRef, len: usize, body: &[Stmt]) -> Option<Self> {
        let mut reads = 0;
        visit_exprs(body, &mut |expr| reads += usize::from(matches!(expr, Expr::Load { buf, .. } if *buf == from)));
        let mut tiles = false;
        visit_stmts(body, &mut |stmt| {
            if let Stmt::Micro(micro) = stmt {
                tiles |= [micro.a.buf, micro.b.buf, micro.c.buf].contains(&from);
            }
        });
        if reads != 1 || tiles {
            return None;
        }
        let (mut path, mut loops) = (vec![], vec![]);
        find(body, from, &mut path, &mut loops);
        if path.is_empty() {
            return None;
        }
        let innermost = path.iter().try_fold(body, |body, &at| match &body[at] {
            Stmt::For { body, .. } => Some(&body[..]),
            _ => None,
        })?;
        let [
            Stmt::Let { reg, value: Expr::Load { index: source, lanes: 1, .. } },
            Stmt::Store { buf: to, index, value: Expr::Reg(stored) },
        ] = innermost
        else {
            return None;
        };
        let mut digits: Vec<_> = (loops.iter())
            .map(|&(var, extent)| (source.coefficient(var), extent as i64, index.coefficient(var)))
            .collect();
        digits.sort_unstable_by(|a, b| b.cmp(a));
        let dense = digits
            .iter()
            .rev()
            .try_fold(1i64, |width, &(by, count, _)| (by == width).then(|| width.checked_mul(count)).flatten());
        let whole = source.offset() == 0 && source.terms().len() == loops.len() && dense == i64::try_from(len).ok();
        let mut base = index.clone();
        for &(var, _) in &loops {
            base = base.clone().plus_term(var, -index.coefficient(var));
        }
        (reg == stored && whole && *to != from).then(|| Self {
            path,
            from,
            to: *to,
            base,
            digits,
            index: index.clone(),
        })
    }

    /// Whether it makes no difference when the copy's stores come: nothing reads what they write, and nothing else writes it meanwhile.
    fn may_go(&self, body: &[Stmt], outer: IndexVar, ranges: &Ranges) -> bool {
        let mut others = body.to_vec();
        remove(&mut others, &self.path);
        let own = (self.index.clone(), 0);
        !reads(body).contains(&self.to)
            && match uses(&others, true).remove(&self.to) {
                None => true,
                Some(None) => false,
                Some(Some(others)) => others.iter().all(|other| are_apart(&own, other, outer, ranges)),
            }
    }

    /// Has everything that is stored in the buffer stored where the copy would put it; `None` if that can't be said.
    fn redirect(&self, body: &mut [Stmt], ranges: &Ranges) -> Option<()> {
        let mut all = Some(());
        map_accesses(body, &mut |buf, index| {
            if *buf != self.from {
                return;
            }
            // The copy's own load goes with it.
            match self.place(index, ranges) {
                Some(place) => (*buf, *index) = (self.to, place),
                None => all = None,
            }
        });
        all
    }

    /// Where the copy puts the element of an index.
    fn place(&self, index: &Affine, ranges: &Ranges) -> Option<Affine> {
        let mut values = vec![Affine::constant(0); self.digits.len()];
        let mut offset = index.offset();
        for (value, &(by, ..)) in values.iter_mut().zip(&self.digits) {
            *value = Affine::constant(offset.div_euclid(by));
            offset = offset.rem_euclid(by);
        }
        for &(var, by) in index.terms() {
            let at = self.digits.iter().position(|&(width, ..)| by % width == 0)?;
            values[at] = values[at].clone().checked_plus_term(var, by / self.digits[at].0)?;
        }
        let mut place = self.base.clone();
        for (value, &(_, count, step)) in values.iter().zip(&self.digits) {
            if !value.range(ranges)?.is_within(usize::try_from(count).ok()?) {
                return None;
            }
            place = place.checked_plus(value.offset().checked_mul(step)?)?;
            for &(var, by) in value.terms() {
                place = place.checked_plus_term(var, by.checked_mul(step)?)?;
            }
        }
        Some(place)
    }
}

/// The way to the body that loads a buffer, by places of loops, and those loops; as far as there are loops around it.
fn find(body: &[Stmt], from: BufRef, path: &mut Vec<usize>, loops: &mut Vec<(IndexVar, usize)>) {
    for (at, stmt) in body.iter().enumerate() {
        if let Stmt::For { var, extent, kind: LoopKind::Serial, body: inner } = stmt
            && reads(inner).contains(&from)
        {
            path.push(at);
            loops.push((*var, *extent));
            return find(inner, from, path, loops);
        }
    }
}

/// Removes a statement, and loops that had no other.
fn remove(body: &mut Vec<Stmt>, path: &[usize]) {
    let [at, inner @ ..] = path else { return };
    if let Stmt::For { body: of_loop, .. } = &mut body[*at]
        && !inner.is_empty()
    {
        remove(of_loop, inner);
        if !of_loop.is_empty() {
            return;
        }
    }
    body.remove(*at);
}
