//! Runs compiled kernels.

use super::compile::{Code, Index, IndexNode, Node, Step};
use super::{EvalError, POISON, ParallelOrder, Place};
use crate::{Program, Scalar};

/// Why a kernel stopped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stop {
    Check(u32),
    OutOfBounds { slot: usize, params: usize, index: i64, len: usize },
}

impl Stop {
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

pub(super) type Run<T> = Result<T, Stop>;

/// A run of one kernel.
pub(super) struct Frame<'a> {
    pub(super) arena: &'a mut [u8],
    /// Parameters, then locals.
    pub(super) places: Vec<Place>,
    pub(super) params: usize,
    pub(super) indices: Vec<i64>,
    pub(super) regs: Vec<Scalar>,
    order: ParallelOrder,
    /// The lanes of the value that is about to be stored.
    lanes: Vec<Scalar>,
}

impl Code {
    pub(super) fn run(&self, arena: &mut [u8], args: &[Place], order: ParallelOrder) -> Run<()> {
        let mut frame = Frame {
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

impl Frame<'_> {
    fn poison_locals(&mut self) {
        for at in self.params..self.places.len() {
            let Place { start, len, dtype } = self.places[at];
            self.arena[start..start + len * dtype.size_bytes()].fill(POISON);
        }
    }

    pub(super) fn body(&mut self, body: &[Step]) -> Run<()> {
        body.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Run<()> {
        match step {
            Step::For { var, extent, parallel: false, body } => {
                for at in 0..*extent {
                    self.indices[*var] = at;
                    self.body(body)?;
                }
                Ok(())
            }
            Step::For { var, extent, parallel: true, body } => self.parallel(*var, *extent, body),
            Step::LetIndex { var, value } => {
                self.indices[*var] = self.index_value(value)?;
                Ok(())
            }
            Step::Set { reg, lanes: 1, value } => {
                self.regs[*reg] = self.value(value, 0)?;
                Ok(())
            }
            Step::Set { reg, lanes, value } => {
                let new = self.all_lanes(value, *lanes)?;
                self.regs[*reg..reg + lanes].copy_from_slice(&new);
                self.lanes = new;
                Ok(())
            }
            Step::Accumulate { reg, lanes, op, value } => {
                let new = self.all_lanes(value, *lanes)?;
                for (at, &v) in new.iter().enumerate() {
                    self.regs[reg + at] = op.eval(&[self.regs[reg + at], v]);
                }
                self.lanes = new;
                Ok(())
            }
            Step::Store { buf, index, lanes, value } => {
                let at = self.index(index);
                let new = self.all_lanes(value, *lanes)?;
                for (lane, &v) in new.iter().enumerate() {
                    self.store(*buf, at + lane as i64, v)?;
                }
                self.lanes = new;
                Ok(())
            }
            Step::If { condition, then, otherwise } => {
                let holds = self.value(condition, 0)? == Scalar::Bool(true);
                self.body(if holds { then } else { otherwise })
            }
            Step::Micro(micro) => self.micro(micro),
        }
    }

    /// Another thread's scratch memory is another one: iterations find theirs undefined.
    fn parallel(&mut self, var: usize, extent: i64, body: &[Step]) -> Run<()> {
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
    fn all_lanes(&mut self, value: &Node, lanes: usize) -> Run<Vec<Scalar>> {
        let mut all = std::mem::take(&mut self.lanes);
        all.clear();
        for lane in 0..lanes {
            all.push(self.value(value, lane)?);
        }
        Ok(all)
    }

    pub(super) fn index(&self, index: &Index) -> i64 {
        index.terms.iter().fold(index.offset, |sum, &(slot, c)| sum + self.indices[slot] * c)
    }

    fn index_value(&self, value: &IndexNode) -> Run<i64> {
        match value {
            IndexNode::Affine(index) => Ok(self.index(index)),
            IndexNode::Div(index, by) => Ok(self.index(index) / by),
            IndexNode::Rem(index, by) => Ok(self.index(index) % by),
            IndexNode::Clamp(index, lo, hi) => Ok(self.index(index).clamp(*lo, *hi)),
            IndexNode::Checked { value, bound, check } => {
                let found = self.value(value, 0)?.as_i64();
                if (0..*bound).contains(&found) { Ok(found) } else { Err(Stop::Check(*check)) }
            }
        }
    }

    /// Where an element's bytes start.
    fn address(&self, slot: usize, index: i64) -> Run<usize> {
        let Place { start, len, dtype } = self.places[slot];
        match usize::try_from(index) {
            Ok(at) if at < len => Ok(start + at * dtype.size_bytes()),
            _ => Err(Stop::OutOfBounds { slot, params: self.params, index, len }),
        }
    }

    pub(super) fn load(&self, slot: usize, index: i64) -> Run<Scalar> {
        let at = self.address(slot, index)?;
        let dtype = self.places[slot].dtype;
        let mut word = [0; 8];
        let size = dtype.size_bytes();
        word[..size].copy_from_slice(&self.arena[at..at + size]);
        Ok(Scalar::from_bits(u64::from_le_bytes(word), dtype))
    }

    pub(super) fn store(&mut self, slot: usize, index: i64, value: Scalar) -> Run<()> {
        let at = self.address(slot, index)?;
        let size = self.places[slot].dtype.size_bytes();
        self.arena[at..at + size].copy_from_slice(&value.to_bits().to_le_bytes()[..size]);
        Ok(())
    }

    /// One lane of an expression.
    pub(super) fn value(&self, node: &Node, lane: usize) -> Run<Scalar> {
        Ok(match node {
            Node::Const(value) => *value,
            Node::Reg(slot) => self.regs[slot + lane],
            Node::Index { index, dtype, stride } => Scalar::from_i64(self.index(index) + lane as i64 * stride, *dtype),
            Node::Load { buf, index, stride } => self.load(*buf, self.index(index) + lane as i64 * stride)?,
            Node::Apply1(op, a) => op.eval(&[self.value(a, lane)?]),
            Node::Apply2(op, args) => op.eval(&[self.value(&args[0], lane)?, self.value(&args[1], lane)?]),
            Node::Apply3(op, args) => {
                op.eval(&[self.value(&args[0], lane)?, self.value(&args[1], lane)?, self.value(&args[2], lane)?])
            }
            Node::Cast(dtype, value) => self.value(value, lane)?.cast(*dtype),
            Node::Bitcast(dtype, value) => Scalar::from_bits(self.value(value, lane)?.to_bits(), *dtype),
            Node::Splat(value) => self.value(value, 0)?,
            Node::Fold { op, value, lanes } => {
                let mut all = (0..*lanes).map(|l| self.value(value, l)).collect::<Run<Vec<_>>>()?;
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
