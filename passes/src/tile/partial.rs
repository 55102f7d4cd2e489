//! Cuts long reductions into chunks that have sums of their own.
//!
//! A kernel that folds many elements to few (a loss, a norm, sums over a batch) has no outer loop to share among threads. It becomes
//! two: one whose iterations each fold a chunk into a place of a scratch buffer, and the kernel as it was, which folds those
//! places instead. The cut depends on extents alone, so results do too.
//!
//! Where columns are summed and a row is shorter than a few vectors, the chunk's "columns" are those of several rows, which lie side by
//! side in memory: ten columns of eight rows are eighty columns.

use super::params::restrict;
use crate::vectorize::folds::{self, Fold};
use ir::map_of;
use kernel::walk::{substitute, visit_exprs, visit_stmts};
use kernel::{
    Access, Affine, BufRef, Buffer, BufferId, BufferKind, Expr, Fresh, IndexExpr, IndexVar, Kernel, Launch, LoopKind,
    Param, Program, Reg, Stmt, Types,
};
use std::collections::{BTreeMap, BTreeSet};

/// Reductions of fewer elements stay whole.
const MIN_ELEMENTS: usize = 1 << 16;
/// What a chunk should have at least.
const MIN_CHUNK: usize = 1 << 13;
/// Most chunks: enough for a few threads to finish together.
const MAX_CHUNKS: usize = 32;
/// With as many shares in the loop around, nothing needs to be cut.
const SHARES: usize = 8;
/// Columns that one iteration takes once they are vectors.
const BLOCK: usize = 128;
/// Chunks of a plain sum are multiples of that many elements.
const LINES: usize = 64;
/// Rows are laid side by side until they have that many columns.
const MIN_COLUMNS: usize = 64;

/// A reduction that is worth cutting.
struct ReductionLoop<'k> {
    /// The loop around, if there is one: its variable and extent.
    around: Option<(IndexVar, usize)>,
    before: &'k [Stmt],
    var: IndexVar,
    extent: usize,
    body: &'k [Stmt],
    after: &'k [Stmt],
    folds: Vec<Fold>,
    /// How many rows are laid side by side.
    side: usize,
}

/// How the rows are cut: `chunks` of `groups` groups of `side` rows, then the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct RowCut {
    chunks: usize,
    groups: usize,
}

/// Cuts the reductions of a program.
pub(super) fn cut(program: &mut Program) {
    // Where there is nothing to cut in a kernel, there is nothing in those that differ only in their names.
    let mut whole = vec![false; program.kernels.len()];
    for (at, first) in program.first_of_equal().into_iter().enumerate() {
        if whole[first] {
            continue;
        }
        let Some((partial, total, scratch)) = split(&program.kernels[at]) else {
            whole[first] = true;
            continue;
        };
        let number = program.kernels.len() as u32;
        program.kernels[at] = total.kernel;
        program.kernels.push(partial.kernel);
        let mut launches = Vec::with_capacity(program.launches.len() + 1);
        for launch in std::mem::take(&mut program.launches) {
            if launch.kernel as usize != at {
                launches.push(launch);
                continue;
            }
            let mut args = launch.args;
            for param in &scratch {
                args.push(BufferId(program.buffers.len() as u32));
                let Param { dtype, len, .. } = *param;
                program.buffers.push(Buffer { dtype, len, kind: BufferKind::Temp, offset: None });
            }
            let bind = |kept: &[usize]| kept.iter().map(|&p| args[p]).collect();
            launches.push(Launch { kernel: number, args: bind(&partial.kept), origins: launch.origins.clone() });
            launches.push(Launch { kernel: at as u32, args: bind(&total.kept), origins: launch.origins });
        }
        program.launches = launches;
    }
}

/// The kernel that folds chunks, the one that folds their results, and the scratch buffers, which follow the parameters of the old one.
fn split(kernel: &Kernel) -> Option<(super::params::Restricted, super::params::Restricted, Vec<Param>)> {
    let types = Types::of_kernel(kernel).ok()?;
    let site = find(kernel, &types)?;
    let columns = site.around.map_or(1, |(_, extent)| extent);
    let cut = choose(&site, columns);
    let places = cut.chunks * site.side * columns;
    let scratch: Vec<Param> = site
        .folds
        .iter()
        .map(|f| Some(Param { dtype: types.reg(f.reg)?.dtype, len: places, access: Access::ReadWrite }))
        .collect::<Option<_>>()?;
    let first = kernel.params.len() as u32;
    let places = map_of(site.folds.iter().zip(first..).map(|(f, number)| (f.reg, BufRef::Param(number))));
    let mut fresh = Fresh::above(&kernel.body);
    let partial = partial_body(&site, cut, columns, &places, &mut fresh);
    let total = total_body(&site, cut, columns, &places, &mut fresh);
    let params: Vec<Param> = kernel.params.iter().chain(&scratch).cloned().collect();
    let partial = restrict(format!("{}_partial", kernel.name), &params, vec![], partial);
    let total = restrict(kernel.name.clone(), &params, kernel.locals.clone(), total);
    Some((partial, total, scratch))
}

fn find<'k>(kernel: &'k Kernel, types: &Types) -> Option<ReductionLoop<'k>> {
    let site = match kernel.body.as_slice() {
        [Stmt::For { var, extent, kind: LoopKind::Serial, body }] if has_loop(body) => {
            reduction(body, Some((*var, *extent)), types)
        }
        body => reduction(body, None, types),
    }?;
    let columns = site.around.map_or(1, |(_, extent)| extent);
    let elements = columns.checked_mul(site.extent)?.checked_mul(inner_iterations(site.body))?;
    let shares = match site.around {
        Some((column, extent)) if walks_columns(&site, column) => extent.div_ceil(BLOCK),
        _ => columns,
    };
    (elements >= MIN_ELEMENTS && shares < SHARES && site.extent / site.side >= 4).then_some(site)
}

fn has_loop(body: &[Stmt]) -> bool {
    body.iter().any(|stmt| matches!(stmt, Stmt::For { .. }))
}

fn inner_iterations(body: &[Stmt]) -> usize {
    let below = body.iter().map(|stmt| match stmt {
        Stmt::For { extent, body, .. } => extent.saturating_mul(inner_iterations(body)),
        _ => 1,
    });
    below.max().unwrap_or(1)
}

/// The first loop of the statements, if it does nothing but fold into accumulators that are declared before it.
fn reduction<'k>(stmts: &'k [Stmt], around: Option<(IndexVar, usize)>, types: &Types) -> Option<ReductionLoop<'k>> {
    let at = stmts.iter().position(|stmt| matches!(stmt, Stmt::For { .. }))?;
    let (before, after) = (&stmts[..at], &stmts[at + 1..]);
    let Stmt::For { var, extent, kind: LoopKind::Serial, body } = &stmts[at] else { return None };
    let binds_only = |stmt: &Stmt| match stmt {
        Stmt::Let { .. } | Stmt::Decl { .. } => true,
        Stmt::LetIndex { value, .. } => !matches!(value, IndexExpr::Checked { .. }),
        _ => false,
    };
    let mut folds_only = before.iter().all(binds_only);
    visit_stmts(body, &mut |stmt| {
        folds_only &= match stmt {
            Stmt::For { .. } | Stmt::Accumulate { .. } | Stmt::Assign { .. } => true,
            other => binds_only(other),
        };
    });
    visit_exprs(body, &mut |expr| folds_only &= !matches!(expr, Expr::Load { buf: BufRef::Local(_), .. }));
    if !folds_only {
        return None;
    }
    let folds = folds::of_body(types, body).filter(|folds| !folds.is_empty())?;
    let declared = |reg: Reg| before.iter().any(|s| matches!(s, Stmt::Decl { reg: r, .. } if *r == reg));
    let kept = |f: &Fold| declared(f.reg) && types.reg(f.reg).is_some_and(|ty| ty.dtype.size_bytes() >= 4);
    if !folds.iter().all(kept) {
        return None;
    }
    let mut site = ReductionLoop { around, before, var: *var, extent: *extent, body, after, folds, side: 1 };
    if let Some((column, columns)) = around
        && rows_are_dense(&site, column, columns)
    {
        while site.side * columns < MIN_COLUMNS && site.side < 64 {
            site.side *= 2;
        }
    }
    Some(site)
}

/// Whether the elements that are folded lie side by side along the loop around.
fn walks_columns(site: &ReductionLoop<'_>, column: IndexVar) -> bool {
    let mut walks = false;
    visit_exprs(site.body, &mut |expr| {
        if let Expr::Load { index, .. } = expr {
            walks |= index.coefficient(column) == 1 && index.coefficient(site.var) != 1;
        }
    });
    walks
}

/// Whether the loop reads rows of just as many elements as there are columns, and nothing else that differs by column: then columns of
/// several rows are columns of one longer row.
fn rows_are_dense(site: &ReductionLoop<'_>, column: IndexVar, columns: usize) -> bool {
    let mut inside = BTreeSet::new();
    visit_stmts(site.body, &mut |stmt| {
        if let Stmt::Let { reg, .. } | Stmt::Decl { reg, .. } = stmt {
            inside.insert(*reg);
        }
    });
    let mut dense = !has_loop(site.body) && !site.body.iter().any(|s| matches!(s, Stmt::LetIndex { .. }));
    visit_exprs(site.body, &mut |expr| match expr {
        Expr::Load { index, .. } => {
            let steps = (index.coefficient(column), index.coefficient(site.var));
            let others = index.terms().iter().any(|(var, _)| *var != column && *var != site.var);
            dense &= !others && (steps == (1, columns as i64) || steps == (0, 0));
        }
        Expr::Index { index, .. } => dense &= index.coefficient(column) == 0 && index.coefficient(site.var) == 0,
        Expr::Reg(reg) => dense &= inside.contains(reg) || site.folds.iter().any(|f| f.reg == *reg),
        _ => {}
    });
    dense
}

/// As many chunks as are worth it, rather such that no rows remain.
fn choose(site: &ReductionLoop<'_>, columns: usize) -> RowCut {
    let elements = columns * site.extent * inner_iterations(site.body);
    let rows = site.extent / site.side;
    let most = (elements / MIN_CHUNK).clamp(2, MAX_CHUNKS).min(rows);
    let even = |&chunks: &usize| rows.is_multiple_of(chunks) && site.extent.is_multiple_of(site.side);
    let chunks = (most.div_ceil(2)..=most).rev().find(even).unwrap_or(most);
    let groups = rows / chunks;
    // Elements in a row: chunks of whole cache lines, whatever remains is little.
    let by_lines = site.around.is_none() && !has_loop(site.body) && groups >= 16 * LINES;
    RowCut { chunks, groups: if by_lines { groups / LINES * LINES } else { groups } }
}

/// `for chunk { for column { fold the chunk's rows; store the sums } }`.
fn partial_body(
    site: &ReductionLoop<'_>,
    cut: RowCut,
    columns: usize,
    places: &BTreeMap<Reg, BufRef>,
    fresh: &mut Fresh,
) -> Vec<Stmt> {
    let (chunk, group) = (fresh.index(), fresh.index());
    let width = (site.side * columns) as i64;
    // The accumulators start from nothing here; what they are declared with is folded in once, in the total.
    let identity = |reg: &Reg| site.folds.iter().find(|f| f.reg == *reg).map(|f| Expr::Const(f.identity));
    let start = |stmt: &Stmt| match stmt {
        Stmt::Decl { reg, init } => match identity(reg) {
            Some(init) => Some(Stmt::Decl { reg: *reg, init }),
            None => (site.side == 1).then(|| Stmt::Decl { reg: *reg, init: init.clone() }),
        },
        // Rows side by side use nothing that is bound by column.
        other => (site.side == 1).then(|| other.clone()),
    };
    let mut stmts: Vec<Stmt> = site.before.iter().filter_map(start).collect();
    let mut rows = site.body.to_vec();
    let row = Affine::term(chunk, (cut.groups * site.side) as i64).plus_term(group, site.side as i64);
    substitute(&mut rows, site.var, &row);
    stmts.push(Stmt::serial(group, cut.groups, rows));
    let mut place = Affine::term(chunk, width);
    if let Some((column, _)) = site.around {
        place = place.plus_term(column, 1);
    }
    for (&reg, &buf) in places {
        stmts.push(Stmt::Store { buf, index: place.clone(), value: Expr::Reg(reg) });
    }
    if let Some((column, columns)) = site.around {
        stmts = vec![Stmt::serial(column, columns * site.side, stmts)];
    }
    vec![Stmt::serial(chunk, cut.chunks, stmts)]
}

/// The kernel as it was, with the chunks' sums and the remaining rows in place of all rows.
fn total_body(
    site: &ReductionLoop<'_>,
    cut: RowCut,
    columns: usize,
    places: &BTreeMap<Reg, BufRef>,
    fresh: &mut Fresh,
) -> Vec<Stmt> {
    let sum = fresh.index();
    let mut place = Affine::term(sum, columns as i64);
    if let Some((column, _)) = site.around {
        place = place.plus_term(column, 1);
    }
    let fold = |f: &Fold| f.accumulate(f.reg, Expr::load(places[&f.reg], place.clone()));
    let sums = site.folds.iter().map(fold).collect();
    let mut stmts = site.before.to_vec();
    stmts.push(Stmt::serial(sum, cut.chunks * site.side, sums));
    let done = cut.chunks * cut.groups * site.side;
    if done < site.extent {
        let row = fresh.index();
        let mut rows = site.body.to_vec();
        substitute(&mut rows, site.var, &Affine::term(row, 1).plus(done as i64));
        stmts.push(Stmt::serial(row, site.extent - done, rows));
    }
    stmts.extend(site.after.to_vec());
    match site.around {
        Some((column, columns)) => vec![Stmt::serial(column, columns, stmts)],
        None => stmts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(extent: usize, columns: usize, side: usize) -> RowCut {
        let around = Some((IndexVar(0), columns));
        let site =
            ReductionLoop { around, before: &[], var: IndexVar(1), extent, body: &[], after: &[], folds: vec![], side };
        choose(&site, columns)
    }

    #[test]
    fn chunks_cover_the_rows_but_for_a_rest_shorter_than_one() {
        for (rows, columns, side) in [(32768, 16, 4), (10007, 10, 8), (32, 65536, 1), (4097, 64, 1), (5, 100_000, 1)] {
            let cut = site(rows, columns, side);
            assert!((2..=MAX_CHUNKS).contains(&cut.chunks), "{cut:?}");
            let left = rows - cut.chunks * cut.groups * side;
            assert!(left < cut.chunks * side, "{cut:?} leaves {left} of {rows}");
        }
        let plain = ReductionLoop {
            around: None,
            before: &[],
            var: IndexVar(1),
            extent: 70_000,
            body: &[],
            after: &[],
            folds: vec![],
            side: 1,
        };
        assert_eq!(choose(&plain, 1), RowCut { chunks: 8, groups: 8704 });
        assert_eq!(site(32768, 16, 4), RowCut { chunks: 32, groups: 256 });
    }
}
