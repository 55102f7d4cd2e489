//! Formulas of initial values as code: the operations of [`Evaluator`] are instructions. Cranelift joins no multiplication with an addition, so each is
//! rounded as in Rust.

use super::FunctionEmitter;
use cranelift::codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift::codegen::ir::{BlockArg, InstBuilder, MemFlagsData, Value, types};
use gradc::dsl::sampling::Evaluator;

impl FunctionEmitter<'_, '_> {
    /// Where a number of the scratch memory is.
    fn scratch_place(&mut self, at: Value) -> Value {
        let bytes = self.b.ins().imul_imm_s(at, 8);
        match self.scratch {
            Some(start) => self.b.ins().iadd(start, bytes),
            None => bytes,
        }
    }
}

impl Evaluator for FunctionEmitter<'_, '_> {
    type Word = Value;
    type Float = Value;
    type Truth = Value;

    fn word(&mut self, value: u64) -> Value {
        self.int(value as i64)
    }

    fn add_words(&mut self, a: Value, b: Value) -> Value {
        self.b.ins().iadd(a, b)
    }

    fn subtract_words(&mut self, a: Value, b: Value) -> Value {
        self.b.ins().isub(a, b)
    }

    fn multiply_words(&mut self, a: Value, b: Value) -> Value {
        self.b.ins().imul(a, b)
    }

    fn and(&mut self, a: Value, b: Value) -> Value {
        self.b.ins().band(a, b)
    }

    fn xor(&mut self, a: Value, b: Value) -> Value {
        self.b.ins().bxor(a, b)
    }

    fn shift_left(&mut self, a: Value, bits: u32) -> Value {
        let bits = self.int(i64::from(bits));
        self.b.ins().ishl(a, bits)
    }

    fn shift_right(&mut self, a: Value, bits: u32) -> Value {
        let bits = self.int(i64::from(bits));
        self.b.ins().ushr(a, bits)
    }

    fn is_zero(&mut self, a: Value) -> Value {
        self.b.ins().icmp_imm_u(IntCC::Equal, a, 0)
    }

    fn float(&mut self, value: f64) -> Value {
        self.b.ins().f64const(value)
    }

    fn to_float(&mut self, a: Value) -> Value {
        self.b.ins().fcvt_from_sint(types::F64, a)
    }

    fn to_bits(&mut self, a: Value) -> Value {
        self.b.ins().bitcast(types::I64, MemFlagsData::new(), a)
    }

    fn float_of_bits(&mut self, a: Value) -> Value {
        self.b.ins().bitcast(types::F64, MemFlagsData::new(), a)
    }

    fn add(&mut self, a: Value, b: Value) -> Value {
        self.b.ins().fadd(a, b)
    }

    fn subtract(&mut self, a: Value, b: Value) -> Value {
        self.b.ins().fsub(a, b)
    }

    fn multiply(&mut self, a: Value, b: Value) -> Value {
        self.b.ins().fmul(a, b)
    }

    fn divide(&mut self, a: Value, b: Value) -> Value {
        self.b.ins().fdiv(a, b)
    }

    fn sqrt(&mut self, a: Value) -> Value {
        self.b.ins().sqrt(a)
    }

    fn select(&mut self, truth: Value, a: Value, b: Value) -> Value {
        self.b.ins().select(truth, a, b)
    }

    fn first_within(&mut self, bound: f64, attempts: u64, mut value: impl FnMut(&mut Self, Value) -> Value) -> Value {
        let [header, round, exit] = [(); 3].map(|()| self.b.create_block());
        let at = self.b.append_block_param(header, types::I64);
        let found = self.b.append_block_param(exit, types::F64);
        let (zero, none) = (self.int(0), self.float(0.0));
        self.b.ins().jump(header, &[BlockArg::Value(zero)]);
        self.b.switch_to_block(header);
        let more = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, at, attempts as i64);
        self.b.ins().brif(more, round, &[], exit, &[BlockArg::Value(none)]);
        self.enter(round);
        let value = value(self, at);
        let (size, bound) = (self.b.ins().fabs(value), self.float(bound));
        let is_within = self.b.ins().fcmp(FloatCC::LessThanOrEqual, size, bound);
        let next = self.b.ins().iadd_imm_s(at, 1);
        self.b.ins().brif(is_within, exit, &[BlockArg::Value(value)], header, &[BlockArg::Value(next)]);
        self.b.seal_block(header);
        self.enter(exit);
        found
    }

    fn repeat(&mut self, count: Value, body: impl FnMut(&mut Self, Value)) {
        FunctionEmitter::repeat(self, count, body);
    }

    fn sum(&mut self, count: Value, mut term: impl FnMut(&mut Self, Value) -> Value) -> Value {
        let [header, round, exit] = [(); 3].map(|()| self.b.create_block());
        let at = self.b.append_block_param(header, types::I64);
        let sum = self.b.append_block_param(header, types::F64);
        let (zero, nothing) = (self.int(0), self.float(0.0));
        self.b.ins().jump(header, &[BlockArg::Value(zero), BlockArg::Value(nothing)]);
        self.b.switch_to_block(header);
        let more = self.b.ins().icmp(IntCC::UnsignedLessThan, at, count);
        self.b.ins().brif(more, round, &[], exit, &[]);
        self.enter(round);
        let term = term(self, at);
        let (next, more) = (self.b.ins().iadd_imm_s(at, 1), self.b.ins().fadd(sum, term));
        self.b.ins().jump(header, &[BlockArg::Value(next), BlockArg::Value(more)]);
        self.b.seal_block(header);
        self.enter(exit);
        sum
    }

    fn load(&mut self, at: Value) -> Value {
        let place = self.scratch_place(at);
        FunctionEmitter::load(self, types::F64, place, 0)
    }

    fn store(&mut self, at: Value, value: Value) {
        let place = self.scratch_place(at);
        FunctionEmitter::store(self, value, place, 0);
    }
}
