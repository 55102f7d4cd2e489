//! Takes rows some at a time where the second half of a row's work waits for a number that the first half ends with.
//!
//! A softmax looks for the greatest score of a row, then takes exponentials of differences to it. The end of the first half is a chain of operations on fewer and fewer lanes, each of
//! which waits for the one before; what comes next needs its result, and the next row is too far behind for processors to begin it meanwhile. Here the
//! first halves of some rows come one after the other, and then their second halves: a row's chain runs beside the work of the next one. Rows of 128
//! scores and their softmax take 0.96 times the time so (AVX2), rows of 512 and more as long as before.

use kernel::walk::{refresh, substitute, substitute_reg, visit_exprs, visit_stmts};
use kernel::{Affine, BufRef, Expr, Fresh, IndexVar, Kernel, Local, LoopKind, Reg, Stmt, Types};
use std::collections::BTreeSet;

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
    /// Rows that come together.
    together: usize,
}

/// Splits the loops over rows within a kernel's loops; the outermost ones are shared among threads. True if there were any.
pub(super) fn split(kernel: &mut Kernel, types: &Types, fresh: &mut Fresh) -> bool {
    let mut locals = std::mem::take(&mut kernel.locals);
    let before = locals.len();
    for stmt in &mut kernel.body {
        for body in stmt.bodies_mut() {
            split_in(body, types, fresh, &mut locals);
        }
    }
    kernel.locals = locals;
    kernel.locals.len() > before
}

fn split_in(body: &mut Vec<Stmt>, types: &Types, fresh: &mut Fresh, locals: &mut Vec<Local>) {
    let mut out = vec![];
    for mut stmt in std::mem::take(body) {
        if let Stmt::For { var, extent, kind: LoopKind::Serial, body: row } = &stmt
            && let Some(halves) = Halves::of(row, *extent, types)
        {
            halves.rows((*var, *extent), types, fresh, locals, &mut out);
            continue;
        }
        stmt.bodies_mut().into_iter().for_each(|inner| split_in(inner, types, fresh, locals));
        out.push(stmt);
    }
    *body = out;
}

impl<'a> Halves<'a> {
    /// The halves of a row's work, if the second waits for numbers of the first and nothing else.
    fn of(row: &'a [Stmt], rows: usize, types: &Types) -> Option<Self> {
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
        (scalars && !numbers.is_empty() && are_apart(first, second)).then_some(Self {
            first,
            second,
            numbers,
            together,
        })
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
            if let Stmt::Store { buf, .. } = stmt {
                written.insert(*buf);
            }
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

    /// A softmax of so many rows of that length within a loop, but for the division.
    fn softmax(rows: usize, length: usize) -> Program {
        let all = 2 * rows * length;
        let text = format!(
            "program \"p\" b0: f32[{all}] input \"x\" b1: f32[{all}] output \"y\" b2: f32[{}] output \"sums\"
            kernel k(p0: read f32[{all}], p1: write f32[{all}], p2: write f32[{}]) {{
              for i0 in 0..2 {{ for i1 in 0..{rows} {{
                var v0 = -inf:f32
                for i2 in 0..{length} {{ v0 max= load p0[i0*{half} + i1*{length} + i2] }}
                let v1 = neg(v0)
                var v2 = 0.0f32
                for i3 in 0..{length} {{
                  let v3 = add(load p0[i0*{half} + i1*{length} + i3], v1)
                  v2 add= v3
                  store p1[i0*{half} + i1*{length} + i3] = v3
                }}
                store p2[i0*{rows} + i1] = v2
              }} }}
            }} launch k(b0, b1, b2)",
            2 * rows,
            2 * rows,
            half = rows * length,
        );
        text.parse().unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    fn results(program: &Program) -> BTreeMap<String, Data> {
        let len = program.buffers[0].len;
        let x = Data::F32((0..len).map(|i| ((i * 37 + 11) % 101) as f32 * 0.37 - 9.0).collect());
        eval::eval(program, &BTreeMap::from([("x".to_string(), x)]), &BTreeMap::new()).expect("runs").0
    }

    fn was_split(program: &mut Program) -> bool {
        let mut any = false;
        program
            .change_kernels(|kernel| -> Result<(), ()> {
                let types = Types::of_kernel(kernel).expect("types");
                any |= split(kernel, &types, &mut Fresh::above(&kernel.body));
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
            assert_eq!(was_split(&mut after), expected, "{rows} rows of {length}");
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
        assert!(!was_split(&mut program), "the sum of one row is where the next one starts");
    }
}
