//! What expansions are written with: a program builder that knows the float format it builds for.
//!
//! One text serves `f32` and `f64`: constants are given in `f64` and rounded to the format, polynomials carry a coefficient
//! list for each. The 16-bit floats are storage formats, so their programs convert to `f32`, run the `f32` program and
//! convert back.

use crate::DType;
use crate::scalar::{ProgramBuilder, Reg, Scalar, ScalarOp, ScalarProgram};

/// A polynomial's coefficients, lowest degree first, one list for each format. `tools/fit_scalar_polynomials.py` makes them.
pub(super) struct Poly {
    pub(super) f32: &'static [f64],
    pub(super) f64: &'static [f64],
}

/// A constant that differs between the formats.
#[derive(Clone, Copy)]
pub(super) struct PerFormat {
    pub(super) f32: f64,
    pub(super) f64: f64,
}

/// Builds a program in one format.
pub(super) struct Kit {
    program: ProgramBuilder,
    storage: DType,
    /// `F32` or `F64`: what the program computes in.
    pub(super) float: DType,
    /// The integer type of the same width.
    pub(super) int: DType,
    /// Bits of the stored fraction.
    pub(super) fraction_bits: i64,
    constants: Vec<(Scalar, Reg)>,
}

impl Kit {
    /// A kit for programs over `dtype`; `None` if that is not a float type.
    pub(super) fn new(dtype: DType) -> Option<Self> {
        let (float, int, fraction_bits) = match dtype {
            DType::F64 => (DType::F64, DType::I64, 52),
            d if d.is_float() => (DType::F32, DType::I32, 23),
            _ => return None,
        };
        Some(Self { program: ProgramBuilder::new(), storage: dtype, float, int, fraction_bits, constants: Vec::new() })
    }

    /// The program that returns `result`.
    pub(super) fn finish(mut self, result: Reg) -> Option<ScalarProgram> {
        let result = if self.storage == self.float { result } else { self.program.cast(self.storage, result) };
        Some(self.program.finish(result))
    }

    /// Operand number `i`, in the format computed in.
    pub(super) fn param(&mut self, i: usize) -> Reg {
        let reg = self.program.param(i);
        if self.storage == self.float { reg } else { self.program.cast(self.float, reg) }
    }

    /// The exponent bias.
    pub(super) fn bias(&self) -> i64 {
        if self.float == DType::F64 { 1023 } else { 127 }
    }

    /// Bits of the exponent.
    pub(super) fn exponent_bits(&self) -> i64 {
        if self.float == DType::F64 { 11 } else { 8 }
    }

    /// The choice for this format.
    pub(super) fn pick(&self, choice: PerFormat) -> f64 {
        if self.float == DType::F64 { choice.f64 } else { choice.f32 }
    }

    fn constant(&mut self, value: Scalar) -> Reg {
        if let Some((_, reg)) = self.constants.iter().find(|(v, _)| *v == value) {
            return *reg;
        }
        let reg = self.program.constant(value);
        self.constants.push((value, reg));
        reg
    }

    /// A float constant.
    pub(super) fn c(&mut self, value: f64) -> Reg {
        self.constant(Scalar::from_f64(value, self.float))
    }

    /// A float constant by format.
    pub(super) fn per(&mut self, choice: PerFormat) -> Reg {
        let value = self.pick(choice);
        self.c(value)
    }

    /// An integer constant.
    pub(super) fn i(&mut self, value: i64) -> Reg {
        self.constant(Scalar::from_i64(value, self.int))
    }

    /// The bits of a float value, as an integer.
    pub(super) fn bits_of(&self, value: f64) -> i64 {
        Scalar::from_bits(Scalar::from_f64(value, self.float).to_bits(), self.int).as_i64()
    }

    /// Any op.
    pub(super) fn op(&mut self, op: ScalarOp, args: &[Reg]) -> Reg {
        self.program.apply(op, args)
    }

    /// `a + b`.
    pub(super) fn add(&mut self, a: Reg, b: Reg) -> Reg {
        self.op(ScalarOp::ADD, &[a, b])
    }

    /// `a - b`.
    pub(super) fn sub(&mut self, a: Reg, b: Reg) -> Reg {
        self.op(ScalarOp::SUB, &[a, b])
    }

    /// `a * b`.
    pub(super) fn mul(&mut self, a: Reg, b: Reg) -> Reg {
        self.op(ScalarOp::MUL, &[a, b])
    }

    /// `a / b`.
    pub(super) fn div(&mut self, a: Reg, b: Reg) -> Reg {
        self.op(ScalarOp::DIV, &[a, b])
    }

    /// `a * b + c`, rounded once.
    pub(super) fn fma(&mut self, a: Reg, b: Reg, c: Reg) -> Reg {
        self.op(ScalarOp::FMA, &[a, b, c])
    }

    /// `|a|`.
    pub(super) fn abs(&mut self, a: Reg) -> Reg {
        self.op(ScalarOp::ABS, &[a])
    }

    /// `a < b`.
    pub(super) fn lt(&mut self, a: Reg, b: Reg) -> Reg {
        self.op(ScalarOp::LT, &[a, b])
    }

    /// `b` where `a`, else `c`.
    pub(super) fn select(&mut self, a: Reg, b: Reg, c: Reg) -> Reg {
        self.op(ScalarOp::SELECT, &[a, b, c])
    }

    /// At most `limit`; NaN stays. A comparison and a selection, as `min` with its rules for zeros and NaN is dearer.
    pub(super) fn at_most(&mut self, a: Reg, limit: f64) -> Reg {
        let limit = self.c(limit);
        let beyond = self.lt(limit, a);
        self.select(beyond, limit, a)
    }

    /// At least `limit`; NaN stays.
    pub(super) fn at_least(&mut self, a: Reg, limit: f64) -> Reg {
        let limit = self.c(limit);
        let beyond = self.lt(a, limit);
        self.select(beyond, limit, a)
    }

    /// A float's bits as an integer.
    pub(super) fn as_bits(&mut self, a: Reg) -> Reg {
        self.program.bitcast(self.int, a)
    }

    /// The float with those bits.
    pub(super) fn as_float(&mut self, a: Reg) -> Reg {
        self.program.bitcast(self.float, a)
    }

    /// An integer as a float.
    pub(super) fn int_to_float(&mut self, a: Reg) -> Reg {
        self.program.cast(self.float, a)
    }

    /// The integer that has the sign bit only.
    pub(super) fn sign_mask(&mut self) -> Reg {
        self.i(i64::MIN >> if self.float == DType::F64 { 0 } else { 32 })
    }

    /// The magnitude of `a` with the sign of `sign`; `a` must not be negative.
    pub(super) fn with_sign_of(&mut self, a: Reg, sign: Reg) -> Reg {
        let mask = self.sign_mask();
        let (a, sign) = (self.as_bits(a), self.as_bits(sign));
        let sign = self.op(ScalarOp::AND, &[sign, mask]);
        let bits = self.op(ScalarOp::OR, &[a, sign]);
        self.as_float(bits)
    }

    /// The polynomial at `x`, by Horner's rule.
    pub(super) fn poly(&mut self, poly: &Poly, x: Reg) -> Reg {
        self.horner(self.coefficients(poly), x)
    }

    /// The coefficients for this format.
    pub(super) fn coefficients(&self, poly: &Poly) -> &'static [f64] {
        if self.float == DType::F64 { poly.f64 } else { poly.f32 }
    }

    /// The polynomial of these coefficients at `x`, by Horner's rule.
    pub(super) fn horner(&mut self, list: &[f64], x: Reg) -> Reg {
        let (last, rest) = list.split_last().expect("a polynomial has a coefficient");
        let mut sum = self.c(*last);
        for c in rest.iter().rev() {
            let c = self.c(*c);
            sum = self.fma(sum, x, c);
        }
        sum
    }

    /// One polynomial where `first`, another one elsewhere, each with as many coefficients, at `x`: selecting coefficients costs multipliers
    /// nothing, where two polynomials would keep them busy twice as long.
    pub(super) fn either_poly(&mut self, first: Reg, polys: [&Poly; 2], x: Reg) -> Reg {
        let [a, b] = polys.map(|poly| self.coefficients(poly));
        assert_eq!(a.len(), b.len(), "polynomials of one degree");
        let mut sum = None;
        for (&a, &b) in a.iter().zip(b).rev() {
            let (a, b) = (self.c(a), self.c(b));
            let c = self.select(first, a, b);
            sum = Some(match sum {
                Some(sum) => self.fma(sum, x, c),
                None => c,
            });
        }
        sum.expect("a polynomial has a coefficient")
    }
}
