//! Columns: the values of an expression in several iterations of a loop and in all lanes of each, iteration by iteration, computed together.

use super::ArenaSpan;
use super::compile::{BufferSlot, ExprCode, SlotIndex};
use super::exec::{ExecResult, KernelRun, folded};
use crate::{DType, Data, Scalar, ScalarOp};
use std::borrow::Cow;

/// Iterations of a loop, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Iterations {
    /// The loop's variable, which holds the number of the first one; `None` for what stands in no loop.
    pub(super) var: Option<usize>,
    /// How many.
    pub(super) count: usize,
}

impl Iterations {
    /// What an index grows by from one to the next.
    pub(super) fn step(self, index: &SlotIndex) -> i64 {
        index.terms.iter().find(|(slot, _)| Some(*slot) == self.var).map_or(0, |(_, factor)| *factor)
    }
}

impl KernelRun<'_> {
    /// All lanes of an expression.
    pub(super) fn lanes<'a>(&'a self, node: &ExprCode, lanes: usize) -> ExecResult<Cow<'a, Data>> {
        self.column(node, lanes, Iterations { var: None, count: 1 })
    }

    /// All lanes of an expression in these iterations.
    pub(super) fn column<'a>(&'a self, node: &ExprCode, lanes: usize, of: Iterations) -> ExecResult<Cow<'a, Data>> {
        let len = of.count * lanes;
        let own = match node {
            ExprCode::Const(value) => Data::splat(*value, len),
            ExprCode::Reg(slot) => match &self.columns[*slot] {
                Some(column) => return Ok(Cow::Borrowed(column)),
                None => Data::from_fn(self.regs[*slot].dtype(), len, |i| self.regs[slot + i % lanes]),
            },
            ExprCode::Index { index, dtype, stride } => {
                let (first, step) = (self.index(index), of.step(index));
                let element = |i: usize| first + (i / lanes) as i64 * step + (i % lanes) as i64 * stride;
                Data::from_fn(*dtype, len, |i| Scalar::from_i64(element(i), *dtype))
            }
            ExprCode::Load { buf, index, stride } => self.load_column(*buf, index, *stride, lanes, of)?,
            ExprCode::Apply1(op, a) => applied(*op, &[&*self.column(a, lanes, of)?]),
            ExprCode::Apply2(op, args) => {
                let [a, b] = &**args;
                applied(*op, &[&*self.column(a, lanes, of)?, &*self.column(b, lanes, of)?])
            }
            ExprCode::Apply3(op, args) => {
                let [a, b, c] = &**args;
                let (a, b) = (self.column(a, lanes, of)?, self.column(b, lanes, of)?);
                applied(*op, &[&*a, &*b, &*self.column(c, lanes, of)?])
            }
            ExprCode::Cast(dtype, value) => self.column(value, lanes, of)?.cast(*dtype),
            ExprCode::Bitcast(dtype, value) => {
                let value = self.column(value, lanes, of)?;
                Data::from_fn(*dtype, len, |i| Scalar::from_bits(value.get(i).to_bits(), *dtype))
            }
            ExprCode::Splat(value) => match &**value {
                ExprCode::Const(value) => Data::splat(*value, len),
                value => self.column(value, 1, of)?.gather((0..len).map(|i| i / lanes)),
            },
            ExprCode::Fold { op, value, lanes: operands } => {
                let value = self.column(value, *operands, of)?;
                let fold = |i: usize| folded(*op, &value, i * operands..(i + 1) * operands);
                Data::from_fn(value.dtype(), len, fold)
            }
        };
        Ok(Cow::Owned(own))
    }

    fn load_column(
        &self,
        buf: BufferSlot,
        index: &SlotIndex,
        stride: i64,
        lanes: usize,
        of: Iterations,
    ) -> ExecResult<Data> {
        let ArenaSpan { start, dtype, .. } = self.places[buf];
        let (first, step, size) = (self.index(index), of.step(index), dtype.size_bytes());
        let bytes = |at: i64, len: usize| &self.arena[start + at as usize * size..][..len * size];
        for at in [first, first + step * (of.count as i64 - 1)] {
            (0..lanes as i64).try_for_each(|lane| self.address(buf, at + lane * stride).map(drop))?;
        }
        let packed = lanes == 1 || stride == 1;
        if packed && (of.count == 1 || step == lanes as i64) {
            return Ok(Data::from_bytes(dtype, bytes(first, of.count * lanes)));
        }
        let mut gathered = Vec::with_capacity(of.count * lanes * size);
        for at in (0..of.count as i64).map(|i| first + i * step) {
            match packed {
                true => gathered.extend_from_slice(bytes(at, lanes)),
                false => (0..lanes as i64).for_each(|lane| gathered.extend_from_slice(bytes(at + lane * stride, 1))),
            }
        }
        Ok(Data::from_bytes(dtype, &gathered))
    }

    /// Stores lanes that stand side by side, in all these iterations; all places are known to be in the buffer.
    pub(super) fn store_column(&mut self, buf: BufferSlot, index: &SlotIndex, values: &Data, of: Iterations) {
        let ArenaSpan { start, dtype, .. } = self.places[buf];
        let (first, step, size) = (self.index(index), of.step(index), dtype.size_bytes());
        let bytes = values.to_bytes();
        for (i, lanes) in bytes.chunks_exact(bytes.len() / of.count).enumerate() {
            let at = start + (first + i as i64 * step) as usize * size;
            self.arena[at..at + lanes.len()].copy_from_slice(lanes);
        }
    }
}

/// The op on columns of the types that it takes.
fn applied(op: ScalarOp, operands: &[&Data]) -> Data {
    let dtypes: [DType; 3] = std::array::from_fn(|i| operands.get(i).map_or(DType::Bool, |x| x.dtype()));
    let own = operands[operands.len() - 1].dtype();
    op.eval_each(operands, op.def().typing.infer(&dtypes[..operands.len()]).unwrap_or(own))
}
