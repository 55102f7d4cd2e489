//! Which stretches of a buffer the iterations of a loop use.

use crate::PassError;
use kernel::verify::{Definitions, expand};
use kernel::walk::{has_tile, visit_exprs, visit_stmts};
use kernel::{Affine, BufRef, Expr, IndexVar, Kernel, LoopKind, Micro, Ranges, Stmt, TileOperand, Types};
use std::collections::{BTreeMap, BTreeSet};

/// Loops inside, and loops one behind the other, are joined only if what an iteration hands over is as many elements: less is no row of vectors.
pub(super) const MIN_STRETCH: i64 = 64;

/// What statements bind indices to.
pub(super) fn definitions(body: &[Stmt]) -> Definitions {
    let mut definitions = Definitions::new();
    visit_stmts(body, &mut |stmt| {
        if let Stmt::LetIndex { var, value } = stmt {
            definitions.insert(*var, value.clone());
        }
    });
    definitions
}

/// The buffers that statements read; a tile reads the sums that it adds to.
pub(super) fn reads(body: &[Stmt]) -> BTreeSet<BufRef> {
    let mut reads = BTreeSet::new();
    visit_exprs(body, &mut |expr| {
        if let Expr::Load { buf, .. } = expr {
            reads.insert(*buf);
        }
    });
    visit_stmts(body, &mut |stmt| {
        if let Stmt::Micro(micro) = stmt {
            reads.extend([micro.a.buf, micro.b.buf]);
            reads.extend(micro.c.accumulate.then_some(micro.c.buf));
        }
    });
    reads
}

/// Where statements use a buffer: first elements, and how far beyond them. `None` if that isn't known.
pub(super) type AccessRanges = Option<Vec<(Affine, i64)>>;

/// Where the statements use each buffer. A tile reads a factor many times, and does that faster from memory that all iterations share (measured on padded
/// images and packed panels), unless tiles have just made it: where `from_tiles` doesn't hold, factors count as unknown.
pub(super) fn uses(body: &[Stmt], from_tiles: bool) -> BTreeMap<BufRef, AccessRanges> {
    let mut all: BTreeMap<BufRef, AccessRanges> = BTreeMap::new();
    let mut note = |buf: BufRef, index: &Affine, span: Option<i64>| {
        let uses = all.entry(buf).or_insert_with(|| Some(vec![]));
        match (span, uses.as_mut()) {
            (Some(span), Some(uses)) => uses.push((index.clone(), span)),
            _ => *uses = None,
        }
    };
    visit_exprs(body, &mut |expr| {
        if let Expr::Load { buf, index, lanes, .. } = expr {
            note(*buf, index, (*lanes == 1).then_some(0));
        }
    });
    visit_stmts(body, &mut |stmt| match stmt {
        Stmt::Store { buf, index, .. } => note(*buf, index, Some(0)),
        Stmt::Micro(micro) => {
            for (factor, count, which) in [(&micro.a, micro.m, 0), (&micro.b, micro.n, 1)] {
                note(factor.buf, &factor.base, span(micro, factor, count, which).filter(|_| from_tiles));
            }
            let rows = (micro.c.stride >= 0).then(|| (micro.m as i64 - 1).checked_mul(micro.c.stride)).flatten();
            note(micro.c.buf, &micro.c.base, rows.and_then(|rows| rows.checked_add(micro.n as i64 - 1)));
        }
        _ => {}
    });
    all
}

/// How far beyond its base a tile reads a factor (0 or 1, `which`) of `count` rows or columns; `None` if it goes backward.
fn span(micro: &Micro, factor: &TileOperand, count: usize, which: usize) -> Option<i64> {
    let along = |extent: usize, stride: i64| (stride >= 0).then(|| (extent as i64 - 1).checked_mul(stride)).flatten();
    let reduced = micro.reduce.iter().map(|d| along(d.extent, [d.a_stride, d.b_stride][which]));
    // As many elements as columns of the right factor are apart are multiplied in a step.
    reduced
        .chain([along(count, factor.stride), Some(micro.b.stride - 1)])
        .try_fold(0i64, |sum, span| sum.checked_add(span?))
}

/// How far the stretch moves that an iteration of the loop over `var` uses, if no two iterations' stretches overlap.
pub(super) fn step(uses: &[(Affine, i64)], var: IndexVar, ranges: &Ranges) -> Option<i64> {
    let step = uses.first()?.0.coefficient(var);
    let within = |index: &Affine, span: i64| {
        let rest = index.clone().plus_term(var, -step).range(ranges)?;
        Some(index.coefficient(var) == step && rest.lo >= 0 && rest.hi.checked_add(span)? < step)
    };
    uses.iter().all(|(index, span)| within(index, *span) == Some(true)).then_some(step)
}

/// True if two accesses never meet within an iteration of the loop over `outer`, whatever other loops are at: one lies behind the other, all in all or in each row of as many
/// elements as one of their variables moves them by.
pub(super) fn are_apart(one: &(Affine, i64), other: &(Affine, i64), outer: IndexVar, ranges: &Ranges) -> bool {
    let common = |var| var == outer && one.0.coefficient(var) == other.0.coefficient(var);
    let rest = |index: &Affine, row: Option<i64>| {
        let mut rest = Affine::constant(row.map_or(index.offset(), |row| index.offset().rem_euclid(row)));
        for &(var, by) in index.terms().iter().filter(|(var, by)| !common(*var) && row.is_none_or(|row| by % row != 0))
        {
            rest = rest.checked_plus_term(var, by)?;
        }
        rest.range(ranges)
    };
    let rows = one.0.terms().iter().map(|(_, by)| Some(*by)).filter(|row| row.is_some_and(|row| row > 1));
    std::iter::once(None).chain(rows).any(|row| {
        let (Some(a), Some(b)) = (rest(&one.0, row), rest(&other.0, row)) else { return false };
        let (Some(a_end), Some(b_end)) = (a.hi.checked_add(one.1), b.hi.checked_add(other.1)) else { return false };
        let within = row.is_none_or(|row| a.lo >= 0 && b.lo >= 0 && a_end < row && b_end < row);
        within && (a_end < b.lo || b_end < a.lo)
    })
}

/// The iterations of one loop in the place of two, each of so many iterations and with such a step, and the stretch that an iteration uses.
pub(super) fn in_common(loops: [(usize, i64); 2]) -> Option<(usize, i64)> {
    let iterations = loops[0].0.min(loops[1].0);
    let stretch = loops[0].1.max(loops[1].1);
    let agrees = |(extent, step): (usize, i64)| {
        extent.is_multiple_of(iterations) && step * (extent / iterations) as i64 == stretch
    };
    loops.into_iter().all(agrees).then_some((iterations, stretch))
}

/// A kernel that is one loop, looked at once, however many others it might be joined with.
#[derive(Clone)]
pub(super) struct Steps {
    extent: usize,
    is_straight: bool,
    /// For each parameter, what [`step`] says.
    steps: Vec<Option<i64>>,
}

impl Steps {
    /// What is to be known of a kernel; `None` if it is more than a loop.
    pub(super) fn of(kernel: &Kernel) -> Result<Option<Self>, PassError> {
        let [Stmt::For { var, extent, kind: LoopKind::Serial, body }] = &kernel.body[..] else { return Ok(None) };
        let types = Types::of_kernel(kernel).map_err(|e| PassError::Invalid(format!("{}: {e}", kernel.name)))?;
        let definitions = definitions(body);
        let mut steps = vec![None; kernel.params.len()];
        for (buf, uses) in uses(body, true) {
            let (BufRef::Param(param), Some(mut uses)) = (buf, uses) else { continue };
            uses.iter_mut().for_each(|(index, _)| *index = expand(index, &definitions));
            steps[param as usize] = step(&uses, *var, types.ranges());
        }
        let is_straight =
            body.iter().all(|stmt| !matches!(stmt, Stmt::For { .. } | Stmt::If { .. })) && !has_tile(body);
        Ok(Some(Self { extent: *extent, is_straight, steps }))
    }

    /// False if what parameter `of_first` is given can't be handed over to parameter `of_second` in one loop.
    pub(super) fn may_join(first: &Self, of_first: usize, second: &Self, of_second: usize) -> bool {
        let (Some(made), Some(used)) = (first.steps[of_first], second.steps[of_second]) else { return false };
        // What is handed over element by element can't be vectors; fusion has left these apart because together they would be too large.
        let by_element = first.is_straight && second.is_straight;
        !by_element && in_common([(first.extent, made), (second.extent, used)]).is_some()
    }
}
