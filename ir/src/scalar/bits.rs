//! Logic and bits: and, or, xor, not on truth values and integers; shifts of integers, products of their halves.

use super::expand::never;
use super::{Cost, Derivative, Laws, Scalar, ScalarDef, ScalarOp, TypeClass, Typing};
use crate::DType;

pub(super) const OPS: &[&ScalarDef] = &[&AND, &OR, &XOR, &NOT, &SHL, &SHR, &LSHR, &MUL_HALVES];

impl ScalarOp {
    /// Bitwise and logical and.
    pub const AND: Self = Self(&AND);
    /// Bitwise and logical or.
    pub const OR: Self = Self(&OR);
    /// Bitwise and logical exclusive or.
    pub const XOR: Self = Self(&XOR);
    /// Bitwise and logical complement.
    pub const NOT: Self = Self(&NOT);
    /// Left shift.
    pub const SHL: Self = Self(&SHL);
    /// Right shift: arithmetic of types with a sign, logical of those without.
    pub const SHR: Self = Self(&SHR);
    /// Logical right shift.
    pub const LSHR: Self = Self(&LSHR);
    /// Product of lower halves.
    pub const MUL_HALVES: Self = Self(&MUL_HALVES);
}

const NO_DERIVATIVE: Derivative = Derivative::Zero("integers and truth values have no derivative");
const SEMILATTICE: Laws = Laws { commutative: true, associative: true, idempotent: true, ..Laws::NONE };

fn bits2(a: &[Scalar], f: impl Fn(u64, u64) -> u64) -> Scalar {
    Scalar::from_bits(f(a[0].to_bits(), a[1].to_bits()), a[0].dtype())
}

fn ones(dtype: DType) -> Scalar {
    Scalar::from_bits(u64::MAX, dtype)
}

static AND: ScalarDef = ScalarDef {
    name: "and",
    doc: "bitwise and; logical and of truth values",
    arity: 2,
    typing: Typing::Same(TypeClass::IntOrBool),
    eval: |a| bits2(a, |x, y| x & y),
    derivative: NO_DERIVATIVE,
    laws: Laws { right_identity: Some(ones), ..SEMILATTICE },
    expand: never,
    cost: Cost::Cheap,
    max_ulp: 0,
};

static OR: ScalarDef = ScalarDef {
    name: "or",
    doc: "bitwise or; logical or of truth values",
    arity: 2,
    typing: Typing::Same(TypeClass::IntOrBool),
    eval: |a| bits2(a, |x, y| x | y),
    derivative: NO_DERIVATIVE,
    laws: Laws { right_identity: Some(Scalar::zero), ..SEMILATTICE },
    expand: never,
    cost: Cost::Cheap,
    max_ulp: 0,
};

static XOR: ScalarDef = ScalarDef {
    name: "xor",
    doc: "bitwise exclusive or; inequality of truth values",
    arity: 2,
    typing: Typing::Same(TypeClass::IntOrBool),
    eval: |a| bits2(a, |x, y| x ^ y),
    derivative: NO_DERIVATIVE,
    laws: Laws { idempotent: false, right_identity: Some(Scalar::zero), ..SEMILATTICE },
    expand: never,
    cost: Cost::Cheap,
    max_ulp: 0,
};

static NOT: ScalarDef = ScalarDef {
    name: "not",
    doc: "bitwise complement; logical not of truth values",
    arity: 1,
    typing: Typing::Same(TypeClass::IntOrBool),
    eval: |a| match a[0] {
        Scalar::Bool(v) => Scalar::Bool(!v),
        v => Scalar::from_bits(!v.to_bits(), v.dtype()),
    },
    derivative: NO_DERIVATIVE,
    laws: Laws { involution: true, ..Laws::NONE },
    expand: never,
    cost: Cost::Cheap,
    max_ulp: 0,
};

/// Shifts by the width of the type or more, or by a negative amount, give 0.
fn shift(a: &[Scalar], f: impl Fn(u64, u32) -> u64) -> Scalar {
    let (dtype, by) = (a[0].dtype(), a[1].as_i64());
    let width = dtype.size_bytes() as i64 * 8;
    if (0..width).contains(&by) { Scalar::from_bits(f(a[0].to_bits(), by as u32), dtype) } else { Scalar::zero(dtype) }
}

static SHL: ScalarDef = ScalarDef {
    name: "shl",
    doc: "a shifted left by b bits; 0 where b is negative or not below the width",
    arity: 2,
    typing: Typing::Same(TypeClass::Int),
    eval: |a| shift(a, |x, by| x << by),
    derivative: NO_DERIVATIVE,
    laws: Laws { right_identity: Some(Scalar::zero), ..Laws::NONE },
    expand: never,
    cost: Cost::Cheap,
    max_ulp: 0,
};

static SHR: ScalarDef = ScalarDef {
    name: "shr",
    doc: "a shifted right by b bits, its sign moving in, or zeros if its type has none; that sign alone where b is negative or not below the width",
    arity: 2,
    typing: Typing::Same(TypeClass::Int),
    eval: |a| {
        let sign = if a[0].as_i128() < 0 { u64::MAX } else { 0 };
        let magnitude = Scalar::from_bits(a[0].to_bits() ^ sign, a[0].dtype());
        let shifted = shift(&[magnitude, a[1]], |x, by| x >> by);
        Scalar::from_bits(shifted.to_bits() ^ sign, a[0].dtype())
    },
    derivative: NO_DERIVATIVE,
    laws: Laws { right_identity: Some(Scalar::zero), ..Laws::NONE },
    expand: super::expand::expand_shr,
    cost: Cost::Cheap,
    max_ulp: 0,
};

static LSHR: ScalarDef = ScalarDef {
    name: "lshr",
    doc: "a shifted right by b bits, zeros moving in; 0 where b is negative or not below the width",
    arity: 2,
    typing: Typing::Same(TypeClass::Int),
    eval: |a| shift(a, |x, by| x >> by),
    derivative: NO_DERIVATIVE,
    laws: Laws { right_identity: Some(Scalar::zero), ..Laws::NONE },
    expand: never,
    cost: Cost::Cheap,
    max_ulp: 0,
};

static MUL_HALVES: ScalarDef = ScalarDef {
    name: "mul_halves",
    doc: "the product of the lower halves of a's and b's bits, taken as numbers without sign",
    arity: 2,
    typing: Typing::Same(TypeClass::Int),
    eval: |a| {
        let half = 4 * a[0].dtype().size_bytes();
        bits2(a, |x, y| (x & ((1 << half) - 1)) * (y & ((1 << half) - 1)))
    },
    derivative: NO_DERIVATIVE,
    laws: Laws { commutative: true, ..Laws::NONE },
    expand: never,
    cost: Cost::Cheap,
    max_ulp: 0,
};
