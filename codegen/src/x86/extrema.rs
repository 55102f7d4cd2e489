//! Loops that look for extrema of floats, with 256-bit vectors.
//!
//! The instruction for a maximum knows neither NaN nor the sign of a zero: to have both right at each element takes five instructions.
//! In a loop that does nothing else it is enough to have them right at its end. Beside each extremum it keeps the signs of all elements (a maximum of zero
//! is -0 if no element's sign was +, a minimum if one was -) and where an element was NaN: one instruction of that kind for each.

use super::forms::{AND, MAX, MIN, OR, of_size};
use super::lir::{Inst, VReg};
use super::ops::compare::{Order, UNORDERED};
use super::stmt::TripCount;
use super::unit::{Parts, Unit, Val, width_of};
use crate::error::{EmitError, malformed};
use crate::x86::encoding::{Encoding, Width};
use kernel::{DType, Expr, IndexVar, Reg, ScalarOp, Stmt};
use std::collections::BTreeSet;

/// Shorter loops take longer for what follows them.
const MIN_EXTENT: usize = 8;
/// Vectors of extrema for which, with what goes beside them, there are registers.
const MOST_PARTS: usize = 4;

/// An accumulator that becomes an extremum.
struct FoldedExtremum {
    reg: Reg,
    is_max: bool,
    val: Val,
    /// The signs of what was folded in, and-ed for a maximum, or-ed for a minimum.
    signs: Parts,
    /// Where something was NaN.
    nans: Parts,
}

impl Unit<'_> {
    /// Emits a loop if it is one that does nothing but to look for a few extrema.
    pub(super) fn extrema_loop(&mut self, var: IndexVar, extent: usize, body: &[Stmt]) -> Result<bool, EmitError> {
        let Some(mut found) = self.extrema_of(extent, body) else { return Ok(false) };
        for extremum in &mut found {
            self.watch(extremum)?;
        }
        self.open_loop(var, TripCount::Fixed(extent as i64), 1, body);
        let mut emitted = BTreeSet::new();
        for (at, stmt) in body.iter().enumerate() {
            let Stmt::Accumulate { reg, value, .. } = stmt else { continue };
            // What it needs just before, so that few values wait in registers.
            for needed in needed(&body[..at], value) {
                if emitted.insert(needed) {
                    self.stmt(&body[needed])?;
                }
            }
            let Some(extremum) = found.iter().find(|extremum| extremum.reg == *reg) else { continue };
            self.fold_in(extremum, value)?;
        }
        self.close_loop();
        found.iter().try_for_each(|extremum| self.settle(extremum))?;
        Ok(true)
    }

    /// The extrema of a loop that does nothing else.
    fn extrema_of(&self, extent: usize, body: &[Stmt]) -> Option<Vec<FoldedExtremum>> {
        if self.encoding != Encoding::Vex || extent < MIN_EXTENT {
            return None;
        }
        let (mut found, mut seen) = (Vec::<FoldedExtremum>::new(), BTreeSet::new());
        for stmt in body {
            match stmt {
                Stmt::Let { .. } => {}
                Stmt::Accumulate { reg, op, .. }
                    if [ScalarOp::MAX, ScalarOp::MIN].contains(op) && seen.insert(*reg) =>
                {
                    let val = self.regs.get(reg).filter(|bound| bound.mutable)?.val.clone();
                    let is_max = *op == ScalarOp::MAX;
                    found.push(FoldedExtremum { reg: *reg, is_max, val, signs: Parts::new(), nans: Parts::new() });
                }
                _ => return None,
            }
        }
        let parts: usize = found.iter().map(|extremum| extremum.val.parts.len()).sum();
        let floats = found.iter().all(|extremum| matches!(extremum.val.dtype, DType::F32 | DType::F64));
        let read = body.iter().filter_map(Stmt::expr).any(|value| regs_of(value).iter().any(|reg| seen.contains(reg)));
        (floats && !read && (1..=MOST_PARTS).contains(&parts)).then_some(found)
    }

    /// Widths of the parts.
    fn widths(&self, val: &Val) -> Vec<Width> {
        self.part_lanes(val.lanes, val.size).map(|count| width_of(count, val.size)).collect()
    }

    /// Starts to keep what goes beside an extremum, from what it is before the loop.
    fn watch(&mut self, extremum: &mut FoldedExtremum) -> Result<(), EmitError> {
        let size = extremum.val.size;
        for (&part, width) in extremum.val.parts.iter().zip(self.widths(&extremum.val)) {
            let unordered = self.compare_floats(UNORDERED, size, width, part, part)?;
            let (signs, nans) = (self.vector(), self.vector());
            self.push(Inst::Copy { dst: signs, src: part, width });
            self.push(Inst::Copy { dst: nans, src: unordered, width });
            self.mutable.extend([signs, nans]);
            extremum.signs.push(signs);
            extremum.nans.push(nans);
        }
        Ok(())
    }

    /// Folds a value in.
    fn fold_in(&mut self, extremum: &FoldedExtremum, value: &Expr) -> Result<(), EmitError> {
        let (value, val) = (self.expr(value)?, &extremum.val);
        if (value.dtype, value.lanes) != (val.dtype, val.lanes) {
            return malformed(format!("another type is folded into {:?}", extremum.reg));
        }
        let size = val.size;
        let (form, combine) = if extremum.is_max { (&MAX, &AND) } else { (&MIN, &OR) };
        for (at, width) in self.widths(val).into_iter().enumerate() {
            let (x, best) = (value.parts[at], val.parts[at]);
            // Of two zeros, and where one is NaN, the instruction takes the second operand.
            self.update(best, width, &mut |u| u.op(of_size(form, size), width, &[x, best], None))?;
            let signs = extremum.signs[at];
            self.update(signs, width, &mut |u| u.op(of_size(combine, size), width, &[signs, x], None))?;
            let nans = extremum.nans[at];
            let unordered = self.compare_floats(UNORDERED, size, width, x, x)?;
            self.update(nans, width, &mut |u| u.op(of_size(&OR, size), width, &[nans, unordered], None))?;
        }
        Ok(())
    }

    /// Sets a register to what is computed, by the last instruction itself where that can be.
    fn update(
        &mut self,
        reg: VReg,
        width: Width,
        compute: &mut dyn FnMut(&mut Self) -> Result<VReg, EmitError>,
    ) -> Result<(), EmitError> {
        let start = self.lists.len(self.here());
        let new = compute(self)?;
        if !self.compute_in_place(new, reg, start) {
            self.push(Inst::Copy { dst: reg, src: new, width });
        }
        Ok(())
    }

    /// Gives an extremum the sign and the NaN that it should have.
    fn settle(&mut self, extremum: &FoldedExtremum) -> Result<(), EmitError> {
        let size = extremum.val.size;
        let (zero, sign) = (self.splat_bits(0, 4), self.splat_bits(1 << (8 * size - 1), size));
        for (at, width) in self.widths(&extremum.val).into_iter().enumerate() {
            let best = extremum.val.parts[at];
            let is_zero = self.compare_floats(Order::Eq.of_floats(), size, width, best, zero)?;
            let signed = self.op(of_size(&AND, size), width, &[extremum.signs[at], sign], None)?;
            let settled = self.blend(is_zero, (signed, best), size, width)?;
            let nans = extremum.nans[at];
            self.update(best, width, &mut |u| u.op(of_size(&OR, size), width, &[settled, nans], None))?;
        }
        Ok(())
    }
}

fn regs_of(value: &Expr) -> BTreeSet<Reg> {
    let mut regs = BTreeSet::new();
    value.visit(&mut |e| {
        if let Expr::Reg(reg) = e {
            regs.insert(*reg);
        }
    });
    regs
}

/// The places of the statements that bind what a value is computed from.
fn needed(before: &[Stmt], value: &Expr) -> Vec<usize> {
    let (mut regs, mut places) = (regs_of(value), vec![]);
    for (at, stmt) in before.iter().enumerate().rev() {
        if let Stmt::Let { reg, value } = stmt
            && regs.contains(reg)
        {
            regs.append(&mut regs_of(value));
            places.push(at);
        }
    }
    places.reverse();
    places
}
