//! Addresses, loads and stores.
//!
//! An address is a parameter's pointer plus a multiple of each variable plus a constant. The multiples are added outermost variable
//! first, so that every prefix of the sum is invariant in the loops further in; an innermost loop computes the prefixes that it needs
//! before it starts. The constant goes into the instruction.

use super::emitter::{BoundIndex, Emitter, IndexValue, KnownAddress, memory_flags};
use super::value::{Parts, Val, clif_type, natural_chunk};
use crate::error::{EmitError, malformed};
use cranelift::codegen::ir::condcodes::IntCC;
use cranelift::codegen::ir::{InstBuilder, Value, types};
use cranelift::frontend::FunctionBuilder;
use kernel::{Affine, BufRef, DType, IndexVar};

/// A pointer and what to add to it, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Address {
    pub(super) base: Value,
    pub(super) offset: i64,
}

impl Address {
    /// What is so many bytes further. The offset stays one where an instruction has room for it (with some to spare for lanes).
    pub(super) fn shifted(self, b: &mut FunctionBuilder<'_>, by: i64) -> Self {
        let offset = self.offset + by;
        if offset.abs() < i64::from(i32::MAX) / 2 {
            Self { offset, ..self }
        } else {
            Self { base: b.ins().iadd_imm_s(self.base, offset), offset: 0 }
        }
    }
}

impl Emitter<'_, '_> {
    /// A variable times a constant.
    fn scaled_index(&mut self, var: IndexVar, by: i64) -> Result<Value, EmitError> {
        let Some(index) = self.index.get(&var) else {
            return malformed(format!("index {var:?} is used before it is bound"));
        };
        if let Some((_, value)) = index.scaled.iter().find(|(bytes, _)| *bytes == by) {
            return Ok(*value);
        }
        let value = match index.value {
            IndexValue::Value(value) => value,
            IndexValue::Constant(c) => return Ok(self.b.ins().iconst(types::I64, c * by)),
            IndexValue::ScaledOnly => {
                return malformed(format!("index {var:?} is used in a way its loop did not foresee"));
            }
        };
        Ok(match by {
            1 => value,
            by if by > 0 && by.count_ones() == 1 => self.b.ins().ishl_imm_u(value, i64::from(by.trailing_zeros())),
            by => self.b.ins().imul_imm_s(value, by),
        })
    }

    /// The terms in the order in which their variables were bound, and the constant part, which takes in the variables that are known.
    fn terms_outermost_first(&self, affine: &Affine, scale: i64) -> Result<(Vec<(IndexVar, i64)>, i64), EmitError> {
        let mut terms: Vec<(usize, IndexVar, i64)> = Vec::with_capacity(affine.terms().len());
        let mut constant = affine.offset() * scale;
        for &(var, coefficient) in affine.terms() {
            match self.index.get(&var) {
                Some(BoundIndex { value: IndexValue::Constant(c), .. }) => constant += c * coefficient * scale,
                Some(index) => terms.push((index.order, var, coefficient * scale)),
                None => return malformed(format!("index {var:?} is used before it is bound")),
            }
        }
        terms.sort_unstable();
        Ok((terms.into_iter().map(|(_, var, by)| (var, by)).collect(), constant))
    }

    /// The value of an affine expression, as `i64`.
    pub(super) fn affine(&mut self, affine: &Affine) -> Result<Value, EmitError> {
        let (terms, constant) = self.terms_outermost_first(affine, 1)?;
        let mut sum: Option<Value> = None;
        for (var, by) in terms {
            let term = self.scaled_index(var, by)?;
            sum = Some(sum.map_or(term, |sum| self.b.ins().iadd(sum, term)));
        }
        Ok(match sum {
            None => self.b.ins().iconst(types::I64, constant),
            Some(sum) if constant == 0 => sum,
            Some(sum) => self.b.ins().iadd_imm_s(sum, constant),
        })
    }

    /// The address of an element.
    pub(super) fn address(&mut self, buf: BufRef, index: &Affine) -> Result<Address, EmitError> {
        let size = self.buffer_dtype(buf)?.size_bytes() as i64;
        let (terms, constant) = self.terms_outermost_first(index, size)?;
        let (start, start_offset) = match buf {
            BufRef::Param(p) => (self.params[p as usize], 0),
            BufRef::Local(l) => (self.scratch, self.locals[l as usize]),
        };
        let offset = start_offset + constant;
        // From the longest sum of outer terms that is there already.
        let starts_it = |k: &&KnownAddress| k.buf == buf && terms.starts_with(&k.terms);
        let known = self.addresses.iter().filter(starts_it).max_by_key(|k| k.terms.len());
        let (mut base, done) = known.map_or((start, 0), |k| (k.value, k.terms.len()));
        if done == terms.len() {
            return Ok(Address { base, offset: 0 }.shifted(&mut self.b, offset));
        }
        for &(var, by) in &terms[done..] {
            let term = self.scaled_index(var, by)?;
            base = self.b.ins().iadd(base, term);
        }
        self.addresses.push(KnownAddress { buf, terms, value: base });
        Ok(Address { base, offset: 0 }.shifted(&mut self.b, offset))
    }

    /// Loads lanes from `index`, `index + stride`, ...
    pub(super) fn load(&mut self, buf: BufRef, index: &Affine, lanes: u16, stride: i64) -> Result<Val, EmitError> {
        let dtype = self.buffer_dtype(buf)?;
        let at = self.address(buf, index)?;
        let size = dtype.size_bytes() as i64;
        let contiguous = stride == 1 && !matches!(dtype, DType::I8 | DType::U8);
        let chunk = if lanes > 1 && contiguous { natural_chunk(dtype, lanes) } else { 1 };
        let mut parts = Parts::new();
        for part in 0..lanes / chunk {
            let at = Address { offset: at.offset + i64::from(part * chunk) * stride * size, ..at };
            parts.push(self.load_part(dtype, at, chunk)?);
        }
        let loaded = Val::new(dtype, lanes, parts);
        if lanes == 1 || chunk > 1 {
            return Ok(loaded);
        }
        let parts = self.rechunk(&loaded, natural_chunk(dtype, lanes));
        Ok(Val::new(dtype, lanes, parts))
    }

    fn load_part(&mut self, dtype: DType, at: Address, chunk: u16) -> Result<Value, EmitError> {
        let offset = at.offset as i32;
        match (dtype, chunk) {
            (DType::F16 | DType::Bf16, _) => {
                let half = if chunk == 4 {
                    self.b.ins().uload16x4(memory_flags(), at.base, offset)
                } else {
                    self.b.ins().uload16(types::I32, memory_flags(), at.base, offset)
                };
                if dtype == DType::F16 {
                    return Ok(self.f16_to_f32(half));
                }
                let bits = self.shifted_left(half, 16);
                Ok(self.as_floats(bits))
            }
            (DType::Bool, 4) => {
                let bytes = self.b.ins().load(types::I32, memory_flags(), at.base, offset);
                let vector = self.b.ins().scalar_to_vector(types::I32X4, bytes);
                let vector = self.reinterpret(vector, types::I8X16);
                let words = self.b.ins().uwiden_low(vector);
                let lanes = self.b.ins().uwiden_low(words);
                Ok(self.b.ins().ineg(lanes))
            }
            (DType::Bool, 2) => {
                let low = self.b.ins().load(types::I8, memory_flags(), at.base, offset);
                let high = self.b.ins().load(types::I8, memory_flags(), at.base, offset + 1);
                Ok(self.pack(DType::Bool, &[low, high]))
            }
            _ => Ok(self.b.ins().load(clif_type(dtype, chunk), memory_flags(), at.base, offset)),
        }
    }

    /// Stores lanes at `index`, `index + 1`, ...
    pub(super) fn store(&mut self, buf: BufRef, index: &Affine, value: &Val) -> Result<(), EmitError> {
        let dtype = self.buffer_dtype(buf)?;
        if value.dtype != dtype {
            return malformed(format!("a store of {} to a buffer of {dtype}", value.dtype));
        }
        let at = self.address(buf, index)?;
        let step = i64::from(value.chunk()) * dtype.size_bytes() as i64;
        let mut offset = at.offset;
        for &part in &value.parts {
            self.store_part(dtype, value.chunk(), part, Address { offset, ..at })?;
            offset += step;
        }
        Ok(())
    }

    fn store_part(&mut self, dtype: DType, chunk: u16, part: Value, at: Address) -> Result<(), EmitError> {
        let offset = at.offset as i32;
        match (dtype, chunk) {
            (DType::F16 | DType::Bf16, _) => {
                let half = if dtype == DType::F16 {
                    self.f32_to_f16(part)
                } else {
                    let bits = self.as_ints(part);
                    self.shifted_right(bits, 16)
                };
                if chunk == 1 {
                    self.b.ins().istore16(memory_flags(), half, at.base, offset);
                    return Ok(());
                }
                // No half exceeds 16 bits: nothing saturates.
                let halves = self.b.ins().unarrow(half, half);
                let pairs = self.reinterpret(halves, types::I64X2);
                let low = self.b.ins().extractlane(pairs, 0);
                self.b.ins().store(memory_flags(), low, at.base, offset);
            }
            (DType::Bool, 4) => {
                // -1 or 0 in every lane: packed with saturation to bytes, the lowest bit of each kept.
                let words = self.b.ins().snarrow(part, part);
                let bytes = self.b.ins().snarrow(words, words);
                let quads = self.reinterpret(bytes, types::I32X4);
                let low = self.b.ins().extractlane(quads, 0);
                let truths = self.b.ins().band_imm_u(low, 0x0101_0101);
                self.b.ins().store(memory_flags(), truths, at.base, offset);
            }
            (DType::Bool, 2) => {
                let lanes = self.split(&Val::new(DType::Bool, 2, Parts::from_slice(&[part])));
                for (lane, value) in lanes.into_iter().enumerate() {
                    self.b.ins().store(memory_flags(), value, at.base, offset + lane as i32);
                }
            }
            _ => {
                self.b.ins().store(memory_flags(), part, at.base, offset);
            }
        }
        Ok(())
    }

    /// Whether an index is within `0..bound`.
    pub(super) fn in_bounds(&mut self, index: Value, bound: i64) -> Value {
        self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, index, bound)
    }
}
