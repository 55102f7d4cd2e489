//! Proves that iterations touch different places: an index is a number in a mixed radix whose digits are loop variables, or quotients
//! and remainders of them.

use super::ErrorReport;
use super::access::{Accesses, MemoryAccess};
use crate::text::TextLine;
use crate::{Affine, BufRef, IndexExpr, IndexVar, Interval, Kernel, LoopKind, Ranges, Stmt};
use std::collections::BTreeMap;

/// What a variable says of a loop variable `p`: `(p / step) % count`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Digit {
    step: i64,
    count: i64,
}

/// The coefficients of an index by the digits of loop variables.
type Coefficients = BTreeMap<(IndexVar, Digit), i64>;

/// Some of the loops of a kernel, and what its other indices say of their variables.
struct Loops<'a> {
    accesses: &'a Accesses,
    vars: &'a [IndexVar],
}

impl Loops<'_> {
    fn extent(&self, var: IndexVar) -> Option<i64> {
        self.accesses.types.range(var)?.hi.checked_add(1)
    }

    /// The digit that a variable is, and of which loop variable, if it is one.
    fn digit(&self, var: IndexVar) -> Option<(IndexVar, Digit)> {
        if self.vars.contains(&var) {
            return Some((var, Digit { step: 1, count: self.extent(var)? }));
        }
        let (dividend, by, is_quotient) = match self.accesses.definitions.get(&var)? {
            IndexExpr::Div(dividend, by) => (dividend, *by, true),
            IndexExpr::Rem(dividend, by) => (dividend, *by, false),
            _ => return None,
        };
        let dividend = super::access::expand(dividend, &self.accesses.definitions);
        let [(inner, 1)] = dividend.terms() else { return None };
        if dividend.offset() != 0 || by < 1 {
            return None;
        }
        let (of, Digit { step, count }) = self.digit(*inner)?;
        // The leading digit has no remainder above it: nothing needs to divide evenly there.
        let leads = step.checked_mul(count)? >= self.extent(of)?;
        let digit = match (is_quotient, leads || count % by == 0) {
            (true, true) => Digit { step: step.checked_mul(by)?, count: count / by + i64::from(count % by != 0) },
            (false, true) => Digit { step, count: by.min(count) },
            _ => return None,
        };
        Some((of, digit))
    }

    /// True if every loop variable follows from these digits.
    fn follow_from(&self, digits: &Coefficients) -> bool {
        self.vars.iter().all(|&var| {
            let Some(extent) = self.extent(var) else { return false };
            let mut step = 1i64;
            for (_, digit) in digits.keys().filter(|(of, _)| *of == var) {
                if digit.step != step {
                    return false;
                }
                step = step.saturating_mul(digit.count);
            }
            step >= extent
        })
    }

    /// The coefficients of digits, and all the rest.
    fn split(&self, access: &MemoryAccess) -> Option<(Coefficients, Rest)> {
        let mut digits = Coefficients::new();
        let mut rest = Rest { terms: vec![], base: Interval::point(access.index.offset()).plus(access.extra)? };
        for &(var, c) in access.index.terms() {
            match self.digit(var) {
                Some(digit) => {
                    let sum = digits.entry(digit).or_insert(0i64);
                    *sum = sum.checked_add(c)?;
                }
                None => rest.terms.push((c.checked_abs()?, self.accesses.types.range(var)?.scale(c)?)),
            }
        }
        if let Some((stride, rows)) = access.rows {
            rest.terms.push((stride.checked_abs()?, rows));
        }
        digits.retain(|_, c| *c != 0);
        Some((digits, rest))
    }
}

/// What an index has besides digits: terms, by the size of their coefficient, and what is added.
struct Rest {
    terms: Vec<(i64, Interval)>,
    base: Interval,
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// True if indices with these digits and any of these rests differ wherever a digit differs.
///
/// Terms are taken by ascending coefficient. Where all the larger ones are multiples of a number that the smaller ones together can't
/// reach, two indices are equal only if both parts are equal: the index falls apart into segments. In a segment, each digit must step
/// over all smaller digits and the whole rest.
fn digits_show(digits: &Coefficients, rests: &[Rest]) -> Option<bool> {
    let of_digit = |((_, digit), &c): (&(IndexVar, Digit), &i64)| Some((c.checked_abs()?, digit.count));
    let mut digits = digits.iter().map(of_digit).collect::<Option<Vec<_>>>()?;
    digits.sort_unstable();
    let mut sizes: Vec<i64> = rests.iter().flat_map(|r| r.terms.iter().map(|t| t.0)).collect();
    sizes.extend(digits.iter().map(|d| d.0));
    sizes.sort_unstable();
    sizes.dedup();
    let mut low: Vec<Interval> = rests.iter().map(|r| r.base).collect();
    let mut segment: Vec<(i64, i64)> = vec![];
    for (at, &size) in sizes.iter().enumerate() {
        let above = sizes[at..].iter().fold(0, |g, &s| gcd(g, s));
        let shifts = low.iter().map(|i| i.lo.checked_sub(i.lo.rem_euclid(above))).collect::<Option<Vec<i64>>>()?;
        let aligned = low.iter().zip(&shifts).map(|(i, s)| Some(Interval { lo: i.lo - s, hi: i.hi.checked_sub(*s)? }));
        let aligned = aligned.collect::<Option<Vec<Interval>>>()?;
        if reach_of(&segment, &aligned)? < above {
            if !steps_over(&segment, &aligned)? {
                return Some(false);
            }
            // What alignment took away belongs to the part above.
            low = shifts.into_iter().map(Interval::point).collect();
            segment.clear();
        }
        segment.extend(digits.iter().filter(|d| d.0 == size));
        for (low, rest) in low.iter_mut().zip(rests) {
            for (_, range) in rest.terms.iter().filter(|t| t.0 == size) {
                *low = low.plus(*range)?;
            }
        }
    }
    steps_over(&segment, &low)
}

fn span_of(rests: &[Interval]) -> Option<i64> {
    rests.iter().copied().reduce(Interval::union).map_or(Some(0), Interval::span)
}

/// How far apart two indices of a segment can be.
fn reach_of(segment: &[(i64, i64)], rests: &[Interval]) -> Option<i64> {
    segment.iter().try_fold(span_of(rests)?, |reach, &(c, count)| reach.checked_add(c.checked_mul(count - 1)?))
}

/// True if each digit, by ascending coefficient, steps over what the smaller ones and the rest can reach.
fn steps_over(segment: &[(i64, i64)], rests: &[Interval]) -> Option<bool> {
    let mut reach = span_of(rests)?;
    for &(c, count) in segment {
        if c <= reach {
            return Some(false);
        }
        reach = reach.checked_add(c.checked_mul(count - 1)?)?;
    }
    Some(true)
}

/// True if, provably, two accesses don't meet in different iterations of the loops (outermost first) around both.
pub(super) fn iterations_are_disjoint(
    accesses: &Accesses,
    loops: &[IndexVar],
    a: &MemoryAccess,
    b: &MemoryAccess,
) -> bool {
    let loops = Loops { accesses, vars: loops };
    let (Some((a, a_rest)), Some((b, b_rest))) = (loops.split(a), loops.split(b)) else { return false };
    a == b && loops.follow_from(&a) && digits_show(&a, &[a_rest, b_rest]) == Some(true)
}

/// The interval of an access: everything it may touch.
pub(super) fn reach(access: &MemoryAccess, ranges: &Ranges) -> Option<Interval> {
    access.index.range(ranges)?.plus(access.around()?)
}

/// True if, provably, two accesses touch no common element, whatever the loops are at: modulo some coefficient, which divides all larger
/// ones, their difference never comes to 0. So columns of different runs of a row never meet.
pub(super) fn never_meet(a: &MemoryAccess, b: &MemoryAccess, ranges: &Ranges) -> bool {
    let rows = [a, b].into_iter().filter_map(|access| access.rows.map(|(stride, _)| stride));
    let sizes = a.index.terms().iter().chain(b.index.terms()).map(|(_, c)| *c).chain(rows).map(i64::abs);
    sizes.filter(|&size| size > 1).any(|modulus| differ_modulo(a, b, modulus, ranges) == Some(true))
}

fn differ_modulo(a: &MemoryAccess, b: &MemoryAccess, modulus: i64, ranges: &Ranges) -> Option<bool> {
    let small = |access: &MemoryAccess| {
        let terms = access.index.terms().iter().filter(|(_, c)| c % modulus != 0);
        let part = terms.fold(Affine::constant(access.index.offset()), |sum, &(v, c)| sum.plus_term(v, c));
        let rows = access.rows.filter(|(stride, _)| stride % modulus != 0);
        part.range(ranges)?.plus(access.extra)?.plus(rows.map_or(Interval::point(0), |(_, rows)| rows))
    };
    let difference = small(a)?.plus(small(b)?.scale(-1)?)?;
    Some(
        difference.lo.rem_euclid(modulus) > 0
            && difference.hi.checked_sub(difference.lo)? < modulus - difference.lo.rem_euclid(modulus),
    )
}

/// Invariant 10, of a kernel whose only statement is a parallel loop.
pub(super) fn check_parallel(kernel: &Kernel, at: usize, accesses: &Accesses, report: &mut ErrorReport) {
    let [Stmt::For { var, extent, kind: LoopKind::Parallel, .. }] = kernel.body.as_slice() else { return };
    if *extent < 2 {
        return;
    }
    let loops = Loops { accesses, vars: &[*var] };
    for param in 0..kernel.params.len() as u32 {
        let buf = BufRef::Param(param);
        let uses: Vec<&MemoryAccess> = accesses.all.iter().filter(|a| a.buf == buf).collect();
        let Some(store) = uses.iter().find(|a| a.is_store) else { continue };
        if let Err((culprit, why)) = prove(&loops, &uses, store) {
            let message = format!("iterations of {var} may touch each other's {buf}: {why}");
            report.add(10, TextLine::Stmt(at, culprit.stmt), message);
        }
    }
}

/// Proves that uses of one buffer in different iterations are apart; else says which use is to blame, and why.
fn prove<'a>(
    loops: &Loops<'_>,
    uses: &[&'a MemoryAccess],
    store: &'a MemoryAccess,
) -> Result<(), (&'a MemoryAccess, String)> {
    let unknown = |a: &'a MemoryAccess| (a, "the range of its index isn't known".to_string());
    let (of_store, rest) = loops.split(store).ok_or_else(|| unknown(store))?;
    if !loops.follow_from(&of_store) {
        return Err((store, format!("the index {} doesn't determine the iteration", show(&store.index))));
    }
    let mut rests = vec![rest];
    for access in uses {
        let (of_access, its_rest) = loops.split(access).ok_or_else(|| unknown(access))?;
        if of_access != of_store {
            let why = format!(
                "the index {} moves otherwise than that of a store, {}",
                show(&access.index),
                show(&store.index)
            );
            return Err((access, why));
        }
        rests.push(its_rest);
    }
    match digits_show(&of_store, &rests) {
        Some(true) => Ok(()),
        _ => Err((store, "the loop doesn't step over what the rest of the indices can reach".into())),
    }
}

fn show(index: &Affine) -> String {
    format!("`{index}`")
}
