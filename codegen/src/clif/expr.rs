//! Expressions.

use super::emitter::Emitter;
use super::ops::{self, Args, Emit};
use super::value::{Parts, Val, clif_type, natural_chunk};
use crate::error::{EmitError, malformed, unsupported};
use cranelift::codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift::codegen::ir::{ConstantData, InstBuilder, Value, types};
use kernel::scalar::Typing;
use kernel::{Affine, DType, Expr, Scalar, ScalarOp};
use smallvec::SmallVec;

impl Emitter<'_, '_> {
    pub(super) fn expr(&mut self, expr: &Expr) -> Result<Val, EmitError> {
        match expr {
            Expr::Const(scalar) => {
                let value = self.scalar_constant(*scalar)?;
                Ok(Val { constant: Some(*scalar), ..Val::scalar(scalar.dtype(), value) })
            }
            Expr::Reg(reg) => self.register(*reg),
            Expr::Index { index, dtype, lanes, stride } => self.index_value(index, *dtype, *lanes, *stride),
            Expr::Load { buf, index, lanes, stride } => self.load(*buf, index, *lanes, *stride),
            Expr::Apply(op, operands) => {
                let operands: Result<Vec<Val>, EmitError> = operands.iter().map(|o| self.expr(o)).collect();
                self.apply(*op, &operands?)
            }
            Expr::Cast(dtype, value) => {
                let value = self.expr(value)?;
                self.cast(&value, *dtype)
            }
            Expr::Bitcast(dtype, value) => {
                let value = self.expr(value)?;
                self.bitcast(&value, *dtype)
            }
            Expr::Splat(lanes, value) => self.splat_expr(*lanes, value),
            Expr::Fold(op, value) => self.fold(*op, value),
        }
    }

    pub(super) fn scalar_constant(&mut self, scalar: Scalar) -> Result<Value, EmitError> {
        Ok(match scalar {
            Scalar::F32(x) => self.b.ins().f32const(Ieee32::with_bits(x.to_bits())),
            Scalar::F64(x) => self.b.ins().f64const(Ieee64::with_bits(x.to_bits())),
            Scalar::Bf16(x) => self.b.ins().f32const(Ieee32::with_bits(x.to_f32().to_bits())),
            Scalar::F16(x) => self.b.ins().f32const(Ieee32::with_bits(x.to_f32().to_bits())),
            other => {
                let ty = clif_type(other.dtype(), 1);
                let shift = 64 - ty.bits();
                self.b.ins().iconst(ty, ((other.to_bits() << shift) as i64) >> shift)
            }
        })
    }

    fn splat_expr(&mut self, lanes: u16, value: &Expr) -> Result<Val, EmitError> {
        if let Expr::Const(scalar) = value {
            return self.constant_vector(*scalar, lanes);
        }
        let value = self.expr(value)?;
        if value.lanes != 1 {
            return malformed("a splat of a vector");
        }
        Ok(if lanes == 1 { value } else { self.splat(&value, lanes, natural_chunk(value.dtype, lanes)) })
    }

    /// A constant in all lanes, from the constant pool.
    pub(super) fn constant_vector(&mut self, scalar: Scalar, lanes: u16) -> Result<Val, EmitError> {
        let dtype = scalar.dtype();
        let chunk = if lanes == 1 { 1 } else { natural_chunk(dtype, lanes) };
        let part = if chunk == 1 {
            self.scalar_constant(scalar)?
        } else {
            let bits = match dtype {
                DType::Bool => 0u64.wrapping_sub(scalar.to_bits()),
                DType::Bf16 | DType::F16 => scalar.cast(DType::F32).to_bits(),
                _ => scalar.to_bits(),
            };
            let width = 16 / usize::from(chunk);
            let bytes: Vec<u8> = (0..chunk).flat_map(|_| bits.to_le_bytes()[..width].to_vec()).collect();
            self.vector_constant(&bytes, dtype, chunk)
        };
        let parts = std::iter::repeat_n(part, usize::from(lanes / chunk)).collect();
        Ok(Val { constant: Some(scalar), ..Val::new(dtype, lanes, parts) })
    }

    fn vector_constant(&mut self, bytes: &[u8], dtype: DType, chunk: u16) -> Value {
        let constant = self.b.func.dfg.constants.insert(ConstantData::from(bytes));
        self.b.ins().vconst(clif_type(dtype, chunk), constant)
    }

    /// An index as a value; lane `l` is `index + l * stride`.
    fn index_value(&mut self, index: &Affine, dtype: DType, lanes: u16, stride: i64) -> Result<Val, EmitError> {
        if !matches!(dtype, DType::I32 | DType::I64) {
            return malformed(format!("an index as {dtype}; it may be i32 or i64"));
        }
        let wide = self.affine(index)?;
        let first = if dtype == DType::I32 { self.b.ins().ireduce(types::I32, wide) } else { wide };
        if lanes == 1 {
            return Ok(Val::scalar(dtype, first));
        }
        let chunk = natural_chunk(dtype, lanes);
        let mut parts = Parts::new();
        for part in 0..lanes / chunk {
            let steps: Vec<i64> = (0..chunk).map(|l| i64::from(part * chunk + l) * stride).collect();
            parts.push(if chunk == 1 {
                self.b.ins().iadd_imm_s(first, steps[0])
            } else {
                let bytes: Vec<u8> =
                    steps.iter().flat_map(|s| s.to_le_bytes()[..dtype.size_bytes()].to_vec()).collect();
                let steps = self.vector_constant(&bytes, dtype, chunk);
                let all = self.b.ins().splat(clif_type(dtype, chunk), first);
                self.b.ins().iadd(all, steps)
            });
        }
        Ok(Val::new(dtype, lanes, parts))
    }

    /// Applies a scalar op to every lane.
    pub(super) fn apply(&mut self, op: ScalarOp, operands: &[Val]) -> Result<Val, EmitError> {
        let dtypes: SmallVec<[DType; 3]> = operands.iter().map(|o| o.dtype).collect();
        let result = op.def().typing.infer(&dtypes).map_err(|e| EmitError::Malformed(format!("`{op}`: {e}")))?;
        let lanes = operands[0].lanes;
        if operands.len() != op.arity() || operands.iter().any(|o| o.lanes != lanes) {
            return malformed(format!("`{op}` on operands that differ in number or lanes"));
        }
        if op.def().typing == Typing::Select {
            return Ok(self.select(&operands[0], &operands[1], &operands[2]));
        }
        if op == ScalarOp::FMA && result.is_short_float() {
            return self.fma_of_short(operands, result);
        }
        let Some(emit) = ops::find(op) else {
            return unsupported(format!("`{op}` is not an instruction: its expansion must be inlined first"));
        };
        let chunk = operands.iter().map(Val::chunk).max().unwrap_or(1);
        let pieces: SmallVec<[Parts; 3]> = operands.iter().map(|o| self.rechunk(o, chunk)).collect();
        let constants = operands.iter().map(|o| o.constant).collect();
        let mut args = Args { dtype: dtypes[0], chunk, values: SmallVec::new(), constants };
        let mut parts = Parts::new();
        for part in 0..pieces[0].len() {
            args.values = pieces.iter().map(|p| p[part]).collect();
            parts.push(self.apply_part(op, emit, &args, result)?);
        }
        if dtypes[0] == result && result.is_short_float() {
            parts = parts.into_iter().map(|p| self.round_to_short(p, result)).collect();
        }
        Ok(Val::new(result, lanes, parts))
    }

    /// In `f64`, where the product is exact: rounded once to `f64`, once to the type of 16 bits.
    fn fma_of_short(&mut self, operands: &[Val], dtype: DType) -> Result<Val, EmitError> {
        let wide: Result<Vec<Val>, EmitError> = operands.iter().map(|o| self.cast(o, DType::F64)).collect();
        let wide = wide?;
        let product = self.apply(ScalarOp::MUL, &wide[..2])?;
        let sum = self.apply(ScalarOp::ADD, &[product, wide[2].clone()])?;
        self.cast(&sum, dtype)
    }

    /// One part: as a vector if there is an instruction, else lane by lane.
    fn apply_part(&mut self, op: ScalarOp, emit: Emit, args: &Args, result: DType) -> Result<Value, EmitError> {
        if let Some(value) = emit(&mut self.b, args) {
            return Ok(value);
        }
        let refused = || EmitError::Unsupported(format!("`{op}` on {} is not provided", args.dtype));
        if args.chunk == 1 {
            return Err(refused());
        }
        let columns: SmallVec<[Parts; 3]> = args
            .values
            .iter()
            .map(|&v| self.split(&Val::new(args.dtype, args.chunk, Parts::from_slice(&[v]))))
            .collect();
        let mut lanes = Parts::new();
        for lane in 0..usize::from(args.chunk) {
            let values = columns.iter().map(|c| c[lane]).collect();
            let scalar = Args { chunk: 1, values, constants: args.constants.clone(), ..*args };
            lanes.push(emit(&mut self.b, &scalar).ok_or_else(refused)?);
        }
        Ok(self.pack(result, &lanes))
    }

    fn select(&mut self, condition: &Val, yes: &Val, no: &Val) -> Val {
        let chunk = yes.chunk().max(no.chunk());
        let masks = self.rechunk(condition, chunk);
        let (yes_parts, no_parts) = (self.rechunk(yes, chunk), self.rechunk(no, chunk));
        let mut parts = Parts::new();
        for ((&mask, &y), &n) in masks.iter().zip(&yes_parts).zip(&no_parts) {
            parts.push(if chunk == 1 {
                self.b.ins().select(mask, y, n)
            } else {
                let ty = clif_type(yes.dtype, chunk);
                let mask = self.reinterpret(mask, ty);
                self.b.ins().bitselect(mask, y, n)
            });
        }
        Val::new(yes.dtype, yes.lanes, parts)
    }

    /// Folds the lanes, halves onto each other.
    fn fold(&mut self, op: ScalarOp, value: &Expr) -> Result<Val, EmitError> {
        let value = self.expr(value)?;
        let dtype = value.dtype;
        let mut current = value;
        // Whole parts first, as vectors; the lanes of the last one as scalars.
        while current.lanes > 1 {
            if current.parts.len() == 1 {
                let lanes = self.split(&current);
                current = Val::new(dtype, current.lanes, lanes);
            }
            // Of a number of parts that is no power of two, some have no partner and stay as they are.
            let (chunk, half) = (current.chunk(), current.parts.len().next_power_of_two() / 2);
            let pairs = current.parts.len() - half;
            let lanes = chunk * pairs as u16;
            let low = Val::new(dtype, lanes, Parts::from_slice(&current.parts[..pairs]));
            let high = Val::new(dtype, lanes, Parts::from_slice(&current.parts[half..]));
            let mut parts = self.apply(op, &[low, high])?.parts;
            parts.extend_from_slice(&current.parts[pairs..half]);
            current = Val::new(dtype, chunk * half as u16, parts);
        }
        Ok(current)
    }
}
