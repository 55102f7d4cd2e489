//! Statements: loops, bindings, accumulators, stores, branches.

use super::lir::{Class, Index, Inst, ListId, RegAccess, VReg};
use super::unit::{BoundReg, IndexBinding, OpenLoop, Unit, Val, lane_size, width_of};
use crate::error::{EmitError, malformed};
use crate::x86::encoding::Width;
use kernel::walk::{assigned, has_tile};
use kernel::{DType, Expr, IndexVar, LoopKind, Reg, Stmt};

impl Unit<'_> {
    /// Emits the whole kernel; returns the list that holds it.
    pub(super) fn kernel(&mut self) -> Result<ListId, EmitError> {
        let root = self.lists.list();
        self.lists.nest(root, self.entry);
        self.open.push(root);
        let kernel = self.kernel;
        if let [Stmt::For { kind: LoopKind::Parallel, var, body, .. }] = kernel.body.as_slice() {
            let done = self.lists.label();
            self.open_loop(*var, TripCount::Range(done), 1, body);
            self.body(body)?;
            self.close_loop();
            self.push(Inst::Label(done));
        } else {
            self.body(&kernel.body)?;
        }
        Ok(root)
    }

    pub(super) fn body(&mut self, body: &[Stmt]) -> Result<(), EmitError> {
        body.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    pub(super) fn stmt(&mut self, stmt: &Stmt) -> Result<(), EmitError> {
        match stmt {
            Stmt::For { kind: LoopKind::Parallel, .. } => {
                malformed("a parallel loop that is not the kernel's one outermost statement")
            }
            Stmt::For { var, extent: 1, body, .. } => {
                self.bind(*var, IndexBinding::Constant(0));
                self.body(body)
            }
            Stmt::For { var, extent, body, .. } => {
                if self.extrema_loop(*var, *extent, body)? || self.transposing_loop(*var, *extent, body)? {
                    return Ok(());
                }
                self.open_loop(*var, TripCount::Fixed(*extent as i64), 1, body);
                self.body(body)?;
                self.close_loop();
                Ok(())
            }
            Stmt::LetIndex { var, value } => self.let_index(*var, value),
            Stmt::Let { reg, value } => {
                let mut val = self.expr(value)?;
                if val.parts.iter().any(|part| self.mutable.contains(part)) {
                    self.copy_parts(&mut val);
                }
                self.bind_reg(*reg, val, false);
                Ok(())
            }
            Stmt::Decl { reg, init } => self.declare(*reg, init),
            Stmt::Accumulate { reg, op, value } => {
                let start = self.lists.len(self.here());
                let old = self.accumulator(*reg)?;
                let value = self.expr(value)?;
                let new = self.apply(*op, &[old, value])?;
                self.assign(*reg, new, start)
            }
            Stmt::Assign { reg, value } => {
                let start = self.lists.len(self.here());
                let value = self.expr(value)?;
                self.assign(*reg, value, start)
            }
            Stmt::Store { buf, index, value } => {
                let value = self.expr(value)?;
                self.store(*buf, index, &value)
            }
            Stmt::If { condition, then, otherwise } => self.branch(condition, then, otherwise),
            Stmt::Micro(micro) => self.tile(micro),
        }
    }

    pub(super) fn bind_reg(&mut self, reg: Reg, val: Val, mutable: bool) {
        self.regs.insert(reg, BoundReg { val, depth: self.loops.len(), mutable });
    }

    fn accumulator(&self, reg: Reg) -> Result<Val, EmitError> {
        match self.regs.get(&reg) {
            Some(BoundReg { val, mutable: true, .. }) => Ok(val.clone()),
            _ => malformed(format!("an assignment to {reg:?}, which is no accumulator")),
        }
    }

    /// What is copied for a part of a value.
    fn copy_width(&self, val: &Val, part: usize) -> Width {
        let lanes = self.part_lanes(val.lanes, val.size).nth(part).unwrap_or(1);
        width_of(lanes, val.size)
    }

    fn class_of(&self, dtype: DType) -> Class {
        if dtype == DType::Bool && self.encoding.has_masks() { Class::Mask } else { Class::Vector }
    }

    fn copy_parts(&mut self, val: &mut Val) {
        for part in 0..val.parts.len() {
            let (dst, width) = (self.lists.reg(self.class_of(val.dtype)), self.copy_width(val, part));
            self.push(Inst::Copy { dst, src: val.parts[part], width });
            val.parts[part] = dst;
        }
    }

    fn declare(&mut self, reg: Reg, init: &Expr) -> Result<(), EmitError> {
        let init = self.expr(init)?;
        let mut val = Val { constant: None, ..init };
        if val.dtype == DType::Bool {
            let size = lane_size(DType::Bool);
            val.parts = self.resize_mask(&val, size)?;
            val.size = size;
        }
        self.copy_parts(&mut val);
        self.mutable.extend(val.parts.iter().copied());
        self.bind_reg(reg, val, true);
        Ok(())
    }

    /// Sets an accumulator to a value whose computation starts at a place of the current list.
    fn assign(&mut self, reg: Reg, value: Val, start: usize) -> Result<(), EmitError> {
        let old = self.accumulator(reg)?;
        if (old.dtype, old.lanes) != (value.dtype, value.lanes) {
            return malformed(format!("an assignment of another type to {reg:?}"));
        }
        let parts = if value.dtype == DType::Bool { self.resize_mask(&value, old.size)? } else { value.parts };
        let mut copies = vec![];
        for (part, (&to, &from)) in old.parts.iter().zip(&parts).enumerate() {
            if to == from || self.compute_in_place(from, to, start) {
                continue;
            }
            // Another part may still be computed from the old value: copies come last.
            copies.push(Inst::Copy { dst: to, src: from, width: self.copy_width(&old, part) });
        }
        copies.into_iter().for_each(|copy| self.push(copy));
        Ok(())
    }

    /// Lets the one instruction that computes `from`, since `start`, write `to`, if nothing after it reads either.
    pub(super) fn compute_in_place(&mut self, from: VReg, to: VReg, start: usize) -> bool {
        let here = self.here();
        for at in (start..self.lists.len(here)).rev() {
            let Some(inst) = self.lists.inst_mut(here, at) else { return false };
            let (mut reads, mut writes, mut both) = (false, false, false);
            inst.visit(&mut |reg, usage| match usage {
                RegAccess::Read => reads |= reg == from || reg == to,
                RegAccess::Write => writes |= reg == from,
                RegAccess::Both => both |= reg == from || reg == to,
            });
            if writes && !both {
                return inst.redirect(from, to);
            }
            if reads || both {
                return false;
            }
        }
        false
    }

    /// Opens a loop: what is emitted until it is closed is its body.
    pub(super) fn open_loop(&mut self, var: IndexVar, count: TripCount, step: i64, body: &[Stmt]) {
        let (before, inner, latch) = (self.lists.list(), self.lists.list(), self.lists.list());
        let (start, counter) = (self.lists.label(), self.lists.reg(Class::General));
        let here = self.here();
        self.lists.nest(here, before);
        let set = match count {
            TripCount::Fixed(value) => Index::Set { dst: counter, value },
            TripCount::Range(empty) => Index::Range { dst: counter, empty },
        };
        self.lists.push(before, Inst::Index(set));
        self.lists.push(here, Inst::LoopStart(start));
        self.lists.nest(here, inner);
        self.lists.nest(here, latch);
        self.bind(var, IndexBinding::OpenLoop(self.loops.len()));
        let ranged = matches!(count, TripCount::Range(_));
        let (calls, assigned) = (has_tile(body), assigned(body));
        self.loops.push(OpenLoop { before, latch, step, ranged, calls, assigned, counter, start });
        self.open.push(inner);
    }

    pub(super) fn close_loop(&mut self) {
        self.open.pop();
        if let Some(OpenLoop { counter, start, .. }) = self.loops.pop() {
            self.push(Inst::LoopEnd { counter, start });
        }
    }

    fn branch(&mut self, condition: &Expr, then: &[Stmt], otherwise: &[Stmt]) -> Result<(), EmitError> {
        let condition = self.expr(condition)?;
        if condition.lanes != 1 || condition.dtype != DType::Bool {
            return malformed("a condition that is not a scalar bool");
        }
        let (no, after) = (self.lists.label(), self.lists.label());
        self.push(Inst::JumpUnless { condition: condition.parts[0], target: no });
        self.nested(then)?;
        if !otherwise.is_empty() {
            self.push(Inst::Jump(after));
        }
        self.push(Inst::Label(no));
        self.nested(otherwise)?;
        self.push(Inst::Label(after));
        Ok(())
    }

    /// Statements in a list of their own: what they keep isn't known afterwards.
    fn nested(&mut self, body: &[Stmt]) -> Result<(), EmitError> {
        let (here, inner) = (self.here(), self.lists.list());
        self.lists.nest(here, inner);
        self.open.push(inner);
        let result = self.body(body);
        self.open.pop();
        result
    }
}

/// How often a loop runs.
#[derive(Clone, Copy, Debug)]
pub(super) enum TripCount {
    Fixed(i64),
    /// By the function's arguments; where to jump if not at all.
    Range(super::lir::Label),
}
