//! Rounding to integral values. Floats only; NaN stays NaN, infinities and zeros keep their sign.

use super::arith::map1;
use super::expand::never;
use super::{Cost, Derivative, Laws, ScalarDef, ScalarOp, TypeClass, Typing};

pub(super) const OPS: &[&ScalarDef] = &[&FLOOR, &CEIL, &ROUND, &TRUNC];

impl ScalarOp {
    /// Rounding down.
    pub const FLOOR: Self = Self(&FLOOR);
    /// Rounding up.
    pub const CEIL: Self = Self(&CEIL);
    /// Rounding to nearest even.
    pub const ROUND: Self = Self(&ROUND);
    /// Rounding towards zero.
    pub const TRUNC: Self = Self(&TRUNC);
}

macro_rules! rounding {
    ($static:ident, $name:literal, $doc:literal, $method:ident) => {
        static $static: ScalarDef = ScalarDef {
            name: $name,
            doc: $doc,
            arity: 1,
            typing: Typing::Same(TypeClass::Float),
            eval: |a| map1(a[0], f32::$method, f64::$method, |x| x),
            derivative: Derivative::Zero("piecewise constant"),
            laws: Laws { idempotent: true, ..Laws::NONE },
            expand: never,
            cost: Cost::Cheap,
            max_ulp: 0,
        };
    };
}

rounding!(FLOOR, "floor", "the largest integral value not above a", floor);
rounding!(CEIL, "ceil", "the smallest integral value not below a", ceil);
rounding!(ROUND, "round", "the nearest integral value, ties to even", round_ties_even);
rounding!(TRUNC, "trunc", "a without its fraction", trunc);
