//! Runs compiled kernels.

use super::compile::{Bytecode, BytecodeInstr, ExprCode, IndexCode, SlotIndex};
use super::{ArenaSpan, EvalError, POISON, ParallelOrder};
use crate::{Program, Scalar};

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
    order: ParallelOrder,
    /// The lanes of the value that is about to be stored.
    lanes: Vec<Scalar>,
}

impl Bytecode {
    pub(super) fn run(&self, arena: &mut [u8], args: &[ArenaSpan], order: ParallelOrder) -> ExecResult<()> {
        let mut frame = KernelRun {
            arena,
            places: args.iter().chain(&self.locals).copied().collect(),
            params: self.params,
            indices: vec![0; self.index_slots],
            regs: vec![Scalar::F32(f32::NAN); self.reg_slots],
            order,
            lanes: vec![],
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
            BytecodeInstr::For { var, extent, parallel: false, body } => {
                for at in 0..*extent {
                    self.indices[*var] = at;
                    self.body(body)?;
                }
                Ok(())
            }
            BytecodeInstr::For { var, extent, parallel: true, body } => self.parallel(*var, *extent, body),
            BytecodeInstr::LetIndex { var, value } => {
                self.indices[*var] = self.index_value(value)?;
                Ok(())
            }
            BytecodeInstr::Set { reg, lanes: 1, value } => {
                self.regs[*reg] = self.value(value, 0)?;
                Ok(())
            }
            BytecodeInstr::Set { reg, lanes, value } => {
                let new = self.all_lanes(value, *lanes)?;
                self.regs[*reg..reg + lanes].copy_from_slice(&new);
                self.lanes = new;
                Ok(())
            }
            BytecodeInstr::Accumulate { reg, lanes, op, value } => {
                let new = self.all_lanes(value, *lanes)?;
                for (at, &v) in new.iter().enumerate() {
                    self.regs[reg + at] = op.eval(&[self.regs[reg + at], v]);
                }
                self.lanes = new;
                Ok(())
            }
            BytecodeInstr::Store { buf, index, lanes, value } => {
                let at = self.index(index);
                let new = self.all_lanes(value, *lanes)?;
                for (lane, &v) in new.iter().enumerate() {
                    self.store(*buf, at + lane as i64, v)?;
                }
                self.lanes = new;
                Ok(())
            }
            BytecodeInstr::If { condition, then, otherwise } => {
                let holds = self.value(condition, 0)? == Scalar::Bool(true);
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

    /// The lanes of a value, all computed before any is written. The caller gives the vector back to `lanes`.
    fn all_lanes(&mut self, value: &ExprCode, lanes: usize) -> ExecResult<Vec<Scalar>> {
        let mut all = std::mem::take(&mut self.lanes);
        all.clear();
        for lane in 0..lanes {
            all.push(self.value(value, lane)?);
        }
        Ok(all)
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
                let found = self.value(value, 0)?.as_i64();
                if (0..*bound).contains(&found) { Ok(found) } else { Err(Trap::Check(*check)) }
            }
        }
    }

    /// Where an element's bytes start.
    fn address(&self, slot: usize, index: i64) -> ExecResult<usize> {
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

    /// One lane of an expression.
    pub(super) fn value(&self, node: &ExprCode, lane: usize) -> ExecResult<Scalar> {
        Ok(match node {
            ExprCode::Const(value) => *value,
            ExprCode::Reg(slot) => self.regs[slot + lane],
            ExprCode::Index { index, dtype, stride } => {
                Scalar::from_i64(self.index(index) + lane as i64 * stride, *dtype)
            }
            ExprCode::Load { buf, index, stride } => self.load(*buf, self.index(index) + lane as i64 * stride)?,
            ExprCode::Apply1(op, a) => op.eval(&[self.value(a, lane)?]),
            ExprCode::Apply2(op, args) => op.eval(&[self.value(&args[0], lane)?, self.value(&args[1], lane)?]),
            ExprCode::Apply3(op, args) => {
                op.eval(&[self.value(&args[0], lane)?, self.value(&args[1], lane)?, self.value(&args[2], lane)?])
            }
            ExprCode::Cast(dtype, value) => self.value(value, lane)?.cast(*dtype),
            ExprCode::Bitcast(dtype, value) => Scalar::from_bits(self.value(value, lane)?.to_bits(), *dtype),
            ExprCode::Splat(value) => self.value(value, 0)?,
            ExprCode::Fold { op, value, lanes } => {
                let mut all = (0..*lanes).map(|l| self.value(value, l)).collect::<ExecResult<Vec<_>>>()?;
                while all.len() > 1 {
                    let upper = all.split_off(all.len().next_power_of_two() / 2);
                    for (low, high) in all.iter_mut().zip(upper) {
                        *low = op.eval(&[*low, high]);
                    }
                }
                all[0]
            }
        })
    }
}
