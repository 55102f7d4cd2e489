//! Comparisons (IEEE: false where an operand is NaN, except `ne`) and selection.

use super::expand::never;
use super::{Cost, Derivative, Laws, Scalar, ScalarDef, ScalarOp, TypeClass, Typing};
use std::cmp::Ordering;

pub(super) const OPS: &[&ScalarDef] = &[&EQ, &NE, &LT, &LE, &GT, &GE, &SELECT];

impl ScalarOp {
    /// Equality.
    pub const EQ: Self = Self(&EQ);
    /// Inequality.
    pub const NE: Self = Self(&NE);
    /// Less.
    pub const LT: Self = Self(&LT);
    /// Less or equal.
    pub const LE: Self = Self(&LE);
    /// Greater.
    pub const GT: Self = Self(&GT);
    /// Greater or equal.
    pub const GE: Self = Self(&GE);
    /// Selection by a condition.
    pub const SELECT: Self = Self(&SELECT);
}

/// The numeric order; `None` where an operand is NaN.
fn order(a: &[Scalar]) -> Option<Ordering> {
    if a[0].dtype().is_float() {
        a[0].as_f64().partial_cmp(&a[1].as_f64())
    } else {
        Some(a[0].as_i128().cmp(&a[1].as_i128()))
    }
}

macro_rules! comparison {
    ($static:ident, $name:literal, $doc:literal, $class:expr, $commutative:literal, $test:expr) => {
        static $static: ScalarDef = ScalarDef {
            name: $name,
            doc: $doc,
            arity: 2,
            typing: Typing::Compare($class),
            eval: |a| Scalar::Bool($test(order(a))),
            derivative: Derivative::Zero("piecewise constant"),
            laws: Laws { commutative: $commutative, ..Laws::NONE },
            expand: never,
            cost: Cost::Cheap,
            max_ulp: 0,
        };
    };
}

comparison!(EQ, "eq", "a == b", TypeClass::Any, true, |o| o == Some(Ordering::Equal));
comparison!(NE, "ne", "a != b; true where an operand is NaN", TypeClass::Any, true, |o| o != Some(Ordering::Equal));
comparison!(LT, "lt", "a < b", TypeClass::Number, false, |o| o == Some(Ordering::Less));
comparison!(LE, "le", "a <= b", TypeClass::Number, false, |o: Option<Ordering>| o.is_some_and(Ordering::is_le));
comparison!(GT, "gt", "a > b", TypeClass::Number, false, |o| o == Some(Ordering::Greater));
comparison!(GE, "ge", "a >= b", TypeClass::Number, false, |o: Option<Ordering>| o.is_some_and(Ordering::is_ge));

static SELECT: ScalarDef = ScalarDef {
    name: "select",
    doc: "b where the condition a is true, else c",
    arity: 3,
    typing: Typing::Select,
    eval: |a| {
        if a[0] == Scalar::Bool(true) { a[1] } else { a[2] }
    },
    derivative: Derivative::Rule(|cx| {
        let zero = cx.build.zeros_like(cx.dy)?;
        let on = cx.build.select(cx.operands[0], cx.dy, zero)?;
        let off = cx.build.select(cx.operands[0], zero, cx.dy)?;
        Ok(vec![None, Some(on), Some(off)])
    }),
    laws: Laws::NONE,
    expand: never,
    cost: Cost::Cheap,
    max_ulp: 0,
};
