//! 16-bit floats, which are kept as `f32` and rounded after every op.

use super::emitter::Emitter;
use cranelift::codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift::codegen::ir::immediates::Ieee32;
use cranelift::codegen::ir::{InstBuilder, Value, types};
use kernel::DType;

impl Emitter<'_, '_> {
    /// Rounds an `f32` scalar to the nearest number of a 16-bit type, ties to even, still as `f32`; of any other type it stays what it is.
    pub(super) fn round_to_short(&mut self, value: Value, dtype: DType) -> Value {
        match dtype {
            DType::Bf16 => self.round_to_bf16(value),
            DType::F16 => {
                let half = self.f32_to_f16(value);
                self.f16_to_f32(half)
            }
            _ => value,
        }
    }

    /// Rounds `f32` scalars to the nearest bfloat16, ties to even, still as `f32`; NaN stays NaN.
    fn round_to_bf16(&mut self, value: Value) -> Value {
        let bits = self.reinterpret(value, types::I32);
        let upper = self.b.ins().ushr_imm_u(bits, 16);
        let odd = self.b.ins().band_imm_u(upper, 1);
        let half = self.b.ins().iadd_imm_u(odd, 0x7fff);
        let sum = self.b.ins().iadd(bits, half);
        let rounded = self.b.ins().band_imm_u(sum, 0xffff_0000);
        // A NaN would round to infinity: truncated, with the quiet bit set, it stays one.
        let quiet = self.b.ins().bor_imm_u(bits, 0x0040_0000);
        let quiet = self.b.ins().band_imm_u(quiet, 0xffff_0000);
        let magnitude = self.b.ins().band_imm_u(bits, 0x7fff_ffff);
        let is_nan = self.b.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, magnitude, 0x7f80_0000);
        let result = self.b.ins().select(is_nan, quiet, rounded);
        self.reinterpret(result, types::F32)
    }

    fn f32_bits(&mut self, bits: u32) -> Value {
        self.b.ins().f32const(Ieee32::with_bits(bits))
    }

    /// The `f32` of an `f16` given by its bits in an `i32`.
    pub(super) fn f16_to_f32(&mut self, half: Value) -> Value {
        // Exponent and fraction in their places; the product puts the bias right, of denormals too.
        let magnitude = self.b.ins().band_imm_u(half, 0x7fff);
        let shifted = self.b.ins().ishl_imm_u(magnitude, 13);
        let as_float = self.reinterpret(shifted, types::F32);
        let scale = self.f32_bits((127 + 112) << 23);
        let scaled = self.b.ins().fmul(as_float, scale);
        let scaled = self.reinterpret(scaled, types::I32);
        // Infinities and NaN have the largest exponent of either type.
        let special = self.b.ins().bor_imm_u(shifted, 0x7f80_0000);
        let is_special = self.b.ins().icmp_imm_u(IntCC::UnsignedGreaterThanOrEqual, magnitude, 0x7c00);
        let bits = self.b.ins().select(is_special, special, scaled);
        let sign = self.b.ins().band_imm_u(half, 0x8000);
        let sign = self.b.ins().ishl_imm_u(sign, 16);
        let bits = self.b.ins().bor(bits, sign);
        self.reinterpret(bits, types::F32)
    }

    /// The bits of the nearest `f16`, ties to even, in an `i32`; NaN stays NaN.
    pub(super) fn f32_to_f16(&mut self, value: Value) -> Value {
        let bits = self.reinterpret(value, types::I32);
        let magnitude = self.b.ins().band_imm_u(bits, 0x7fff_ffff);
        // Normal results: the bias put right, half a unit added, or a little less where the last bit kept is even. The carry makes what is too large infinite.
        let last = self.b.ins().ushr_imm_u(magnitude, 13);
        let odd = self.b.ins().band_imm_u(last, 1);
        let offset = self.b.ins().iconst(types::I32, i64::from((-(112 << 23) + 0xfff) as u32));
        let sum = self.b.ins().iadd(magnitude, offset);
        let sum = self.b.ins().iadd(sum, odd);
        let normal = self.b.ins().ushr_imm_u(sum, 13);
        // Denormal results: beside 0.5 the unit of an f32 is that of the denormal numbers, so the sum's rounding is theirs.
        let (as_float, half) = (self.reinterpret(magnitude, types::F32), self.f32_bits(0.5f32.to_bits()));
        let beside = self.b.ins().fadd(as_float, half);
        let beside = self.reinterpret(beside, types::I32);
        let half_bits = self.b.ins().iconst(types::I32, i64::from(0.5f32.to_bits()));
        let denormal = self.b.ins().isub(beside, half_bits);
        let is_denormal = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, magnitude, 0x3880_0000);
        let finite = self.b.ins().select(is_denormal, denormal, normal);
        // From 65536 on, and for NaN, which keeps its first bits and is made quiet.
        let infinite = self.b.ins().iconst(types::I32, 0x7c00);
        let payload = self.b.ins().band_imm_u(last, 0x3ff);
        let nan = self.b.ins().bor_imm_u(payload, 0x7e00);
        let is_nan = self.b.ins().fcmp(FloatCC::Unordered, value, value);
        let special = self.b.ins().select(is_nan, nan, infinite);
        let is_special = self.b.ins().icmp_imm_u(IntCC::UnsignedGreaterThanOrEqual, magnitude, 0x4780_0000);
        let result = self.b.ins().select(is_special, special, finite);
        let sign = self.b.ins().ushr_imm_u(bits, 16);
        let sign = self.b.ins().band_imm_u(sign, 0x8000);
        self.b.ins().bor(result, sign)
    }
}
