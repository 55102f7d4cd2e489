//! Prints expressions and what they are made of.

use crate::{Affine, BufRef, BufferId, Expr, IndexExpr, IndexVar, Reg, Scalar};
use std::fmt::{Display, Formatter, Result};

impl Display for IndexVar {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "i{}", self.0)
    }
}

impl Display for Reg {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "v{}", self.0)
    }
}

impl Display for BufferId {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "b{}", self.0)
    }
}

impl Display for BufRef {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Param(i) => write!(f, "p{i}"),
            Self::Local(i) => write!(f, "l{i}"),
        }
    }
}

impl Display for Affine {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (at, (var, coefficient)) in self.terms().iter().enumerate() {
            if at > 0 {
                f.write_str(" + ")?;
            }
            match coefficient {
                1 => write!(f, "{var}")?,
                c => write!(f, "{var}*{c}")?,
            }
        }
        match (self.is_constant(), self.offset()) {
            (true, offset) => write!(f, "{offset}"),
            (false, 0) => Ok(()),
            (false, offset) => write!(f, " + {offset}"),
        }
    }
}

impl Display for IndexExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Affine(value) => write!(f, "{value}"),
            Self::Div(value, by) => write!(f, "({value}) / {by}"),
            Self::Rem(value, by) => write!(f, "({value}) % {by}"),
            Self::Clamp(value, lo, hi) => write!(f, "clamp({value}, {lo}, {hi})"),
            Self::Checked { value, bound, check } => write!(f, "checked({value}, {bound}, #{check})"),
        }
    }
}

/// A constant with its type.
fn constant(value: Scalar, f: &mut Formatter<'_>) -> Result {
    let dtype = value.dtype();
    match value {
        Scalar::Bool(v) => write!(f, "{v}"),
        // A word or hex digits would run into the type's name.
        v if dtype.is_float() && !v.as_f64().is_finite() => write!(f, "{v}:{dtype}"),
        v => write!(f, "{v}{dtype}"),
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Const(value) => constant(*value, f),
            Self::Reg(reg) => write!(f, "{reg}"),
            Self::Index { index, dtype, lanes: 1, stride: 1 } => write!(f, "index {index} : {dtype}"),
            Self::Index { index, dtype, lanes, stride } => write!(f, "index {index} : {dtype}x{lanes} stride {stride}"),
            Self::Load { buf, index, lanes, stride } => {
                f.write_str("load")?;
                if *lanes != 1 {
                    write!(f, ".x{lanes}")?;
                }
                write!(f, " {buf}[{index}]")?;
                if *stride == 1 { Ok(()) } else { write!(f, " stride {stride}") }
            }
            Self::Apply(op, args) => {
                write!(f, "{op}(")?;
                for (at, arg) in args.iter().enumerate() {
                    let comma = if at > 0 { ", " } else { "" };
                    write!(f, "{comma}{arg}")?;
                }
                f.write_str(")")
            }
            Self::Cast(dtype, value) => write!(f, "cast({value} : {dtype})"),
            Self::Bitcast(dtype, value) => write!(f, "bitcast({value} : {dtype})"),
            Self::Splat(lanes, value) => write!(f, "splat.x{lanes}({value})"),
            Self::Fold(op, value) => write!(f, "fold {op}({value})"),
        }
    }
}
