//! Straight-line programs of scalar ops: how an op that no target has is spelled in simpler ones.

use super::{Scalar, ScalarOp};
use crate::DType;

/// The value an instruction defines: its index in [`ScalarProgram::body`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Reg(pub u32);

/// One instruction; operands name earlier instructions.
#[derive(Clone, PartialEq, Debug)]
pub enum Instr {
    /// The operand of that number of the op which the program spells.
    Param(usize),
    /// A constant.
    Const(Scalar),
    /// A scalar op.
    Apply(ScalarOp, Vec<Reg>),
    /// Conversion to another element type, as [`Scalar::cast`].
    Cast(DType, Reg),
    /// The same bits as another type of the same size.
    Bitcast(DType, Reg),
}

/// A straight-line program with one result.
#[derive(Clone, PartialEq, Debug)]
pub struct ScalarProgram {
    /// The instructions, each using earlier ones only.
    pub body: Vec<Instr>,
    /// The result.
    pub result: Reg,
}

impl ScalarProgram {
    /// Checks the program against the typing rules, for parameters of these types: the result's type.
    ///
    /// # Errors
    /// A sentence naming the first instruction that breaks a rule: a missing parameter, an operand that is not an earlier
    /// instruction, a wrong number of operands or a type that the op doesn't take, a reinterpretation between types of different sizes.
    pub fn validate(&self, param_types: &[DType]) -> Result<DType, String> {
        let types = self.types(param_types)?;
        known(&types, self.result).map_err(|e| format!("result: {e}"))
    }

    /// The type of every instruction, for parameters of these types.
    ///
    /// # Errors
    /// As [`ScalarProgram::validate`].
    pub fn types(&self, param_types: &[DType]) -> Result<Vec<DType>, String> {
        let mut types: Vec<DType> = Vec::with_capacity(self.body.len());
        for (i, instr) in self.body.iter().enumerate() {
            let dtype = infer(instr, &types, param_types).map_err(|e| format!("instruction {i}: {e}"))?;
            types.push(dtype);
        }
        Ok(types)
    }

    /// Runs the program on reference scalars.
    ///
    /// # Panics
    /// If a parameter is missing or an operand has a type the op doesn't take.
    pub fn eval(&self, params: &[Scalar]) -> Scalar {
        let mut regs: Vec<Scalar> = Vec::with_capacity(self.body.len());
        for instr in &self.body {
            let value = match instr {
                Instr::Param(i) => params[*i],
                Instr::Const(c) => *c,
                Instr::Apply(op, args) => {
                    let args: Vec<Scalar> = args.iter().map(|r| regs[r.0 as usize]).collect();
                    op.eval(&args)
                }
                Instr::Cast(dtype, r) => regs[r.0 as usize].cast(*dtype),
                Instr::Bitcast(dtype, r) => Scalar::from_bits(regs[r.0 as usize].to_bits(), *dtype),
            };
            regs.push(value);
        }
        regs[self.result.0 as usize]
    }
}

/// The type of an earlier instruction.
fn known(types: &[DType], reg: Reg) -> Result<DType, String> {
    types.get(reg.0 as usize).copied().ok_or_else(|| format!("instruction {} is not defined before its use", reg.0))
}

/// The type that `instr` defines, given those of the instructions before it.
fn infer(instr: &Instr, types: &[DType], param_types: &[DType]) -> Result<DType, String> {
    match instr {
        Instr::Param(i) => param_types
            .get(*i)
            .copied()
            .ok_or_else(|| format!("there are {} parameters, not {}", param_types.len(), i + 1)),
        Instr::Const(c) => Ok(c.dtype()),
        Instr::Apply(op, args) => {
            if args.len() != op.arity() {
                return Err(format!("{op} takes {} operands, not {}", op.arity(), args.len()));
            }
            let operands = args.iter().map(|r| known(types, *r)).collect::<Result<Vec<_>, _>>()?;
            op.def().typing.infer(&operands).map_err(|e| format!("{op}: {e}"))
        }
        Instr::Cast(dtype, r) => known(types, *r).map(|_| *dtype),
        Instr::Bitcast(dtype, r) => {
            let from = known(types, *r)?;
            if from.size_bytes() == dtype.size_bytes() {
                Ok(*dtype)
            } else {
                Err(format!("{from} and {dtype} differ in size: bits can't be reinterpreted"))
            }
        }
    }
}

/// Builds a [`ScalarProgram`] instruction by instruction.
#[derive(Default)]
pub struct ProgramBuilder {
    body: Vec<Instr>,
}

impl ProgramBuilder {
    /// An empty program.
    pub fn new() -> Self {
        Self::default()
    }

    fn push(&mut self, instr: Instr) -> Reg {
        self.body.push(instr);
        Reg(self.body.len() as u32 - 1)
    }

    /// Operand number `i` of the op being spelled.
    pub fn param(&mut self, i: usize) -> Reg {
        self.push(Instr::Param(i))
    }

    /// A constant.
    pub fn constant(&mut self, value: Scalar) -> Reg {
        self.push(Instr::Const(value))
    }

    /// An `f32` constant.
    pub fn f32(&mut self, value: f32) -> Reg {
        self.constant(Scalar::F32(value))
    }

    /// An `f64` constant.
    pub fn f64(&mut self, value: f64) -> Reg {
        self.constant(Scalar::F64(value))
    }

    /// An `i32` constant.
    pub fn i32(&mut self, value: i32) -> Reg {
        self.constant(Scalar::I32(value))
    }

    /// An op applied to earlier values.
    pub fn apply(&mut self, op: ScalarOp, args: &[Reg]) -> Reg {
        self.push(Instr::Apply(op, args.to_vec()))
    }

    /// A conversion.
    pub fn cast(&mut self, dtype: DType, value: Reg) -> Reg {
        self.push(Instr::Cast(dtype, value))
    }

    /// The same bits as another type.
    pub fn bitcast(&mut self, dtype: DType, value: Reg) -> Reg {
        self.push(Instr::Bitcast(dtype, value))
    }

    /// The program that returns `result`.
    pub fn finish(self, result: Reg) -> ScalarProgram {
        ScalarProgram { body: self.body, result }
    }
}
