//! Takes rows some at a time where the second half of a row's work waits for a number that the first half ends with.
//!
//! A softmax looks for the greatest score of a row, then takes exponentials of differences to it. The end of the first half is a chain of operations on fewer and fewer lanes, each of
//! which waits for the one before; what comes next needs its result, and the next row is too far behind for processors to begin it meanwhile. Here the
//! first halves of some rows come one after the other, and then their second halves: a row's chain runs beside the work of the next one. Rows of 128
//! scores and their softmax take 0.96 times the time so (AVX2), rows of 512 and more as long as before.
//!
//! A value that both halves compute of several things that they read, a score under its mask, is kept for the second half meanwhile.

use kernel::walk::{refresh, substitute, substitute_reg, visit_exprs, visit_stmts};
use kernel::{
    Affine, BufRef, Expr, Fresh, IndexVar, InstructionSet, Kernel, Local, LoopKind, Reg, Stmt, Target, Types,
};
use std::collections::{BTreeMap, BTreeSet};

/// So many rows at most come together: what the first half read stays in the cache for the second.
const MOST_ROWS: usize = 8;
/// So many elements of rows at most come together. Longer rows take long enough beside their chains.
const MOST_ELEMENTS: usize = 4096;
/// Shorter rows are a few instructions.
const LEAST_LENGTH: usize = 16;

/// The two halves of a loop over rows.
struct Halves<'a> {
    first: &'a [Stmt],
    second: &'a [Stmt],
    /// What the second half needs of the first.
    numbers: Vec<Reg>,
    /// What the first loop of the second half would compute again.
    again: Option<Again>,
    /// Rows that come together.
    together: usize,
}

/// A value that two loops along a row both compute from what they read.
struct Again {
    /// The loops' places among the statements of the halves, their variables, and the value there.
    first: (usize, IndexVar, Reg),
    second: (usize, IndexVar, Reg),
    length: usize,
}

/// Splits the loops over rows within a kernel's loops; the outermost ones are shared among threads. True if there were any.
pub(super) fn split(kernel: &mut Kernel, types: &Types, target: &Target, fresh: &mut Fresh) -> bool {
    let mut locals = std::mem::take(&mut kernel.locals);
    let before = locals.len();
    for stmt in &mut kernel.body {
        for body in stmt.bodies_mut() {
            split_in(body, (types, target), fresh, &mut locals);
        }
    }
    kernel.locals = locals;
    kernel.locals.len() > before
}

fn split_in(body: &mut Vec<Stmt>, (types, target): (&Types, &Target), fresh: &mut Fresh, locals: &mut Vec<Local>) {
    let mut out = vec![];
    for mut stmt in std::mem::take(body) {
        if let Stmt::For { var, extent, kind: LoopKind::Serial, body: row } = &stmt
            && let Some(halves) = Halves::of(row, *extent, types, target)
        {
            halves.rows((*var, *extent), types, fresh, locals, &mut out);
            continue;
        }
        stmt.bodies_mut().for_each(|inner| split_in(inner, (types, target), fresh, locals));
        out.push(stmt);
    }
    *body = out;
}

impl<'a> Halves<'a> {
    /// The halves of a row's work, if the second waits for numbers of the first and nothing else.
    fn of(row: &'a [Stmt], rows: usize, types: &Types, target: &Target) -> Option<Self> {
        let lengths: Vec<(usize, usize)> = (row.iter().enumerate())
            .filter_map(|(at, stmt)| match stmt {
                Stmt::For { extent, .. } => Some((at, *extent)),
                _ => None,
            })
            .collect();
        let [(_, one), (second, other), ..] = lengths[..] else { return None };
        let together = (MOST_ELEMENTS / one.max(other)).min(MOST_ROWS).min(rows);
        if one.min(other) < LEAST_LENGTH || together < 2 || !row.iter().all(is_plain) {
            return None;
        }
        let starts = |stmt: &Stmt| matches!(stmt, Stmt::Decl { init: Expr::Const(_), .. });
        let started = row[..second].iter().rev().take_while(|stmt| starts(stmt)).count();
        let (first, second) = row.split_at(second - started);
        let numbers = handed_over(first, second)?;
        let scalars = numbers.iter().all(|reg| types.reg(*reg).is_some_and(|ty| !ty.is_vector()));
        let split = scalars && !numbers.is_empty() && are_apart(first, second);
        // Where masks have registers of their own, to select once more costs less than to store and to load.
        let again = if split && !target.instruction_set().includes(InstructionSet::Avx512) {
            Again::of(first, second)
        } else {
            None
        };
        split.then_some(Self { first, second, numbers, again, together })
    }

    /// Loops over some rows at a time.
    fn rows(
        &self,
        (var, rows): (IndexVar, usize),
        types: &Types,
        fresh: &mut Fresh,
        locals: &mut Vec<Local>,
        out: &mut Vec<Stmt>,
    ) {
        let mut places = vec![];
        for ty in self.numbers.iter().filter_map(|reg| types.reg(*reg)) {
            locals.push(Local { dtype: ty.dtype, len: self.together });
            places.push(BufRef::Local(locals.len() as u32 - 1));
        }
        if let Some(again) = &self.again
            && let Some(ty) = types.reg(again.first.2)
        {
            locals.push(Local { dtype: ty.dtype, len: self.together * again.length });
            places.push(BufRef::Local(locals.len() as u32 - 1));
        }
        let (groups, rest) = (rows / self.together, rows % self.together);
        let group = fresh.index();
        let start = Affine::term(group, self.together as i64);
        let body = self.group((var, self.together), &start, &places, fresh);
        out.push(Stmt::serial(group, groups, body));
        if rest > 0 {
            out.extend(self.group((var, rest), &Affine::constant((rows - rest) as i64), &places, fresh));
        }
    }

    /// The first halves of some rows, then the second ones.
    fn group(&self, (var, rows): (IndexVar, usize), start: &Affine, places: &[BufRef], fresh: &mut Fresh) -> Vec<Stmt> {
        let (one, other) = (fresh.index(), fresh.index());
        let mut first = self.first.to_vec();
        for (&reg, &buf) in self.numbers.iter().zip(places) {
            first.push(Stmt::Store { buf, index: Affine::term(one, 1), value: Expr::Reg(reg) });
        }
        let mut second = vec![];
        let mut rest = self.second.to_vec();
        for (&reg, &buf) in self.numbers.iter().zip(places) {
            let number = fresh.reg();
            second.push(Stmt::Let { reg: number, value: Expr::load(buf, Affine::term(other, 1)) });
            substitute_reg(&mut rest, reg, &Expr::Reg(number));
        }
        if let (Some(again), Some(&buf)) = (&self.again, places.get(self.numbers.len())) {
            again.keep(&mut first, (buf, one));
            again.find(&mut rest, (buf, other));
        }
        second.extend(rest);
        [(one, first), (other, second)]
            .map(|(row, body)| {
                let mut body = refresh(&body, fresh);
                substitute(&mut body, var, &start.clone().plus_term(row, 1));
                Stmt::serial(row, rows, body)
            })
            .into()
    }
}

impl Again {
    /// The value that the last loop of the first half and the first loop of the second compute both of what they read at several places, a score under a mask say.
    fn of(first: &[Stmt], second: &[Stmt]) -> Option<Self> {
        fn along(stmt: &Stmt) -> Option<(IndexVar, usize, &[Stmt])> {
            match stmt {
                Stmt::For { var, extent, body, .. } => Some((*var, *extent, body)),
                _ => None,
            }
        }
        let from = first.iter().rposition(|stmt| along(stmt).is_some())?;
        let to = second.iter().position(|stmt| along(stmt).is_some())?;
        let ((var, length, early), (other, as_long, late)) = (along(&first[from])?, along(&second[to])?);
        let (mut same, mut loads, mut values) = (BTreeMap::new(), 0, BTreeSet::new());
        let mut needed = BTreeSet::new();
        for stmt in late {
            let equal = equal_value(stmt, (other, var), early, &same);
            let Some((reg, known, value)) = equal else {
                stmt.expr().into_iter().for_each(|expr| needed.append(&mut regs_of(expr)));
                continue;
            };
            same.insert(reg, known);
            match value {
                Expr::Load { .. } => loads += 1,
                Expr::Apply(..) => drop(values.insert(reg)),
                _ => {}
            }
        }
        // What is needed besides the one value would still be computed.
        let mut wanted = needed.iter().filter(|reg| same.contains_key(reg));
        let (value, more) = (wanted.next()?, wanted.next());
        let one = length == as_long && more.is_none() && loads > 1 && values.contains(value);
        one.then(|| Self { first: (from, var, same[value]), second: (to, other, *value), length })
    }

    /// Where the value of a row among those that come together stands.
    fn place(&self, row: IndexVar, along: IndexVar) -> Affine {
        Affine::term(row, self.length as i64).plus_term(along, 1)
    }

    /// Has the first loop store the value.
    fn keep(&self, first: &mut [Stmt], (buf, row): (BufRef, IndexVar)) {
        let (at, var, reg) = self.first;
        if let Stmt::For { body, .. } = &mut first[at] {
            body.push(Stmt::Store { buf, index: self.place(row, var), value: Expr::Reg(reg) });
        }
    }

    /// Has the second loop read the value.
    fn find(&self, second: &mut [Stmt], (buf, row): (BufRef, IndexVar)) {
        let (at, var, reg) = self.second;
        let Stmt::For { body, .. } = &mut second[at] else { return };
        let mut used = BTreeSet::new();
        let mut kept = vec![];
        for stmt in std::mem::take(body).into_iter().rev() {
            let stmt = match stmt {
                Stmt::Let { reg: bound, .. } if bound == reg => {
                    Stmt::Let { reg, value: Expr::load(buf, self.place(row, var)) }
                }
                Stmt::Let { reg: bound, .. } if !used.contains(&bound) => continue,
                other => other,
            };
            stmt.expr().into_iter().for_each(|expr| used.append(&mut regs_of(expr)));
            kept.push(stmt);
        }
        kept.reverse();
        *body = kept;
    }
}

/// What a statement binds, the register of a loop's body that is bound to the same value, and that value; registers that are known to be the same have one name.
fn equal_value<'a>(
    stmt: &Stmt,
    (var, other): (IndexVar, IndexVar),
    body: &'a [Stmt],
    same: &BTreeMap<Reg, Reg>,
) -> Option<(Reg, Reg, &'a Expr)> {
    let Stmt::Let { reg, value } = stmt else { return None };
    if !regs_of(value).iter().all(|reg| same.contains_key(reg)) {
        return None;
    }
    let mut renamed = value.clone().substitute(var, &Affine::term(other, 1));
    renamed.map(&mut |expr| match expr {
        Expr::Reg(reg) => Expr::Reg(same.get(&reg).copied().unwrap_or(reg)),
        expr => expr,
    });
    body.iter().find_map(|stmt| match stmt {
        Stmt::Let { reg: known, value } if *value == renamed => Some((*reg, *known, value)),
        _ => None,
    })
}

fn regs_of(expr: &Expr) -> BTreeSet<Reg> {
    let mut regs = BTreeSet::new();
    expr.visit(&mut |inner| {
        if let Expr::Reg(reg) = inner {
            regs.insert(*reg);
        }
    });
    regs
}

/// Whether a statement of a row is a number, or a loop along it.
fn is_plain(stmt: &Stmt) -> bool {
    match stmt {
        Stmt::For { kind: LoopKind::Serial, body, .. } => {
            body.iter().all(|inner| !matches!(inner, Stmt::For { .. }) && is_plain(inner))
        }
        Stmt::Let { .. } | Stmt::Decl { .. } | Stmt::Accumulate { .. } | Stmt::Assign { .. } | Stmt::Store { .. } => {
            true
        }
        _ => false,
    }
}

/// The numbers that statements bind and others, behind them, use; `None` if those change them.
fn handed_over(first: &[Stmt], second: &[Stmt]) -> Option<Vec<Reg>> {
    let mut bound = BTreeSet::new();
    for stmt in first {
        if let Stmt::Let { reg, .. } | Stmt::Decl { reg, .. } = stmt {
            bound.insert(*reg);
        }
    }
    let (mut used, mut changed) = (BTreeSet::new(), false);
    visit_exprs(second, &mut |expr| {
        if let Expr::Reg(reg) = expr {
            used.insert(*reg);
        }
    });
    visit_stmts(second, &mut |stmt| {
        if let Stmt::Accumulate { reg, .. } | Stmt::Assign { reg, .. } = stmt {
            changed |= bound.contains(reg);
        }
    });
    (!changed).then(|| bound.intersection(&used).copied().collect())
}

/// Whether neither of two parts of a loop's body uses what the other writes.
fn are_apart(first: &[Stmt], second: &[Stmt]) -> bool {
    let uses = |body: &[Stmt]| {
        let (mut read, mut written) = (BTreeSet::new(), BTreeSet::new());
        visit_exprs(body, &mut |expr| {
            if let Expr::Load { buf, .. } = expr {
                read.insert(*buf);
            }
        });
        visit_stmts(body, &mut |stmt| {
            written.extend(stmt.stores_to());
        });
        (read, written)
    };
    let ((reads, writes), (other_reads, other_writes)) = (uses(first), uses(second));
    writes.is_disjoint(&other_reads) && writes.is_disjoint(&other_writes) && reads.is_disjoint(&other_writes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{Data, Program, eval};
    use std::collections::BTreeMap;

    /// A softmax of so many rows of that length within a loop, but for the exponential and the division. Scores are sums of two inputs.
    fn softmax(rows: usize, length: usize) -> Program {
        let all = 2 * rows * length;
        let at = |along: &str| format!("i0*{} + i1*{length} + {along}", rows * length);
        let text = format!(
            "program \"p\" b0: f32[{all}] input \"x\" b1: f32[{all}] output \"y\" b2: f32[{}] output \"sums\"
            kernel k(p0: read f32[{all}], p1: write f32[{all}], p2: write f32[{}]) {{
              for i0 in 0..2 {{ for i1 in 0..{rows} {{
                var v0 = -inf:f32
                for i2 in 0..{length} {{
                  let v1 = load p0[{}] let v2 = load p0[i2] let v3 = mul(v1, v2)
                  v0 max= v3
                }}
                let v4 = neg(v0)
                var v5 = 0.0f32
                for i3 in 0..{length} {{
                  let v6 = load p0[{}] let v7 = load p0[i3] let v8 = mul(v6, v7)
                  let v9 = add(v8, v4)
                  v5 add= v9
                  store p1[{}] = v9
                }}
                store p2[i0*{rows} + i1] = v5
              }} }}
            }} launch k(b0, b1, b2)",
            2 * rows,
            2 * rows,
            at("i2"),
            at("i3"),
            at("i3"),
        );
        text.parse().unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    fn results(program: &Program) -> BTreeMap<String, Data> {
        let len = program.buffers[0].len;
        let x = Data::F32((0..len).map(|i| ((i * 37 + 11) % 101) as f32 * 0.37 - 9.0).collect());
        eval::eval(program, &BTreeMap::from([("x".to_string(), x)]), &BTreeMap::new()).expect("runs").0
    }

    fn was_split(program: &mut Program, target: &Target) -> bool {
        let mut any = false;
        program
            .change_kernels(|kernel| -> Result<(), ()> {
                let types = Types::of_kernel(kernel).expect("types");
                any |= split(kernel, &types, target, &mut Fresh::above(&kernel.body));
                Ok(())
            })
            .expect("nothing fails");
        any
    }

    #[test]
    fn the_end_of_a_row_s_first_half_kept_the_next_row_waiting() {
        for (rows, length, expected) in [
            (64, 128, true),
            (13, 100, true),
            (8, 2048, true),
            (3, 16, true),
            (1, 128, false),
            (64, 8, false),
            (4, 4000, false),
        ] {
            let before = softmax(rows, length);
            let mut after = before.clone();
            assert_eq!(was_split(&mut after, &Target::avx512()), expected, "{rows} rows of {length}");
            kernel::verify(&after, kernel::Spec::DECOMPOSED).unwrap_or_else(|e| panic!("{e}\n{after}"));
            assert_eq!(results(&before), results(&after), "{after}");
            let first_halves = after.to_string().matches("max=").count();
            assert_eq!(first_halves, 1 + usize::from(expected && rows % (4096 / length).min(8).min(rows) > 0));
        }
    }

    #[test]
    fn rows_stay_whole_where_a_half_uses_what_the_other_writes() {
        let text = softmax(64, 128).to_string().replace("store p2[", "store l0[").replace("= -inf:f32", "= load l0[0]");
        let text = text.replacen(") {", ") {\n local l0: f32[128]", 1);
        let mut program: Program = text.parse().unwrap_or_else(|e| panic!("{e}: {text}"));
        assert!(!was_split(&mut program, &Target::avx2()), "the sum of one row is where the next one starts");
    }

    #[test]
    fn both_halves_of_a_row_computed_scores_under_their_mask() {
        for (rows, length) in [(64, 128), (13, 100), (8, 2048)] {
            let before = softmax(rows, length);
            for (target, again) in [(Target::avx2(), false), (Target::avx512(), true), (Target::baseline(), false)] {
                let mut after = before.clone();
                assert!(was_split(&mut after, &target));
                kernel::verify(&after, kernel::Spec::DECOMPOSED).unwrap_or_else(|e| panic!("{e}\n{after}"));
                assert_eq!(results(&before), results(&after), "{after}");
                let halves = after.to_string().matches("max=").count();
                assert_eq!(after.to_string().matches("mul(").count(), if again { 2 * halves } else { halves });
            }
        }
    }
}
