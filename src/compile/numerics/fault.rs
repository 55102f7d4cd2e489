//! What a check of numbers found: the op that made the first NaN or infinite one.

use ir::{Loc, TensorType, Value};
use std::fmt;

/// The op that made the first NaN, or the first infinite number of finite ones, in a step that was compiled with
/// [`CompileOptions::check_numerics`](crate::compile::CompileOptions::check_numerics). Prints as the error's message.
#[derive(Clone, PartialEq, Debug)]
pub struct NumericsFault {
    /// The op's name: `log`, `dot`; for what was NaN when the step began `input` or `state`.
    pub op: String,
    /// The name of the input or the state, of those.
    pub port: Option<String>,
    /// Where in the user's source it was declared, if that is known.
    pub loc: Option<Loc>,
    /// The path of the layer, if it is part of one: `encoder/dense`.
    pub layer: Option<String>,
    /// Whether it is part of the backward pass: the op then belongs to the derivative of what stands in that line.
    pub backward: bool,
    /// Whether it is in the body of a scan: types and ranges are those of the first step that shows it.
    pub in_scan: bool,
    /// What it gave.
    pub result: ValueRange,
    /// What it was given, in order.
    pub operands: Vec<OperandRange>,
}

/// An operand of an op at fault.
#[derive(Clone, PartialEq, Debug)]
pub struct OperandRange {
    /// What it is: the op that gave it, or `input x`, `state dense/kernel`.
    pub from: String,
    /// Its numbers.
    pub range: ValueRange,
}

/// What numbers there are in a tensor.
#[derive(Clone, PartialEq, Debug)]
pub struct ValueRange {
    /// The tensor's type.
    pub ty: TensorType,
    /// The least finite element; infinite if there is none.
    pub min: f64,
    /// The greatest finite element; infinite, with the other sign, if there is none.
    pub max: f64,
    /// How many elements are NaN.
    pub nans: usize,
    /// How many elements are infinite.
    pub infinities: usize,
}

impl ValueRange {
    /// That of a tensor.
    pub fn of(value: &Value) -> Self {
        let none = Self { ty: value.ty().clone(), min: f64::INFINITY, max: f64::NEG_INFINITY, nans: 0, infinities: 0 };
        value.to_f64_vec().into_iter().fold(none, |range, x| match x {
            _ if x.is_nan() => Self { nans: range.nans + 1, ..range },
            _ if x.is_infinite() => Self { infinities: range.infinities + 1, ..range },
            _ => Self { min: range.min.min(x), max: range.max.max(x), ..range },
        })
    }

    /// True if all elements are finite.
    pub fn is_finite(&self) -> bool {
        self.nans == 0 && self.infinities == 0
    }
}

impl fmt::Display for ValueRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ty)?;
        if self.min <= self.max {
            write!(f, " from {} to {}", number(self.min), number(self.max))?;
        }
        for (count, what) in [(self.nans, "NaN"), (self.infinities, "infinite")] {
            if count > 0 {
                write!(f, ", {count} of {} {what}", self.ty.shape.numel())?;
            }
        }
        Ok(())
    }
}

/// A number to be read by people: with an exponent where it would have many digits.
fn number(x: f64) -> String {
    match x.abs() {
        size if size != 0.0 && !(1e-3..1e6).contains(&size) => format!("{x:.3e}"),
        _ => format!("{}", (x * 1e4).round() / 1e4),
    }
}

impl fmt::Display for NumericsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(loc) = &self.loc {
            write!(f, "{loc}: ")?;
        }
        let what = if self.result.nans > 0 { "NaN" } else { "an infinite number" };
        match &self.port {
            Some(port) => write!(f, "{} `{port}` has {what}: it is {}", self.op, self.result)?,
            None => write!(f, "`{}`{} gives {what}: its result is {}", self.op, self.part(), self.result)?,
        }
        for (number, OperandRange { from, range }) in self.operands.iter().enumerate() {
            write!(f, "; operand {} (`{from}`) is {range}", number + 1)?;
        }
        Ok(())
    }
}

impl NumericsFault {
    /// What the op is part of.
    fn part(&self) -> String {
        let layer = self.layer.as_ref().map(|layer| format!(" of the layer `{layer}`"));
        let backward = if self.backward { " in the backward pass" } else { "" };
        let scan = if self.in_scan { " in a scan" } else { "" };
        format!("{}{backward}{scan}", layer.unwrap_or_default())
    }
}
