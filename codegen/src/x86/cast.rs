//! Conversions between element types, as `Scalar::cast` defines them.

use super::expr::bitcast;
use super::forms::{
    self, ADD, AND, CMP, F32_TO_F64, F32_TO_I64, F64_TO_F32, F64_TO_I32, FROM_INT, Form, HALVES_TO_LANES, I32_TO_F64,
    I32_TO_I64, I64_TO_F32, LANES_TO_HALVES, OR, TO_INT, U32_TO_I64, of_size,
};
use super::lir::{Arg, Class, Inst, VReg};
use super::ops::compare::{Order, UNORDERED};
use super::unit::{PackedLanes, Parts, Unit, Val, width_of};
use crate::error::{EmitError, unsupported};
use crate::x86::encoding::{Encoding, Width};
use iced_x86::Code;
use kernel::{DType, Scalar, ScalarOp};
use smallvec::smallvec;

impl Unit<'_> {
    /// Converts every lane.
    pub(super) fn cast(&mut self, val: &Val, to: DType) -> Result<Val, EmitError> {
        if val.dtype == to {
            return Ok(val.clone());
        }
        if let Some(scalar) = val.constant {
            return self.constant(scalar.cast(to), val.lanes);
        }
        match (val.dtype, to) {
            (DType::Bool, _) => {
                let (one, zero) =
                    (self.constant(Scalar::one(to), val.lanes)?, self.constant(Scalar::zero(to), val.lanes)?);
                self.select(val, &one, &zero)
            }
            (_, DType::Bool) => {
                let zero = self.constant(Scalar::zero(val.dtype), val.lanes)?;
                self.apply(ScalarOp::NE, &[val.clone(), zero])
            }
            // These are kept as the wider type.
            (DType::I16 | DType::I8 | DType::U16 | DType::U8, _) => self.cast_kept(val, DType::I32, to),
            (DType::Bf16 | DType::F16, _) => self.cast_kept(val, DType::F32, to),
            (_, DType::I16 | DType::I8 | DType::U16 | DType::U8) => self.cast_to_short(val, to),
            (DType::U32, DType::I32) | (DType::I32, DType::U32) => Ok(Val { dtype: to, ..val.clone() }),
            (DType::U64, DType::I64) | (DType::I64, DType::U64) => Ok(Val { dtype: to, ..val.clone() }),
            (DType::U32, _) => {
                let parts = self.widen_parts(&val.parts, val.lanes, &U32_TO_I64)?;
                self.cast(&Val { dtype: DType::I64, size: 8, parts, ..val.clone() }, to)
            }
            (DType::U64, DType::I32 | DType::U32) => self.cast_kept(val, DType::I64, to),
            (from, DType::U32) if from.is_float() => {
                let number = self.cast(val, DType::I64)?;
                let limits = [Scalar::I64(0), Scalar::I64(u32::MAX.into())];
                let limited = self.limited(number, limits)?;
                self.cast(&limited, to)
            }
            (from, DType::U32 | DType::U64) if !from.is_float() => {
                let signed = if to == DType::U32 { DType::I32 } else { DType::I64 };
                let number = self.cast(val, signed)?;
                Ok(Val { dtype: to, ..number })
            }
            (from, DType::Bf16 | DType::F16) => {
                let single = if from == DType::F64 { self.demote_to_odd(val)? } else { self.cast(val, DType::F32)? };
                let parts = self.map_parts(&single, 4, &mut |u, x, width| u.round_to_short(x, to, width))?;
                Ok(Val { dtype: to, parts, ..single })
            }
            (from, DType::I32 | DType::I64) if from.is_float() => self.float_to_int(val, to),
            _ => self.convert(val, to),
        }
    }

    /// `f64` to `f32`, to the neighbour with an odd last bit where the result is not exact: rounding that again to 16 bits gives what one rounding would.
    fn demote_to_odd(&mut self, val: &Val) -> Result<Val, EmitError> {
        let nearest = self.convert(val, DType::F32)?;
        let back = self.convert(&nearest, DType::F64)?;
        let (back_size, size) = (
            self.apply(ScalarOp::ABS, std::slice::from_ref(&back))?,
            self.apply(ScalarOp::ABS, std::slice::from_ref(val))?,
        );
        // One unit towards zero where rounding went away from it: then the pair brackets the value, and the odd one of the two is wanted.
        let too_large = self.apply(ScalarOp::GT, &[back_size, size])?;
        let inexact = self.apply(ScalarOp::NE, &[back, val.clone()])?;
        let (borrow, sticky) = (self.cast(&too_large, DType::I32)?, self.cast(&inexact, DType::I32)?);
        let bits = bitcast(nearest, DType::I32)?;
        let below = self.apply(ScalarOp::SUB, &[bits, borrow])?;
        let odd = self.apply(ScalarOp::OR, &[below, sticky])?;
        bitcast(odd, DType::F32)
    }

    fn cast_kept(&mut self, val: &Val, kept: DType, to: DType) -> Result<Val, EmitError> {
        let as_kept = Val { dtype: kept, ..val.clone() };
        self.cast(&as_kept, to)
    }

    /// Applies an instruction to each part.
    fn map_parts(
        &mut self,
        val: &Val,
        size: usize,
        f: &mut dyn FnMut(&mut Self, VReg, Width) -> Result<VReg, EmitError>,
    ) -> Result<Parts, EmitError> {
        let counts: Vec<u16> = self.part_lanes(val.lanes, size).collect();
        val.parts.iter().zip(counts).map(|(&part, count)| f(self, part, width_of(count, size))).collect()
    }

    /// What one instruction does; floats to integers without saturation.
    pub(super) fn convert(&mut self, val: &Val, to: DType) -> Result<Val, EmitError> {
        let same = |form: &'static Form| move |u: &mut Self, x: VReg, width: Width| u.op(form, width, &[x], None);
        let narrow = |form: &'static Form| {
            move |u: &mut Self, x: VReg, width: Width| {
                let dst = u.vector();
                let Some(code) = form.code(u.encoding, width) else {
                    return unsupported("a conversion of 64-bit integers");
                };
                u.raw(code, smallvec![Arg::Vec(dst, width.half()), Arg::Vec(x, width)]);
                Ok(dst)
            }
        };
        let (lanes, size) = (val.lanes, if matches!(to, DType::F64 | DType::I64) { 8 } else { 4 });
        let parts = match (val.dtype, to) {
            (DType::I64, _) if self.encoding == Encoding::Vex && to.is_float() && lanes == 1 => {
                smallvec![self.long_to_float(val.parts[0], size)]
            }
            (DType::I32, DType::F32) => self.map_parts(val, 4, &mut same(&FROM_INT[0]))?,
            (DType::I64, DType::F64) if self.encoding == Encoding::Vex => {
                self.map_parts(val, 8, &mut Self::longs_to_doubles)?
            }
            (DType::I64, DType::F64) => self.map_parts(val, 8, &mut same(&FROM_INT[1]))?,
            (DType::F32, DType::I32) => self.map_parts(val, 4, &mut same(&TO_INT[0]))?,
            (DType::F64, DType::I64) => self.map_parts(val, 8, &mut same(&TO_INT[1]))?,
            (DType::F32, DType::F64) => self.widen_parts(&val.parts, lanes, &F32_TO_F64)?,
            (DType::I32, DType::F64) => self.widen_parts(&val.parts, lanes, &I32_TO_F64)?,
            (DType::I32, DType::I64) => self.widen_parts(&val.parts, lanes, &I32_TO_I64)?,
            (DType::F32, DType::I64) => self.widen_parts(&val.parts, lanes, &F32_TO_I64)?,
            (DType::F64, DType::F32) => self.narrow_parts(&val.parts, lanes, &mut narrow(&F64_TO_F32))?,
            (DType::F64, DType::I32) => self.narrow_parts(&val.parts, lanes, &mut narrow(&F64_TO_I32))?,
            (DType::I64, DType::F32) => self.narrow_parts(&val.parts, lanes, &mut narrow(&I64_TO_F32))?,
            (DType::I64, DType::I32) => self.narrow_parts(&val.parts, lanes, &mut Self::lower_words)?,
            (from, _) => return unsupported(format!("a conversion from {from} to {to}")),
        };
        Ok(Val { dtype: to, size, lanes, parts, constant: None })
    }

    /// 64-bit integers without an instruction for them: each half becomes the fraction of a large number, the upper one's sign turned; both are exact, and so is the
    /// upper one less what the numbers have too much. The sum rounds once.
    fn longs_to_doubles(&mut self, x: VReg, width: Width) -> Result<VReg, EmitError> {
        let [low_bits, low_exponent, high_exponent] =
            [0xffff_ffff, 0x4330_0000_0000_0000, 0x4530_0000_8000_0000].map(|bits| self.splat_bits(bits, 8));
        let excess = self.splat_bits((2f64.powi(84) + 2f64.powi(63) + 2f64.powi(52)).to_bits(), 8);
        let low = self.op(&AND[1], width, &[x, low_bits], None)?;
        let low = self.op(&OR[1], width, &[low, low_exponent], None)?;
        let high = self.op(&forms::SHR_BY[1], width, &[x], Some(32))?;
        let high = self.op(&forms::XOR[1], width, &[high, high_exponent], None)?;
        let high = self.op(of_size(&forms::SUB, 8), width, &[high, excess], None)?;
        self.add(high, low, 8, width)
    }

    /// One 64-bit integer, by way of a general register.
    fn long_to_float(&mut self, from: VReg, size: usize) -> VReg {
        let (number, dst) = (self.lists.reg(Class::General), self.vector());
        self.push(Inst::FromLane { dst: number, src: Arg::Vec(from, Width::X), size: 8 });
        let zero = self.splat_bits(0, 4);
        let code = if size == 8 { Code::VEX_Vcvtsi2sd_xmm_xmm_rm64 } else { Code::VEX_Vcvtsi2ss_xmm_xmm_rm64 };
        self.raw(code, smallvec![Arg::Vec(dst, Width::X), Arg::Vec(zero, Width::X), Arg::General64(number)]);
        dst
    }

    /// The instruction gives the least integer for whatever doesn't fit: what is too large becomes the greatest, NaN 0.
    fn float_to_int(&mut self, val: &Val, to: DType) -> Result<Val, EmitError> {
        let plain = self.convert(val, to)?;
        let limit = if to == DType::I64 { 2f64.powi(63) } else { 2f64.powi(31) };
        let limit = self.constant(Scalar::from_f64(limit, val.dtype), val.lanes)?;
        let too_large = self.apply(ScalarOp::GE, &[val.clone(), limit])?;
        let greatest = self.constant(Scalar::highest(to), val.lanes)?;
        let capped = self.select(&too_large, &greatest, &plain)?;
        let is_nan = self.unordered(val)?;
        let zero = self.constant(Scalar::zero(to), val.lanes)?;
        self.select(&is_nan, &zero, &capped)
    }

    fn unordered(&mut self, val: &Val) -> Result<Val, EmitError> {
        let size = val.size;
        let parts = self.map_parts(val, size, &mut |u, x, width| u.compare_floats(UNORDERED, size, width, x, x))?;
        Ok(Val { dtype: DType::Bool, parts, ..val.clone() })
    }

    /// Floats saturate, integers wrap.
    fn cast_to_short(&mut self, val: &Val, to: DType) -> Result<Val, EmitError> {
        let number = self.cast(val, DType::I32)?;
        let limited = if val.dtype.is_float() {
            let limits = [Scalar::lowest(to), Scalar::highest(to)].map(|limit| limit.cast(DType::I32));
            self.limited(number, limits)?
        } else {
            let parts = self.map_parts(&number, 4, &mut |u, x, width| u.wrap(to, x, width))?;
            Val { parts, ..number }
        };
        Ok(Val { dtype: to, constant: None, ..limited })
    }

    /// What is below the first of two limits becomes that, what is above the second one that.
    fn limited(&mut self, number: Val, limits: [Scalar; 2]) -> Result<Val, EmitError> {
        let lanes = number.lanes;
        let (low, high) = (self.constant(limits[0], lanes)?, self.constant(limits[1], lanes)?);
        let above = self.apply(ScalarOp::MAX, &[number, low])?;
        self.apply(ScalarOp::MIN, &[above, high])
    }

    /// `f32` lanes rounded to the nearest number of a 16-bit type, ties to even, still as `f32`; NaN stays NaN.
    pub(super) fn round_to_short(&mut self, value: VReg, dtype: DType, width: Width) -> Result<VReg, EmitError> {
        if dtype == DType::Bf16 {
            return self.round_to_bf16(value, width);
        }
        let words = self.f32_to_f16(value, width)?;
        let rounded = self.f16_to_f32(words, width)?;
        // To store them takes no second rounding.
        let count = u16::try_from(width.bytes() / 4).unwrap_or(u16::MAX);
        self.packed.insert(rounded, PackedLanes { dtype, count, reg: words });
        Ok(rounded)
    }

    /// Lanes of `f32` as packed `f16`, rounded to nearest, ties to even.
    pub(super) fn f32_to_f16(&mut self, value: VReg, width: Width) -> Result<VReg, EmitError> {
        /// The instruction's rounding: to nearest, ties to even.
        const NEAREST: u8 = 0;
        let code = self.form_code(&LANES_TO_HALVES, width)?;
        let dst = self.vector();
        self.raw(code, smallvec![Arg::Vec(dst, width.half()), Arg::Vec(value, width), Arg::Imm(NEAREST)]);
        Ok(dst)
    }

    /// Packed `f16` as lanes of `f32`.
    pub(super) fn f16_to_f32(&mut self, words: VReg, width: Width) -> Result<VReg, EmitError> {
        let code = self.form_code(&HALVES_TO_LANES, width)?;
        let dst = self.vector();
        self.raw(code, smallvec![Arg::Vec(dst, width), Arg::Vec(words, width.half())]);
        Ok(dst)
    }

    /// `f32` lanes rounded to the nearest bfloat16, ties to even, still as `f32`; NaN stays NaN.
    fn round_to_bf16(&mut self, value: VReg, width: Width) -> Result<VReg, EmitError> {
        let upper = self.op(&forms::SHR_BY[0], width, &[value], Some(16))?;
        let [one, half, keep, quiet] = [1, 0x7fff, 0xffff_0000, 0x7fc0_0000].map(|bits| self.splat_bits(bits, 4));
        let odd = self.op(&AND[0], width, &[upper, one], None)?;
        let add = self.op(&forms::IADD[0], width, &[odd, half], None)?;
        let sum = self.op(&forms::IADD[0], width, &[value, add], None)?;
        // A NaN's bits may round to infinity's or to a zero's.
        let is_nan = self.compare_floats(UNORDERED, 4, width, value, value)?;
        let upper = self.blend(is_nan, (quiet, sum), 4, width)?;
        let rounded = self.op(&AND[0], width, &[upper, keep], None)?;
        self.uppers.insert(rounded, upper);
        Ok(rounded)
    }

    /// A comparison of floats by the instruction's predicate: a mask.
    pub(super) fn compare_floats(
        &mut self,
        predicate: u8,
        size: usize,
        width: Width,
        a: VReg,
        b: VReg,
    ) -> Result<VReg, EmitError> {
        self.comparison(of_size(&CMP, size), width, &[a, b], Some(predicate))
    }

    /// An instruction that gives a mask: a mask register or, with AVX2, a vector.
    pub(super) fn comparison(
        &mut self,
        form: &Form,
        width: Width,
        sources: &[VReg],
        imm: Option<u8>,
    ) -> Result<VReg, EmitError> {
        if self.encoding == Encoding::Vex {
            return self.op(form, width, sources, imm);
        }
        let dst = self.lists.reg(Class::Mask);
        self.op_into(form, width, Arg::Mask(dst).into(), sources, imm, None)?;
        Ok(dst)
    }

    /// The lanes that are not 0.
    pub(super) fn test(&mut self, x: VReg, size: usize, width: Width) -> Result<VReg, EmitError> {
        if self.encoding == Encoding::Evex {
            return self.comparison(of_size(&forms::TEST, size), width, &[x, x], None);
        }
        let zero = self.splat_bits(0, 4);
        self.compare_ints(Order::Ne, size, width, x, zero)
    }

    /// `a + b` of floats.
    pub(super) fn add(&mut self, a: VReg, b: VReg, size: usize, width: Width) -> Result<VReg, EmitError> {
        self.op(of_size(&ADD, size), width, &[a, b], None)
    }
}
