//! Elementwise methods: every scalar op, comparison, selection, conversion.

use super::Tensor;
use super::error::Failure;
use super::tensor::{Operand, broadcast_together};
use ir::op::control::StopGradient;
use ir::{DType, Op, ScalarOp};

macro_rules! unary {
    ($($name:ident, $op:ident, $doc:literal;)*) => {
        impl Tensor { $(
            #[doc = $doc]
            #[track_caller]
            pub fn $name(&self) -> Tensor {
                self.unary(ScalarOp::$op)
            }
        )* }
    };
}

unary! {
    exp, EXP, "e to the power of each element; floats.";
    expm1, EXPM1, "`exp(x) - 1`, precise near 0; floats.";
    log, LOG, "The natural logarithm; floats.";
    log1p, LOG1P, "`log(1 + x)`, precise near 0; floats.";
    sqrt, SQRT, "The square root; floats.";
    rsqrt, RSQRT, "`1 / sqrt(x)`; floats.";
    sin, SIN, "The sine of radians; floats.";
    cos, COS, "The cosine of radians; floats.";
    tanh, TANH, "The hyperbolic tangent; floats.";
    softplus, SOFTPLUS, "`log(1 + exp(x))`, which neither overflows nor loses small values; floats.";
    erf, ERF, "The error function; floats.";
    erfc, ERFC, "`1 - erf(x)`, with all digits where that is small; floats.";
    normal_cdf, NORMAL_CDF, "The normal distribution below `x`, with all digits where that is small; floats.";
    normal_cdf_short, NORMAL_CDF_SHORT, "`normal_cdf` in `f32` with the digits that count where what is made of it is rounded to 16 bits; floats.";
    relu, RELU, "`max(x, 0)`; numbers.";
    abs, ABS, "The magnitude; numbers.";
    sign, SIGN, "1, 0 or -1; numbers.";
    floor, FLOOR, "The largest whole number that is not above; floats.";
    ceil, CEIL, "The smallest whole number that is not below; floats.";
    round, ROUND, "The nearest whole number, as the scalar op `round` defines ties; floats.";
    trunc, TRUNC, "The whole part; floats.";
    logical_not, NOT, "The complement of truth values, or of an integer's bits.";
}

macro_rules! binary {
    ($($name:ident, $op:ident, $doc:literal;)*) => {
        impl Tensor { $(
            #[doc = $doc]
            #[doc = " Operands broadcast together; a Rust number takes the tensor's element type."]
            #[track_caller]
            pub fn $name(&self, rhs: impl Operand) -> Tensor {
                self.binary(ScalarOp::$op, rhs)
            }
        )* }
    };
}

binary! {
    pow, POW, "`x` to the power of `rhs`; floats.";
    maximum, MAX, "The larger element, NaN if one is; numbers.";
    minimum, MIN, "The smaller element, NaN if one is; numbers.";
    remainder, REM, "The remainder of the division; integers.";
    eq, EQ, "Whether the elements are equal (bool).";
    ne, NE, "Whether the elements differ (bool).";
    lt, LT, "Whether the element is below (bool).";
    le, LE, "Whether the element is below or equal (bool).";
    gt, GT, "Whether the element is above (bool).";
    ge, GE, "Whether the element is above or equal (bool).";
    and, AND, "Both, of truth values or bits.";
    or, OR, "Either, of truth values or bits.";
    xor, XOR, "Exactly one, of truth values or bits.";
    shl, SHL, "The bits moved up by `rhs` places, zeros moving in; 0 where that is negative or not below the width; integers.";
    shr, SHR, "The bits moved down by `rhs` places, the sign moving in, or zeros if the type has none; the sign alone (0 or -1) where `rhs` is negative or not below the width; integers.";
}

impl Tensor {
    /// The square; numbers.
    #[track_caller]
    pub fn square(&self) -> Tensor {
        self * self
    }

    /// `1 / (1 + exp(-x))`; floats. Binary losses recognise it and use `x`, which is stable.
    #[track_caller]
    pub fn sigmoid(&self) -> Tensor {
        let result = self.unary(ScalarOp::SIGMOID);
        self.remember_logits(&result, super::scope::Squash::Sigmoid)
    }

    /// Restricted to `[low, high]`; a NaN stays.
    #[track_caller]
    pub fn clamp(&self, low: f64, high: f64) -> Tensor {
        self.maximum(low).minimum(high)
    }

    /// `on` where this tensor of truth values holds, else `off`. All three broadcast together; a Rust number takes the type of the
    /// other alternative, so that at least one of the two is a tensor.
    #[track_caller]
    pub fn select(&self, on: &Tensor, off: impl Operand) -> Tensor {
        let off = off.like(on);
        self.builder().build(&[self, on, &off], |b, nodes| {
            let dtypes: Vec<DType> = nodes.iter().map(|&n| b.ty(n).dtype).collect();
            ScalarOp::SELECT.def().typing.infer(&dtypes).map_err(|rule| Failure::rule("select", rule))?;
            let nodes = broadcast_together(b, "select", nodes)?;
            Ok(b.select(nodes[0], nodes[1], nodes[2])?)
        })
    }

    /// This tensor where `condition` holds, else `other`.
    #[track_caller]
    pub fn where_(&self, condition: &Tensor, other: impl Operand) -> Tensor {
        condition.select(self, other)
    }

    /// Conversion to another element type: floats round to nearest even, to integers they truncate and saturate.
    #[track_caller]
    pub fn cast(&self, dtype: DType) -> Tensor {
        self.builder().build(&[self], |b, nodes| Ok(b.cast(nodes[0], dtype)?))
    }

    /// The same tensor, as a constant to derivatives.
    #[track_caller]
    pub fn stop_gradient(&self) -> Tensor {
        self.emit(Op::StopGradient(StopGradient))
    }
}
