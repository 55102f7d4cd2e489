//! Scalar straight-line code to vector code: for loops along contiguous elements, and for the epilogue of a `micro`.

use crate::walk::{visit_exprs, visit_stmts};
use crate::{Affine, BufRef, DType, Expr, Fresh, IndexExpr, IndexVar, LoopKind, Reg, ScalarOp, Stmt, Target, Types};
use std::collections::BTreeMap;

/// Rewrites a scalar body to vector code in which `var` means the lanes `var..var + lanes`; `None` where that isn't possible.
///
/// The body holds `Let`, `Decl`, `Store`, `Accumulate`, `Assign`, and serial loops and indices that don't depend on `var`. `types` knows
/// the whole kernel, the body included.
/// Everything that the result binds has a new name from `fresh`, so that the scalar body can stay beside it for the rest of the
/// iterations. `vectors` maps values from outside that differ from iteration to iteration (accumulators, a `micro`'s sum) to their
/// vector counterparts, which the caller declares; other values from outside are the same in all lanes.
///
/// - A load whose coefficient of `var` is 1 becomes a vector load, 0 a splat, another one a strided load. `index` gets a stride.
/// - What doesn't depend on `var` stays scalar and is splat where a vector needs it.
/// - A store needs the coefficient 1. An accumulator needs an entry of `vectors`, or its declaration in the body.
/// - All vectors have `lanes` lanes, whatever the size of their elements. Quotients and remainders of `u32` and of integers of 64 bits have no vector form; those of other integers, and
///   shifts by other than a constant, have one in wide vectors only.
/// - Where the body stores to a buffer, all its loads and stores there are at one index or at indices so far apart that no two
///   iterations meet, or lanes could see each other's results.
pub fn vectorize_body(
    types: &Types,
    body: &[Stmt],
    var: IndexVar,
    lanes: u16,
    target: &Target,
    fresh: &mut Fresh,
    vectors: &BTreeMap<Reg, Reg>,
) -> Option<Vec<Stmt>> {
    let mut types = types.clone();
    types.bind_all(body).ok()?;
    if lanes < 2 || !iterations_are_independent(&types, body, var) {
        return None;
    }
    let regs = vectors.iter().map(|(&old, &new)| (old, VectorForm { new, varies: true })).collect();
    let mut cx = BodyVectorizer { types, var, lanes, wide: target.is_wide(), fresh, regs, indices: BTreeMap::new() };
    body.iter().map(|stmt| cx.stmt(stmt)).collect()
}

/// Two iterations never meet in a buffer that one of them stores to.
fn iterations_are_independent(types: &Types, body: &[Stmt], var: IndexVar) -> bool {
    let mut stored: BTreeMap<BufRef, Vec<&Affine>> = BTreeMap::new();
    visit_stmts(body, &mut |stmt| {
        if let Stmt::Store { buf, index, .. } = stmt {
            stored.entry(*buf).or_default().push(index);
        }
    });
    let extent = types.range(var).map_or(i64::MAX, |r| r.hi - r.lo + 1);
    let apart = |a: &Affine, b: &Affine| {
        let difference = a.add(&b.scale(-1));
        let same_steps = difference.coefficient(var) == 0;
        let distance = difference.range(types.ranges());
        a == b || (same_steps && distance.is_some_and(|d| d.lo >= extent || d.hi <= -extent))
    };
    let mut independent =
        stored.values().all(|all| all.iter().enumerate().all(|(i, a)| all[..i].iter().all(|b| apart(a, b))));
    visit_exprs(body, &mut |expr| {
        if let Expr::Load { buf, index, .. } = expr {
            independent &= stored.get(buf).is_none_or(|all| all.iter().all(|at| apart(at, index)));
        }
    });
    independent
}

#[derive(Clone, Copy)]
struct VectorForm {
    new: Reg,
    varies: bool,
}

struct BodyVectorizer<'a> {
    types: Types,
    var: IndexVar,
    lanes: u16,
    /// Whether the machine's vectors are wide.
    wide: bool,
    fresh: &'a mut Fresh,
    regs: BTreeMap<Reg, VectorForm>,
    /// New names of the index variables bound in the body.
    indices: BTreeMap<IndexVar, IndexVar>,
}

/// An expression after rewriting: a vector if it varies, else a scalar.
struct Rewritten {
    expr: Expr,
    varies: bool,
}

impl BodyVectorizer<'_> {
    fn bind(&mut self, old: Reg, varies: bool) -> Reg {
        let new = self.fresh.reg();
        self.regs.insert(old, VectorForm { new, varies });
        new
    }

    fn stmt(&mut self, stmt: &Stmt) -> Option<Stmt> {
        match stmt {
            Stmt::Let { reg, value } => {
                let value = self.value(value)?;
                let reg = self.bind(*reg, value.varies);
                Some(Stmt::Let { reg, value: value.expr })
            }
            Stmt::Decl { reg, init } => {
                let init = self.vector(init)?;
                Some(Stmt::Decl { reg: self.bind(*reg, true), init })
            }
            Stmt::Accumulate { reg, op, value } => {
                let value = self.vector(value)?;
                self.assigned(*reg).map(|reg| Stmt::Accumulate { reg, op: *op, value })
            }
            Stmt::Assign { reg, value } => {
                let value = self.vector(value)?;
                self.assigned(*reg).map(|reg| Stmt::Assign { reg, value })
            }
            Stmt::Store { buf, index, value } => {
                if index.coefficient(self.var) != 1 {
                    return None;
                }
                let value = self.vector(value)?;
                Some(Stmt::Store { buf: *buf, index: self.index(index), value })
            }
            Stmt::For { var, extent, kind: LoopKind::Serial, body } => {
                let new = self.fresh.index();
                self.indices.insert(*var, new);
                let body = body.iter().map(|stmt| self.stmt(stmt)).collect::<Option<Vec<_>>>()?;
                Some(Stmt::serial(new, *extent, body))
            }
            Stmt::LetIndex { var, value } => {
                let value = self.index_expr(value)?;
                let new = self.fresh.index();
                self.indices.insert(*var, new);
                Some(Stmt::LetIndex { var: new, value })
            }
            Stmt::For { .. } | Stmt::If { .. } | Stmt::Micro(_) => None,
        }
    }

    /// An index that is the same in all lanes; `None` for others.
    fn index_expr(&mut self, value: &IndexExpr) -> Option<IndexExpr> {
        let fixed = |index: &Affine| (index.coefficient(self.var) == 0).then(|| self.index(index));
        Some(match value {
            IndexExpr::Affine(a) => IndexExpr::Affine(fixed(a)?),
            IndexExpr::Div(a, by) => IndexExpr::Div(fixed(a)?, *by),
            IndexExpr::Rem(a, by) => IndexExpr::Rem(fixed(a)?, *by),
            IndexExpr::Clamp(a, lo, hi) => IndexExpr::Clamp(fixed(a)?, *lo, *hi),
            IndexExpr::Checked { value, bound, check } => {
                let value = self.value(value)?;
                let value = (!value.varies).then_some(value.expr)?;
                IndexExpr::Checked { value: Box::new(value), bound: *bound, check: *check }
            }
        })
    }

    /// An index by the new names of the variables bound in the body.
    fn index(&self, index: &Affine) -> Affine {
        let rename = |var| self.indices.get(&var).copied().unwrap_or(var);
        index.terms().iter().fold(Affine::constant(index.offset()), |sum, &(v, c)| sum.plus_term(rename(v), c))
    }

    fn assigned(&self, reg: Reg) -> Option<Reg> {
        self.regs.get(&reg).filter(|bound| bound.varies).map(|bound| bound.new)
    }

    /// The expression as a vector.
    fn vector(&mut self, expr: &Expr) -> Option<Expr> {
        let value = self.value(expr)?;
        self.splat(value, expr)
    }

    fn splat(&self, value: Rewritten, old: &Expr) -> Option<Expr> {
        self.admit(old)?;
        Some(if value.varies { value.expr } else { Expr::Splat(self.lanes, Box::new(value.expr)) })
    }

    /// Whether the scalars of an expression have vectors.
    fn admit(&self, old: &Expr) -> Option<()> {
        let ty = self.types.type_of(old).ok()?;
        (ty.lanes == 1).then_some(())
    }

    fn value(&mut self, expr: &Expr) -> Option<Rewritten> {
        let value = match expr {
            Expr::Const(_) => Rewritten { expr: expr.clone(), varies: false },
            Expr::Reg(reg) => match self.regs.get(reg) {
                Some(bound) => Rewritten { expr: Expr::Reg(bound.new), varies: bound.varies },
                None => Rewritten { expr: expr.clone(), varies: false },
            },
            Expr::Index { index, dtype, lanes: 1, .. } => {
                let c = index.coefficient(self.var);
                let (lanes, stride) = if c == 0 { (1, 1) } else { (self.lanes, c) };
                Rewritten {
                    expr: Expr::Index { index: self.index(index), dtype: *dtype, lanes, stride },
                    varies: c != 0,
                }
            }
            Expr::Load { buf, index, lanes: 1, .. } => {
                let c = index.coefficient(self.var);
                let (lanes, stride) = if c == 0 { (1, 1) } else { (self.lanes, c) };
                Rewritten { expr: Expr::Load { buf: *buf, index: self.index(index), lanes, stride }, varies: c != 0 }
            }
            Expr::Apply(op, args) => self.apply(*op, args)?,
            Expr::Cast(dtype, inner) => {
                let Rewritten { expr, varies } = self.value(inner)?;
                Rewritten { expr: Expr::Cast(*dtype, Box::new(expr)), varies }
            }
            Expr::Bitcast(dtype, inner) => {
                let Rewritten { expr, varies } = self.value(inner)?;
                Rewritten { expr: Expr::Bitcast(*dtype, Box::new(expr)), varies }
            }
            Expr::Index { .. } | Expr::Load { .. } | Expr::Splat(..) | Expr::Fold(..) => return None,
        };
        if value.varies {
            self.admit(expr)?;
        }
        Some(value)
    }

    fn apply(&mut self, op: ScalarOp, args: &[Expr]) -> Option<Rewritten> {
        let values = args.iter().map(|a| self.value(a)).collect::<Option<Vec<_>>>()?;
        let varies = values.iter().any(|v| v.varies);
        if !varies {
            return Some(Rewritten { expr: Expr::Apply(op, values.into_iter().map(|v| v.expr).collect()), varies });
        }
        let dtype = self.types.type_of(&args[0]).ok()?.dtype;
        let divides = [ScalarOp::DIV, ScalarOp::REM].contains(&op);
        let shifts = [ScalarOp::SHL, ScalarOp::LSHR].contains(&op) && !matches!(args[1], Expr::Const(_));
        if dtype.is_int()
            && (divides && (!self.wide || dtype.size_bytes() == 8 || dtype == DType::U32) || shifts && !self.wide)
        {
            return None;
        }
        let operands = values.into_iter().zip(args).map(|(v, old)| self.splat(v, old)).collect::<Option<Vec<_>>>()?;
        Some(Rewritten { expr: Expr::Apply(op, operands), varies })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kernel, Scalar};

    fn axpy(stride: i64) -> (Types, Vec<Stmt>, IndexVar, Fresh) {
        let text = format!(
            "kernel axpy(p0: read f32[1], p1: read f32[64], p2: readwrite f32[16]) {{ for i0 in 0..16 {{
               let v0 = mul(load p0[0], load p1[i0*{stride}])
               store p2[i0] = add(v0, load p2[i0])
             }} }}"
        );
        let kernel: Kernel = text.parse().unwrap();
        let Stmt::For { var, body, .. } = &kernel.body[0] else { panic!("{kernel}") };
        (Types::of_kernel(&kernel).unwrap(), body.clone(), *var, Fresh::above(&kernel.body))
    }

    #[test]
    fn loads_become_vectors_splats_or_strided() {
        for (stride, text) in [
            (1, "let v1 = mul(splat.x4(load p0[0]), load.x4 p1[i0])"),
            (4, "let v1 = mul(splat.x4(load p0[0]), load.x4 p1[i0*4] stride 4)"),
            (0, "let v1 = mul(load p0[0], load p1[0])"),
        ] {
            let (types, body, var, mut fresh) = axpy(stride);
            let out = vectorize_body(&types, &body, var, 4, &Target::baseline(), &mut fresh, &BTreeMap::new()).unwrap();
            assert_eq!(out[0].to_string(), text);
        }
    }

    #[test]
    fn refuses_what_lanes_cannot_do() {
        let (types, mut body, var, mut fresh) = axpy(1);
        let none = BTreeMap::new();
        if let Stmt::Store { index, .. } = &mut body[1] {
            *index = Affine::term(var, 1).plus(1);
        }
        assert_eq!(
            vectorize_body(&types, &body, var, 4, &Target::baseline(), &mut fresh, &none),
            None,
            "a lane would see another's store"
        );
    }

    #[test]
    fn sixteen_bit_floats_have_lanes() {
        let none = BTreeMap::new();
        let (types, mut body, var, mut fresh) = axpy(1);
        if let Stmt::Let { value, .. } = &mut body[0] {
            let half = Expr::Cast(DType::Bf16, Box::new(value.clone()));
            *value = Expr::Cast(DType::F32, Box::new(half));
        }
        let out = vectorize_body(&types, &body, var, 4, &Target::baseline(), &mut fresh, &none).unwrap();
        assert!(out[0].to_string().contains(": bf16) : f32)"), "{}", out[0]);
    }

    #[test]
    fn accumulators_come_from_the_caller() {
        let (types, mut body, var, mut fresh) = axpy(1);
        let (old, new) = (fresh.reg(), fresh.reg());
        body[1] = Stmt::Accumulate { reg: old, op: ScalarOp::ADD, value: Expr::Const(Scalar::F32(1.0)) };
        assert_eq!(vectorize_body(&types, &body, var, 4, &Target::baseline(), &mut fresh, &BTreeMap::new()), None);
        let out = vectorize_body(&types, &body, var, 4, &Target::baseline(), &mut fresh, &BTreeMap::from([(old, new)]))
            .unwrap();
        assert_eq!(out[1].to_string(), format!("{new} add= splat.x4(1.0f32)"));
    }
}
