//! Functions of elements at the same place.

use crate::call::{Call, Results, one};
use crate::error::{Refusal, dtype};
use crate::item::ImportItem;
use crate::table::{OpEntry, op};
use gradc::dsl::{DType, Tensor};

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    op("Abs", &[1, 6, 13], |c| c.map(Tensor::abs)),
    op("Acos", &[7, 22], |c| c.map(Tensor::acos)),
    op("Acosh", &[9, 22], |c| c.map(Tensor::acosh)),
    op("Add", &[1, 6, 7, 13, 14], |c| binary(c, |a, b| a + b)),
    op("And", &[1, 7], |c| binary(c, |a, b| a.and(b))),
    op("Asin", &[7, 22], |c| c.map(Tensor::asin)),
    op("Asinh", &[9, 22], |c| c.map(Tensor::asinh)),
    op("Atan", &[7, 22], |c| c.map(Tensor::atan)),
    op("Atanh", &[9, 22], |c| c.map(Tensor::atanh)),
    op("BitShift", &[11], shift),
    op("BitwiseAnd", &[18], |c| binary(c, |a, b| a.and(b))),
    op("BitwiseNot", &[18], |c| c.map(Tensor::logical_not)),
    op("BitwiseOr", &[18], |c| binary(c, |a, b| a.or(b))),
    op("BitwiseXor", &[18], |c| binary(c, |a, b| a.xor(b))),
    op("Cast", &[1, 6, 9, 13, 19, 21, 23, 24, 25], cast),
    op("CastLike", &[15, 19, 21, 23, 24, 25], |c| {
        let to = c.dtype(1)?;
        c.map(|x| converted(x, to))
    }),
    op("Ceil", &[1, 6, 13], |c| c.map(Tensor::ceil)),
    op("Clip", &[1, 6, 11, 12, 13], clip),
    op("Cos", &[7, 22], |c| c.map(Tensor::cos)),
    op("Cosh", &[9, 22], |c| c.map(Tensor::cosh)),
    op("Div", &[1, 6, 7, 13, 14], |c| binary(c, |a, b| a / b)),
    op("Equal", &[1, 7, 11, 13, 19], |c| binary(c, equal)),
    op("Erf", &[9, 13], |c| c.map(Tensor::erf)),
    op("Exp", &[1, 6, 13], |c| c.map(Tensor::exp)),
    op("Floor", &[1, 6, 13], |c| c.map(Tensor::floor)),
    op("Greater", &[1, 7, 9, 13], |c| binary(c, |a, b| a.gt(b))),
    op("GreaterOrEqual", &[12, 16], |c| binary(c, |a, b| a.ge(b))),
    op("Identity", &[1, 13, 14, 16, 19, 21, 23, 24, 25], |c| Ok(vec![c.item(0)?.clone()])),
    op("IsInf", &[10, 20], is_inf),
    op("IsNaN", &[9, 13, 20], |c| c.map(|x| x.ne(x))),
    op("Less", &[1, 7, 9, 13], |c| binary(c, |a, b| a.lt(b))),
    op("LessOrEqual", &[12, 16], |c| binary(c, |a, b| a.le(b))),
    op("Log", &[1, 6, 13], |c| c.map(Tensor::log)),
    op("Max", &[1, 6, 8, 12, 13], |c| many(c, |a, b| a.maximum(b))),
    op("Mean", &[1, 6, 8, 13], |c| {
        let count = c.count() as f64;
        let sum = many(c, |a, b| a + b)?;
        sum.into_iter().map(|item| scaled(item, 1.0 / count)).collect()
    }),
    op("Min", &[1, 6, 8, 12, 13], |c| many(c, |a, b| a.minimum(b))),
    op("Mod", &[10, 13], modulo),
    op("Mul", &[1, 6, 7, 13, 14], |c| binary(c, |a, b| a * b)),
    op("Neg", &[1, 6, 13], |c| c.map(|x| -x)),
    op("Not", &[1], |c| c.map(Tensor::logical_not)),
    op("Or", &[1, 7], |c| binary(c, |a, b| a.or(b))),
    op("Pow", &[1, 7, 12, 13, 15], power),
    op("Reciprocal", &[1, 6, 13], |c| c.map(|x| 1.0 / x)),
    op("Round", &[11, 22], |c| c.map(Tensor::round)),
    op("Sign", &[9, 13], |c| c.map(Tensor::sign)),
    op("Sin", &[7, 22], |c| c.map(Tensor::sin)),
    op("Sinh", &[9, 22], |c| c.map(Tensor::sinh)),
    op("Sqrt", &[1, 6, 13], |c| c.map(Tensor::sqrt)),
    op("Sub", &[1, 6, 7, 13, 14], |c| binary(c, |a, b| a - b)),
    op("Sum", &[1, 6, 8, 13], |c| many(c, |a, b| a + b)),
    op("Tan", &[7, 22], |c| c.map(Tensor::tan)),
    op("Tanh", &[1, 6, 13], |c| c.map(Tensor::tanh)),
    op("Where", &[9, 16], |c| {
        let (condition, on, off) = (c.tensor(0)?, c.tensor(1)?, c.tensor(2)?);
        one(condition.select(&on, &off))
    }),
    op("Xor", &[1, 7], |c| binary(c, |a, b| a.xor(b))),
];

/// A function of two operands.
#[track_caller]
pub(super) fn binary(c: &Call<'_, '_>, f: impl FnOnce(&Tensor, &Tensor) -> Tensor) -> Results {
    if c.version < 7 && c.flag("broadcast", false) {
        return Ok(vec![c.zip(c.item(0)?, &aligned(c)?, f)?]);
    }
    Ok(vec![c.zip(c.item(0)?, c.item(1)?, f)?])
}

/// The second operand with its axes from `axis` of the first one on: what was written out before operands broadcast by themselves.
fn aligned(c: &Call<'_, '_>) -> Result<ImportItem, Refusal> {
    let (left, right) = (c.dims(0)?, c.dims(1)?);
    let Some(axis) = c.attribute("axis").map(|a| Call::axis(a.i, left.len())).transpose()? else {
        return Ok(c.item(1)?.clone());
    };
    let after = left.len().saturating_sub(axis + right.len());
    let dims = [&right[..], &vec![1; after][..]].concat();
    Ok(c.tensor(1)?.reshape(super::shape::signed(&dims)).into())
}

/// A function of two, applied to all operands from the first to the last.
fn many(c: &Call<'_, '_>, f: fn(&Tensor, &Tensor) -> Tensor) -> Results {
    let mut result = c.item(0)?.clone();
    for i in 1..c.count() {
        result = c.zip(&result, c.item(i)?, f)?;
    }
    Ok(vec![result])
}

/// A result times a number.
fn scaled(item: ImportItem, factor: f64) -> Result<ImportItem, Refusal> {
    match item {
        ImportItem::Graph(laid) => Ok(ImportItem::Graph(laid.like(laid.as_is() * factor))),
        _ => Err(Refusal::case("a mean of what is no tensor of the graph")),
    }
}

/// Truth values have no order of their own among the graph's ops, but are equal where no bit differs.
fn equal(a: &Tensor, b: &Tensor) -> Tensor {
    if a.dtype() == Some(DType::Bool) { a.xor(b).logical_not() } else { a.eq(b) }
}

/// Conversion as the standard has it: what isn't 0 is true.
pub(super) fn converted(x: &Tensor, to: DType) -> Tensor {
    if to == DType::Bool && x.dtype() != Some(DType::Bool) { x.ne(0.0) } else { x.cast(to) }
}

fn cast(c: &mut Call<'_, '_>) -> Results {
    let to = dtype(i32::try_from(c.int("to", 0)).unwrap_or(-1))?;
    c.map(|x| converted(x, to))
}

fn clip(c: &mut Call<'_, '_>) -> Results {
    if c.version < 11 {
        let (low, high) = (c.float("min", f64::from(f32::MIN)), c.float("max", f64::from(f32::MAX)));
        return c.map(|x| x.clamp(low, high));
    }
    let mut result = c.item(0)?.clone();
    if c.has(1) {
        result = c.zip(&result, c.item(1)?, |x, low| x.maximum(low))?;
    }
    if c.has(2) {
        result = c.zip(&result, c.item(2)?, |x, high| x.minimum(high))?;
    }
    Ok(vec![result])
}

fn is_inf(c: &mut Call<'_, '_>) -> Results {
    let (negative, positive) = (c.flag("detect_negative", true), c.flag("detect_positive", true));
    c.map(|x| match (negative, positive) {
        (true, true) => x.abs().eq(f64::INFINITY),
        (false, true) => x.eq(f64::INFINITY),
        (true, false) => x.eq(f64::NEG_INFINITY),
        (false, false) => x.ne(x).and(x.eq(x)),
    })
}

/// The remainder with the divisor's sign, or by `fmod` with the dividend's.
fn modulo(c: &mut Call<'_, '_>) -> Results {
    let truncated = c.flag("fmod", false);
    let is_float = c.dtype(0)?.is_float();
    binary(c, |a, b| match (is_float, truncated) {
        (true, true) => fmod(a, b),
        (true, false) => a - (a / b).floor() * b,
        (false, true) => a.remainder(b),
        (false, false) => {
            let rest = a.remainder(b);
            let differs = rest.ne(0).and(rest.lt(0).xor(b.lt(0)));
            differs.select(&(&rest + b), &rest)
        }
    })
}

/// The remainder of floats with the dividend's sign, exact for those shorter than `f64`: in `f64`, at most 26 bits of the quotient at a time, whose products with the divisor it holds.
fn fmod(a: &Tensor, b: &Tensor) -> Tensor {
    let Some(dtype) = a.dtype() else { return a.clone() };
    let (a, divisor) = (a.cast(DType::F64), b.cast(DType::F64).abs());
    let size = a.abs();
    // Quotients of f16 have 40 bits, those of floats with 8 bits of exponent up to 277.
    let parts = match dtype {
        DType::F64 => 1,
        DType::F16 => 2,
        _ => 11,
    };
    let rest = (0..parts).rev().fold(size.clone(), |rest, part| {
        let multiple = &divisor * 2f64.powi(26 * part);
        &rest - (&rest / &multiple).floor() * multiple
    });
    // The quotient may have been rounded to the whole number beside its own.
    let rest = rest.lt(0.0).select(&(&rest + &divisor), &rest);
    let rest = rest.ge(&divisor).select(&(&rest - &divisor), &rest);
    let signed = a.lt(0.0).select(&-&rest, &rest);
    let is_within = divisor.eq(f64::INFINITY).and(size.lt(f64::INFINITY));
    is_within.select(&a, &signed).cast(dtype)
}

/// A power in the base's type; integers by way of `f64`, squares and roots by their own ops.
fn power(c: &mut Call<'_, '_>) -> Results {
    if let ImportItem::Known(exponent) = c.item(1)?
        && exponent.len() == 1
        && exponent.dims().len() <= c.dims(0)?.len()
    {
        let exponent = exponent.to_floats()[0];
        let is_float = c.dtype(0)?.is_float();
        if exponent == 2.0 {
            return c.map(Tensor::square);
        }
        if exponent == 0.5 && is_float {
            return c.map(Tensor::sqrt);
        }
        if exponent == 3.0 {
            return c.map(|x| x.square() * x);
        }
    }
    binary(c, |a, b| {
        let Some(dtype) = a.dtype() else { return a.clone() };
        if dtype.is_float() {
            return a.pow(b.cast(dtype));
        }
        a.cast(DType::F64).pow(b.cast(DType::F64)).round().cast(dtype)
    })
}

/// Bits moved up or down, of elements without a sign.
fn shift(c: &mut Call<'_, '_>) -> Results {
    let left = c.text("direction", "LEFT") == "LEFT";
    binary(c, |a, b| if left { a.shl(b) } else { a.shr(b) })
}
