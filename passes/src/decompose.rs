//! Spells scalar ops that no target has in ops that every target has.
//!
//! # Does
//! Inlines the expansion of each scalar op that has one, instruction by instruction. A product of floats that only goes into a reduction's sum is
//! fused with it, as the float rules allow; products that go into other sums are fused on the graph, by `fma`.
//! # Requires
//! Stage `lowered`.
//! # Ensures
//! Stage `decomposed`: only ops without an expansion are left.
//! # Example
//! `let v1 = relu(v0)` becomes `let v1 = max(v0, 0.0f32)`.

use crate::{PassContext, PassError};
use ir::scalar::{Instr, ScalarProgram};
use kernel::walk::{visit_exprs, visit_stmts};
use kernel::{DType, Expr, Fresh, Kernel, Program, ScalarOp, Stmt, Types};
use std::collections::{BTreeMap, BTreeSet};

/// Runs the pass.
///
/// # Errors
/// If a kernel doesn't type: a defect of an earlier pass.
pub fn run(program: &mut Program, context: &PassContext) -> Result<(), PassError> {
    program.change_kernels(|kernel| {
        let mut pass = Decompose::new(kernel, context.target.fma())?;
        kernel.body = pass.body(std::mem::take(&mut kernel.body))?;
        Ok(())
    })
}

struct Decompose {
    types: Types,
    fresh: Fresh,
    contract: bool,
    /// Products that only one value uses, by the register they are bound to.
    uses: BTreeMap<kernel::Reg, usize>,
    products: BTreeMap<kernel::Reg, (Expr, Expr)>,
    accumulators: BTreeSet<kernel::Reg>,
    out: Vec<Stmt>,
}

impl Decompose {
    fn new(kernel: &Kernel, contract: bool) -> Result<Self, PassError> {
        let types = Types::of_kernel(kernel).map_err(|e| PassError::Invalid(format!("{}: {e}", kernel.name)))?;
        let mut uses: BTreeMap<kernel::Reg, usize> = BTreeMap::new();
        visit_exprs(&kernel.body, &mut |expr| {
            if let Expr::Reg(reg) = expr {
                *uses.entry(*reg).or_default() += 1;
            }
        });
        let mut accumulators = BTreeSet::new();
        visit_stmts(&kernel.body, &mut |stmt| {
            if let Stmt::Decl { reg, .. } = stmt {
                accumulators.insert(*reg);
            }
        });
        let fresh = Fresh::above(&kernel.body);
        Ok(Self { types, fresh, contract, uses, products: BTreeMap::new(), accumulators, out: vec![] })
    }

    fn body(&mut self, body: Vec<Stmt>) -> Result<Vec<Stmt>, PassError> {
        let outer = std::mem::take(&mut self.out);
        for stmt in body {
            self.stmt(stmt)?;
        }
        Ok(std::mem::replace(&mut self.out, outer))
    }

    fn stmt(&mut self, mut stmt: Stmt) -> Result<(), PassError> {
        if let Some(expr) = stmt.expr_mut() {
            let old = std::mem::replace(expr, Expr::Reg(kernel::Reg(u32::MAX)));
            *expr = self.expr(old)?;
        }
        for body in stmt.bodies_mut() {
            *body = self.body(std::mem::take(body))?;
        }
        let stmt = match stmt {
            Stmt::Accumulate { reg, op, value } if op == ScalarOp::ADD && self.contract => self.accumulate(reg, value),
            Stmt::Let { reg, value } => {
                if let Expr::Apply(op, args) = &value
                    && *op == ScalarOp::MUL
                    && self.uses.get(&reg) == Some(&1)
                    && self.is_float(&value)
                    && args.iter().all(|a| self.is_fixed(a))
                {
                    self.products.insert(reg, (args[0].clone(), args[1].clone()));
                }
                Stmt::Let { reg, value }
            }
            other => other,
        };
        self.out.push(stmt);
        Ok(())
    }

    /// A constant or a value that is never assigned to: it may be read later than it is now.
    fn is_fixed(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Const(_) => true,
            Expr::Reg(reg) => !self.accumulators.contains(reg),
            _ => false,
        }
    }

    fn is_float(&self, expr: &Expr) -> bool {
        self.types.type_of(expr).is_ok_and(|t| matches!(t.dtype, DType::F32 | DType::F64))
    }

    /// The factors of a product that nothing else uses.
    fn product(&self, expr: &Expr) -> Option<(Expr, Expr)> {
        match expr {
            Expr::Reg(reg) => self.products.get(reg).cloned(),
            Expr::Apply(op, args) if *op == ScalarOp::MUL && self.is_float(expr) => {
                Some((args[0].clone(), args[1].clone()))
            }
            _ => None,
        }
    }

    /// Takes the statement away that bound a product now computed elsewhere.
    fn forget(&mut self, expr: &Expr) {
        if let Expr::Reg(reg) = expr {
            let bound = self.out.iter().rposition(|s| matches!(s, Stmt::Let { reg: r, .. } if r == reg));
            if let Some(at) = bound {
                self.out.remove(at);
            }
            self.products.remove(reg);
        }
    }

    /// True if the product was bound in the loop that is being filled: moving it deeper would repeat it.
    fn is_local(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Reg(reg) => self.out.iter().any(|s| matches!(s, Stmt::Let { reg: r, .. } if r == reg)),
            _ => true,
        }
    }

    fn accumulate(&mut self, reg: kernel::Reg, value: Expr) -> Stmt {
        match self.product(&value).filter(|_| self.is_local(&value)) {
            Some((a, b)) => {
                self.forget(&value);
                Stmt::Assign { reg, value: Expr::Apply(ScalarOp::FMA, vec![a, b, Expr::Reg(reg)]) }
            }
            None => Stmt::Accumulate { reg, op: ScalarOp::ADD, value },
        }
    }

    /// The expression with expansions inlined; their instructions go before the statement.
    fn expr(&mut self, expr: Expr) -> Result<Expr, PassError> {
        let (op, args) = match expr {
            Expr::Apply(op, args) => (op, args),
            mut other => {
                for child in other.children_mut() {
                    let old = std::mem::replace(child, Expr::Reg(kernel::Reg(u32::MAX)));
                    *child = self.expr(old)?;
                }
                return Ok(other);
            }
        };
        let args = args.into_iter().map(|a| self.expr(a)).collect::<Result<Vec<_>, _>>()?;
        let operand = if op == ScalarOp::SELECT { args.get(1) } else { args.first() };
        let ty = operand.map(|a| self.types.type_of(a)).transpose();
        let dtype = match ty {
            Ok(Some(ty)) => ty.dtype,
            _ => return Err(PassError::Invalid(format!("`{op}` on operands without a type"))),
        };
        match (op.def().expand)(dtype) {
            Some(program) => self.inline(&program, &args),
            None => Ok(Expr::Apply(op, args)),
        }
    }

    fn inline(&mut self, program: &ScalarProgram, params: &[Expr]) -> Result<Expr, PassError> {
        let mut regs: Vec<Expr> = Vec::with_capacity(program.body.len());
        let last = program.result.0 as usize;
        for (i, instr) in program.body.iter().enumerate() {
            let at = |r: &ir::scalar::Reg| regs[r.0 as usize].clone();
            let value = match instr {
                Instr::Param(p) => {
                    let param = params[*p].clone();
                    let value = if matches!(param, Expr::Reg(_) | Expr::Const(_)) { param } else { self.bind(param)? };
                    regs.push(value);
                    continue;
                }
                Instr::Const(c) => {
                    regs.push(Expr::Const(*c));
                    continue;
                }
                Instr::Apply(op, args) => {
                    let value = Expr::Apply(*op, args.iter().map(at).collect());
                    // An expansion may use another op that has one.
                    self.expr(value)?
                }
                Instr::Cast(dtype, r) => Expr::Cast(*dtype, Box::new(at(r))),
                Instr::Bitcast(dtype, r) => Expr::Bitcast(*dtype, Box::new(at(r))),
            };
            let value = if i == last { value } else { self.bind(value)? };
            regs.push(value);
        }
        Ok(regs[last].clone())
    }

    fn bind(&mut self, value: Expr) -> Result<Expr, PassError> {
        let reg = self.fresh.reg();
        let ty = self.types.type_of(&value).map_err(|e| PassError::Invalid(e.to_string()))?;
        self.types.bind_reg(reg, ty);
        self.out.push(Stmt::Let { reg, value });
        Ok(Expr::Reg(reg))
    }
}
