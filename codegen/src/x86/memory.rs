//! Loads and stores. A vector that doesn't fill a register is loaded and stored under a mask, or in pieces where vector masks are slow or
//! don't exist.

use super::forms::{
    BROADCAST, BYTES_TO_LANES, Form, ISUB, MASKED_LOAD, MOVE, MOVE_BYTES, MOVE_DOUBLE, PERMUTE_WORDS, SHL_BY, SHR_BY,
    SIGNED_BYTES_TO_LANES, SIGNED_WORDS_TO_LANES, STORE, STORE_BYTES, STORE_DOUBLE, STREAM, WORDS_TO_LANES, of_size,
};
use super::index::At;
use super::lir::{Arg, Class, Inst, Machine, VReg};
use super::unit::{PackedLanes, Parts, Unit, Val, lane_size, width_of};
use crate::error::{EmitError, malformed, unsupported};
use crate::x86::encoding::{Encoding, Width};
use iced_x86::Code;
use kernel::{Access, Affine, BufRef, DType, Param};
use smallvec::{SmallVec, smallvec};

/// Bytes of 128 bits: those of the upper halves of its lanes of 32 bits,
const UPPER_WORDS_OF_LANES: [u64; 2] = [0x0706_0302, 0x0f0e_0b0a];
/// those of the lower halves,
const LOWER_WORDS_OF_LANES: [u64; 2] = [0x0504_0100, 0x0d0c_0908];
/// and none.
const ZEROS: u64 = 0x8080_8080;

impl Unit<'_> {
    /// Loads lanes from `index`, `index + stride`, ...
    pub(super) fn load(&mut self, buf: BufRef, index: &Affine, lanes: u16, stride: i64) -> Result<Val, EmitError> {
        let dtype = self.buffer_dtype(buf)?;
        let at = self.address(buf, index)?;
        self.load_from(dtype, at, lanes, stride)
    }

    pub(super) fn load_from(&mut self, dtype: DType, at: At, lanes: u16, stride: i64) -> Result<Val, EmitError> {
        let (size, step) = (lane_size(dtype), stride * dtype.size_bytes() as i64);
        let mut parts = Parts::new();
        let mut first = 0;
        for count in self.part_lanes(lanes, size) {
            let at = at.plus(first * step);
            parts.push(if lanes == 1 || stride == 1 {
                self.load_part(dtype, at, count)?
            } else {
                self.load_strided(dtype, at, count, step)?
            });
            first += i64::from(count);
        }
        Ok(Val { dtype, size, lanes, parts, constant: None })
    }

    /// One element in all lanes.
    pub(super) fn load_splat(&mut self, buf: BufRef, index: &Affine, lanes: u16) -> Result<Val, EmitError> {
        let dtype = self.buffer_dtype(buf)?;
        if lanes == 1 || dtype.size_bytes() < 4 {
            let one = self.load(buf, index, 1, 1)?;
            return self.in_lanes(one, lanes);
        }
        let (at, size) = (self.address(buf, index)?, lane_size(dtype));
        let (all, width) = (self.vector(), self.encoding.width());
        let code = self.form_code(of_size(&BROADCAST, size), width)?;
        self.load_with(code, all, width, at)?;
        let parts = std::iter::repeat_n(all, usize::from(lanes.div_ceil(self.per_part(size)))).collect();
        Ok(Val { dtype, size, lanes, parts, constant: None })
    }

    fn load_part(&mut self, dtype: DType, at: At, count: u16) -> Result<VReg, EmitError> {
        let size = dtype.size_bytes();
        if size >= 4 {
            return self.load_lanes(at, count, size);
        }
        let reg = self.load_bytes(at, size * usize::from(count))?;
        // The conversion reads memory itself; the load goes where nothing else uses it.
        let fills = width_of(count, 4).bytes() == 4 * usize::from(count);
        let part = self.lanes_of_packed(dtype, reg, count, fills.then_some(at))?;
        self.packed.insert(part, PackedLanes { dtype, count, reg });
        Ok(part)
    }

    /// Elements of one or two bytes, as they are in memory, as lanes; from where they stand, if that is said and they fill the register.
    fn lanes_of_packed(&mut self, dtype: DType, packed: VReg, count: u16, at: Option<At>) -> Result<VReg, EmitError> {
        if dtype == DType::F16 {
            self.f16_to_f32(packed, width_of(count, 4))
        } else {
            self.expand(dtype, packed, count, at)
        }
    }

    fn expand(&mut self, dtype: DType, packed: VReg, count: u16, at: Option<At>) -> Result<VReg, EmitError> {
        let width = width_of(count, 4);
        if dtype == DType::Bool && self.encoding == Encoding::Evex {
            let dst = self.lists.reg(Class::Mask);
            let packed = Arg::Vec(packed, Width::X);
            self.raw(Code::EVEX_Vptestmb_kr_k1_xmm_xmmm128, smallvec![Arg::Mask(dst), packed, packed]);
            return Ok(dst);
        }
        let form = match dtype {
            DType::Bf16 | DType::U16 => &WORDS_TO_LANES,
            DType::I16 => &SIGNED_WORDS_TO_LANES,
            DType::I8 => &SIGNED_BYTES_TO_LANES,
            _ => &BYTES_TO_LANES,
        };
        let from = if dtype.size_bytes() == 2 { width.half() } else { Width::X };
        let dst = self.vector();
        let Some(code) = form.code(self.encoding, width) else { return unsupported("an extension of bytes") };
        let source = at.map_or(Ok(Arg::Vec(packed, from)), |at| at.mem().map(Arg::Mem))?;
        self.raw(code, smallvec![Arg::Vec(dst, width), source]);
        match dtype {
            DType::Bf16 => self.op(&SHL_BY[0], width, &[dst], Some(16)),
            DType::Bool => {
                let zero = self.splat_bits(0, 4);
                self.op(&ISUB[0], width, &[zero, dst], None)
            }
            _ => Ok(dst),
        }
    }

    fn load_with(&mut self, code: Code, dst: VReg, width: Width, at: At) -> Result<(), EmitError> {
        let mem = at.mem()?;
        self.raw(code, smallvec![Arg::Vec(dst, width), Arg::Mem(mem)]);
        Ok(())
    }

    pub(super) fn form_code(&self, form: &Form, width: Width) -> Result<Code, EmitError> {
        form.code(self.encoding, width).map_or_else(|| unsupported("a move of this width"), Ok)
    }

    /// Loads lanes of 4 or 8 bytes.
    fn load_lanes(&mut self, at: At, count: u16, size: usize) -> Result<VReg, EmitError> {
        let (bytes, dst) = (usize::from(count) * size, self.vector());
        let width = Width::holding(bytes);
        let vex = self.encoding == Encoding::Vex;
        match bytes {
            4 if vex => self.load_with(Code::VEX_Vmovss_xmm_m32, dst, Width::X, at)?,
            4 => self.load_with(Code::EVEX_Vmovss_xmm_k1z_m32, dst, Width::X, at)?,
            8 if vex => self.load_with(Code::VEX_Vmovsd_xmm_m64, dst, Width::X, at)?,
            8 => self.load_with(Code::EVEX_Vmovsd_xmm_k1z_m64, dst, Width::X, at)?,
            _ if bytes == width.bytes() => {
                let code = self.form_code(&MOVE, width)?;
                self.load_with(code, dst, width, at)?;
            }
            _ => self.load_masked(dst, at, count, size, width)?,
        }
        Ok(dst)
    }

    fn load_masked(&mut self, dst: VReg, at: At, count: u16, size: usize, width: Width) -> Result<(), EmitError> {
        let mask = self.first_lanes(count, size);
        let mem = Arg::Mem(at.mem()?);
        if self.encoding == Encoding::Vex {
            let code = self.form_code(of_size(&MASKED_LOAD, size), width)?;
            self.raw(code, smallvec![Arg::Vec(dst, width), Arg::Vec(mask, width), mem]);
            return Ok(());
        }
        let form = if size == 8 { &MOVE_DOUBLE } else { &MOVE };
        self.masked(form, width, smallvec![Arg::Vec(dst, width), mem], mask, false)
    }

    fn masked(
        &mut self,
        form: &Form,
        width: Width,
        args: SmallVec<[Arg; 4]>,
        mask: VReg,
        store: bool,
    ) -> Result<(), EmitError> {
        let code = self.form_code(form, width)?;
        self.push(Inst::Machine(Machine {
            code,
            args,
            updates: false,
            store,
            mask: Some(mask),
            zeroing: !store,
            fold: 0,
            commutes: false,
            element: 0,
        }));
        Ok(())
    }

    /// Loads up to 32 bytes into the lower part of a register.
    fn load_bytes(&mut self, at: At, bytes: usize) -> Result<VReg, EmitError> {
        let (width, dst) = (Width::holding(bytes), self.vector());
        match (bytes, self.encoding) {
            (4, Encoding::Vex) => self.load_with(Code::VEX_Vmovd_xmm_rm32, dst, Width::X, at)?,
            (4, Encoding::Evex) => self.load_with(Code::EVEX_Vmovd_xmm_rm32, dst, Width::X, at)?,
            (8, Encoding::Vex) => self.load_with(Code::VEX_Vmovq_xmm_xmmm64, dst, Width::X, at)?,
            (8, Encoding::Evex) => self.load_with(Code::EVEX_Vmovq_xmm_xmmm64, dst, Width::X, at)?,
            (16 | 32, _) => {
                let code = self.form_code(&MOVE, width)?;
                self.load_with(code, dst, width, at)?;
            }
            // A masked load of one element takes longer.
            (1 | 2, Encoding::Evex) => {
                let zero = self.splat_bits(0, 4);
                let byte = Code::EVEX_Vpinsrb_xmm_xmm_r32m8_imm8;
                let code = if bytes == 1 { byte } else { Code::EVEX_Vpinsrw_xmm_xmm_r32m16_imm8 };
                return self.insert(code, zero, at, 0);
            }
            (_, Encoding::Evex) => {
                let mask = self.first_lanes(bytes as u16, 1);
                let mem = Arg::Mem(at.mem()?);
                self.masked(&MOVE_BYTES, width, smallvec![Arg::Vec(dst, width), mem], mask, false)?;
            }
            (_, Encoding::Vex) => return self.load_pieces(at, bytes),
        }
        Ok(dst)
    }

    /// Loads fewer than 16 bytes piece by piece.
    fn load_pieces(&mut self, at: At, bytes: usize) -> Result<VReg, EmitError> {
        let mut whole = self.splat_bits(0, 4);
        let mut done = 0;
        for piece in [8, 4, 2, 1] {
            if bytes - done < piece {
                continue;
            }
            let code = match piece {
                8 => Code::VEX_Vpinsrq_xmm_xmm_rm64_imm8,
                4 => Code::VEX_Vpinsrd_xmm_xmm_rm32_imm8,
                2 => Code::VEX_Vpinsrw_xmm_xmm_r32m16_imm8,
                _ => Code::VEX_Vpinsrb_xmm_xmm_r32m8_imm8,
            };
            whole = self.insert(code, whole, at.plus(done as i64), done / piece)?;
            done += piece;
        }
        Ok(whole)
    }

    fn insert(&mut self, code: Code, into: VReg, at: At, lane: usize) -> Result<VReg, EmitError> {
        let (dst, mem) = (self.vector(), Arg::Mem(at.mem()?));
        self.raw(code, smallvec![Arg::Vec(dst, Width::X), Arg::Vec(into, Width::X), mem, Arg::Imm(lane as u8)]);
        Ok(dst)
    }

    /// Lanes side by side, the last one first.
    fn load_reversed(&mut self, dtype: DType, at: At, count: u16, step: i64) -> Result<VReg, EmitError> {
        let lanes = self.load_part(dtype, at.plus(i64::from(count - 1) * step), count)?;
        // The instruction moves 32-bit words and has no 128-bit form.
        let words = lane_size(dtype) as u64 / 4;
        let from = (0..u64::from(count)).rev().flat_map(|lane| (0..words).map(move |word| lane * words + word));
        let places = self.vector_constant(from, 4);
        let width = Width::holding(usize::from(count) * lane_size(dtype)).max(Width::Y);
        let (code, dst) = (self.form_code(&PERMUTE_WORDS, width)?, self.vector());
        self.raw(code, smallvec![Arg::Vec(dst, width), Arg::Vec(places, width), Arg::Vec(lanes, width)]);
        Ok(dst)
    }

    /// Lanes that are `step` bytes apart, one by one unless that is backwards.
    fn load_strided(&mut self, dtype: DType, at: At, count: u16, step: i64) -> Result<VReg, EmitError> {
        if step == -(dtype.size_bytes() as i64) && dtype != DType::Bool {
            return self.load_reversed(dtype, at, count, step);
        }
        let vex = self.encoding == Encoding::Vex;
        let lane = |l: u16| at.plus(i64::from(l) * step);
        match dtype.size_bytes() {
            1 => {
                let mut bytes = self.splat_bits(0, 4);
                let code =
                    if vex { Code::VEX_Vpinsrb_xmm_xmm_r32m8_imm8 } else { Code::EVEX_Vpinsrb_xmm_xmm_r32m8_imm8 };
                for l in 0..count {
                    bytes = self.insert(code, bytes, lane(l), usize::from(l))?;
                }
                self.lanes_of_packed(dtype, bytes, count, None)
            }
            2 => {
                let code =
                    if vex { Code::VEX_Vpinsrw_xmm_xmm_r32m16_imm8 } else { Code::EVEX_Vpinsrw_xmm_xmm_r32m16_imm8 };
                let mut halves = Parts::new();
                for first in (0..count).step_by(8) {
                    let mut words = self.splat_bits(0, 4);
                    for l in first..count.min(first + 8) {
                        words = self.insert(code, words, lane(l), usize::from(l - first))?;
                    }
                    halves.push(words);
                }
                let words = self.join_quarters(&halves)?;
                self.lanes_of_packed(dtype, words, count, None)
            }
            size => {
                let per_quarter = 16 / size as u16;
                let mut quarters = Parts::new();
                for first in (0..count).step_by(usize::from(per_quarter)) {
                    let lanes = per_quarter.min(count - first);
                    quarters.push(self.load_quarter(lane(first), lanes, step, size)?);
                }
                self.join_quarters(&quarters)
            }
        }
    }

    fn load_quarter(&mut self, at: At, lanes: u16, step: i64, size: usize) -> Result<VReg, EmitError> {
        let vex = self.encoding == Encoding::Vex;
        let mut quarter = self.load_lanes(at, 1, size)?;
        for l in 1..lanes {
            let from = at.plus(i64::from(l) * step);
            if size == 8 {
                let code = if vex { Code::VEX_Vmovhps_xmm_xmm_m64 } else { Code::EVEX_Vmovhps_xmm_xmm_m64 };
                let (dst, mem) = (self.vector(), Arg::Mem(from.mem()?));
                self.raw(code, smallvec![Arg::Vec(dst, Width::X), Arg::Vec(quarter, Width::X), mem]);
                quarter = dst;
            } else {
                let code = if vex {
                    Code::VEX_Vinsertps_xmm_xmm_xmmm32_imm8
                } else {
                    Code::EVEX_Vinsertps_xmm_xmm_xmmm32_imm8
                };
                quarter = self.insert(code, quarter, from, usize::from(l) << 4)?;
            }
        }
        Ok(quarter)
    }

    fn join_quarters(&mut self, quarters: &[VReg]) -> Result<VReg, EmitError> {
        let mut halves = Parts::new();
        for pair in quarters.chunks(2) {
            halves.push(match pair {
                [low, high] => self.join(*low, *high, Width::Y)?,
                _ => pair[0],
            });
        }
        match halves.as_slice() {
            [low, high] => self.join(*low, *high, Width::Z),
            _ => Ok(halves[0]),
        }
    }

    /// Stores lanes at `index`, `index + 1`, ...
    pub(super) fn store(&mut self, buf: BufRef, index: &Affine, value: &Val) -> Result<(), EmitError> {
        let dtype = self.buffer_dtype(buf)?;
        if value.dtype != dtype {
            return malformed(format!("a store of {} to a buffer of {dtype}", value.dtype));
        }
        let at = At { streams: self.is_streamed(buf, index)?, ..self.address(buf, index)? };
        self.store_to(at, value)
    }

    /// Whether elements go past the caches: vectors of them must be aligned, as buffers are to the largest vector.
    fn is_streamed(&self, buf: BufRef, index: &Affine) -> Result<bool, EmitError> {
        let BufRef::Param(number) = buf else { return Ok(false) };
        let Some(Param { access: Access::Stream, dtype, .. }) = self.kernel.params.get(number as usize) else {
            return Ok(false);
        };
        let (terms, offset) = self.terms(index, dtype.size_bytes() as i64)?;
        let aligned = |bytes: i64| bytes % self.encoding.bytes() as i64 == 0;
        Ok(aligned(offset) && terms.iter().all(|&(_, bytes)| aligned(bytes)))
    }

    pub(super) fn store_to(&mut self, at: At, value: &Val) -> Result<(), EmitError> {
        let bytes = value.dtype.size_bytes() as i64;
        let size = if value.dtype == DType::Bool { 4 } else { value.size };
        let parts = if value.dtype == DType::Bool { self.resize_mask(value, 4)? } else { value.parts.clone() };
        let mut first = 0;
        for (part, count) in parts.into_iter().zip(self.part_lanes(value.lanes, size)) {
            self.store_part(value.dtype, at.plus(first * bytes), part, count)?;
            first += i64::from(count);
        }
        Ok(())
    }

    fn store_part(&mut self, dtype: DType, at: At, part: VReg, count: u16) -> Result<(), EmitError> {
        let size = dtype.size_bytes();
        if size >= 4 {
            return self.store_lanes(at, part, count, size);
        }
        let packed = match (self.packed.get(&part), dtype) {
            (Some(packed), _) if (packed.dtype, packed.count) == (dtype, count) => packed.reg,
            (_, DType::Bf16) => self.pack_words(self.uppers.get(&part).copied().unwrap_or(part), count)?,
            (_, DType::F16) => self.f32_to_f16(part, width_of(count, 4))?,
            (_, DType::I16 | DType::U16) => self.pack_shorts(part, count)?,
            _ => self.pack_bytes(dtype, part, count)?,
        };
        self.store_bytes(at, packed, size * usize::from(count))
    }

    fn store_with(&mut self, code: Code, at: At, from: Arg, imm: Option<u8>) -> Result<(), EmitError> {
        let mut args: SmallVec<[Arg; 4]> = smallvec![Arg::Mem(at.mem()?), from];
        args.extend(imm.map(Arg::Imm));
        self.push(Inst::Machine(Machine { store: true, ..Machine::new(code, args) }));
        Ok(())
    }

    fn store_lanes(&mut self, at: At, from: VReg, count: u16, size: usize) -> Result<(), EmitError> {
        let bytes = usize::from(count) * size;
        let width = Width::holding(bytes);
        let vex = self.encoding == Encoding::Vex;
        match bytes {
            4 if vex => self.store_with(Code::VEX_Vmovss_m32_xmm, at, Arg::Vec(from, Width::X), None),
            4 => self.store_with(Code::EVEX_Vmovss_m32_k1_xmm, at, Arg::Vec(from, Width::X), None),
            8 if vex => self.store_with(Code::VEX_Vmovsd_m64_xmm, at, Arg::Vec(from, Width::X), None),
            8 => self.store_with(Code::EVEX_Vmovsd_m64_k1_xmm, at, Arg::Vec(from, Width::X), None),
            _ if bytes == width.bytes() => {
                let streams = at.streams && width == self.encoding.width();
                self.lists.streams |= streams;
                let code = self.form_code(if streams { &STREAM } else { &STORE }, width)?;
                self.store_with(code, at, Arg::Vec(from, width), None)
            }
            _ if vex => self.store_pieces(at, from, bytes),
            _ => {
                let mask = self.first_lanes(count, size);
                let form = if size == 8 { &STORE_DOUBLE } else { &STORE };
                self.masked(form, width, smallvec![Arg::Mem(at.mem()?), Arg::Vec(from, width)], mask, true)
            }
        }
    }

    /// Stores some first bytes of a 256-bit register piece by piece: stores by vector masks are slow on many machines.
    fn store_pieces(&mut self, at: At, from: VReg, bytes: usize) -> Result<(), EmitError> {
        let (mut rest, mut at, mut left) = (from, at, bytes);
        for piece in [16, 8, 4, 2, 1] {
            if left < piece {
                continue;
            }
            let whole = Arg::Vec(rest, Width::X);
            match piece {
                16 => self.store_with(Code::VEX_Vmovups_xmmm128_xmm, at, whole, None)?,
                8 => self.store_with(Code::VEX_Vmovq_xmmm64_xmm, at, whole, None)?,
                4 => self.store_with(Code::VEX_Vmovd_rm32_xmm, at, whole, None)?,
                2 => self.store_with(Code::VEX_Vpextrw_r32m16_xmm_imm8, at, whole, Some(0))?,
                _ => self.store_with(Code::VEX_Vpextrb_r32m8_xmm_imm8, at, whole, Some(0))?,
            }
            (at, left) = (at.plus(piece as i64), left - piece);
            if left == 0 {
                break;
            }
            rest = if piece == 16 {
                self.upper_half(rest, Width::Y)?
            } else {
                let dst = self.vector();
                let shift = smallvec![Arg::Vec(dst, Width::X), whole, Arg::Imm(piece as u8)];
                self.raw(Code::VEX_Vpsrldq_xmm_xmm_imm8, shift);
                dst
            };
        }
        Ok(())
    }

    fn store_bytes(&mut self, at: At, from: VReg, bytes: usize) -> Result<(), EmitError> {
        let width = Width::holding(bytes);
        let whole = Arg::Vec(from, width);
        match (bytes, self.encoding) {
            (16 | 32, _) => {
                let code = self.form_code(&STORE, width)?;
                self.store_with(code, at, whole, None)
            }
            (_, Encoding::Vex) => self.store_pieces(at, from, bytes),
            (8, _) => self.store_with(Code::EVEX_Vmovq_xmmm64_xmm, at, whole, None),
            (4, _) => self.store_with(Code::EVEX_Vmovd_rm32_xmm, at, whole, None),
            (2, _) => self.store_with(Code::EVEX_Vpextrw_r32m16_xmm_imm8, at, whole, Some(0)),
            (1, _) => self.store_with(Code::EVEX_Vpextrb_r32m8_xmm_imm8, at, whole, Some(0)),
            (_, Encoding::Evex) => {
                let mask = self.first_lanes(bytes as u16, 1);
                self.masked(&STORE_BYTES, width, smallvec![Arg::Mem(at.mem()?), whole], mask, true)
            }
        }
    }

    /// Lanes of 32 bits that hold bytes, or a mask, as bytes.
    fn pack_bytes(&mut self, dtype: DType, part: VReg, count: u16) -> Result<VReg, EmitError> {
        let width = width_of(count, 4);
        let dst = self.vector();
        if self.encoding == Encoding::Evex {
            if dtype == DType::Bool {
                let ones = self.splat_bits(0x0101_0101, 4);
                let args = smallvec![Arg::Vec(dst, Width::X), Arg::Vec(ones, Width::X)];
                self.masked(&MOVE_BYTES, Width::X, args, part, false)?;
                return Ok(dst);
            }
            let code = match width {
                Width::X => Code::EVEX_Vpmovdb_xmmm32_k1z_xmm,
                Width::Y => Code::EVEX_Vpmovdb_xmmm64_k1z_ymm,
                Width::Z => Code::EVEX_Vpmovdb_xmmm128_k1z_zmm,
            };
            self.raw(code, smallvec![Arg::Vec(dst, Width::X), Arg::Vec(part, width)]);
            return Ok(dst);
        }
        // 0 or 1 in each lane of a mask.
        let lanes = match dtype {
            DType::Bool => self.op(&SHR_BY[0], width, &[part], Some(31))?,
            // The instructions that follow saturate.
            DType::I8 => self.wrap(DType::U8, part, width)?,
            _ => part,
        };
        let words = self.pack_halves(lanes, width)?;
        let args = smallvec![Arg::Vec(dst, Width::X), Arg::Vec(words, Width::X), Arg::Vec(words, Width::X)];
        self.raw(Code::VEX_Vpackuswb_xmm_xmm_xmmm128, args);
        Ok(dst)
    }

    /// Lanes of 32 bits that hold 16, as words of one 128-bit register.
    fn pack_halves(&mut self, lanes: VReg, width: Width) -> Result<VReg, EmitError> {
        let high = if width == Width::Y { self.upper_half(lanes, width)? } else { lanes };
        let words = self.vector();
        let args = smallvec![Arg::Vec(words, Width::X), Arg::Vec(lanes, Width::X), Arg::Vec(high, Width::X)];
        self.raw(Code::VEX_Vpackusdw_xmm_xmm_xmmm128, args);
        Ok(words)
    }

    /// The upper halves of 32-bit lanes, as words.
    fn pack_words(&mut self, part: VReg, count: u16) -> Result<VReg, EmitError> {
        let width = width_of(count, 4);
        if self.encoding == Encoding::Vex {
            return Ok(self.gather_words(part, width, UPPER_WORDS_OF_LANES));
        }
        let lanes = self.op(&SHR_BY[0], width, &[part], Some(16))?;
        self.lower_halves(lanes, width)
    }

    /// Lanes of 32 bits that hold integers of 16, as words.
    fn pack_shorts(&mut self, part: VReg, count: u16) -> Result<VReg, EmitError> {
        let width = width_of(count, 4);
        if self.encoding == Encoding::Vex {
            return Ok(self.gather_words(part, width, LOWER_WORDS_OF_LANES));
        }
        self.lower_halves(part, width)
    }

    /// The lower halves of 32-bit lanes, whose upper ones don't count, as words.
    fn lower_halves(&mut self, lanes: VReg, width: Width) -> Result<VReg, EmitError> {
        let (code, dst) = match width {
            Width::X => (Code::EVEX_Vpmovdw_xmmm64_k1z_xmm, self.vector()),
            Width::Y => (Code::EVEX_Vpmovdw_xmmm128_k1z_ymm, self.vector()),
            Width::Z => (Code::EVEX_Vpmovdw_ymmm256_k1z_zmm, self.vector()),
        };
        self.raw(code, smallvec![Arg::Vec(dst, width.half()), Arg::Vec(lanes, width)]);
        Ok(dst)
    }

    /// These halves of 32-bit lanes side by side: those of each 128 bits by a permutation of bytes, then those of both.
    fn gather_words(&mut self, part: VReg, width: Width, halves: [u64; 2]) -> VReg {
        /// The first 64 bits of both halves.
        const FIRSTS: u8 = 0b1000;
        let [first, second] = halves;
        let places = [first, second, ZEROS, ZEROS].into_iter().cycle().take(width.bytes() / 4);
        let places = self.vector_constant(places, 4);
        let words = self.vector();
        let code =
            if width == Width::Y { Code::VEX_Vpshufb_ymm_ymm_ymmm256 } else { Code::VEX_Vpshufb_xmm_xmm_xmmm128 };
        self.raw(code, smallvec![Arg::Vec(words, width), Arg::Vec(part, width), Arg::Vec(places, width)]);
        if width != Width::Y {
            return words;
        }
        let all = self.vector();
        let args = smallvec![Arg::Vec(all, Width::Y), Arg::Vec(words, Width::Y), Arg::Imm(FIRSTS)];
        self.raw(Code::VEX_Vpermq_ymm_ymmm256_imm8, args);
        all
    }
}
