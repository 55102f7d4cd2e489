//! Strips: innermost loops that run statement by statement for many iterations at once, where that gives what they give one by one.
//!
//! It does if no iteration reads what another one computes, save for registers that all of them fold into, which are folded in the iterations' order. Of what is in
//! memory that is asked when the loop begins: the interpreter also runs programs whose memory is planned wrongly, and has to show what they do.

use super::column::Iterations;
use super::compile::{BufferSlot, BytecodeInstr, ExprCode, SlotIndex};
use super::exec::{ExecResult, KernelRun};
use crate::{Data, ScalarOp};
use std::collections::BTreeSet;
use std::ops::Range;

/// Elements of a column, about: that many are in the nearest cache with their operands.
const ELEMENTS: usize = 512;
/// Elements from which on it pays.
const WORTHWHILE: usize = 8;

/// A loop's body for many iterations.
#[derive(Clone, Debug)]
pub(super) struct Strip {
    var: usize,
    body: Vec<StripInstr>,
    accesses: Vec<StripAccess>,
    /// The most lanes of a value in it.
    lanes: usize,
}

#[derive(Clone, Debug)]
enum StripInstr {
    /// A register's values in all iterations.
    Let { reg: usize, lanes: usize, value: ExprCode },
    /// `reg = op(..)` in iteration after iteration, where an operand that is `None` is the register itself.
    Fold { reg: usize, lanes: usize, op: ScalarOp, operands: Vec<Option<ExprCode>> },
    /// Lanes into memory.
    Store { buf: BufferSlot, index: SlotIndex, lanes: usize, value: ExprCode },
}

/// What an iteration reads or writes.
#[derive(Clone, Debug)]
struct StripAccess {
    buf: BufferSlot,
    index: SlotIndex,
    /// From the first element to behind the last, counted from the index.
    reach: Range<i64>,
    stores: bool,
}

impl Strip {
    /// The loop over `var` as a strip, if it is straight-line code whose registers no iteration reads before it sets them.
    pub(super) fn of(var: usize, body: &[BytecodeInstr]) -> Option<Self> {
        let mut known = StripRegs::default();
        let mut strip = Self { var, body: vec![], accesses: vec![], lanes: 1 };
        for instr in body {
            let instr = match instr {
                BytecodeInstr::Set { reg, lanes, value, again: false } => {
                    known.bind(*reg).then(|| StripInstr::Let { reg: *reg, lanes: *lanes, value: value.clone() })?
                }
                BytecodeInstr::Set { reg, lanes, value, again: true } => {
                    let (op, operands) = fold_into(*reg, value)?;
                    StripInstr::Fold { reg: *reg, lanes: *lanes, op, operands }
                }
                BytecodeInstr::Accumulate { reg, lanes, op, value } => {
                    StripInstr::Fold { reg: *reg, lanes: *lanes, op: *op, operands: vec![None, Some(value.clone())] }
                }
                BytecodeInstr::Store { buf, index, lanes, value } => {
                    StripInstr::Store { buf: *buf, index: index.clone(), lanes: *lanes, value: value.clone() }
                }
                _ => return None,
            };
            strip.take(instr, &mut known)?;
        }
        known.read.is_disjoint(&known.folded).then_some(strip)
    }

    /// Appends a statement; `None` if it folds into a register that is one of this body, or of which another statement does.
    fn take(&mut self, instr: StripInstr, known: &mut StripRegs) -> Option<()> {
        let (lanes, values): (usize, Vec<&ExprCode>) = match &instr {
            StripInstr::Let { lanes, value, .. } => (*lanes, vec![value]),
            StripInstr::Fold { reg, lanes, operands, .. } => {
                known.fold(*reg).then_some(())?;
                (*lanes, operands.iter().flatten().collect())
            }
            StripInstr::Store { buf, index, lanes, value } => {
                let (index, reach) = (index.clone(), 0..*lanes as i64);
                self.accesses.push(StripAccess { buf: *buf, index, reach, stores: true });
                (*lanes, vec![value])
            }
        };
        self.lanes = self.lanes.max(lanes);
        values.into_iter().for_each(|value| self.look_at(value, lanes, known));
        self.body.push(instr);
        Some(())
    }

    /// Notes what an expression reads.
    fn look_at(&mut self, value: &ExprCode, lanes: usize, known: &mut StripRegs) {
        match value {
            ExprCode::Const(_) | ExprCode::Index { .. } => {}
            ExprCode::Reg(slot) => {
                known.read.insert(*slot);
            }
            ExprCode::Load { buf, index, stride } => {
                let last = (lanes as i64 - 1) * stride;
                let reach = last.min(0)..last.max(0) + 1;
                self.accesses.push(StripAccess { buf: *buf, index: index.clone(), reach, stores: false });
            }
            ExprCode::Apply1(_, a) | ExprCode::Cast(_, a) | ExprCode::Bitcast(_, a) => self.look_at(a, lanes, known),
            ExprCode::Apply2(_, args) => args.iter().for_each(|a| self.look_at(a, lanes, known)),
            ExprCode::Apply3(_, args) => args.iter().for_each(|a| self.look_at(a, lanes, known)),
            ExprCode::Splat(a) => self.look_at(a, 1, known),
            ExprCode::Fold { value, lanes: operands, .. } => {
                self.lanes = self.lanes.max(*operands);
                self.look_at(value, *operands, known);
            }
        }
    }
}

/// Registers of a body so far.
#[derive(Default)]
struct StripRegs {
    bound: BTreeSet<usize>,
    folded: BTreeSet<usize>,
    read: BTreeSet<usize>,
}

impl StripRegs {
    /// Whether a register may be bound now.
    fn bind(&mut self, reg: usize) -> bool {
        !self.read.contains(&reg) && !self.folded.contains(&reg) && self.bound.insert(reg)
    }

    /// Whether a register may be folded into.
    fn fold(&mut self, reg: usize) -> bool {
        !self.bound.contains(&reg) && self.folded.insert(reg)
    }
}

/// The op and its operands of a value that is set to what an op makes of the register itself and others.
fn fold_into(reg: usize, value: &ExprCode) -> Option<(ScalarOp, Vec<Option<ExprCode>>)> {
    let (op, args): (_, Vec<&ExprCode>) = match value {
        ExprCode::Apply2(op, args) => (*op, args.iter().collect()),
        ExprCode::Apply3(op, args) => (*op, args.iter().collect()),
        _ => return None,
    };
    let itself = |arg: &ExprCode| matches!(arg, ExprCode::Reg(slot) if *slot == reg);
    let operands: Vec<_> = args.into_iter().map(|arg| (!itself(arg)).then(|| arg.clone())).collect();
    operands.iter().any(Option::is_none).then_some((op, operands))
}

/// Where an access of a loop is in memory, in bytes.
#[derive(Clone, Copy, Debug)]
struct StripBytes {
    /// Of the first iteration.
    first: i64,
    /// From one iteration to the next.
    step: i64,
    /// How many an iteration touches, with those between.
    len: i64,
}

impl StripBytes {
    /// All that the loop touches.
    fn all(self, extent: i64) -> Range<i64> {
        let last = self.first + self.step * (extent - 1);
        self.first.min(last)..self.first.max(last) + self.len
    }

    /// Whether the iterations of two accesses keep out of each other's way: each touches its own bytes, the same in both, or other ones than all of the other access.
    fn is_apart(self, other: Self, extent: i64) -> bool {
        let (a, b) = (self.all(extent), other.all(extent));
        if a.end <= b.start || b.end <= a.start {
            return true;
        }
        let step = self.step.abs();
        if self.step != other.step || step < self.len.max(other.len) {
            return false;
        }
        if self.first == other.first && self.len == other.len {
            return true;
        }
        let apart = (other.first - self.first).rem_euclid(step);
        apart >= self.len && apart + other.len <= step
    }
}

impl KernelRun<'_> {
    /// Runs a loop as a strip; `false` if it has to be run one iteration after the other.
    pub(super) fn strip(&mut self, strip: &Strip, extent: i64) -> ExecResult<bool> {
        if extent as usize * strip.lanes < WORTHWHILE {
            return Ok(false);
        }
        self.indices[strip.var] = 0;
        if !self.iterations_are_apart(strip, extent) {
            return Ok(false);
        }
        let at_once = (ELEMENTS / strip.lanes).max(1) as i64;
        let mut first = 0;
        while first < extent {
            let count = at_once.min(extent - first);
            self.indices[strip.var] = first;
            let of = Iterations { var: Some(strip.var), count: count as usize };
            strip.body.iter().try_for_each(|instr| self.strip_step(instr, of))?;
            first += count;
        }
        for instr in &strip.body {
            if let StripInstr::Let { reg, .. } = instr {
                self.columns[*reg] = None;
            }
        }
        Ok(true)
    }

    /// Whether no iteration touches, in a buffer, what another one stores; and all of them keep inside of the buffers.
    fn iterations_are_apart(&self, strip: &Strip, extent: i64) -> bool {
        let bytes = |access: &StripAccess| {
            let place = self.places[access.buf];
            let step = Iterations { var: Some(strip.var), count: 1 }.step(&access.index);
            let first = self.index(&access.index) + access.reach.start;
            let whole = StripBytes { first, step, len: access.reach.end - access.reach.start };
            let all = whole.all(extent);
            let size = place.dtype.size_bytes() as i64;
            let inside = all.start >= 0 && all.end <= place.len as i64;
            inside.then_some(StripBytes {
                first: place.start as i64 + first * size,
                step: step * size,
                len: whole.len * size,
            })
        };
        let Some(all) = strip.accesses.iter().map(bytes).collect::<Option<Vec<_>>>() else { return false };
        let mut stores = (0..all.len()).filter(|&at| strip.accesses[at].stores);
        stores.all(|store| (0..all.len()).all(|other| other == store || all[store].is_apart(all[other], extent)))
    }

    fn strip_step(&mut self, instr: &StripInstr, of: Iterations) -> ExecResult<()> {
        match instr {
            StripInstr::Let { reg, lanes, value } => {
                self.columns[*reg] = Some(self.column(value, *lanes, of)?.into_owned());
            }
            StripInstr::Fold { reg, lanes, op, operands } => {
                let column = |operand: &Option<ExprCode>| match operand {
                    Some(operand) => Ok(Some(self.column(operand, *lanes, of)?.into_owned())),
                    None => Ok(None),
                };
                let operands: Vec<Option<Data>> = operands.iter().map(column).collect::<ExecResult<_>>()?;
                for i in 0..of.count * lanes {
                    let own = self.regs[reg + i % lanes];
                    let mut args = [own; 3];
                    for (arg, operand) in args.iter_mut().zip(&operands) {
                        *arg = operand.as_ref().map_or(own, |column| column.get(i));
                    }
                    self.regs[reg + i % lanes] = op.eval(&args[..operands.len()]);
                }
            }
            StripInstr::Store { buf, index, lanes, value } => {
                let values = self.column(value, *lanes, of)?.into_owned();
                self.store_column(*buf, index, &values, of);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{Tensors, eval};

    /// What a kernel body of 16 elements `p0` and 16 results `p1` gives for 1, 2, ... 16; `l0` has 17 elements.
    fn results(body: &str) -> Vec<f32> {
        let text = format!(
            "program \"p\"\nb0: f32[16] input \"x\"\nb1: f32[16] output \"y\"\n\
             kernel k(p0: read f32[16], p1: write f32[16]) {{\n  local l0: f32[17]\n{body}\n}}\nlaunch k(b0, b1)\n"
        );
        let x = Data::F32((1..=16u8).map(f32::from).collect());
        let (outputs, _) = eval(&text.parse().unwrap(), &Tensors::from([("x".into(), x)]), &Tensors::new()).unwrap();
        let Data::F32(y) = &outputs["y"] else { panic!("{outputs:?}") };
        y.clone()
    }

    #[test]
    fn an_iteration_sees_what_the_one_before_it_has_stored() {
        let sums = results(
            "  store l0[0] = 0.0f32
               for i0 in 0..16 {
                 let v0 = load l0[i0]
                 let v1 = load p0[i0]
                 store l0[i0 + 1] = add(v0, v1)
               }
               for i1 in 0..16 {
                 let v2 = load l0[i1 + 1]
                 store p1[i1] = v2
               }",
        );
        assert_eq!(sums, (1..=16u8).map(|n| f32::from(n) * f32::from(n + 1) / 2.0).collect::<Vec<_>>());
    }

    #[test]
    fn iterations_fold_in_their_order_and_vectors_lane_by_lane() {
        let first = results(
            "  var v0 = 0.0f32
               for i0 in 0..16 {
                 let v1 = load p0[i0]
                 v0 = fma(v0, 0.5f32, v1)
               }
               for i1 in 0..8 {
                 let v2 = load.x2 p0[i1*2]
                 store p1[i1*2] = fma(v2, splat.x2(2.0f32), splat.x2(v0))
               }",
        );
        let folded = (1..=16u8).fold(0.0f32, |sum, n| sum * 0.5 + f32::from(n));
        assert_eq!(first, (1..=16u8).map(|n| f32::from(n) * 2.0 + folded).collect::<Vec<_>>());
    }

    #[test]
    fn accesses_are_apart_where_no_iteration_meets_another() {
        let at = |first, step, len| StripBytes { first, step, len };
        // Each its own bytes, and halves of one stride.
        assert!(at(0, 4, 4).is_apart(at(0, 4, 4), 16));
        assert!(at(0, 8, 4).is_apart(at(4, 8, 4), 16) && at(0, -8, 4).is_apart(at(4, -8, 4), 16));
        assert!(at(0, 4, 4).is_apart(at(64, 4, 4), 16));
        // The next one's, the same for all, and another stride.
        assert!(!at(0, 4, 4).is_apart(at(4, 4, 4), 16));
        assert!(!at(0, 0, 4).is_apart(at(0, 0, 4), 16));
        assert!(!at(0, 4, 4).is_apart(at(0, 8, 4), 16));
        assert!(!at(0, 8, 8).is_apart(at(4, 8, 8), 16));
    }
}
