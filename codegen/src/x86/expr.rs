//! Expressions.

use super::lir::{Arg, Inst, ListId, VReg};
use super::ops::{self, Args};
use super::unit::{OpenLoop, Parts, Unit, Val, lane_size, width_of};
use crate::error::{EmitError, malformed, unsupported};
use crate::x86::encoding::{Encoding, Width};
use iced_x86::Code;
use kernel::scalar::Typing;
use kernel::{Affine, DType, Expr, Reg, Scalar, ScalarOp};
use smallvec::{SmallVec, smallvec};

impl Unit<'_> {
    pub(super) fn expr(&mut self, expr: &Expr) -> Result<Val, EmitError> {
        match expr {
            Expr::Const(scalar) => self.constant(*scalar, 1),
            Expr::Reg(reg) => self.register(*reg),
            Expr::Index { index, dtype, lanes, stride } => self.index_vector(index, *dtype, *lanes, *stride),
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
                bitcast(value, *dtype)
            }
            Expr::Splat(lanes, value) => match &**value {
                Expr::Const(scalar) => self.constant(*scalar, *lanes),
                Expr::Reg(reg) => {
                    let val = self.register(*reg)?;
                    self.splat(&val, *lanes, Some(*reg))
                }
                Expr::Load { buf, index, .. } => self.load_splat(*buf, index, *lanes),
                other => {
                    let val = self.expr(other)?;
                    self.splat(&val, *lanes, None)
                }
            },
            Expr::Fold(op, value) => {
                let value = self.expr(value)?;
                self.fold(*op, value)
            }
        }
    }

    /// A scalar in that many lanes; a vector as it is.
    pub(super) fn in_lanes(&mut self, value: Val, lanes: u16) -> Result<Val, EmitError> {
        if value.lanes == 1 && lanes > 1 { self.splat(&value, lanes, None) } else { Ok(value) }
    }

    fn register(&self, reg: Reg) -> Result<Val, EmitError> {
        self.regs
            .get(&reg)
            .map_or_else(|| malformed(format!("register {reg:?} is used before it is bound")), |b| Ok(b.val.clone()))
    }

    /// A constant in all lanes.
    pub(super) fn constant(&mut self, scalar: Scalar, lanes: u16) -> Result<Val, EmitError> {
        let dtype = scalar.dtype();
        let size = lane_size(dtype);
        let reg = match scalar {
            Scalar::Bool(value) => self.splat_truth(value, size),
            Scalar::Bf16(value) => self.splat_bits(u64::from(value.to_f32().to_bits()), size),
            Scalar::F16(value) => self.splat_bits(u64::from(value.to_f32().to_bits()), size),
            // Lanes of 32 bits repeat the sign.
            Scalar::I8(value) => self.splat_bits(i32::from(value).cast_unsigned().into(), size),
            Scalar::I16(value) => self.splat_bits(i32::from(value).cast_unsigned().into(), size),
            other => self.splat_bits(other.to_bits(), size),
        };
        let parts = std::iter::repeat_n(reg, usize::from(lanes.div_ceil(self.per_part(size)))).collect();
        Ok(Val { dtype, size, lanes, parts, constant: Some(scalar) })
    }

    /// A scalar in all lanes; made before the loops through which it doesn't change, if it is a bound one.
    fn splat(&mut self, val: &Val, lanes: u16, reg: Option<Reg>) -> Result<Val, EmitError> {
        if val.lanes != 1 {
            return malformed("a splat of a vector");
        }
        if let Some(scalar) = val.constant {
            return self.constant(scalar, lanes);
        }
        let (from, size) = (val.parts[0], val.size);
        let place = reg.and_then(|reg| self.splat_place(reg));
        let list = place.unwrap_or_else(|| self.here());
        let known = place.and_then(|list| self.splats.get(&(list, from, size)).copied());
        let all = match known {
            Some(all) => all,
            None => {
                self.open.push(list);
                let all = if val.dtype == DType::Bool { self.splat_mask(from) } else { self.broadcast(from, size) };
                self.open.pop();
                all?
            }
        };
        if place.is_some() {
            self.splats.insert((list, from, size), all);
        }
        let parts = std::iter::repeat_n(all, usize::from(lanes.div_ceil(self.per_part(size)))).collect();
        Ok(Val { lanes, parts, ..val.clone() })
    }

    /// Where a splat of a bound scalar can be made and kept; `None` if only here, for once.
    fn splat_place(&self, reg: Reg) -> Option<ListId> {
        let bound = self.regs.get(&reg)?;
        let changes = |l: &OpenLoop| l.calls || (bound.mutable && l.assigned.contains(&reg));
        match self.loops[bound.depth..].iter().find(|l| !changes(l)) {
            Some(outermost) => Some(outermost.before),
            None if bound.mutable => None,
            None => Some(self.here()),
        }
    }

    fn splat_mask(&mut self, from: VReg) -> Result<VReg, EmitError> {
        if self.encoding == Encoding::Vex {
            return self.broadcast(from, 4);
        }
        let (one, zero) = (self.splat_bits(1, 4), self.splat_bits(0, 4));
        let first = self.blend(from, (one, zero), 4, Width::X)?;
        let all = self.broadcast(first, 4)?;
        self.test(all, 4, Width::Z)
    }

    /// An index as a vector; lane `l` is `index + l * stride`.
    fn index_vector(&mut self, index: &Affine, dtype: DType, lanes: u16, stride: i64) -> Result<Val, EmitError> {
        if !matches!(dtype, DType::I32 | DType::I64) {
            return malformed(format!("an index as {dtype}; it may be i32 or i64"));
        }
        let size = lane_size(dtype);
        let known = self.constant_index(index)?;
        let start = match known {
            Some(_) => None,
            None => Some(self.index_lane(index, size, lanes)?),
        };
        let mut parts = Parts::new();
        let mut first = 0;
        for count in self.part_lanes(lanes, size) {
            let from = known.unwrap_or(0) + first * stride;
            let steps = match (start, count) {
                (Some(start), 1) if from == 0 => start,
                _ => {
                    let per = i64::from(self.per_part(size));
                    self.vector_constant((0..per).map(|l| (from + l * stride) as u64), size)
                }
            };
            parts.push(match start {
                Some(start) if steps != start => self.op(
                    super::forms::of_size(&super::forms::IADD, size),
                    width_of(count, size),
                    &[start, steps],
                    None,
                )?,
                _ => steps,
            });
            first += i64::from(count);
        }
        Ok(Val { dtype, size, lanes, parts, constant: None })
    }

    /// An index in all lanes.
    fn index_lane(&mut self, index: &Affine, size: usize, lanes: u16) -> Result<VReg, EmitError> {
        let number = self.index_value(index)?;
        let from = if size == 8 { Arg::General64(number) } else { Arg::General32(number) };
        let dst = self.vector();
        let code = match (self.encoding, size, lanes) {
            (Encoding::Evex, 4, 2..) => Code::EVEX_Vpbroadcastd_zmm_k1z_r32,
            (Encoding::Evex, _, 2..) => Code::EVEX_Vpbroadcastq_zmm_k1z_r64,
            (Encoding::Evex, 4, _) => Code::EVEX_Vmovd_xmm_rm32,
            (Encoding::Evex, ..) => Code::EVEX_Vmovq_xmm_rm64,
            (Encoding::Vex, 4, _) => Code::VEX_Vmovd_xmm_rm32,
            (Encoding::Vex, ..) => Code::VEX_Vmovq_xmm_rm64,
        };
        let width = if self.encoding == Encoding::Evex && lanes > 1 { Width::Z } else { Width::X };
        self.raw(code, smallvec![Arg::Vec(dst, width), from]);
        if self.encoding == Encoding::Vex && lanes > 1 { self.broadcast(dst, size) } else { Ok(dst) }
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
            return self.select(&operands[0], &operands[1], &operands[2]);
        }
        let Some(emit) = ops::find(op) else {
            return unsupported(format!("`{op}` is not an instruction: its expansion must be inlined first"));
        };
        if op == ScalarOp::FMA && dtypes[0].is_short_float() {
            return self.fma_of_shorts(operands);
        }
        let size = operands.iter().map(|o| o.size).max().unwrap_or(4);
        let mut pieces: SmallVec<[Parts; 3]> = SmallVec::new();
        for operand in operands {
            pieces.push(if operand.dtype == DType::Bool {
                self.resize_mask(operand, size)?
            } else {
                operand.parts.clone()
            });
        }
        let constants: SmallVec<[Option<Scalar>; 3]> = operands.iter().map(|o| o.constant).collect();
        let mut parts = Parts::new();
        for (at, count) in self.part_lanes(lanes, size).enumerate() {
            let args = Args {
                dtype: dtypes[0],
                size,
                lanes: count,
                width: width_of(count, size),
                regs: pieces.iter().map(|p| p[at]).collect(),
                constants: constants.clone(),
            };
            let part = emit(self, &args)?;
            parts.push(self.normalize(result, dtypes[0], part, args.width)?);
        }
        Ok(Val { dtype: result, size, lanes, parts, constant: None })
    }

    /// Rounds or wraps what was computed in more bits than the type has.
    fn normalize(&mut self, result: DType, from: DType, part: VReg, width: Width) -> Result<VReg, EmitError> {
        match (result, from) {
            (DType::Bf16 | DType::F16, _) if from == result => self.round_to_short(part, result, width),
            (DType::I16 | DType::I8 | DType::U16 | DType::U8, _) if from == result => self.wrap(result, part, width),
            _ => Ok(part),
        }
    }

    /// The lowest bits of 32-bit lanes as a number of an integer type of 8 or 16 bits.
    pub(super) fn wrap(&mut self, dtype: DType, part: VReg, width: Width) -> Result<VReg, EmitError> {
        let bits = 8 * dtype.size_bytes();
        if dtype.is_unsigned_int() {
            let mask = self.splat_bits((1 << bits) - 1, 4);
            return self.op(&super::forms::AND[0], width, &[part, mask], None);
        }
        let upper = self.op(&super::forms::SHL_BY[0], width, &[part], Some(32 - bits as u8))?;
        self.op(&super::forms::SAR_BY, width, &[upper], Some(32 - bits as u8))
    }

    /// `yes` where the condition holds, else `no`.
    pub(super) fn select(&mut self, condition: &Val, yes: &Val, no: &Val) -> Result<Val, EmitError> {
        let size = if yes.dtype == DType::Bool { yes.size.max(no.size) } else { yes.size };
        let masks = self.resize_mask(condition, size)?;
        if yes.dtype == DType::Bool {
            let (yes_parts, no_parts) = (self.resize_mask(yes, size)?, self.resize_mask(no, size)?);
            return self.select_masks(yes, size, &masks, &yes_parts, &no_parts);
        }
        let mut parts = Parts::new();
        for (at, count) in self.part_lanes(yes.lanes, size).enumerate() {
            let width = width_of(count, size);
            let (mask, y, n) = (masks[at], yes.parts[at], no.parts[at]);
            parts.push(match self.extremum_by(mask, y, n).filter(|_| yes.dtype.is_float()) {
                Some((form, left, right)) => self.op(super::forms::of_size(form, size), width, &[left, right], None)?,
                None => self.blend(mask, (y, n), size, width)?,
            });
        }
        Ok(Val { dtype: yes.dtype, size, lanes: yes.lanes, parts, constant: None })
    }

    fn select_masks(
        &mut self,
        like: &Val,
        size: usize,
        masks: &[VReg],
        yes: &[VReg],
        no: &[VReg],
    ) -> Result<Val, EmitError> {
        let mut parts = Parts::new();
        for (at, count) in self.part_lanes(like.lanes, size).enumerate() {
            let width = width_of(count, size);
            parts.push(if self.encoding == Encoding::Vex {
                self.blend(masks[at], (yes[at], no[at]), size, width)?
            } else {
                let taken = self.mask_op(Code::VEX_Kandw_kr_kr_kr, &[masks[at], yes[at]]);
                let left = self.mask_op(Code::VEX_Kandnw_kr_kr_kr, &[masks[at], no[at]]);
                self.mask_op(Code::VEX_Korw_kr_kr_kr, &[taken, left])
            });
        }
        Ok(Val { dtype: DType::Bool, size, lanes: like.lanes, parts, constant: None })
    }

    /// An instruction on mask registers.
    pub(super) fn mask_op(&mut self, code: Code, sources: &[VReg]) -> VReg {
        let dst = self.lists.reg(super::lir::Class::Mask);
        let mut args: SmallVec<[Arg; 4]> = smallvec![Arg::Mask(dst)];
        args.extend(sources.iter().map(|&s| Arg::Mask(s)));
        self.raw(code, args);
        dst
    }

    /// Rounded once: in `f32` the sum would be rounded before it is rounded to 16 bits.
    fn fma_of_shorts(&mut self, operands: &[Val]) -> Result<Val, EmitError> {
        let wide: Result<Vec<Val>, EmitError> = operands.iter().map(|o| self.cast(o, DType::F64)).collect();
        let sum = self.apply(ScalarOp::FMA, &wide?)?;
        self.cast(&sum, operands[0].dtype)
    }

    /// `fma` of one part.
    pub(super) fn fma(&mut self, regs: &[VReg], double: bool, width: Width) -> VReg {
        let dst = self.vector();
        let [a, b, c] = [0, 1, 2].map(|at| Arg::Vec(regs[at], width));
        self.push(Inst::Fma { dst, a, b, c, width, double });
        dst
    }
}

/// The same bits as another type of the same size.
pub(super) fn bitcast(val: Val, to: DType) -> Result<Val, EmitError> {
    if val.dtype == to {
        return Ok(val);
    }
    if val.dtype.size_bytes() != to.size_bytes() {
        return malformed(format!("a bitcast from {} to {to}, of another size", val.dtype));
    }
    if val.dtype.size_bytes() < 4 {
        return unsupported(format!("a bitcast from {} to {to} is not provided by this emitter", val.dtype));
    }
    let constant = val.constant.map(|c| Scalar::from_bits(c.to_bits(), to));
    Ok(Val { dtype: to, constant, ..val })
}
