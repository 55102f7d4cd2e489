//! The code of one tile.

use super::{Dim, TileShape, Wide};
use iced_x86::IcedError;
use iced_x86::code_asm::{
    AsmMemoryOperand, AsmRegister64, AsmRegisterYmm, AsmRegisterZmm, CodeAssembler, CodeLabel, dword_bcst, dword_ptr,
    eax, k1, qword_bcst, qword_ptr, r8, r9, r10, r11, ymmword_ptr, zmmword_ptr,
};
use iced_x86::code_asm::{rax, rcx, rdi, rdx, registers, rsi};

/// Steps of the innermost loop in a row.
const UNROLL: usize = 4;
/// An innermost loop of at most that many steps has no loop.
const FULL_UNROLL: usize = 8;
/// Counters of nested loops; the convention lets a function use them freely.
const COUNTERS: [AsmRegister64; 6] = [rax, rcx, r8, r9, r10, r11];

/// Assembles a tile.
///
/// # Errors
/// What the assembler refuses: an offset that doesn't fit an instruction. The caller then does without the tile.
pub(crate) fn assemble(shape: &TileShape) -> Result<Vec<u8>, IcedError> {
    let mut asm = CodeAssembler::new(64)?;
    let mask = asm.create_label();
    let mut tile = Tile { asm, shape, mask };
    tile.prepare_mask()?;
    tile.start_sums()?;
    tile.reduce(&shape.reduce, 0)?;
    tile.store_sums()?;
    tile.asm.vzeroupper()?;
    tile.asm.ret()?;
    tile.mask_data()?;
    tile.asm.assemble(0)
}

struct Tile<'s> {
    asm: CodeAssembler,
    shape: &'s TileShape,
    /// Where the mask of 256-bit vectors stands, after the code.
    mask: CodeLabel,
}

pub(super) fn zmm(number: usize) -> AsmRegisterZmm {
    use registers::*;
    [
        zmm0, zmm1, zmm2, zmm3, zmm4, zmm5, zmm6, zmm7, zmm8, zmm9, zmm10, zmm11, zmm12, zmm13, zmm14, zmm15, zmm16,
        zmm17, zmm18, zmm19, zmm20, zmm21, zmm22, zmm23, zmm24, zmm25, zmm26, zmm27, zmm28, zmm29, zmm30, zmm31,
    ][number]
}

pub(super) fn ymm(number: usize) -> AsmRegisterYmm {
    use registers::*;
    [ymm0, ymm1, ymm2, ymm3, ymm4, ymm5, ymm6, ymm7, ymm8, ymm9, ymm10, ymm11, ymm12, ymm13, ymm14, ymm15][number]
}

impl Tile<'_> {
    fn sum(&self, row: usize, vector: usize) -> usize {
        row * self.shape.vectors() + vector
    }

    /// The register of a vector of the row of `b`.
    fn factor(&self, vector: usize) -> usize {
        self.shape.m * self.shape.vectors() + vector
    }

    /// The register of the broadcast element of `a`.
    fn broadcast(&self) -> usize {
        self.factor(self.shape.factors())
    }

    /// Whether a vector of a row is not full.
    fn is_partial(&self, vector: usize) -> bool {
        (vector + 1) * self.shape.lanes() > self.shape.n
    }

    /// The register of the mask of 256-bit vectors.
    fn mask_register(&self) -> usize {
        self.broadcast() + 1
    }

    /// The mask has a bit (in `k1`) or a lane of ones (in a register) for each column of the last vector, where that isn't full.
    fn prepare_mask(&mut self) -> Result<(), IcedError> {
        if !self.shape.is_masked() {
            return Ok(());
        }
        match self.shape.wide {
            Wide::Avx512 => {
                self.asm.mov(eax, (1i32 << (self.shape.n % self.shape.lanes())) - 1)?;
                self.asm.kmovw(k1, eax)
            }
            Wide::Avx2 => self.asm.vmovups(ymm(self.mask_register()), ymmword_ptr(self.mask)),
        }
    }

    /// The lanes of the mask of 256-bit vectors.
    fn mask_data(&mut self) -> Result<(), IcedError> {
        if !self.shape.is_masked() || self.shape.wide != Wide::Avx2 {
            return Ok(());
        }
        let size = 32 / self.shape.lanes();
        let bytes: Vec<u8> =
            (0..32).map(|at| if at / size < self.shape.n % self.shape.lanes() { 0xff } else { 0 }).collect();
        self.asm.set_label(&mut self.mask)?;
        self.asm.db(&bytes)
    }

    fn offset_in_c(&self, row: usize, vector: usize) -> i64 {
        self.shape.c_row * row as i64 + (vector * self.shape.wide.vector_bytes()) as i64
    }

    fn start_sums(&mut self) -> Result<(), IcedError> {
        for row in 0..self.shape.m {
            for vector in 0..self.shape.vectors() {
                let register = self.sum(row, vector);
                match self.shape.wide {
                    Wide::Avx512 => self.asm.vpxord(zmm(register), zmm(register), zmm(register))?,
                    Wide::Avx2 => self.asm.vxorps(ymm(register), ymm(register), ymm(register))?,
                }
            }
        }
        Ok(())
    }

    /// Loads a vector; where it isn't full, the other lanes are 0 and not touched in memory.
    fn load(&mut self, register: usize, base: AsmRegister64, at: i64, partial: bool) -> Result<(), IcedError> {
        match (self.shape.wide, self.shape.double) {
            (Wide::Avx2, false) if partial => {
                self.asm.vmaskmovps(ymm(register), ymm(self.mask_register()), ymmword_ptr(base + at))
            }
            (Wide::Avx2, true) if partial => {
                self.asm.vmaskmovpd(ymm(register), ymm(self.mask_register()), ymmword_ptr(base + at))
            }
            (Wide::Avx2, _) => self.asm.vmovups(ymm(register), ymmword_ptr(base + at)),
            (Wide::Avx512, false) if partial => self.asm.vmovups(zmm(register).k1().z(), zmmword_ptr(base + at)),
            (Wide::Avx512, true) if partial => self.asm.vmovupd(zmm(register).k1().z(), zmmword_ptr(base + at)),
            (Wide::Avx512, _) => self.asm.vmovups(zmm(register), zmmword_ptr(base + at)),
        }
    }

    /// Adds what stands in `c` to a vector of sums.
    fn add_before(&mut self, register: usize, at: i64, partial: bool) -> Result<(), IcedError> {
        let before = self.factor(0);
        self.load(before, rdx, at, partial)?;
        match (self.shape.wide, self.shape.double) {
            (Wide::Avx2, false) => self.asm.vaddps(ymm(register), ymm(register), ymm(before)),
            (Wide::Avx2, true) => self.asm.vaddpd(ymm(register), ymm(register), ymm(before)),
            (Wide::Avx512, false) => self.asm.vaddps(zmm(register), zmm(register), zmm(before)),
            (Wide::Avx512, true) => self.asm.vaddpd(zmm(register), zmm(register), zmm(before)),
        }
    }

    fn store_sums(&mut self) -> Result<(), IcedError> {
        for row in 0..self.shape.m {
            for vector in 0..self.shape.vectors() {
                let (register, at) = (self.sum(row, vector), self.offset_in_c(row, vector));
                let place = rdx + at;
                if self.shape.accumulate {
                    self.add_before(register, at, self.is_partial(vector))?;
                }
                match (self.shape.wide, self.shape.double) {
                    (Wide::Avx2, double) if self.is_partial(vector) => {
                        let (place, mask) = (ymmword_ptr(place), ymm(self.mask_register()));
                        if double {
                            self.asm.vmaskmovpd(place, mask, ymm(register))?;
                        } else {
                            self.asm.vmaskmovps(place, mask, ymm(register))?;
                        }
                    }
                    (Wide::Avx2, _) => self.asm.vmovups(ymmword_ptr(place), ymm(register))?,
                    (Wide::Avx512, double) if self.is_partial(vector) => {
                        let place: AsmMemoryOperand = zmmword_ptr(place).k1();
                        if double {
                            self.asm.vmovupd(place, zmm(register))?
                        } else {
                            self.asm.vmovups(place, zmm(register))?
                        }
                    }
                    (Wide::Avx512, _) => self.asm.vmovups(zmmword_ptr(place), zmm(register))?,
                }
            }
        }
        Ok(())
    }

    /// The loops from one level on. Afterwards the pointers have moved by what this returns.
    fn reduce(&mut self, dims: &[Dim], depth: usize) -> Result<(i64, i64), IcedError> {
        match dims {
            [] => {
                self.step(0, 0)?;
                Ok((0, 0))
            }
            [dim] => self.innermost(*dim, COUNTERS[depth]),
            [dim, inner @ ..] => {
                let counter = COUNTERS[depth];
                self.asm.mov(counter, dim.extent as u64)?;
                let mut top = self.asm.create_label();
                self.asm.set_label(&mut top)?;
                let (a, b) = self.reduce(inner, depth + 1)?;
                self.advance(dim.a - a, dim.b - b)?;
                self.asm.dec(counter)?;
                self.asm.jnz(top)?;
                Ok((dim.a * dim.extent as i64, dim.b * dim.extent as i64))
            }
        }
    }

    fn innermost(&mut self, dim: Dim, counter: AsmRegister64) -> Result<(i64, i64), IcedError> {
        let steps = |tile: &mut Self, count: usize| (0..count as i64).try_for_each(|u| tile.step(u * dim.a, u * dim.b));
        if dim.extent <= FULL_UNROLL {
            steps(self, dim.extent)?;
            return Ok((0, 0));
        }
        let (rounds, rest) = (dim.extent / UNROLL, dim.extent % UNROLL);
        self.asm.mov(counter, rounds as u64)?;
        let mut top = self.asm.create_label();
        self.asm.set_label(&mut top)?;
        steps(self, UNROLL)?;
        self.advance(dim.a * UNROLL as i64, dim.b * UNROLL as i64)?;
        self.asm.dec(counter)?;
        self.asm.jnz(top)?;
        steps(self, rest)?;
        let done = (rounds * UNROLL) as i64;
        Ok((dim.a * done, dim.b * done))
    }

    fn advance(&mut self, a: i64, b: i64) -> Result<(), IcedError> {
        for (pointer, by) in [(rdi, a), (rsi, b)] {
            if by != 0 {
                self.asm.lea(pointer, qword_ptr(pointer + by))?;
            }
        }
        Ok(())
    }

    /// One step of the reduction, at offsets from the pointers.
    fn step(&mut self, a: i64, b: i64) -> Result<(), IcedError> {
        let vectors = self.shape.vectors();
        if self.shape.m == 1 && vectors > 1 {
            return self.step_of_row(a, b);
        }
        for vector in 0..vectors {
            let at = b + (vector * self.shape.wide.vector_bytes()) as i64;
            self.load(self.factor(vector), rsi, at, self.is_partial(vector))?;
        }
        for row in 0..self.shape.m {
            let at = rdi + (a + self.shape.a_row * row as i64);
            if vectors == 1 && self.shape.wide == Wide::Avx512 {
                self.multiply_memory(self.sum(row, 0), self.factor(0), at)?;
                continue;
            }
            self.broadcast_load(at)?;
            for vector in 0..vectors {
                self.multiply(self.sum(row, vector), self.factor(vector), self.broadcast())?;
            }
        }
        Ok(())
    }

    /// One step of a tile with a single row.
    fn step_of_row(&mut self, a: i64, b: i64) -> Result<(), IcedError> {
        self.broadcast_load(rdi + a)?;
        for vector in 0..self.shape.vectors() {
            let (sum, at) = (self.sum(0, vector), b + (vector * self.shape.wide.vector_bytes()) as i64);
            if self.is_partial(vector) {
                self.load(self.factor(0), rsi, at, true)?;
                self.multiply(sum, self.factor(0), self.broadcast())?;
            } else {
                self.multiply_vector(sum, self.broadcast(), rsi + at)?;
            }
        }
        Ok(())
    }

    fn broadcast_load(&mut self, at: AsmMemoryOperand) -> Result<(), IcedError> {
        let to = self.broadcast();
        match (self.shape.wide, self.shape.double) {
            (Wide::Avx512, false) => self.asm.vbroadcastss(zmm(to), dword_ptr(at)),
            (Wide::Avx512, true) => self.asm.vbroadcastsd(zmm(to), qword_ptr(at)),
            (Wide::Avx2, false) => self.asm.vbroadcastss(ymm(to), dword_ptr(at)),
            (Wide::Avx2, true) => self.asm.vbroadcastsd(ymm(to), qword_ptr(at)),
        }
    }

    fn multiply(&mut self, sum: usize, x: usize, y: usize) -> Result<(), IcedError> {
        match (self.shape.wide, self.shape.double) {
            (Wide::Avx512, _) if self.shape.pairs => self.asm.vdpbf16ps(zmm(sum), zmm(x), zmm(y)),
            (Wide::Avx512, false) => self.asm.vfmadd231ps(zmm(sum), zmm(x), zmm(y)),
            (Wide::Avx512, true) => self.asm.vfmadd231pd(zmm(sum), zmm(x), zmm(y)),
            (Wide::Avx2, false) => self.asm.vfmadd231ps(ymm(sum), ymm(x), ymm(y)),
            (Wide::Avx2, true) => self.asm.vfmadd231pd(ymm(sum), ymm(x), ymm(y)),
        }
    }

    /// The same with a vector of memory.
    fn multiply_vector(&mut self, sum: usize, x: usize, at: AsmMemoryOperand) -> Result<(), IcedError> {
        match (self.shape.wide, self.shape.double) {
            (Wide::Avx512, _) if self.shape.pairs => self.asm.vdpbf16ps(zmm(sum), zmm(x), zmmword_ptr(at)),
            (Wide::Avx512, false) => self.asm.vfmadd231ps(zmm(sum), zmm(x), zmmword_ptr(at)),
            (Wide::Avx512, true) => self.asm.vfmadd231pd(zmm(sum), zmm(x), zmmword_ptr(at)),
            (Wide::Avx2, false) => self.asm.vfmadd231ps(ymm(sum), ymm(x), ymmword_ptr(at)),
            (Wide::Avx2, true) => self.asm.vfmadd231pd(ymm(sum), ymm(x), ymmword_ptr(at)),
        }
    }

    /// The same with an element of memory, broadcast.
    fn multiply_memory(&mut self, sum: usize, x: usize, at: AsmMemoryOperand) -> Result<(), IcedError> {
        if self.shape.pairs {
            self.asm.vdpbf16ps(zmm(sum), zmm(x), dword_bcst(at))
        } else if self.shape.double {
            self.asm.vfmadd231pd(zmm(sum), zmm(x), qword_bcst(at))
        } else {
            self.asm.vfmadd231ps(zmm(sum), zmm(x), dword_bcst(at))
        }
    }
}
