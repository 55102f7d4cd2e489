//! The record of a scalar op, and the handle by which everything else names it.

use super::{FAMILIES, Scalar, ScalarProgram};
use crate::{BuildError, Cotangent, DType, Data, NodeId};
use std::fmt;

/// Everything there is to know about one scalar op. No field has a default: a forgotten rule doesn't compile.
pub struct ScalarDef {
    /// The name in text.
    pub name: &'static str,
    /// One line on what it computes, with what happens at the edges.
    pub doc: &'static str,
    /// How many operands it takes.
    pub arity: usize,
    /// Which operand types it takes and what comes out.
    pub typing: Typing,
    /// The reference: correctly rounded, or within half an ulp and a little for transcendentals.
    pub eval: fn(&[Scalar]) -> Scalar,
    /// How a gradient passes through.
    pub derivative: Derivative,
    /// The algebraic laws that rewrites may use.
    pub laws: Laws,
    /// The expansion into simpler ops for an element type of the first operand that is not a condition; `None` where
    /// the op is an instruction that each emitter provides.
    pub expand: fn(DType) -> Option<ScalarProgram>,
    /// What it costs, for fusion to decide whether computing it twice beats a trip to memory.
    pub cost: Cost,
    /// How far the expansion may be from the correctly rounded `f32` result, in units in the last place; 0 for exact ops.
    pub max_ulp: u32,
}

/// Sets of element types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TypeClass {
    /// Floats.
    Float,
    /// Integers.
    Int,
    /// Floats and integers.
    Number,
    /// Integers and truth values.
    IntOrBool,
    /// All types.
    Any,
}

impl TypeClass {
    /// True if `dtype` is in the set.
    pub fn contains(self, dtype: DType) -> bool {
        match self {
            Self::Float => dtype.is_float(),
            Self::Int => dtype.is_int(),
            Self::Number => dtype.is_number(),
            Self::IntOrBool => !dtype.is_float(),
            Self::Any => true,
        }
    }

    /// For messages: "a float type".
    pub fn describe(self) -> &'static str {
        match self {
            Self::Float => "a float type",
            Self::Int => "an integer type",
            Self::Number => "a float or integer type",
            Self::IntOrBool => "an integer type or bool",
            Self::Any => "any type",
        }
    }
}

/// How operand types and the result type relate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Typing {
    /// All operands of one type of the class; the result has it too.
    Same(TypeClass),
    /// All operands of one type of the class; the result is `bool`.
    Compare(TypeClass),
    /// `bool`, then two of one type, which is the result's.
    Select,
}

impl Typing {
    /// The result type for these operand types.
    ///
    /// # Errors
    /// A sentence saying which rule the operands break.
    pub fn infer(self, operands: &[DType]) -> Result<DType, String> {
        let (values, class) = match self {
            Self::Same(class) | Self::Compare(class) => (operands, class),
            Self::Select => match operands {
                [DType::Bool, rest @ ..] => (rest, TypeClass::Any),
                [other, ..] => return Err(format!("the condition must be bool, not {other}")),
                [] => return Err("a condition is missing".into()),
            },
        };
        let first = *values.first().ok_or("an operand is missing")?;
        if let Some(other) = values.iter().find(|&&d| d != first) {
            return Err(format!("operands must have one element type, not {first} and {other}: cast one of them"));
        }
        if !class.contains(first) {
            return Err(format!("operands must have {}, not {first}", class.describe()));
        }
        Ok(if matches!(self, Self::Compare(_)) { DType::Bool } else { first })
    }
}

/// How gradients pass through a scalar op.
#[derive(Clone, Copy)]
pub enum Derivative {
    /// Gives, for each operand, the gradient flowing to it (`None`: none does).
    Rule(fn(&mut Cotangent<'_>) -> Result<Vec<Option<NodeId>>, BuildError>),
    /// No gradient flows, for the reason given (a piecewise constant function, an integer result).
    Zero(&'static str),
}

/// Algebraic laws. A law stands only where it holds for every value of every type the op takes, by the float rules.
#[derive(Clone, Copy, Debug)]
pub struct Laws {
    /// `f(a, b) = f(b, a)`.
    pub commutative: bool,
    /// `f(f(a, b), c) = f(a, f(b, c))` in exact arithmetic: what a reduction may reassociate.
    pub associative: bool,
    /// Unary: `f(f(a)) = f(a)`. Binary: `f(a, a) = a`.
    pub idempotent: bool,
    /// Unary: `f(f(a)) = a`.
    pub involution: bool,
    /// The `e` with `f(a, e) = a` for every `a` of the type, bit for bit.
    pub right_identity: Option<fn(DType) -> Scalar>,
    /// What a fold with the op starts from, if there are such folds: it changes no element, save that a sum of nothing but -0 is +0.
    pub fold_start: Option<fn(DType) -> Scalar>,
}

impl Laws {
    /// No law holds.
    pub const NONE: Self = Self {
        commutative: false,
        associative: false,
        idempotent: false,
        involution: false,
        right_identity: None,
        fold_start: None,
    };
}

/// What an op costs per element, roughly, in the time of an add.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cost {
    /// One or two instructions.
    Cheap,
    /// A long-latency instruction: division, square root.
    Moderate,
    /// A polynomial.
    Expensive,
}

/// A scalar op: a reference to its record. Cheap to copy; two with one record are equal, and they are ordered by name.
#[derive(Clone, Copy)]
pub struct ScalarOp(pub(super) &'static ScalarDef);

impl ScalarOp {
    /// Every scalar op, by family.
    pub fn all() -> impl Iterator<Item = Self> {
        FAMILIES.iter().flat_map(|family| family.iter().map(|def| Self(def)))
    }

    /// The op of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|op| op.name() == name)
    }

    /// The record.
    pub fn def(self) -> &'static ScalarDef {
        self.0
    }

    /// The name in text.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// How many operands it takes.
    pub fn arity(self) -> usize {
        self.0.arity
    }

    /// What a fold with it starts from; `None` if nothing folds with it.
    pub fn fold_start(self, dtype: DType) -> Option<Scalar> {
        self.0.laws.fold_start.map(|start| start(dtype))
    }

    /// Applies the reference.
    ///
    /// # Panics
    /// If the operands' number or types are not what [`Typing::infer`] accepts; verified programs never do.
    pub fn eval(self, operands: &[Scalar]) -> Scalar {
        (self.0.eval)(operands)
    }

    /// Applies the reference at each place of operands that are equally long; gives elements of the type that [`Typing::infer`] says.
    ///
    /// # Panics
    /// As [`Self::eval`], or if an operand is shorter than the first.
    pub fn eval_each(self, operands: &[&Data], dtype: DType) -> Data {
        let eval = self.0.eval;
        match operands {
            // Most elements are `f32`; the others' types are asked for at each place.
            [Data::F32(a)] => Data::from_fn(dtype, a.len(), |i| eval(&[Scalar::F32(a[i])])),
            [Data::F32(a), Data::F32(b)] => {
                Data::from_fn(dtype, a.len(), |i| eval(&[Scalar::F32(a[i]), Scalar::F32(b[i])]))
            }
            [Data::F32(a), Data::F32(b), Data::F32(c)] => {
                Data::from_fn(dtype, a.len(), |i| eval(&[Scalar::F32(a[i]), Scalar::F32(b[i]), Scalar::F32(c[i])]))
            }
            [a] => Data::from_fn(dtype, a.len(), |i| eval(&[a.get(i)])),
            [a, b] => Data::from_fn(dtype, a.len(), |i| eval(&[a.get(i), b.get(i)])),
            [a, b, c] => Data::from_fn(dtype, a.len(), |i| eval(&[a.get(i), b.get(i), c.get(i)])),
            _ => panic!("`{self}` doesn't take {} operands", operands.len()),
        }
    }
}

impl PartialEq for ScalarOp {
    fn eq(&self, other: &Self) -> bool {
        // One record for each op, each in one place.
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for ScalarOp {}

impl PartialOrd for ScalarOp {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ScalarOp {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        if self == other { std::cmp::Ordering::Equal } else { self.name().cmp(other.name()) }
    }
}

impl std::hash::Hash for ScalarOp {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self.0).hash(state);
    }
}

impl fmt::Debug for ScalarOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for ScalarOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
