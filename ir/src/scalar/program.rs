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
