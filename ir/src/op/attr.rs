//! Attributes of ops: the few kinds of values they may have, how they print and how they are read.

use super::scan::Body;
use crate::{DType, RuleError, Scalar, Shape, TensorType};
use std::fmt;

/// The value of an attribute.
#[derive(Clone, PartialEq, Debug)]
pub enum Attr {
    /// `3`
    Int(i64),
    /// `[1,2,3]`
    Ints(Vec<i64>),
    /// `[(1,1),(0,2)]`
    Pairs(Vec<(i64, i64)>),
    /// `"name"`
    Str(String),
    /// `f32[2,3]`
    Type(TensorType),
    /// Literals of an element type whose type stands elsewhere on the line: `(1.0, -inf)`.
    Literals(Vec<String>),
    /// `graph "cell" { ... }`: the body of a scan. Displayed by its name alone; the text of a graph has it in full.
    Body(Body),
}

impl fmt::Display for Attr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(v) => write!(f, "{v}"),
            Self::Ints(v) => {
                let items: Vec<String> = v.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", items.join(","))
            }
            Self::Pairs(v) => {
                let items: Vec<String> = v.iter().map(|(a, b)| format!("({a},{b})")).collect();
                write!(f, "[{}]", items.join(","))
            }
            Self::Str(v) => write!(f, "{v:?}"),
            Self::Type(v) => write!(f, "{v}"),
            Self::Literals(v) => write!(f, "({})", v.join(", ")),
            Self::Body(v) => write!(f, "graph {:?}", v.graph().name()),
        }
    }
}

/// Writes ` {a=1, b=[2,3]}`, or nothing where there are no attributes.
pub(super) fn write_attrs(f: &mut fmt::Formatter<'_>, attrs: &[(&'static str, Attr)]) -> fmt::Result {
    if attrs.is_empty() {
        return Ok(());
    }
    let items: Vec<String> = attrs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    write!(f, " {{{}}}", items.join(", "))
}

/// Non-negative integers as an attribute.
pub(super) fn ints(values: &[usize]) -> Attr {
    Attr::Ints(values.iter().map(|&v| v as i64).collect())
}

/// The attributes of one op in text, taken out by name while the op is made.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct AttrMap(pub Vec<(String, Attr)>);

impl AttrMap {
    /// Takes the attribute of that name out.
    ///
    /// # Errors
    /// If there is none.
    pub fn take(&mut self, name: &str) -> Result<Attr, RuleError> {
        let at = self.0.iter().position(|(n, _)| n == name);
        at.map(|i| self.0.remove(i).1).ok_or_else(|| format!("attribute `{name}` is missing").into())
    }

    /// Takes a non-negative integer.
    ///
    /// # Errors
    /// If there is none of that name or it is something else.
    pub fn usize(&mut self, name: &str) -> Result<usize, RuleError> {
        match self.take(name)? {
            Attr::Int(v) if v >= 0 => Ok(v as usize),
            other => Err(wrong(name, "a non-negative integer", &other)),
        }
    }

    /// Takes a list of non-negative integers.
    ///
    /// # Errors
    /// If there is none of that name or it is something else.
    pub fn usizes(&mut self, name: &str) -> Result<Vec<usize>, RuleError> {
        match self.take(name)? {
            Attr::Ints(v) if v.iter().all(|&x| x >= 0) => Ok(v.into_iter().map(|x| x as usize).collect()),
            other => Err(wrong(name, "a list of non-negative integers", &other)),
        }
    }

    /// Takes a list of pairs of non-negative integers.
    ///
    /// # Errors
    /// If there is none of that name or it is something else.
    pub fn pairs(&mut self, name: &str) -> Result<Vec<(usize, usize)>, RuleError> {
        match self.take(name)? {
            Attr::Pairs(v) if v.iter().all(|&(a, b)| a >= 0 && b >= 0) => {
                Ok(v.into_iter().map(|(a, b)| (a as usize, b as usize)).collect())
            }
            // The empty list prints alike for integers and for pairs.
            Attr::Ints(v) if v.is_empty() => Ok(vec![]),
            other => Err(wrong(name, "a list of pairs of non-negative integers", &other)),
        }
    }

    /// Takes a string.
    ///
    /// # Errors
    /// If there is none of that name or it is something else.
    pub fn string(&mut self, name: &str) -> Result<String, RuleError> {
        match self.take(name)? {
            Attr::Str(v) => Ok(v),
            other => Err(wrong(name, "a string", &other)),
        }
    }

    /// Takes literals.
    ///
    /// # Errors
    /// If there is none of that name or it is something else.
    pub fn literals(&mut self, name: &str) -> Result<Vec<String>, RuleError> {
        match self.take(name)? {
            Attr::Literals(v) => Ok(v),
            other => Err(wrong(name, "literals in parentheses", &other)),
        }
    }

    /// Takes literals as elements of a type.
    ///
    /// # Errors
    /// If there are none of that name, they are something else, or not of the type.
    pub fn scalars(&mut self, name: &str, dtype: DType) -> Result<Vec<Scalar>, RuleError> {
        let read = |text: &String| {
            Scalar::parse(text, dtype).ok_or_else(|| format!("attribute `{name}`: `{text}` is no {dtype}").into())
        };
        self.literals(name)?.iter().map(read).collect()
    }

    /// Takes one literal as an element of a type.
    ///
    /// # Errors
    /// If there is none of that name, it is something else, not one, or not of the type.
    pub fn scalar(&mut self, name: &str, dtype: DType) -> Result<Scalar, RuleError> {
        match self.scalars(name, dtype)?[..] {
            [one] => Ok(one),
            ref all => Err(format!("attribute `{name}` must be one literal, not {}", all.len()).into()),
        }
    }

    /// Takes a shape, written as a list of integers.
    ///
    /// # Errors
    /// If there is none of that name, it is something else, or not a shape.
    pub fn shape(&mut self, name: &str) -> Result<Shape, RuleError> {
        Ok(Shape::new(self.usizes(name)?)?)
    }

    /// Takes a truth value, written as 0 or 1.
    ///
    /// # Errors
    /// If there is none of that name or it is something else.
    pub fn flag(&mut self, name: &str) -> Result<bool, RuleError> {
        match self.take(name)? {
            Attr::Int(v @ (0 | 1)) => Ok(v == 1),
            other => Err(wrong(name, "0 or 1", &other)),
        }
    }

    /// Takes the body of a scan.
    ///
    /// # Errors
    /// If there is none of that name or it is something else.
    pub fn body(&mut self, name: &str) -> Result<Body, RuleError> {
        match self.take(name)? {
            Attr::Body(body) => Ok(body),
            other => Err(wrong(name, "a graph", &other)),
        }
    }

    /// Takes an element type, written as a string.
    ///
    /// # Errors
    /// If there is none of that name, it is something else, or no element type has that name.
    pub fn dtype(&mut self, name: &str) -> Result<DType, RuleError> {
        let text = self.string(name)?;
        DType::from_name(&text).ok_or_else(|| format!("`{text}` is no element type").into())
    }

    /// Checks that every attribute has been taken.
    ///
    /// # Errors
    /// Naming one that the op doesn't have.
    pub fn finish(self) -> Result<(), RuleError> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!("the op has no attribute `{name}`").into()),
        }
    }
}

fn wrong(name: &str, want: &str, got: &Attr) -> RuleError {
    format!("attribute `{name}` must be {want}, not {got}").into()
}
