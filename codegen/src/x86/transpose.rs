//! Loops that copy columns to rows: blocks of them change places in registers.
//!
//! A panel of a factor that lies along the reduction is packed by a loop over its columns, which copies some elements of each: side by side where they come
//! from, a row apart where they go. Element by element that is a load and a store for each. Here 128 bits of each column are loaded, of two columns to a
//! register; their elements change places, and whole vectors are stored along the rows.
//!
//! A panel between tiles is a burst of cache lines far apart, which no processor foresees and each of which would be waited for: those of the next panel are
//! asked for meanwhile, and arrive while tiles multiply by this one.

use super::forms::{LOWER_HALVES, LOWER_WORDS, UPPER_HALVES, UPPER_WORDS};
use super::index::At;
use super::lir::{Arg, Inst, Machine, VReg};
use super::stmt::TripCount;
use super::unit::{IndexBinding, Parts, Unit, Val};
use crate::error::EmitError;
use crate::x86::encoding::{Encoding, Width};
use iced_x86::Code;
use kernel::walk::substitute;
use kernel::{Affine, BufRef, DType, Expr, IndexVar, Stmt};
use smallvec::smallvec;

/// Bytes of a cache line.
const LINE: usize = 64;

/// A loop whose iterations each copy some elements of a column.
struct ColumnCopies {
    dtype: DType,
    from: BufRef,
    to: BufRef,
    /// From one column to the next, in elements.
    step: i64,
    /// Where the elements of a column stand, and where they go.
    elements: Vec<(Affine, Affine)>,
}

impl ColumnCopies {
    /// Elements of 128 bits: so many registers make a block, which has twice as many columns.
    fn quarter(&self) -> usize {
        16 / self.dtype.size_bytes()
    }

    /// Whether what is copied goes to rows of that length which don't overlap, so that no iteration writes over what another one wrote.
    fn are_apart(&self, length: usize) -> bool {
        let targets = || self.elements.iter().map(|(_, to)| to);
        let mut offsets: Vec<i64> = targets().map(Affine::offset).collect();
        offsets.sort_unstable();
        let apart = offsets.windows(2).all(|pair| pair[0].saturating_add_unsigned(length as u64) <= pair[1]);
        apart && targets().all(|to| to.terms() == self.elements[0].1.terms())
    }

    /// Whether the elements from a place on, as many as 128 bits hold, lie side by side.
    fn is_block(&self, at: usize) -> bool {
        let of = |at: usize| self.elements.get(at).map(|(from, _)| from);
        of(at).is_some_and(|first| {
            (1..self.quarter()).all(|next| of(at + next).is_some_and(|from| *from == first.clone().plus(next as i64)))
        })
    }
}

impl Unit<'_> {
    /// Emits a loop if it is one that copies columns.
    pub(super) fn transposing_loop(&mut self, var: IndexVar, extent: usize, body: &[Stmt]) -> Result<bool, EmitError> {
        let Some(columns) = self.columns_of(var, extent, body) else { return Ok(false) };
        let wide = 2 * columns.quarter();
        let (blocks, rest) = (extent / wide, extent % wide);
        if blocks == 0 {
            return Ok(false);
        }
        self.open_loop(var, TripCount::Fixed(blocks as i64), wide as i64, body);
        let mut at = 0;
        while at < columns.elements.len() {
            let block = columns.is_block(at);
            if block {
                self.block(&columns, at)?;
            } else {
                self.row(&columns, at, wide)?;
            }
            at += if block { columns.quarter() } else { 1 };
        }
        self.close_loop();
        if rest > 0 {
            let mut last = body.to_vec();
            substitute(&mut last, var, &Affine::term(var, 1).plus((blocks * wide) as i64));
            self.open_loop(var, TripCount::Fixed(rest as i64), 1, &last);
            self.body(&last)?;
            self.close_loop();
        }
        Ok(true)
    }

    /// What a loop copies, if it does nothing else, and not along rows already.
    fn columns_of(&self, var: IndexVar, extent: usize, body: &[Stmt]) -> Option<ColumnCopies> {
        let mut found: Option<ColumnCopies> = None;
        for pair in body.chunks(2) {
            let [
                Stmt::Let { reg, value: Expr::Load { buf: from, index: source, lanes: 1, .. } },
                Stmt::Store { buf: to, index: target, value: Expr::Reg(stored) },
            ] = pair
            else {
                return None;
            };
            let columns = found.get_or_insert(ColumnCopies {
                dtype: self.buffer_dtype(*from).ok()?,
                from: *from,
                to: *to,
                step: source.coefficient(var),
                elements: vec![],
            });
            let same = (columns.from, columns.to, columns.step) == (*from, *to, source.coefficient(var));
            if reg != stored || !same || target.coefficient(var) != 1 {
                return None;
            }
            columns.elements.push((source.clone(), target.clone()));
        }
        found.filter(|columns| {
            let as_is = columns.dtype.size_bytes() >= 4;
            let typed = self.buffer_dtype(columns.to).is_ok_and(|dtype| dtype == columns.dtype);
            let blocks = as_is && (0..columns.elements.len()).any(|at| columns.is_block(at));
            let apart = columns.from != columns.to && columns.are_apart(extent);
            typed && apart && columns.step != 1 && blocks
        })
    }

    /// Copies a block: from one element of each column on, as many as 128 bits hold.
    fn block(&mut self, columns: &ColumnCopies, at: usize) -> Result<(), EmitError> {
        let (per, size) = (columns.quarter(), columns.dtype.size_bytes() as i64);
        let first = self.address(columns.from, &columns.elements[at].0)?;
        let column = |number: usize| first.plus(number as i64 * columns.step * size);
        if let Some(ahead) = self.next_panel(columns, at)? {
            (0..2 * per).for_each(|number| self.prefetch(column(number).plus(ahead)));
        }
        let mut halves = Parts::new();
        for number in 0..per {
            let low = self.load_from(columns.dtype, column(number), per as u16, 1)?;
            halves.push(self.insert_half(low.parts[0], column(number + per))?);
        }
        let rows = if per == 4 { self.turn_words(&halves)? } else { self.turn_pair(halves[0], halves[1])? };
        for (number, row) in rows.into_iter().enumerate() {
            let to = self.address(columns.to, &columns.elements[at + number].1)?;
            let val = Val {
                dtype: columns.dtype,
                size: size as usize,
                lanes: 2 * per as u16,
                parts: smallvec![row],
                constant: None,
            };
            self.store_to(to, &val)?;
        }
        Ok(())
    }

    /// How many bytes further what is loaded at a place stands when the innermost loop that has tiles comes to its next iteration; `None` within a cache line, whose
    /// start has been asked for.
    fn next_panel(&self, columns: &ColumnCopies, at: usize) -> Result<Option<i64>, EmitError> {
        let size = columns.dtype.size_bytes();
        if !(at * size).is_multiple_of(LINE) {
            return Ok(None);
        }
        let (terms, _) = self.terms(&columns.elements[at].0, size as i64)?;
        let ahead = |&(var, bytes): &(IndexVar, i64)| match self.index.get(&var) {
            Some((_, IndexBinding::OpenLoop(depth))) => {
                self.loops.get(*depth).filter(|open| open.calls).and_then(|open| bytes.checked_mul(open.step))
            }
            _ => None,
        };
        Ok(terms.iter().rev().find_map(ahead))
    }

    /// Asks for a cache line, whether or not there is memory; for none where its address needs more than a constant offset.
    fn prefetch(&mut self, at: At) {
        if let Ok(mem) = at.mem() {
            let args = smallvec![Arg::Mem(mem)];
            self.push(Inst::Machine(Machine { store: true, ..Machine::new(Code::Prefetcht0_m8, args) }));
        }
    }

    /// Copies one element of each column of a block.
    fn row(&mut self, columns: &ColumnCopies, at: usize, wide: usize) -> Result<(), EmitError> {
        let (source, target) = &columns.elements[at];
        let (from, to) = (self.address(columns.from, source)?, self.address(columns.to, target)?);
        let size = columns.dtype.size_bytes() as i64;
        for number in 0..wide as i64 {
            let one = self.load_from(columns.dtype, from.plus(number * columns.step * size), 1, 1)?;
            self.store_to(to.plus(number * size), &one)?;
        }
        Ok(())
    }

    /// A register of 256 bits with a lower half, and an upper one from memory.
    fn insert_half(&mut self, low: VReg, at: At) -> Result<VReg, EmitError> {
        let code = match self.encoding {
            Encoding::Vex => Code::VEX_Vinsertf128_ymm_ymm_xmmm128_imm8,
            Encoding::Evex => Code::EVEX_Vinsertf32x4_ymm_k1z_ymm_xmmm128_imm8,
        };
        let (dst, mem) = (self.vector(), Arg::Mem(at.mem()?));
        self.raw(code, smallvec![Arg::Vec(dst, Width::Y), Arg::Vec(low, Width::Y), mem, Arg::Imm(1)]);
        Ok(dst)
    }

    /// Four by four lanes of 32 bits in each half.
    fn turn_words(&mut self, columns: &[VReg]) -> Result<Parts, EmitError> {
        let mut rows = Parts::new();
        for form in [&LOWER_WORDS, &UPPER_WORDS] {
            let first = self.op(form, Width::Y, &columns[..2], None)?;
            let second = self.op(form, Width::Y, &columns[2..], None)?;
            rows.extend(self.turn_pair(first, second)?);
        }
        Ok(rows)
    }

    /// Two by two lanes of 64 bits in each half.
    fn turn_pair(&mut self, first: VReg, second: VReg) -> Result<Parts, EmitError> {
        let mut rows = Parts::new();
        for form in [&LOWER_HALVES, &UPPER_HALVES] {
            rows.push(self.op(form, Width::Y, &[first, second], None)?);
        }
        Ok(rows)
    }
}
