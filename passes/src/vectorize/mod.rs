//! Turns innermost loops along contiguous elements into vector code.
//!
//! # Does
//! From the inside out, the first loop along which every access is contiguous or constant becomes a loop of vectors, several at a
//! time, then a loop of single vectors. What is left is one vector of fewer lanes where the target has such, else a scalar loop. There,
//! a loop shorter than a vector becomes one of fewer lanes as well. Accumulators become vectors that are folded after the loop.
//! # Requires
//! Stage `decomposed`, short loops unrolled.
//! # Ensures
//! The same stage. The order of a vectorized reduction depends on the extent and the target alone.
//! # Example
//! `for i0 in 0..10 { store p1[i0] = neg(load p0[i0]) }` becomes, with 4 lanes, `vector i1 in 0..2 { store p1[i1*4] =
//! neg(load.x4 p0[i1*4]) }` and `for i2 in 0..2 { store p1[i2 + 8] = neg(load p0[i2 + 8]) }`; with 16 lanes and masks it becomes
//! `store p1[0] = neg(load.x10 p0[0])`.

mod cut;
pub(crate) mod folds;
mod jam;
mod straight;

use crate::{PassContext, PassError};
pub(crate) use cut::CandidateLoop;
use cut::VectorCut;
use folds::Fold;
use ir::map_of;
use jam::jam;
use kernel::walk::{refresh, refresh_with, substitute, visit_exprs, visit_stmts};
use kernel::{Affine, DType, Expr, Fresh, IndexVar, LoopKind, Program, Reg, Stmt, Target, Types, vectorize_body};
use std::collections::{BTreeMap, BTreeSet};
use straight::{forward, hoist, share, share_all, straighten};

/// Runs the pass.
///
/// # Errors
/// If a kernel doesn't type: a defect of an earlier pass.
pub fn run(program: &mut Program, context: &PassContext) -> Result<(), PassError> {
    program.change_kernels(|kernel| {
        let types = Types::of_kernel(kernel).map_err(|e| PassError::Invalid(format!("{}: {e}", kernel.name)))?;
        let mut pass = Vectorizer { types, fresh: Fresh::above(&kernel.body), target: context.target.clone() };
        kernel.body = share_all(pass.body(std::mem::take(&mut kernel.body)).stmts);
        let types = Types::of_kernel(kernel).map_err(|e| PassError::Invalid(format!("{}: {e}", kernel.name)))?;
        kernel.body = forward(std::mem::take(&mut kernel.body), &types);
        Ok(())
    })
}

/// The vectors that stand for a loop's accumulators.
type Accumulators = BTreeMap<Reg, Reg>;

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
            && let Some(stmts) = self.vector_loop(CandidateLoop { var, extent, body: &inner.stmts })
        {
            done.stmts.extend(stmts);
            done.changed = true;
            return;
        }
        done.changed |= inner.changed;
        done.stmts.push(Stmt::For { var, extent, kind, body: inner.stmts });
    }

    /// The loop as vector code, if it has such a form and is long enough.
    pub(crate) fn vector_loop(&mut self, l: CandidateLoop<'_>) -> Option<Vec<Stmt>> {
        let folds = folds::of_body(&self.types, l.body)?;
        let cut = VectorCut::of(l, self.lanes(l)?, !folds.is_empty(), &self.target)?;
        let mut all: BTreeMap<Reg, Fold> = BTreeMap::new();
        let mut sums: Vec<Accumulators> = (0..cut.interleave).map(|_| self.accumulators(&folds)).collect();
        let mut out = vec![];
        for map in &sums {
            all.extend(folds.iter().map(|f| (map[&f.reg], *f)));
            out.extend(folds.iter().map(|f| declare(f, map, cut.lanes)));
        }
        out.extend(self.vectors(l, cut.lanes, &sums, (cut.groups, 0))?);
        while sums.len() > 1 {
            let upper = sums.split_off(sums.len().div_ceil(2));
            for (low, high) in sums.iter().zip(upper) {
                out.extend(folds.iter().map(|f| f.accumulate(low[&f.reg], Expr::Reg(high[&f.reg]))));
            }
        }
        if cut.singles > 0 {
            out.extend(self.vectors(l, cut.lanes, &sums, (cut.singles, cut.first_single()))?);
        }
        if cut.rest > 0 {
            let map = self.accumulators(&folds);
            all.extend(folds.iter().map(|f| (map[&f.reg], *f)));
            out.extend(folds.iter().map(|f| declare(f, &map, cut.rest)));
            sums.push(map);
            out.extend(self.vectors(l, cut.rest, &sums[1..], (1, cut.first_rest()))?);
        }
        for map in &sums {
            let lanes_of = |f: &Fold| Expr::Fold(f.op, Box::new(Expr::Reg(map[&f.reg])));
            out.extend(folds.iter().map(|f| f.accumulate(f.reg, lanes_of(f))));
        }
        out.extend(self.tail(l, cut.first_rest() + usize::from(cut.rest)));
        Some(straighten(out, &all, &mut self.fresh))
    }

    /// Whether [`Self::vector_loop`] gives anything.
    pub(crate) fn has_vector_form(&mut self, l: CandidateLoop<'_>) -> bool {
        let mut form = || -> Option<()> {
            let folds = folds::of_body(&self.types, l.body)?;
            let cut = VectorCut::of(l, self.lanes(l)?, !folds.is_empty(), &self.target)?;
            let accumulators = self.accumulators(&folds);
            let whole = (cut.groups + cut.singles > 0).then_some(cut.lanes);
            for lanes in whole.into_iter().chain(Some(cut.rest).filter(|&rest| rest > 0)) {
                self.vector_body(l, lanes, &accumulators)?;
            }
            Some(())
        };
        form().is_some()
    }

    /// Vectors for the accumulators of a loop.
    fn accumulators(&mut self, folds: &[Fold]) -> Accumulators {
        map_of(folds.iter().map(|f| (f.reg, self.fresh.reg())))
    }

    /// The loop's body for one vector, if it has such a form that gathers nothing.
    fn vector_body(&mut self, l: CandidateLoop<'_>, lanes: u16, accumulators: &Accumulators) -> Option<Vec<Stmt>> {
        let body = vectorize_body(&self.types, l.body, l.var, lanes, &self.target, &mut self.fresh, accumulators)?;
        (!is_strided(&body)).then_some(body)
    }

    /// A loop over `count` groups of vectors from element `first`, or the one group there is; a group has one vector per map of
    /// accumulators.
    fn vectors(
        &mut self,
        l: CandidateLoop<'_>,
        lanes: u16,
        accumulators: &[Accumulators],
        (count, first): (usize, usize),
    ) -> Option<Vec<Stmt>> {
        let var = self.fresh.index();
        let step = usize::from(lanes) * accumulators.len();
        let first_map = accumulators.first()?;
        let vectors = self.vector_body(l, lanes, first_map)?;
        let mut copies = vec![];
        for (u, map) in accumulators.iter().enumerate() {
            let mut copy = if u == 0 { vectors.clone() } else { self.copy_with(&vectors, first_map, map) };
            let at = Affine::term(var, step as i64).plus((first + u * usize::from(lanes)) as i64);
            substitute(&mut copy, l.var, &at);
            copies.push(copy);
        }
        let mut body = share(jam(copies));
        if count == 1 {
            substitute(&mut body, var, &Affine::constant(0));
            return Some(body);
        }
        let (mut out, body) = hoist(body, var);
        let kind = if body.iter().any(|s| matches!(s, Stmt::For { .. } | Stmt::LetIndex { .. } | Stmt::Decl { .. })) {
            LoopKind::Serial
        } else {
            LoopKind::Vector
        };
        out.push(Stmt::For { var, extent: count, kind, body });
        Some(out)
    }

    /// A copy of vector code that adds to accumulators of its own.
    fn copy_with(&mut self, vectors: &[Stmt], from: &Accumulators, to: &Accumulators) -> Vec<Stmt> {
        let own = map_of(from.values().copied().zip(to.values().copied()));
        refresh_with(vectors, &mut self.fresh, own)
    }

    /// The scalar iterations from `first` on.
    fn tail(&mut self, l: CandidateLoop<'_>, first: usize) -> Option<Stmt> {
        let extent = l.extent - first;
        if extent == 0 {
            return None;
        }
        let var = self.fresh.index();
        let mut body = refresh(l.body, &mut self.fresh);
        substitute(&mut body, l.var, &Affine::term(var, 1).plus(first as i64));
        Some(Stmt::serial(var, extent, body))
    }

    /// How many elements of the largest type among the loop's vectors a register holds, 16-bit floats having the lanes of the `f32` that they are computed
    /// in, and integers of 8 and 16 bits, where vectors of them can be masked, those of 32 bits if there is nothing else; `None` where nothing has a vector, or where types of two sizes would have
    /// to be converted lane by lane.
    fn lanes(&self, l: CandidateLoop<'_>) -> Option<u16> {
        let mut sizes = BTreeSet::new();
        let mut short_ints = false;
        let mut note = |dtype: DType| {
            short_ints |= dtype.size_bytes() <= 2 && !dtype.is_float();
            let size = if dtype.is_short_float() { 4 } else { dtype.size_bytes() };
            sizes.extend(Some(size).filter(|size| matches!(size, 4 | 8)));
        };
        visit_stmts(l.body, &mut |stmt| {
            if let Stmt::Store { buf, .. } = stmt {
                self.types.element(*buf).into_iter().for_each(&mut note);
            }
        });
        visit_exprs(l.body, &mut |expr| match expr {
            Expr::Load { buf, index, .. } if index.coefficient(l.var) != 0 => {
                self.types.element(*buf).into_iter().for_each(&mut note);
            }
            Expr::Index { index, dtype, .. } if index.coefficient(l.var) != 0 => note(*dtype),
            Expr::Cast(dtype, _) => note(*dtype),
            _ => {}
        });
        if sizes.is_empty() && short_ints && self.target.masked() {
            sizes.insert(4);
        }
        if sizes.len() > 1 && !self.target.masked() {
            return None;
        }
        let lanes = self.target.vector_bytes() / sizes.last()?;
        Some(lanes as u16).filter(|&lanes| lanes > 1)
    }
}

fn declare(fold: &Fold, map: &Accumulators, lanes: u16) -> Stmt {
    Stmt::Decl { reg: map[&fold.reg], init: Expr::Splat(lanes, Box::new(Expr::Const(fold.identity))) }
}

/// True if a vector is gathered element by element. One that is read backwards is a vector whose lanes change places.
fn is_strided(body: &[Stmt]) -> bool {
    let mut strided = false;
    visit_exprs(body, &mut |expr| {
        strided |= matches!(expr, Expr::Load { lanes: 2.., stride, .. } if !matches!(stride, 1 | -1));
    });
    strided
}
