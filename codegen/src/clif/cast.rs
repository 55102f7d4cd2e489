//! Conversions between element types, as `Scalar::cast` defines them.

use super::emitter::Emitter;
use super::value::{Parts, Val, bits_type, clif_type, natural_chunk};
use crate::error::{EmitError, malformed, unsupported};
use cranelift::codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift::codegen::ir::{InstBuilder, Value, types};
use kernel::DType;

impl Emitter<'_, '_> {
    /// Converts every lane.
    pub(super) fn cast(&mut self, val: &Val, to: DType) -> Result<Val, EmitError> {
        if val.dtype == to {
            return Ok(val.clone());
        }
        if val.chunk() > 1 {
            let parts: Option<Parts> =
                val.parts.iter().map(|&p| self.cast_vector(p, val.dtype, val.chunk(), to)).collect();
            if let Some(parts) = parts {
                return Ok(self.cast_result(Val::new(to, val.lanes, parts), val));
            }
        }
        let lanes = self.split(val);
        let parts = lanes.into_iter().map(|x| self.cast_scalar(x, val.dtype, to)).collect();
        let scalars = Val::new(to, val.lanes, parts);
        let chunk = if val.lanes == 1 { 1 } else { natural_chunk(to, val.lanes) };
        let parts = self.rechunk(&scalars, chunk);
        Ok(self.cast_result(Val::new(to, val.lanes, parts), val))
    }

    fn cast_result(&self, mut result: Val, from: &Val) -> Val {
        result.constant = from.constant.map(|c| c.cast(result.dtype));
        result
    }

    /// Vectors to vectors of lanes of the same width, where there is an instruction.
    fn cast_vector(&mut self, x: Value, from: DType, chunk: u16, to: DType) -> Option<Value> {
        let ty = clif_type(to, chunk);
        if to.is_short_float() {
            let single = if from == DType::F32 { x } else { self.cast_vector(x, from, chunk, DType::F32)? };
            return Some(self.round_to_short(single, to));
        }
        match (if from.is_short_float() { DType::F32 } else { from }, to, chunk) {
            (DType::F32, DType::F32, _) => Some(x),
            (DType::F32, DType::I32, 4) => Some(self.b.ins().fcvt_to_sint_sat(ty, x)),
            (DType::F32, DType::U32, 4) => Some(self.b.ins().fcvt_to_uint_sat(ty, x)),
            (DType::I32, DType::F32, 4) => Some(self.b.ins().fcvt_from_sint(ty, x)),
            (DType::U32, DType::F32, 4) => Some(self.b.ins().fcvt_from_uint(ty, x)),
            (DType::I32, DType::U32, 4) | (DType::U32, DType::I32, 4) => Some(x),
            (DType::I64, DType::U64, 2) | (DType::U64, DType::I64, 2) => Some(x),
            (DType::F32, DType::Bool, 4) | (DType::F64, DType::Bool, 2) => {
                let zero = self.zero_vector(from, chunk);
                Some(self.b.ins().fcmp(FloatCC::NotEqual, x, zero))
            }
            (DType::I32 | DType::U32, DType::Bool, 4) | (DType::I64 | DType::U64, DType::Bool, 2) => {
                let zero = self.zero_vector(from, chunk);
                Some(self.b.ins().icmp(IntCC::NotEqual, x, zero))
            }
            (DType::Bool, DType::I32 | DType::U32 | DType::F32, 4)
            | (DType::Bool, DType::I64 | DType::U64 | DType::F64, 2) => {
                let one = self.scalar_constant(kernel::Scalar::one(to)).ok()?;
                let ones = self.b.ins().splat(ty, one);
                let bits = self.reinterpret(ones, clif_type(DType::Bool, chunk));
                let masked = self.b.ins().band(x, bits);
                Some(self.reinterpret(masked, ty))
            }
            _ => None,
        }
    }

    fn zero_vector(&mut self, dtype: DType, chunk: u16) -> Value {
        let bits = self.b.ins().iconst(bits_type(dtype), 0);
        let ints = self.b.ins().splat(clif_type(DType::Bool, chunk), bits);
        self.reinterpret(ints, clif_type(dtype, chunk))
    }

    fn cast_scalar(&mut self, x: Value, from: DType, to: DType) -> Value {
        match (from.is_float(), to) {
            (true, DType::Bool) => {
                let zero = if from == DType::F64 { self.b.ins().f64const(0.0) } else { self.b.ins().f32const(0.0) };
                self.b.ins().fcmp(FloatCC::NotEqual, x, zero)
            }
            (false, DType::Bool) => self.b.ins().icmp_imm_u(IntCC::NotEqual, x, 0),
            (true, _) if to.is_float() => self.float_to_float(x, from, to),
            (true, DType::I16 | DType::U16 | DType::I8 | DType::U8) => {
                let wide = self.b.ins().fcvt_to_sint_sat(types::I32, x);
                let limits = [kernel::Scalar::lowest(to), kernel::Scalar::highest(to)];
                let [low, high] = limits.map(|limit| self.b.ins().iconst(types::I32, limit.as_i64()));
                let wide = self.b.ins().smax(wide, low);
                let wide = self.b.ins().smin(wide, high);
                self.b.ins().ireduce(clif_type(to, 1), wide)
            }
            (true, DType::U64 | DType::U32) => self.b.ins().fcvt_to_uint_sat(clif_type(to, 1), x),
            (true, _) => self.b.ins().fcvt_to_sint_sat(clif_type(to, 1), x),
            (false, _) if to.is_float() => self.int_to_float(x, from, to),
            (false, _) => self.int_to_int(x, from, to),
        }
    }

    fn float_to_float(&mut self, x: Value, from: DType, to: DType) -> Value {
        match (from, to) {
            (_, DType::F64) => self.b.ins().fpromote(types::F64, x),
            (DType::F64, DType::F32) => self.b.ins().fdemote(types::F32, x),
            (DType::F64, _) => {
                let odd = self.demote_to_odd(x);
                self.round_to_short(odd, to)
            }
            _ => self.round_to_short(x, to),
        }
    }

    /// `f64` to `f32` rounding to odd: where the result is not exact, towards the neighbour with an odd last bit. Rounding that again
    /// to bfloat16 gives what one rounding would.
    fn demote_to_odd(&mut self, x: Value) -> Value {
        let nearest = self.b.ins().fdemote(types::F32, x);
        let back = self.b.ins().fpromote(types::F64, nearest);
        let (back_size, x_size) = (self.b.ins().fabs(back), self.b.ins().fabs(x));
        let bits = self.reinterpret(nearest, types::I32);
        // One unit towards zero where rounding went away from it: then the pair brackets x, and the odd one of the two is wanted.
        let too_large = self.b.ins().fcmp(FloatCC::GreaterThan, back_size, x_size);
        let borrow = self.b.ins().uextend(types::I32, too_large);
        let below = self.b.ins().isub(bits, borrow);
        let inexact = self.b.ins().fcmp(FloatCC::OrderedNotEqual, back, x);
        let sticky = self.b.ins().uextend(types::I32, inexact);
        let odd = self.b.ins().bor(below, sticky);
        self.reinterpret(odd, types::F32)
    }

    fn int_to_float(&mut self, x: Value, from: DType, to: DType) -> Value {
        let wide = match from {
            DType::U16 | DType::U8 | DType::Bool => self.b.ins().uextend(types::I32, x),
            DType::I16 | DType::I8 => self.b.ins().sextend(types::I32, x),
            DType::U32 => self.b.ins().uextend(types::I64, x),
            _ => x,
        };
        let ty = if to == DType::F64 { types::F64 } else { types::F32 };
        let float = match from {
            DType::U64 => self.b.ins().fcvt_from_uint(ty, wide),
            _ => self.b.ins().fcvt_from_sint(ty, wide),
        };
        if to.is_short_float() { self.round_to_short(float, to) } else { float }
    }

    fn int_to_int(&mut self, x: Value, from: DType, to: DType) -> Value {
        let (from_ty, to_ty) = (clif_type(from, 1), clif_type(to, 1));
        match from_ty.bits().cmp(&to_ty.bits()) {
            std::cmp::Ordering::Equal => x,
            std::cmp::Ordering::Greater => self.b.ins().ireduce(to_ty, x),
            std::cmp::Ordering::Less if from.is_unsigned_int() || from == DType::Bool => self.b.ins().uextend(to_ty, x),
            std::cmp::Ordering::Less => self.b.ins().sextend(to_ty, x),
        }
    }

    /// The same bits as another type.
    pub(super) fn bitcast(&mut self, val: &Val, to: DType) -> Result<Val, EmitError> {
        if val.dtype == to {
            return Ok(val.clone());
        }
        if val.dtype.size_bytes() != to.size_bytes() {
            return malformed(format!("a bitcast from {} to {to}, of another size", val.dtype));
        }
        let sixteen_bits = val.dtype.size_bytes() == 2;
        if sixteen_bits || val.dtype == DType::Bool || to == DType::Bool {
            return unsupported(format!("a bitcast from {} to {to} is not provided by this emitter", val.dtype));
        }
        let ty = clif_type(to, val.chunk());
        let parts = val.parts.iter().map(|&p| self.reinterpret(p, ty)).collect();
        let mut result = Val::new(to, val.lanes, parts);
        result.constant = val.constant.map(|c| kernel::Scalar::from_bits(c.to_bits(), to));
        Ok(result)
    }
}
