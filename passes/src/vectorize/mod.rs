//! Turns innermost loops along contiguous elements into vector code.
//!
//! # Does
//! From the inside out, the first loop along which every access is contiguous or constant becomes a loop of vectors, several at a
//! time, then a loop of single vectors, then a scalar loop for what is left. Accumulators become vectors that are folded after the
//! loop.
//! # Requires
//! Stage `decomposed`, short loops unrolled.
//! # Ensures
//! The same stage. The order of a vectorized reduction depends on the extent and the target alone.
//! # Example
//! `for i0 in 0..10 { store p1[i0] = neg(load p0[i0]) }` becomes, with 4 lanes, `vector i1 in 0..2 { store p1[i1*4] =
//! neg(load.x4 p0[i1*4]) }` and `for i2 in 0..2 { store p1[i2 + 8] = neg(load p0[i2 + 8]) }`.

mod folds;
mod jam;

use crate::{PassContext, PassError};
use folds::Fold;
use jam::jam;
use kernel::walk::{refresh, substitute, visit_exprs, visit_stmts};
use kernel::{
    Affine, BufRef, DType, Expr, Fresh, IndexVar, LoopKind, Program, Reg, Stmt, Target, Types, vectorize_body,
};
use std::collections::BTreeMap;

/// How many vectors one iteration of a folding or surrounding loop handles: as many as hide the latency of an add.
const INTERLEAVE: usize = 4;
/// The most statements that one iteration of an elementwise loop is unrolled to.
const MAX_UNROLLED: usize = 48;

/// Runs the pass.
///
/// # Errors
/// If a kernel doesn't type: a defect of an earlier pass.
pub fn run(program: &mut Program, context: &PassContext) -> Result<(), PassError> {
    for kernel in &mut program.kernels {
        let types = Types::of_kernel(kernel).map_err(|e| PassError::Invalid(format!("{}: {e}", kernel.name)))?;
        let mut pass = Vectorizer { types, fresh: Fresh::above(&kernel.body), target: context.target.clone() };
        kernel.body = pass.body(std::mem::take(&mut kernel.body)).stmts;
    }
    Ok(())
}

/// A loop along `var`.
#[derive(Clone, Copy)]
pub(crate) struct Loop<'a> {
    pub(crate) var: IndexVar,
    pub(crate) extent: usize,
    pub(crate) body: &'a [Stmt],
}

/// Makes vector code in one kernel.
pub(crate) struct Vectorizer {
    pub(crate) types: Types,
    pub(crate) fresh: Fresh,
    pub(crate) target: Target,
}

/// Statements, and whether any of them became vector code.
struct Done {
    stmts: Vec<Stmt>,
    changed: bool,
}

impl Vectorizer {
    fn body(&mut self, body: Vec<Stmt>) -> Done {
        let mut done = Done { stmts: vec![], changed: false };
        for stmt in body {
            match stmt {
                Stmt::For { var, extent, kind, body } => self.for_loop(var, extent, kind, body, &mut done),
                Stmt::If { condition, then, otherwise } => {
                    let (then, otherwise) = (self.body(then), self.body(otherwise));
                    done.changed |= then.changed || otherwise.changed;
                    done.stmts.push(Stmt::If { condition, then: then.stmts, otherwise: otherwise.stmts });
                }
                other => {
                    done.changed |= matches!(other, Stmt::Micro(_));
                    done.stmts.push(other);
                }
            }
        }
        done
    }

    fn for_loop(&mut self, var: IndexVar, extent: usize, kind: LoopKind, body: Vec<Stmt>, done: &mut Done) {
        let inner = self.body(body);
        if !inner.changed
            && let Some(stmts) = self.vector_loop(Loop { var, extent, body: &inner.stmts })
        {
            done.stmts.extend(stmts);
            done.changed = true;
            return;
        }
        done.changed |= inner.changed;
        done.stmts.push(Stmt::For { var, extent, kind, body: inner.stmts });
    }

    /// The loop as vector code, if it has such a form and is long enough.
    pub(crate) fn vector_loop(&mut self, l: Loop<'_>) -> Option<Vec<Stmt>> {
        let lanes = self.lanes(l.body)?;
        if l.extent < usize::from(lanes) {
            return None;
        }
        let folds = folds::of_body(&self.types, l.body)?;
        let vectors = l.extent / usize::from(lanes);
        let interleave = interleave(l.body, !folds.is_empty()).min(vectors);
        let (main, rest) = (vectors / interleave, vectors % interleave);
        let accumulators: Vec<BTreeMap<Reg, Reg>> =
            (0..interleave).map(|_| folds.iter().map(|f| (f.reg, self.fresh.reg())).collect()).collect();
        let mut out = vec![];
        for map in &accumulators {
            out.extend(folds.iter().map(|f| declare(f, map, lanes)));
        }
        out.extend(self.vectors(l, lanes, &accumulators, (main, 0))?);
        for map in accumulators.iter().skip(1) {
            out.extend(folds.iter().map(|f| Stmt::Accumulate {
                reg: accumulators[0][&f.reg],
                op: f.op,
                value: Expr::Reg(map[&f.reg]),
            }));
        }
        if rest > 0 {
            let first = main * interleave * usize::from(lanes);
            out.extend(self.vectors(l, lanes, &accumulators[..1], (rest, first))?);
        }
        for f in &folds {
            let value = Expr::Fold(f.op, Box::new(Expr::Reg(accumulators[0][&f.reg])));
            out.push(Stmt::Accumulate { reg: f.reg, op: f.op, value });
        }
        out.extend(self.tail(l, vectors * usize::from(lanes)));
        Some(out)
    }

    /// A loop over `count` groups of vectors from element `first`, or the one group there is; a group has one vector per map of
    /// accumulators.
    fn vectors(
        &mut self,
        l: Loop<'_>,
        lanes: u16,
        accumulators: &[BTreeMap<Reg, Reg>],
        (count, first): (usize, usize),
    ) -> Option<Vec<Stmt>> {
        let var = self.fresh.index();
        let step = usize::from(lanes) * accumulators.len();
        let mut copies = vec![];
        for (u, map) in accumulators.iter().enumerate() {
            let mut copy = vectorize_body(&self.types, l.body, l.var, lanes, &mut self.fresh, map)?;
            if is_strided(&copy) {
                return None;
            }
            let at = Affine::term(var, step as i64).plus((first + u * usize::from(lanes)) as i64);
            substitute(&mut copy, l.var, &at);
            copies.push(copy);
        }
        let mut body = jam(copies);
        if count == 1 {
            substitute(&mut body, var, &Affine::constant(0));
            return Some(body);
        }
        let kind = if body.iter().any(|s| matches!(s, Stmt::For { .. } | Stmt::LetIndex { .. } | Stmt::Decl { .. })) {
            LoopKind::Serial
        } else {
            LoopKind::Vector
        };
        Some(vec![Stmt::For { var, extent: count, kind, body }])
    }

    /// The scalar iterations from `first` on.
    fn tail(&mut self, l: Loop<'_>, first: usize) -> Option<Stmt> {
        let extent = l.extent - first;
        if extent == 0 {
            return None;
        }
        let var = self.fresh.index();
        let mut body = refresh(l.body, &mut self.fresh);
        substitute(&mut body, l.var, &Affine::term(var, 1).plus(first as i64));
        Some(Stmt::serial(var, extent, body))
    }

    /// How many elements a vector of the loop's element size holds; `None` for sizes that have no vectors.
    fn lanes(&self, body: &[Stmt]) -> Option<u16> {
        let mut sizes = vec![];
        let mut note = |buf: &BufRef| sizes.extend(self.types.element(*buf).ok().filter(|d| *d != DType::Bool));
        visit_stmts(body, &mut |stmt| {
            if let Stmt::Store { buf, .. } = stmt {
                note(buf);
            }
        });
        visit_exprs(body, &mut |expr| {
            if let Expr::Load { buf, .. } = expr {
                note(buf);
            }
        });
        let dtype = sizes.into_iter().find(|d| matches!(d.size_bytes(), 4 | 8))?;
        Some(self.target.lanes(dtype)).filter(|&lanes| lanes > 1)
    }
}

fn declare(fold: &Fold, map: &BTreeMap<Reg, Reg>, lanes: u16) -> Stmt {
    Stmt::Decl { reg: map[&fold.reg], init: Expr::Splat(lanes, Box::new(Expr::Const(fold.identity))) }
}

/// How many vectors an iteration handles.
fn interleave(body: &[Stmt], folds: bool) -> usize {
    let mut statements = 0;
    let mut surrounds = false;
    visit_stmts(body, &mut |stmt| {
        statements += 1;
        surrounds |= matches!(stmt, Stmt::For { .. });
    });
    if folds || surrounds { INTERLEAVE } else { (MAX_UNROLLED / statements.max(1)).clamp(1, INTERLEAVE) }
}

/// True if a vector is gathered element by element.
fn is_strided(body: &[Stmt]) -> bool {
    let mut strided = false;
    visit_exprs(body, &mut |expr| {
        strided |= matches!(expr, Expr::Load { lanes: 2.., stride, .. } if *stride != 1);
    });
    strided
}
