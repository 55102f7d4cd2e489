//! Initial elements in the type that a state has, rounded as in Rust.

use super::FunctionEmitter;
use cranelift::codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift::codegen::ir::{InstBuilder, Value, types};
use gradc::dsl::sampling::Evaluator;
use kernel::DType;

impl FunctionEmitter<'_, '_> {
    /// A double as an element of a float type: [`ir::Scalar::from_f64`]. Other types have no random elements.
    pub(crate) fn element_of_float(&mut self, value: Value, dtype: DType) -> Value {
        match dtype {
            DType::F32 => self.b.ins().fdemote(types::F32, value),
            DType::Bf16 => self.half(value, 7, 127),
            DType::F16 => self.half(value, 10, 15),
            DType::F64 | DType::Bool => value,
            DType::I64 | DType::I32 | DType::I16 | DType::I8 => value,
            DType::U64 | DType::U32 | DType::U16 | DType::U8 => value,
        }
    }

    /// A word as an element of any type: [`ir::Scalar::from_i64`].
    pub(crate) fn element_of_word(&mut self, word: Value, dtype: DType) -> Value {
        match dtype {
            DType::I64 | DType::U64 => word,
            DType::I32 | DType::U32 => self.b.ins().ireduce(types::I32, word),
            DType::I16 | DType::U16 => self.b.ins().ireduce(types::I16, word),
            DType::I8 | DType::U8 => self.b.ins().ireduce(types::I8, word),
            DType::Bool => self.b.ins().icmp_imm_u(IntCC::NotEqual, word, 0),
            DType::F64 => self.to_float(word),
            DType::F32 => self.b.ins().fcvt_from_sint(types::F32, word),
            DType::Bf16 | DType::F16 => {
                let single = self.b.ins().fcvt_from_sint(types::F32, word);
                let double = self.b.ins().fpromote(types::F64, single);
                self.element_of_float(double, dtype)
            }
        }
    }

    /// The bits of the 16-bit float, of so many bits of fraction and that exponent bias, which is nearest to a double that is no NaN; ties go to even.
    fn half(&mut self, value: Value, fraction_bits: u32, bias: u64) -> Value {
        let dropped = 52 - fraction_bits;
        let bits = self.to_bits(value);
        let (one, mask) = (self.word(1), self.word(u64::MAX >> 1));
        let size = self.and(bits, mask);
        // Normal numbers: half of what is kept's last bit is added, less one if that bit is even, and the exponent is counted from the other bias.
        let last = self.shift_right(size, dropped);
        let last = self.and(last, one);
        let below_half = self.word((1 << (dropped - 1)) - 1);
        let sum = self.add_words(size, below_half);
        let sum = self.add_words(sum, last);
        let kept = self.shift_right(sum, dropped);
        let rebias = self.word((1023 - bias) << fraction_bits);
        let (normal, infinity) = (self.subtract_words(kept, rebias), self.word((2 * bias + 1) << fraction_bits));
        let normal = self.b.ins().umin(normal, infinity);
        // Those below are multiples of one unit; the sum with 2^52 rounds to integers.
        let (size, units) = (self.b.ins().fabs(value), self.float(2f64.powi((bias - 1) as i32 + fraction_bits as i32)));
        let (count, big) = (self.multiply(size, units), self.float(2f64.powi(52)));
        let count = self.add(count, big);
        let (count, low) = (self.to_bits(count), self.word((1 << 52) - 1));
        let subnormal = self.and(count, low);
        let least = self.float(2f64.powi(1 - bias as i32));
        let is_small = self.b.ins().fcmp(FloatCC::LessThan, size, least);
        let magnitude = self.select(is_small, subnormal, normal);
        let sign = self.shift_right(bits, 63);
        let sign = self.shift_left(sign, 15);
        let all = self.xor(magnitude, sign);
        self.b.ins().ireduce(types::I16, all)
    }
}
