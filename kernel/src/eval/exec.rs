//! Runs compiled kernels.

use super::compile::{Bytecode, BytecodeInstr, ExprCode, IndexCode, SlotIndex};
use super::{ArenaSpan, EvalError, POISON, ParallelOrder};
use crate::{Data, Program, Scalar, ScalarOp};
use std::ops::Range;

/// Why a kernel stopped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trap {
    Check(u32),
    OutOfBounds { slot: usize, params: usize, index: i64, len: usize },
}

impl Trap {
    pub(super) fn explain(self, kernel: &str, program: &Program) -> EvalError {
        match self {
            Self::Check(check) => {
                let found = program.checks.get(check as usize);
                let message = found.map_or_else(|| format!("check {check} failed"), |c| c.message.clone());
                EvalError::Check { check, message, loc: found.and_then(|c| c.loc.clone()) }
            }
            Self::OutOfBounds { slot, params, index, len } => {
                let buffer = if slot < params { format!("p{slot}") } else { format!("l{}", slot - params) };
                EvalError::OutOfBounds { kernel: kernel.into(), buffer, index, len }
            }
        }
    }
}

pub(super) type ExecResult<T> = Result<T, Trap>;

/// A run of one kernel.
pub(super) struct KernelRun<'a> {
    pub(super) arena: &'a mut [u8],
    /// Parameters, then locals.
    pub(super) places: Vec<ArenaSpan>,
    pub(super) params: usize,
    pub(super) indices: Vec<i64>,
    pub(super) regs: Vec<Scalar>,
    /// Values of registers in all iterations of the strip that runs.
    pub(super) columns: Vec<Option<Data>>,
    order: ParallelOrder,
}

impl Bytecode {
    pub(super) fn run(&self, arena: &mut [u8], args: &[ArenaSpan], order: ParallelOrder) -> ExecResult<()> {
        let mut frame = KernelRun {
            arena,
            places: args.iter().chain(&self.locals).copied().collect(),
            params: self.params,
            indices: vec![0; self.index_slots],
            regs: vec![Scalar::F32(f32::NAN); self.reg_slots],
            columns: vec![None; self.reg_slots],
            order,
        };
        frame.poison_locals();
        frame.body(&self.body)
    }
}

impl KernelRun<'_> {
    fn poison_locals(&mut self) {
        for at in self.params..self.places.len() {
            let ArenaSpan { start, len, dtype } = self.places[at];
            self.arena[start..start + len * dtype.size_bytes()].fill(POISON);
        }
    }

    pub(super) fn body(&mut self, body: &[BytecodeInstr]) -> ExecResult<()> {
        body.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &BytecodeInstr) -> ExecResult<()> {
        match step {
            BytecodeInstr::For { var, extent, parallel: true, body, .. } => self.parallel(*var, *extent, body),
            BytecodeInstr::For { var, extent, body, strip, .. } => {
                if let Some(strip) = strip
                    && self.strip(strip, *extent)?
                {
                    return Ok(());
                }
                for at in 0..*extent {
                    self.indices[*var] = at;
                    self.body(body)?;
                }
                Ok(())
            }
            BytecodeInstr::LetIndex { var, value } => {
                self.indices[*var] = self.index_value(value)?;
                Ok(())
            }
            BytecodeInstr::Set { reg, lanes: 1, value, .. } => {
                self.regs[*reg] = self.value(value)?;
                Ok(())
            }
            BytecodeInstr::Set { reg, lanes, value, .. } => {
                let new = self.lanes(value, *lanes)?.into_owned();
                (0..*lanes).for_each(|lane| self.regs[reg + lane] = new.get(lane));
                Ok(())
            }
            BytecodeInstr::Accumulate { reg, lanes: 1, op, value } => {
                self.regs[*reg] = op.eval(&[self.regs[*reg], self.value(value)?]);
                Ok(())
            }
            BytecodeInstr::Accumulate { reg, lanes, op, value } => {
                let new = self.lanes(value, *lanes)?.into_owned();
                (0..*lanes).for_each(|at| self.regs[reg + at] = op.eval(&[self.regs[reg + at], new.get(at)]));
                Ok(())
            }
            BytecodeInstr::Store { buf, index, lanes: 1, value } => {
                let at = self.index(index);
                let new = self.value(value)?;
                self.store(*buf, at, new)
            }
            BytecodeInstr::Store { buf, index, lanes, value } => {
                let at = self.index(index);
                let new = self.lanes(value, *lanes)?.into_owned();
                (0..*lanes).try_for_each(|lane| self.store(*buf, at + lane as i64, new.get(lane)))
            }
            BytecodeInstr::If { condition, then, otherwise } => {
                let holds = self.value(condition)? == Scalar::Bool(true);
                self.body(if holds { then } else { otherwise })
            }
            BytecodeInstr::Micro(micro) => self.micro(micro),
        }
    }

    /// Another thread's scratch memory is another one: iterations find theirs undefined.
    fn parallel(&mut self, var: usize, extent: i64, body: &[BytecodeInstr]) -> ExecResult<()> {
        for at in 0..extent {
            self.indices[var] = match self.order {
                ParallelOrder::Forward => at,
                ParallelOrder::Backward => extent - 1 - at,
            };
            self.poison_locals();
            self.body(body)?;
        }
        Ok(())
    }

    pub(super) fn index(&self, index: &SlotIndex) -> i64 {
        index.terms.iter().fold(index.offset, |sum, &(slot, c)| sum + self.indices[slot] * c)
    }

    fn index_value(&self, value: &IndexCode) -> ExecResult<i64> {
        match value {
            IndexCode::Affine(index) => Ok(self.index(index)),
            IndexCode::Div(index, by) => Ok(self.index(index) / by),
            IndexCode::Rem(index, by) => Ok(self.index(index) % by),
            IndexCode::Clamp(index, lo, hi) => Ok(self.index(index).clamp(*lo, *hi)),
            IndexCode::Checked { value, bound, check } => {
                let found = self.value(value)?.as_i64();
                if (0..*bound).contains(&found) { Ok(found) } else { Err(Trap::Check(*check)) }
            }
        }
    }

    /// Where an element's bytes start.
    pub(super) fn address(&self, slot: usize, index: i64) -> ExecResult<usize> {
        let ArenaSpan { start, len, dtype } = self.places[slot];
        match usize::try_from(index) {
            Ok(at) if at < len => Ok(start + at * dtype.size_bytes()),
            _ => Err(Trap::OutOfBounds { slot, params: self.params, index, len }),
        }
    }

    pub(super) fn load(&self, slot: usize, index: i64) -> ExecResult<Scalar> {
        let at = self.address(slot, index)?;
        let dtype = self.places[slot].dtype;
        let mut word = [0; 8];
        let size = dtype.size_bytes();
        word[..size].copy_from_slice(&self.arena[at..at + size]);
        Ok(Scalar::from_bits(u64::from_le_bytes(word), dtype))
    }

    pub(super) fn store(&mut self, slot: usize, index: i64, value: Scalar) -> ExecResult<()> {
        let at = self.address(slot, index)?;
        let size = self.places[slot].dtype.size_bytes();
        self.arena[at..at + size].copy_from_slice(&value.to_bits().to_le_bytes()[..size]);
        Ok(())
    }

    /// A scalar.
    pub(super) fn value(&self, node: &ExprCode) -> ExecResult<Scalar> {
        Ok(match node {
            ExprCode::Const(value) => *value,
            ExprCode::Reg(slot) => self.regs[*slot],
            ExprCode::Index { index, dtype, .. } => Scalar::from_i64(self.index(index), *dtype),
            ExprCode::Load { buf, index, .. } => self.load(*buf, self.index(index))?,
            ExprCode::Apply1(op, a) => op.eval(&[self.value(a)?]),
            ExprCode::Apply2(op, args) => op.eval(&[self.value(&args[0])?, self.value(&args[1])?]),
            ExprCode::Apply3(op, args) => {
                op.eval(&[self.value(&args[0])?, self.value(&args[1])?, self.value(&args[2])?])
            }
            ExprCode::Cast(dtype, value) => self.value(value)?.cast(*dtype),
            ExprCode::Bitcast(dtype, value) => Scalar::from_bits(self.value(value)?.to_bits(), *dtype),
            ExprCode::Splat(value) => self.value(value)?,
            ExprCode::Fold { op, value, lanes } => folded(*op, &*self.lanes(value, *lanes)?, 0..*lanes),
        })
    }
}

/// Some of these elements folded pairwise from the halves.
pub(super) fn folded(op: ScalarOp, elements: &Data, of: Range<usize>) -> Scalar {
    let mut all: Vec<Scalar> = of.map(|i| elements.get(i)).collect();
    while all.len() > 1 {
        let upper = all.split_off(all.len().next_power_of_two() / 2);
        for (low, high) in all.iter_mut().zip(upper) {
            *low = op.eval(&[*low, high]);
        }
    }
    all[0]
}
