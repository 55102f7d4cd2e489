//! 16-bit floats, which are kept as `f32` and rounded after every op: a scalar, or four lanes at once.

use super::emitter::Emitter;
use cranelift::codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift::codegen::ir::{ConstantData, InstBuilder, Value, types};
use kernel::DType;

impl Emitter<'_, '_> {
    /// Rounds `f32` values to the nearest numbers of a 16-bit type, ties to even, still as `f32`; those of any other type stay what they are.
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

    /// Rounds `f32` values to the nearest bfloat16, ties to even, still as `f32`; NaN stays NaN.
    fn round_to_bf16(&mut self, value: Value) -> Value {
        let bits = self.as_ints(value);
        let upper = self.shifted_right(bits, 16);
        let odd = self.masked(upper, 1);
        let half = self.added(odd, 0x7fff);
        let sum = self.b.ins().iadd(bits, half);
        let rounded = self.masked(sum, 0xffff_0000);
        // A NaN would round to infinity: truncated, with the quiet bit set, it stays one.
        let quiet_bit = self.int_like(bits, 0x0040_0000);
        let quiet = self.b.ins().bor(bits, quiet_bit);
        let quiet = self.masked(quiet, 0xffff_0000);
        let is_nan = self.b.ins().fcmp(FloatCC::Unordered, value, value);
        let result = self.chosen(is_nan, quiet, rounded);
        self.as_floats(result)
    }

    /// The `f32` of `f16` given by their bits in `i32`.
    pub(super) fn f16_to_f32(&mut self, half: Value) -> Value {
        // Exponent and fraction in their places; the product puts the bias right, of denormals too.
        let magnitude = self.masked(half, 0x7fff);
        let shifted = self.shifted_left(magnitude, 13);
        let as_float = self.as_floats(shifted);
        let scale = self.float_like(half, (127 + 112) << 23);
        let scaled = self.b.ins().fmul(as_float, scale);
        let scaled = self.as_ints(scaled);
        // Infinities and NaN have the largest exponent of either type.
        let exponent = self.int_like(half, 0x7f80_0000);
        let special = self.b.ins().bor(shifted, exponent);
        let is_special = self.exceeds(magnitude, 0x7bff);
        let bits = self.chosen(is_special, special, scaled);
        let sign = self.masked(half, 0x8000);
        let sign = self.shifted_left(sign, 16);
        let bits = self.b.ins().bor(bits, sign);
        self.as_floats(bits)
    }

    /// The bits of the nearest `f16`, ties to even, in `i32`; NaN stays NaN.
    pub(super) fn f32_to_f16(&mut self, value: Value) -> Value {
        let bits = self.as_ints(value);
        let magnitude = self.masked(bits, 0x7fff_ffff);
        // Normal results: the bias put right, half a unit added, or a little less where the last bit kept is even. The carry makes what is too large infinite.
        let last = self.shifted_right(magnitude, 13);
        let odd = self.masked(last, 1);
        let sum = self.added(magnitude, (-(112 << 23) + 0xfff) as u32);
        let sum = self.b.ins().iadd(sum, odd);
        let normal = self.shifted_right(sum, 13);
        // Denormal results: beside 0.5 the unit of an f32 is that of the denormal numbers, so the sum's rounding is theirs.
        let (as_float, half) = (self.as_floats(magnitude), self.float_like(bits, 0.5f32.to_bits()));
        let beside = self.b.ins().fadd(as_float, half);
        let beside = self.as_ints(beside);
        let half_bits = self.int_like(bits, 0.5f32.to_bits());
        let denormal = self.b.ins().isub(beside, half_bits);
        let is_normal = self.exceeds(magnitude, 0x387f_ffff);
        let finite = self.chosen(is_normal, normal, denormal);
        // From 65536 on, and for NaN, which keeps its first bits and is made quiet.
        let infinite = self.int_like(bits, 0x7c00);
        let payload = self.masked(last, 0x3ff);
        let quiet = self.int_like(bits, 0x7e00);
        let nan = self.b.ins().bor(payload, quiet);
        let is_nan = self.b.ins().fcmp(FloatCC::Unordered, value, value);
        let special = self.chosen(is_nan, nan, infinite);
        let is_special = self.exceeds(magnitude, 0x477f_ffff);
        let result = self.chosen(is_special, special, finite);
        let sign = self.shifted_right(bits, 16);
        let sign = self.masked(sign, 0x8000);
        self.b.ins().bor(result, sign)
    }

    /// The bits of `f32` values.
    pub(super) fn as_ints(&mut self, value: Value) -> Value {
        let ty = if self.is_vector(value) { types::I32X4 } else { types::I32 };
        self.reinterpret(value, ty)
    }

    /// The `f32` values of which these are the bits.
    pub(super) fn as_floats(&mut self, bits: Value) -> Value {
        let ty = if self.is_vector(bits) { types::F32X4 } else { types::F32 };
        self.reinterpret(bits, ty)
    }

    fn is_vector(&self, value: Value) -> bool {
        self.b.func.dfg.value_type(value).is_vector()
    }

    /// A number in as many lanes of 32 bits as a value has.
    fn int_like(&mut self, like: Value, number: u32) -> Value {
        if !self.is_vector(like) {
            return self.b.ins().iconst(types::I32, i64::from(number));
        }
        let bytes: Vec<u8> = std::iter::repeat_n(number.to_le_bytes(), 4).flatten().collect();
        let constant = self.b.func.dfg.constants.insert(ConstantData::from(bytes));
        self.b.ins().vconst(types::I32X4, constant)
    }

    fn float_like(&mut self, like: Value, bits: u32) -> Value {
        let bits = self.int_like(like, bits);
        self.as_floats(bits)
    }

    fn masked(&mut self, bits: Value, mask: u32) -> Value {
        let mask = self.int_like(bits, mask);
        self.b.ins().band(bits, mask)
    }

    fn added(&mut self, bits: Value, number: u32) -> Value {
        let number = self.int_like(bits, number);
        self.b.ins().iadd(bits, number)
    }

    /// Whether numbers that are not negative exceed one.
    fn exceeds(&mut self, number: Value, bound: u32) -> Value {
        let bound = self.int_like(number, bound);
        self.b.ins().icmp(IntCC::SignedGreaterThan, number, bound)
    }

    pub(super) fn shifted_left(&mut self, bits: Value, by: i64) -> Value {
        let by = self.b.ins().iconst(types::I32, by);
        self.b.ins().ishl(bits, by)
    }

    pub(super) fn shifted_right(&mut self, bits: Value, by: i64) -> Value {
        let by = self.b.ins().iconst(types::I32, by);
        self.b.ins().ushr(bits, by)
    }

    /// One of two by a comparison's result.
    fn chosen(&mut self, condition: Value, yes: Value, no: Value) -> Value {
        if self.is_vector(condition) {
            return self.b.ins().bitselect(condition, yes, no);
        }
        self.b.ins().select(condition, yes, no)
    }
}
