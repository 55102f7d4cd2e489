//! Statements: loops, bindings, accumulators, stores, branches.

use super::emitter::{Binding, Emitter, IndexValue};
use super::enter;
use super::strides::{IndexUse, index_use};
use super::value::{Val, clif_type};
use crate::error::{EmitError, malformed};
use cranelift::codegen::ir::condcodes::IntCC;
use cranelift::codegen::ir::{Block, BlockArg, InstBuilder, Value, types};
use kernel::{Expr, IndexExpr, IndexVar, LoopKind, Reg, Stmt};

/// Loops of more iterations stay loops.
const MOST_ITERATIONS: i64 = 8;
/// So do loops that would become more statements.
const MOST_STATEMENTS: i64 = 64;

/// Whether a loop's iterations are emitted one after the other: the rows of a tile, whose sums are used. What such a loop keeps in vector registers
/// would else be stored and loaded again in each iteration where a call stands before it, which leaves no vector register as it was. A loop over vectors has
/// as many in a row as it should: all of 128 elements in a row, a sum took 1.3 times as long.
fn is_short(kind: LoopKind, extent: i64, body: &[Stmt]) -> bool {
    let straight = kind != LoopKind::Vector
        && body.iter().all(|s| !matches!(s, Stmt::For { .. } | Stmt::If { .. } | Stmt::Micro(_)));
    straight && extent <= MOST_ITERATIONS && extent * body.len() as i64 <= MOST_STATEMENTS
}

impl Emitter<'_, '_> {
    /// Statements in a scope of their own: what they bind and the addresses they computed are forgotten at the end.
    pub(super) fn scope(&mut self, body: &[Stmt]) -> Result<(), EmitError> {
        let known = self.addresses.len();
        for stmt in body {
            self.stmt(stmt)?;
        }
        self.addresses.truncate(known);
        Ok(())
    }

    pub(super) fn stmt(&mut self, stmt: &Stmt) -> Result<(), EmitError> {
        match stmt {
            Stmt::For { kind: LoopKind::Parallel, .. } => {
                malformed("a parallel loop that is not the kernel's one outermost statement")
            }
            Stmt::For { var, kind, extent, body } => self.counted_loop(*var, *kind, *extent as i64, body),
            Stmt::LetIndex { var, value } => self.let_index(*var, value),
            Stmt::Let { reg, value } => {
                let value = self.expr(value)?;
                self.regs.insert(*reg, Binding::Let(value));
                Ok(())
            }
            Stmt::Decl { reg, init } => self.declare(*reg, init),
            Stmt::Accumulate { reg, op, value } => {
                let (old, value) = (self.register(*reg)?, self.expr(value)?);
                let new = self.apply(*op, &[old, value])?;
                self.assign(*reg, &new)
            }
            Stmt::Assign { reg, value } => {
                let value = self.expr(value)?;
                self.assign(*reg, &value)
            }
            Stmt::Store { buf, index, value } => {
                let value = self.expr(value)?;
                self.store(*buf, index, &value)
            }
            Stmt::If { condition, then, otherwise } => self.branch(condition, then, otherwise),
            Stmt::Micro(micro) => self.tile(micro),
        }
    }

    fn counted_loop(&mut self, var: IndexVar, kind: LoopKind, extent: i64, body: &[Stmt]) -> Result<(), EmitError> {
        if extent == 1 {
            self.bind_index(var, IndexValue::Constant(0), vec![]);
            return self.scope(body);
        }
        if is_short(kind, extent, body) {
            for iteration in 0..extent {
                self.bind_index(var, IndexValue::Constant(iteration), vec![]);
                self.scope(body)?;
            }
            return Ok(());
        }
        let (from, to) = (self.b.ins().iconst(types::I64, 0), self.b.ins().iconst(types::I64, extent));
        let uses = index_use(self.kernel, var, body);
        self.range_loop(var, from, to, &uses, body)
    }

    /// Runs the body for `var` in `from..to`; at least one iteration. The loop keeps the variable and, as counters of their own, the
    /// byte strides by which the body moves that no addressing mode scales by. A variable that only strides use is left out.
    pub(super) fn range_loop(
        &mut self,
        var: IndexVar,
        from: Value,
        to: Value,
        uses: &IndexUse,
        body: &[Stmt],
    ) -> Result<(), EmitError> {
        self.compute_bases(uses)?;
        let mut factors: Vec<i64> = if uses.value || uses.strides.is_empty() { vec![1] } else { vec![] };
        factors.extend(&uses.strides);
        let starts: Vec<BlockArg> =
            factors.iter().map(|&f| BlockArg::Value(self.b.ins().imul_imm_s(from, f))).collect();
        let end = self.b.ins().imul_imm_s(to, factors[0]);
        let (header, exit) = (self.b.create_block(), self.b.create_block());
        let counters: Vec<Value> = factors.iter().map(|_| self.b.append_block_param(header, types::I64)).collect();
        self.b.ins().jump(header, &starts);
        self.b.switch_to_block(header);
        let scaled: Vec<(i64, Value)> = factors.iter().copied().zip(counters.iter().copied()).collect();
        let value = if factors[0] == 1 { IndexValue::Value(counters[0]) } else { IndexValue::ScaledOnly };
        self.bind_index(var, value, scaled);
        self.scope(body)?;
        let next: Vec<Value> = factors.iter().zip(&counters).map(|(&f, &c)| self.b.ins().iadd_imm_s(c, f)).collect();
        // Not "unequal": Cranelift would compare the old counter instead, which keeps both alive and costs a move and a jump.
        let before = if factors[0] > 0 { IntCC::SignedLessThan } else { IntCC::SignedGreaterThan };
        let again = self.b.ins().icmp(before, next[0], end);
        let next: Vec<BlockArg> = next.into_iter().map(BlockArg::Value).collect();
        self.b.ins().brif(again, header, &next, exit, &[]);
        self.b.seal_block(header);
        self.enter(exit);
        Ok(())
    }

    /// Computes before a loop the addresses that its body starts from, as far as they don't depend on what the body binds.
    fn compute_bases(&mut self, uses: &IndexUse) -> Result<(), EmitError> {
        for (buf, base) in &uses.bases {
            if base.terms().iter().all(|(var, _)| self.index.contains_key(var)) {
                self.address(*buf, base)?;
            }
        }
        Ok(())
    }

    /// Goes on in a block to which all jumps have been emitted.
    pub(super) fn enter(&mut self, block: Block) {
        enter(&mut self.b, block);
    }

    fn let_index(&mut self, var: IndexVar, value: &IndexExpr) -> Result<(), EmitError> {
        let value = match value {
            IndexExpr::Affine(affine) => self.affine(affine)?,
            IndexExpr::Div(affine, by) => {
                let dividend = self.affine(affine)?;
                self.divide(dividend, *by)
            }
            IndexExpr::Rem(affine, by) => {
                let dividend = self.affine(affine)?;
                let quotient = self.divide(dividend, *by);
                let whole = self.b.ins().imul_imm_s(quotient, *by);
                self.b.ins().isub(dividend, whole)
            }
            IndexExpr::Clamp(affine, low, high) => {
                let value = self.affine(affine)?;
                let (low, high) = (self.b.ins().iconst(types::I64, *low), self.b.ins().iconst(types::I64, *high));
                let value = self.b.ins().smax(value, low);
                self.b.ins().smin(value, high)
            }
            IndexExpr::Checked { value, bound, check } => self.checked_index(value, *bound, *check)?,
        };
        self.bind_index(var, IndexValue::Value(value), vec![]);
        Ok(())
    }

    /// The quotient of an index that isn't negative by a positive constant.
    fn divide(&mut self, dividend: Value, by: i64) -> Value {
        if by.count_ones() == 1 {
            return self.b.ins().ushr_imm_u(dividend, i64::from(by.trailing_zeros()));
        }
        let by = self.b.ins().iconst(types::I64, by);
        self.b.ins().udiv(dividend, by)
    }

    /// An element as an index; the kernel returns with the check's status if it is out of range.
    fn checked_index(&mut self, value: &Expr, bound: i64, check: u32) -> Result<Value, EmitError> {
        let value = self.expr(value)?;
        if value.lanes != 1 || !value.dtype.is_int() {
            return malformed("a checked index that is not one integer");
        }
        let index = self.cast(&value, kernel::DType::I64)?.parts[0];
        let ok = self.in_bounds(index, bound);
        let (good, bad) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(bad);
        self.b.ins().brif(ok, good, &[], bad, &[]);
        self.enter(bad);
        let status = self.b.ins().iconst(types::I32, i64::from(check) + 1);
        self.b.ins().return_(&[status]);
        self.enter(good);
        Ok(index)
    }

    fn declare(&mut self, reg: Reg, init: &Expr) -> Result<(), EmitError> {
        let init = self.expr(init)?;
        let ty = clif_type(init.dtype, init.chunk());
        let vars = init
            .parts
            .iter()
            .map(|&part| {
                let var = self.b.declare_var(ty);
                self.b.def_var(var, part);
                var
            })
            .collect();
        self.regs.insert(reg, Binding::Var { dtype: init.dtype, lanes: init.lanes, vars });
        Ok(())
    }

    fn assign(&mut self, reg: Reg, value: &Val) -> Result<(), EmitError> {
        let Some(Binding::Var { dtype, lanes, vars }) = self.regs.get(&reg).cloned() else {
            return malformed(format!("an assignment to {reg:?}, which is no accumulator"));
        };
        if (dtype, lanes) != (value.dtype, value.lanes) {
            return malformed(format!("an assignment of another type to {reg:?}"));
        }
        let parts = self.rechunk(value, lanes / vars.len() as u16);
        for (var, part) in vars.into_iter().zip(parts) {
            self.b.def_var(var, part);
        }
        Ok(())
    }

    fn branch(&mut self, condition: &Expr, then: &[Stmt], otherwise: &[Stmt]) -> Result<(), EmitError> {
        let condition = self.expr(condition)?;
        if condition.lanes != 1 || condition.dtype != kernel::DType::Bool {
            return malformed("a condition that is not a scalar bool");
        }
        let (yes, no, after) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.ins().brif(condition.parts[0], yes, &[], no, &[]);
        for (block, body) in [(yes, then), (no, otherwise)] {
            self.enter(block);
            self.scope(body)?;
            self.b.ins().jump(after, &[]);
        }
        self.enter(after);
        Ok(())
    }
}
