//! The code of one tile in wide vectors.

mod bytes;

use super::asm::{Asm, Operand, PhysMem};
use super::encoding::Encoding;
use super::lir::{ConstId, Label, PoolConstant};
use crate::error::{EmitError, unsupported};
use crate::tile::{TileLoop, TileShape};
use iced_x86::{Code, Register};
use kernel::{DType, Target};

/// Steps of the innermost loop in a row.
const UNROLL: usize = 4;
/// An innermost loop of at most that many steps has no loop.
const FULL_UNROLL: usize = 8;
/// Counters of nested loops; the convention lets a function use them freely.
const COUNTERS: [Register; 6] =
    [Register::RAX, Register::RCX, Register::R8, Register::R9, Register::R10, Register::R11];
/// The function's arguments.
const A: Register = Register::RDI;
const B: Register = Register::RSI;
const C: Register = Register::RDX;
/// The columns of a partial vector, where masks have registers.
const MASK: Register = Register::K1;
/// The same as lanes of ones and zeros, after the code.
const MASK_LANES: ConstId = ConstId(0);
/// The lower byte of each 16 bits, behind it.
const EVEN_BYTES: ConstId = ConstId(1);
/// Jumps if a counter hasn't come to 0: short, long.
const AGAIN: [Code; 2] = [Code::Jne_rel8_64, Code::Jne_rel32_64];

/// The instructions for one width of vectors and one element type.
#[derive(Clone, Copy)]
struct TileCodes {
    load: Code,
    load_masked: Code,
    store: Code,
    store_masked: Code,
    broadcast: Code,
    zero: Code,
    add: Code,
    multiply_add: Code,
}

const AVX2: [TileCodes; 2] = [
    TileCodes {
        load: Code::VEX_Vmovups_ymm_ymmm256,
        load_masked: Code::VEX_Vmaskmovps_ymm_ymm_m256,
        store: Code::VEX_Vmovups_ymmm256_ymm,
        store_masked: Code::VEX_Vmaskmovps_m256_ymm_ymm,
        broadcast: Code::VEX_Vbroadcastss_ymm_m32,
        zero: Code::VEX_Vxorps_ymm_ymm_ymmm256,
        add: Code::VEX_Vaddps_ymm_ymm_ymmm256,
        multiply_add: Code::VEX_Vfmadd231ps_ymm_ymm_ymmm256,
    },
    TileCodes {
        load: Code::VEX_Vmovups_ymm_ymmm256,
        load_masked: Code::VEX_Vmaskmovpd_ymm_ymm_m256,
        store: Code::VEX_Vmovups_ymmm256_ymm,
        store_masked: Code::VEX_Vmaskmovpd_m256_ymm_ymm,
        broadcast: Code::VEX_Vbroadcastsd_ymm_m64,
        zero: Code::VEX_Vxorps_ymm_ymm_ymmm256,
        add: Code::VEX_Vaddpd_ymm_ymm_ymmm256,
        multiply_add: Code::VEX_Vfmadd231pd_ymm_ymm_ymmm256,
    },
];

const AVX512: [TileCodes; 2] = [
    TileCodes {
        load: Code::EVEX_Vmovups_zmm_k1z_zmmm512,
        load_masked: Code::EVEX_Vmovups_zmm_k1z_zmmm512,
        store: Code::EVEX_Vmovups_zmmm512_k1z_zmm,
        store_masked: Code::EVEX_Vmovups_zmmm512_k1z_zmm,
        broadcast: Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32,
        zero: Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32,
        add: Code::EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er,
        multiply_add: Code::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er,
    },
    TileCodes {
        load: Code::EVEX_Vmovups_zmm_k1z_zmmm512,
        load_masked: Code::EVEX_Vmovupd_zmm_k1z_zmmm512,
        store: Code::EVEX_Vmovups_zmmm512_k1z_zmm,
        store_masked: Code::EVEX_Vmovupd_zmmm512_k1z_zmm,
        broadcast: Code::EVEX_Vbroadcastsd_zmm_k1z_xmmm64,
        zero: Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32,
        add: Code::EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er,
        multiply_add: Code::EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er,
    },
];

/// Of quads; without AVX512-VNNI `multiply_add` is the product of pairs of 16 bits, which isn't added to a sum.
const VNNI: TileCodes = TileCodes { multiply_add: Code::EVEX_Vpdpbusd_zmm_k1z_zmm_zmmm512b32, ..AVX512_BYTES };
const AVX512_BYTES: TileCodes = TileCodes {
    add: Code::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32,
    multiply_add: Code::EVEX_Vpmaddwd_zmm_k1z_zmm_zmmm512,
    ..AVX512[0]
};
const AVX2_BYTES: TileCodes =
    TileCodes { add: Code::VEX_Vpaddd_ymm_ymm_ymmm256, multiply_add: Code::VEX_Vpmaddwd_ymm_ymm_ymmm256, ..AVX2[0] };

/// The instructions of a tile.
fn codes(shape: &TileShape, target: &Target) -> TileCodes {
    let is_narrow = Encoding::of(target) == Encoding::Vex;
    match shape.factors {
        DType::I8 if target.byte_dot() => VNNI,
        DType::I8 if is_narrow => AVX2_BYTES,
        DType::I8 => AVX512_BYTES,
        _ => (if is_narrow { AVX2 } else { AVX512 })[usize::from(shape.sums == DType::F64)],
    }
}

/// Assembles a tile.
///
/// # Errors
/// What can't be assembled: a tile that doesn't fit the registers, factors that the target can't multiply, an offset that doesn't fit an instruction.
pub(crate) fn assemble(shape: &TileShape, target: &Target) -> Result<Vec<u8>, EmitError> {
    let encoding = Encoding::of(target);
    let splits_quads = shape.factors == DType::I8 && !target.byte_dot();
    let mut tile = Tile { asm: Asm::new(0, false)?, shape, encoding, codes: codes(shape, target), splits_quads };
    if !tile.fits() || tile.multiplies_pairs() && !target.bf16_pairs() {
        return unsupported(
            "a tile that doesn't fit the registers, or of pairs, for which the target has no instruction",
        );
    }
    tile.prepare_mask()?;
    tile.start_sums()?;
    tile.reduce(&shape.reduce, 0)?;
    tile.store_sums()?;
    tile.asm.plain(Code::VEX_Vzeroupper)?;
    tile.asm.plain(Code::Retnq)?;
    let pool = [tile.mask_lanes(), [0xff, 0].repeat(32)].map(PoolConstant::Bytes);
    let (function, _) = tile.asm.finish(&pool, encoding)?;
    Ok(function.bytes)
}

struct Tile<'s> {
    asm: Asm,
    shape: &'s TileShape,
    encoding: Encoding,
    codes: TileCodes,
    /// Whether quads are multiplied as pairs of 16 bits, of their even bytes and of their odd ones.
    splits_quads: bool,
}

/// Memory at an offset from a pointer.
fn at(base: Register, offset: i64) -> Result<PhysMem, EmitError> {
    match i32::try_from(offset) {
        Ok(offset) => Ok(PhysMem::at(base, offset)),
        Err(_) => unsupported("an offset of more than 32 bits"),
    }
}

impl Tile<'_> {
    /// Elements of a vector.
    fn lanes(&self) -> usize {
        self.encoding.bytes() / self.shape.sums.size_bytes()
    }

    /// Vectors of a row, the last one perhaps not full.
    fn vectors(&self) -> usize {
        self.shape.n.div_ceil(self.lanes())
    }

    /// Whether the last vector of a row is not full.
    fn is_masked(&self) -> bool {
        !self.shape.n.is_multiple_of(self.lanes())
    }

    /// Vectors of a row of `b` in registers. A tile with a single row uses each vector once: it multiplies by those in memory, and needs a register for one
    /// that is not full.
    fn factors(&self) -> usize {
        if self.shape.m == 1 { 1 } else { self.vectors() }
    }

    /// Registers of each vector of `b`.
    fn parts(&self) -> usize {
        if self.splits_quads { 2 } else { 1 }
    }

    /// Registers for what a sum is multiplied by: the element of `a`, or both its parts and a product.
    fn scratch(&self) -> usize {
        if self.splits_quads { 3 } else { 1 }
    }

    fn multiplies_pairs(&self) -> bool {
        self.shape.factors == DType::I32
    }

    fn multiplies_quads(&self) -> bool {
        self.shape.factors == DType::I8
    }

    /// Sums, a row of `b`, a broadcast element and, with 256 bits, a mask must fit the registers; each loop needs a counter.
    fn fits(&self) -> bool {
        let mask = usize::from(self.is_masked() && self.encoding == Encoding::Vex);
        let registers = self.shape.m * self.vectors() + self.factors() * self.parts() + self.scratch() + mask;
        registers <= usize::from(self.encoding.vectors()) && self.shape.reduce.len() <= COUNTERS.len()
    }

    fn sum(&self, row: usize, vector: usize) -> usize {
        row * self.vectors() + vector
    }

    /// The register of a vector of the row of `b`, the first of its parts.
    fn factor(&self, vector: usize) -> usize {
        self.shape.m * self.vectors() + vector * self.parts()
    }

    /// The register of the broadcast element of `a`.
    fn broadcast(&self) -> usize {
        self.factor(self.factors())
    }

    /// Whether a vector of a row is not full.
    fn is_partial(&self, vector: usize) -> bool {
        (vector + 1) * self.lanes() > self.shape.n
    }

    /// The register of the mask of 256-bit vectors.
    fn mask_register(&self) -> Operand {
        self.vector(self.broadcast() + self.scratch())
    }

    fn vector(&self, number: usize) -> Operand {
        let first = if self.encoding == Encoding::Vex { Register::YMM0 } else { Register::ZMM0 };
        Operand::Reg(first + number as u32)
    }

    /// An instruction on vectors.
    fn op(&mut self, code: Code, operands: &[Operand]) -> Result<(), EmitError> {
        self.asm.machine(code, operands, None)
    }

    /// The mask has a bit (in `k1`) or a lane of ones (in a register) for each column of the last vector, where that isn't full.
    fn prepare_mask(&mut self) -> Result<(), EmitError> {
        if !self.is_masked() {
            return Ok(());
        }
        match self.encoding {
            Encoding::Evex => {
                self.asm.set(Register::EAX, (1 << (self.shape.n % self.lanes())) - 1)?;
                self.asm.general2(Code::VEX_Kmovw_kr_r32, MASK, Register::EAX)
            }
            Encoding::Vex => {
                let lanes = Operand::Mem(PhysMem::pool(MASK_LANES));
                self.op(self.codes.load, &[self.mask_register(), lanes])
            }
        }
    }

    /// The lanes of the mask of 256-bit vectors.
    fn mask_lanes(&self) -> Vec<u8> {
        let size = 32 / self.lanes();
        (0..32).map(|at| if at / size < self.shape.n % self.lanes() { 0xff } else { 0 }).collect()
    }

    fn offset_in_c(&self, row: usize, vector: usize) -> i64 {
        self.shape.c_row * row as i64 + (vector * self.encoding.bytes()) as i64
    }

    fn start_sums(&mut self) -> Result<(), EmitError> {
        for sum in 0..self.shape.m * self.vectors() {
            self.op(self.codes.zero, &[self.vector(sum); 3])?;
        }
        Ok(())
    }

    /// Loads a vector; where it isn't full, the other lanes are 0 and not touched in memory.
    fn load(&mut self, register: usize, from: PhysMem, partial: bool) -> Result<(), EmitError> {
        let (to, from) = (self.vector(register), Operand::Mem(from));
        match self.encoding {
            _ if !partial => self.op(self.codes.load, &[to, from]),
            Encoding::Vex => self.op(self.codes.load_masked, &[to, self.mask_register(), from]),
            Encoding::Evex => self.asm.machine(self.codes.load_masked, &[to, from], Some((MASK, true))),
        }
    }

    /// Stores a vector, or the part of it that is full.
    fn store(&mut self, register: usize, to: PhysMem, partial: bool) -> Result<(), EmitError> {
        let (from, to) = (self.vector(register), Operand::Mem(to));
        match self.encoding {
            _ if !partial => self.op(self.codes.store, &[to, from]),
            Encoding::Vex => self.op(self.codes.store_masked, &[to, self.mask_register(), from]),
            Encoding::Evex => self.asm.machine(self.codes.store_masked, &[to, from], Some((MASK, false))),
        }
    }

    fn store_sums(&mut self) -> Result<(), EmitError> {
        for row in 0..self.shape.m {
            for vector in 0..self.vectors() {
                let (register, partial) = (self.sum(row, vector), self.is_partial(vector));
                let place = at(C, self.offset_in_c(row, vector))?;
                if self.shape.accumulate {
                    let (sum, before) = (self.vector(register), self.factor(0));
                    self.load(before, place, partial)?;
                    self.op(self.codes.add, &[sum, sum, self.vector(before)])?;
                }
                self.store(register, place, partial)?;
            }
        }
        Ok(())
    }

    /// The loops from one level on. Afterwards the pointers have moved by what this returns.
    fn reduce(&mut self, dims: &[TileLoop], depth: usize) -> Result<(i64, i64), EmitError> {
        match dims {
            [] => {
                self.step(0, 0)?;
                Ok((0, 0))
            }
            [dim] => self.innermost(*dim, COUNTERS[depth]),
            [dim, inner @ ..] => {
                let counter = COUNTERS[depth];
                let top = self.loop_start(counter, dim.extent)?;
                let (a, b) = self.reduce(inner, depth + 1)?;
                self.advance(dim.a - a, dim.b - b)?;
                self.loop_end(counter, top)?;
                Ok((dim.a * dim.extent as i64, dim.b * dim.extent as i64))
            }
        }
    }

    fn loop_start(&mut self, counter: Register, rounds: usize) -> Result<Label, EmitError> {
        self.asm.set_long(counter, rounds as i64)?;
        let top = self.asm.fresh_label();
        self.asm.label(top);
        Ok(top)
    }

    fn loop_end(&mut self, counter: Register, top: Label) -> Result<(), EmitError> {
        self.asm.general1(Code::Dec_rm64, counter)?;
        self.asm.jump_back(AGAIN, top)
    }

    fn innermost(&mut self, dim: TileLoop, counter: Register) -> Result<(i64, i64), EmitError> {
        let steps = |tile: &mut Self, count: usize| (0..count as i64).try_for_each(|u| tile.step(u * dim.a, u * dim.b));
        if dim.extent <= FULL_UNROLL {
            steps(self, dim.extent)?;
            return Ok((0, 0));
        }
        let (rounds, rest) = (dim.extent / UNROLL, dim.extent % UNROLL);
        let top = self.loop_start(counter, rounds)?;
        steps(self, UNROLL)?;
        self.advance(dim.a * UNROLL as i64, dim.b * UNROLL as i64)?;
        self.loop_end(counter, top)?;
        steps(self, rest)?;
        let done = (rounds * UNROLL) as i64;
        Ok((dim.a * done, dim.b * done))
    }

    fn advance(&mut self, a: i64, b: i64) -> Result<(), EmitError> {
        for (pointer, by) in [(A, a), (B, b)] {
            if by != 0 {
                self.asm.address(pointer, at(pointer, by)?)?;
            }
        }
        Ok(())
    }

    /// One step of the reduction, at offsets from the pointers.
    fn step(&mut self, a: i64, b: i64) -> Result<(), EmitError> {
        let vectors = self.vectors();
        if self.splits_quads {
            return self.step_of_split_quads(a, b);
        }
        if self.shape.m == 1 && vectors > 1 {
            return self.step_of_row(a, b);
        }
        for vector in 0..vectors {
            let place = at(B, b + (vector * self.encoding.bytes()) as i64)?;
            self.load(self.factor(vector), place, self.is_partial(vector))?;
        }
        for row in 0..self.shape.m {
            let element = at(A, a + self.shape.a_row * row as i64)?;
            if vectors == 1 && self.encoding == Encoding::Evex && !self.multiplies_quads() {
                self.multiply(self.sum(row, 0), self.factor(0), Operand::Mem(element.broadcasting(true)))?;
                continue;
            }
            self.broadcast_load(element)?;
            for vector in 0..vectors {
                self.multiply_broadcast(self.sum(row, vector), self.factor(vector))?;
            }
        }
        Ok(())
    }

    /// One step of a tile with a single row.
    fn step_of_row(&mut self, a: i64, b: i64) -> Result<(), EmitError> {
        self.broadcast_load(at(A, a)?)?;
        for vector in 0..self.vectors() {
            let (sum, place) = (self.sum(0, vector), at(B, b + (vector * self.encoding.bytes()) as i64)?);
            if self.is_partial(vector) {
                self.load(self.factor(0), place, true)?;
                self.multiply_broadcast(sum, self.factor(0))?;
            } else {
                self.multiply(sum, self.broadcast(), Operand::Mem(place))?;
            }
        }
        Ok(())
    }

    fn broadcast_load(&mut self, from: PhysMem) -> Result<(), EmitError> {
        self.op(self.codes.broadcast, &[self.vector(self.broadcast()), Operand::Mem(from)])
    }

    /// Adds the product of the broadcast element and a vector of the right factor to a sum. Of quads, the first operand is the one without sign.
    fn multiply_broadcast(&mut self, sum: usize, factor: usize) -> Result<(), EmitError> {
        let left = self.broadcast();
        let (x, y) = if self.multiplies_quads() { (left, factor) } else { (factor, left) };
        self.multiply(sum, x, self.vector(y))
    }

    /// Adds a product to a sum; the second factor is a register, a vector in memory, or an element there that is broadcast.
    fn multiply(&mut self, sum: usize, x: usize, y: Operand) -> Result<(), EmitError> {
        let code =
            if self.multiplies_pairs() { Code::EVEX_Vdpbf16ps_zmm_k1z_zmm_zmmm512b32 } else { self.codes.multiply_add };
        self.op(code, &[self.vector(sum), self.vector(x), y])
    }
}
