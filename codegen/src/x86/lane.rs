//! Halves of registers, masks of other lane sizes, blends: what moves lanes without computing.

use super::forms::{self, BLEND, BLEND_VECTOR, BROADCAST, Form, SHUFFLE, SHUFFLE_TWO, of_size};
use super::lir::{Arg, Class, VReg};
use super::unit::{Parts, Unit, Val, width_of};
use crate::error::EmitError;
use crate::x86::encoding::{Encoding, Width};
use iced_x86::Code;
use kernel::DType;
use smallvec::smallvec;

impl Unit<'_> {
    /// The upper half of a register as the lower half of another; of 128 bits, the upper 64.
    pub(super) fn upper_half(&mut self, from: VReg, width: Width) -> Result<VReg, EmitError> {
        let code = match (width, self.encoding) {
            (Width::X, _) => return self.op(&SHUFFLE, Width::X, &[from], Some(0b11_10_11_10)),
            (Width::Y, Encoding::Vex) => Code::VEX_Vextractf128_xmmm128_ymm_imm8,
            (Width::Y, Encoding::Evex) => Code::EVEX_Vextractf32x4_xmmm128_k1z_ymm_imm8,
            (Width::Z, _) => Code::EVEX_Vextractf64x4_ymmm256_k1z_zmm_imm8,
        };
        let dst = self.vector();
        self.raw(code, smallvec![Arg::Vec(dst, width.half()), Arg::Vec(from, width), Arg::Imm(1)]);
        Ok(dst)
    }

    /// Two lower halves as one register of that width.
    pub(super) fn join(&mut self, low: VReg, high: VReg, width: Width) -> Result<VReg, EmitError> {
        let code = match (width, self.encoding) {
            (Width::X, _) => return self.op(&forms::LOWER_HALVES, Width::X, &[low, high], None),
            (Width::Y, Encoding::Vex) => Code::VEX_Vinsertf128_ymm_ymm_xmmm128_imm8,
            (Width::Y, Encoding::Evex) => Code::EVEX_Vinsertf32x4_ymm_k1z_ymm_xmmm128_imm8,
            (Width::Z, _) => Code::EVEX_Vinsertf64x4_zmm_k1z_zmm_ymmm256_imm8,
        };
        let dst = self.vector();
        let args = smallvec![Arg::Vec(dst, width), Arg::Vec(low, width), Arg::Vec(high, width.half()), Arg::Imm(1)];
        self.raw(code, args);
        Ok(dst)
    }

    /// The first lane in all lanes of a full register.
    pub(super) fn broadcast(&mut self, from: VReg, size: usize) -> Result<VReg, EmitError> {
        let (form, width, dst) = (of_size(&BROADCAST, size), self.encoding.width(), self.vector());
        let Some(code) = form.code(self.encoding, width) else { return crate::error::unsupported("a broadcast") };
        self.raw(code, smallvec![Arg::Vec(dst, width), Arg::Vec(from, Width::X)]);
        Ok(dst)
    }

    /// Applies a conversion to twice the lane size: each part becomes two, as far as there are lanes.
    pub(super) fn widen_parts(&mut self, parts: &[VReg], lanes: u16, form: &Form) -> Result<Parts, EmitError> {
        let mut wide = Parts::new();
        for (at, count) in self.part_lanes(lanes, 8).enumerate() {
            let from = parts[at / 2];
            let half = if at % 2 == 0 { from } else { self.upper_half(from, self.encoding.width())? };
            let (width, dst) = (width_of(count, 8), self.vector());
            let Some(code) = form.code(self.encoding, width) else { return crate::error::unsupported("a conversion") };
            self.raw(code, smallvec![Arg::Vec(dst, width), Arg::Vec(half, width.half())]);
            wide.push(dst);
        }
        Ok(wide)
    }

    /// Applies a conversion to half the lane size: two parts become one.
    pub(super) fn narrow_parts(
        &mut self,
        parts: &[VReg],
        lanes: u16,
        convert: &mut dyn FnMut(&mut Self, VReg, Width) -> Result<VReg, EmitError>,
    ) -> Result<Parts, EmitError> {
        let counts: Vec<u16> = self.part_lanes(lanes, 8).collect();
        let mut halves = vec![];
        for (&part, &count) in parts.iter().zip(&counts) {
            halves.push(convert(self, part, width_of(count, 8))?);
        }
        halves
            .chunks(2)
            .map(|pair| match pair {
                [low, high] => self.join(*low, *high, self.encoding.width()),
                _ => Ok(pair[0]),
            })
            .collect()
    }

    /// A truth value with lanes of another size.
    pub(super) fn resize_mask(&mut self, val: &Val, size: usize) -> Result<Parts, EmitError> {
        debug_assert_eq!(val.dtype, DType::Bool);
        if val.size == size || val.constant.is_some() {
            let needed = usize::from(val.lanes.div_ceil(self.per_part(size)));
            if val.size == size {
                return Ok(val.parts.clone());
            }
            return Ok(std::iter::repeat_n(val.parts[0], needed).collect());
        }
        match (self.encoding, size) {
            (Encoding::Evex, 8) => self.split_masks(val),
            (Encoding::Evex, _) => Ok(self.join_masks(val)),
            (Encoding::Vex, 8) => self.widen_parts(&val.parts, val.lanes, &forms::I32_TO_I64),
            (Encoding::Vex, _) => self.narrow_parts(&val.parts, val.lanes, &mut Self::lower_words),
        }
    }

    fn split_masks(&mut self, val: &Val) -> Result<Parts, EmitError> {
        let mut parts = Parts::new();
        for (at, _) in self.part_lanes(val.lanes, 8).enumerate() {
            let from = val.parts[at / 2];
            if at % 2 == 0 {
                parts.push(from);
                continue;
            }
            let dst = self.lists.reg(Class::Mask);
            self.raw(Code::VEX_Kshiftrw_kr_kr_imm8, smallvec![Arg::Mask(dst), Arg::Mask(from), Arg::Imm(8)]);
            parts.push(dst);
        }
        Ok(parts)
    }

    fn join_masks(&mut self, val: &Val) -> Parts {
        val.parts
            .chunks(2)
            .map(|pair| match pair {
                [low, high] => {
                    let dst = self.lists.reg(Class::Mask);
                    self.raw(Code::VEX_Kunpckbw_kr_kr_kr, smallvec![Arg::Mask(dst), Arg::Mask(*high), Arg::Mask(*low)]);
                    dst
                }
                _ => pair[0],
            })
            .collect()
    }

    /// The lower 32 bits of each 64-bit lane, as a register of half the width.
    pub(super) fn lower_words(&mut self, from: VReg, width: Width) -> Result<VReg, EmitError> {
        if self.encoding == Encoding::Evex {
            let code = match width {
                Width::X => Code::EVEX_Vpmovqd_xmmm64_k1z_xmm,
                Width::Y => Code::EVEX_Vpmovqd_xmmm128_k1z_ymm,
                Width::Z => Code::EVEX_Vpmovqd_ymmm256_k1z_zmm,
            };
            let dst = self.vector();
            self.raw(code, smallvec![Arg::Vec(dst, width.half()), Arg::Vec(from, width)]);
            return Ok(dst);
        }
        let words = self.op(&SHUFFLE, width, &[from], Some(0b10_00_10_00))?;
        if width == Width::X {
            return Ok(words);
        }
        let high = self.upper_half(words, width)?;
        self.op(&SHUFFLE_TWO, Width::X, &[words, high], Some(0b01_00_01_00))
    }

    /// `yes` in the lanes of a mask, `no` in the others.
    pub(super) fn blend(
        &mut self,
        mask: VReg,
        (yes, no): (VReg, VReg),
        size: usize,
        width: Width,
    ) -> Result<VReg, EmitError> {
        if self.encoding == Encoding::Vex {
            return self.op(of_size(&BLEND_VECTOR, size), width, &[no, yes, mask], None);
        }
        let dst = self.vector();
        self.op_into(of_size(&BLEND, size), width, Arg::Vec(dst, width).into(), &[no, yes], None, Some((mask, false)))?;
        Ok(dst)
    }
}
