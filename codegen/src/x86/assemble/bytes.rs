//! Steps of tiles of bytes on machines without AVX512-VNNI: quads are split into their even and their odd bytes, which are widened to 16 bits and multiplied two at a time
//! (`vpmaddwd`). Nothing saturates, as it would in `vpmaddubsw`, so the integers are those of `vpdpbusd`.

use super::super::asm::{Operand, PhysMem};
use super::super::encoding::Encoding;
use super::{A, B, EVEN_BYTES, Tile, at};
use crate::error::EmitError;
use iced_x86::Code;

/// The instructions that split quads.
struct SplitCodes {
    and: Code,
    shift_left: Code,
    shift_right: Code,
    /// With the sign.
    shift_right_signed: Code,
}

static VEX: SplitCodes = SplitCodes {
    and: Code::VEX_Vpand_ymm_ymm_ymmm256,
    shift_left: Code::VEX_Vpsllw_ymm_ymm_imm8,
    shift_right: Code::VEX_Vpsrlw_ymm_ymm_imm8,
    shift_right_signed: Code::VEX_Vpsraw_ymm_ymm_imm8,
};

static EVEX: SplitCodes = SplitCodes {
    and: Code::EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32,
    shift_left: Code::EVEX_Vpsllw_zmm_k1z_zmmm512_imm8,
    shift_right: Code::EVEX_Vpsrlw_zmm_k1z_zmmm512_imm8,
    shift_right_signed: Code::EVEX_Vpsraw_zmm_k1z_zmmm512_imm8,
};

impl Tile<'_> {
    /// One step of the reduction, four products for each sum.
    pub(super) fn step_of_split_quads(&mut self, a: i64, b: i64) -> Result<(), EmitError> {
        if self.shape.m == 1 {
            self.split_left(at(A, a)?)?;
            for vector in 0..self.vectors() {
                self.split_right(0, vector, b)?;
                self.multiply_parts(self.sum(0, vector), 0)?;
            }
            return Ok(());
        }
        for vector in 0..self.vectors() {
            self.split_right(vector, vector, b)?;
        }
        for row in 0..self.shape.m {
            self.split_left(at(A, a + self.shape.a_row * row as i64)?)?;
            for vector in 0..self.vectors() {
                self.multiply_parts(self.sum(row, vector), vector)?;
            }
        }
        Ok(())
    }

    fn split_codes(&self) -> &'static SplitCodes {
        if self.encoding == Encoding::Vex { &VEX } else { &EVEX }
    }

    /// Loads a quad of `a` into all lanes: its even bytes, and its odd ones in the next register.
    fn split_left(&mut self, from: PhysMem) -> Result<(), EmitError> {
        let codes = self.split_codes();
        let [even, odd] = [0, 1].map(|part| self.vector(self.broadcast() + part));
        self.op(self.codes.broadcast, &[odd, Operand::Mem(from)])?;
        self.op(codes.and, &[even, odd, Operand::Mem(PhysMem::pool(EVEN_BYTES))])?;
        self.op(codes.shift_right, &[odd, odd, Operand::Imm(8)])
    }

    /// Loads a vector of quads of `b` at an offset into the registers of a factor: the even bytes, and the odd ones in the next register.
    fn split_right(&mut self, factor: usize, vector: usize, offset: i64) -> Result<(), EmitError> {
        let codes = self.split_codes();
        let register = self.factor(factor);
        let place = at(B, offset + (vector * self.encoding.bytes()) as i64)?;
        self.load(register, place, self.is_partial(vector))?;
        let [even, odd] = [0, 1].map(|part| self.vector(register + part));
        self.op(codes.shift_right_signed, &[odd, even, Operand::Imm(8)])?;
        self.op(codes.shift_left, &[even, even, Operand::Imm(8)])?;
        self.op(codes.shift_right_signed, &[even, even, Operand::Imm(8)])
    }

    /// Adds the products of the parts of a quad of `a` and of a vector of `b` to a sum.
    fn multiply_parts(&mut self, sum: usize, factor: usize) -> Result<(), EmitError> {
        let (sum, product) = (self.vector(sum), self.vector(self.broadcast() + 2));
        for part in 0..2 {
            let [left, right] = [self.broadcast(), self.factor(factor)].map(|first| self.vector(first + part));
            self.op(self.codes.multiply_add, &[product, left, right])?;
            self.op(self.codes.add, &[sum, sum, product])?;
        }
        Ok(())
    }
}
