//! Numbers as the reference evaluation computes with them: typed loops for windows, contractions and sums by index.
//!
//! 16-bit floats are computed in `f32` and rounded once, at the end.

use crate::scalar::add_scaled;
use crate::scalar::arith::maximum;
use crate::{DType, Data, EvalError, TensorType, Value};
use half::slice::HalfFloatSliceExt;
use half::vec::HalfFloatVecExt;
use half::{bf16, f16};
use std::borrow::Cow;

/// A type that sums and products are computed in.
pub(super) trait Number: Copy + PartialOrd + 'static {
    /// Zero.
    const ZERO: Self;
    /// Less than or equal to everything.
    const LOWEST: Self;
    /// The sum; integers wrap.
    fn plus(self, other: Self) -> Self;
    /// The difference; integers wrap.
    fn minus(self, other: Self) -> Self;
    /// `self * factor + addend`, rounded once; integers wrap.
    fn fma(self, factor: Self, addend: Self) -> Self;
    /// `target[i] = factor * source[i] + target[i]`, each as [`Self::fma`].
    fn add_scaled(target: &mut [Self], factor: Self, source: &[Self]) {
        for (t, s) in target.iter_mut().zip(source) {
            *t = factor.fma(*s, *t);
        }
    }
    /// The maximum, as the scalar op has it: NaN if either is, +0 above -0.
    fn larger(self, other: Self) -> Self;
    /// True for a NaN.
    fn is_nan(self) -> bool;
    /// The elements of a tensor that is computed in this type.
    ///
    /// # Panics
    /// If it is computed in another one: [`with_number`] chooses.
    fn read(value: &Value) -> Cow<'_, [Self]>;
    /// The elements as data of `dtype`, which is computed in this type.
    fn write(elements: Vec<Self>, dtype: DType) -> Data;
}

/// Runs code with the type `$T` that elements of a type are computed in; truth values, which no caller's type rule lets through,
/// give `$other`.
macro_rules! with_number {
    ($dtype:expr, $T:ident => $body:expr, else $other:expr) => {
        match $dtype {
            crate::DType::F32 | crate::DType::Bf16 | crate::DType::F16 => {
                type $T = f32;
                $body
            }
            crate::DType::F64 => {
                type $T = f64;
                $body
            }
            crate::DType::I64 => {
                type $T = i64;
                $body
            }
            crate::DType::I32 => {
                type $T = i32;
                $body
            }
            crate::DType::I8 => {
                type $T = i8;
                $body
            }
            crate::DType::I16 => {
                type $T = i16;
                $body
            }
            crate::DType::U64 => {
                type $T = u64;
                $body
            }
            crate::DType::U32 => {
                type $T = u32;
                $body
            }
            crate::DType::U16 => {
                type $T = u16;
                $body
            }
            crate::DType::U8 => {
                type $T = u8;
                $body
            }
            crate::DType::Bool => $other,
        }
    };
}
pub(super) use with_number;

/// The error of evaluating `op` on truth values.
pub(super) fn not_a_number(op: &'static str) -> EvalError {
    EvalError::NotEvaluable { op, why: "it takes numbers, not truth values" }
}

/// A tensor of type `ty` from elements computed in `T`.
///
/// # Panics
/// If their number is not the type's.
pub(super) fn value_of<T: Number>(ty: &TensorType, elements: Vec<T>) -> Value {
    Value::new(ty.clone(), T::write(elements, ty.dtype)).expect("an evaluation makes as many elements as its type has")
}

impl Number for f32 {
    const ZERO: Self = 0.0;
    const LOWEST: Self = Self::NEG_INFINITY;

    fn plus(self, other: Self) -> Self {
        self + other
    }

    fn minus(self, other: Self) -> Self {
        self - other
    }

    fn fma(self, factor: Self, addend: Self) -> Self {
        self.mul_add(factor, addend)
    }

    fn add_scaled(target: &mut [Self], factor: Self, source: &[Self]) {
        add_scaled(target, factor, source);
    }

    fn larger(self, other: Self) -> Self {
        maximum(self, other)
    }

    fn is_nan(self) -> bool {
        Self::is_nan(self)
    }

    fn read(value: &Value) -> Cow<'_, [Self]> {
        match value.data() {
            Data::F32(v) => Cow::Borrowed(v),
            Data::Bf16(v) => Cow::Owned(v.to_f32_vec()),
            Data::F16(v) => Cow::Owned(v.to_f32_vec()),
            other => panic!("{} is not computed in f32", other.dtype()),
        }
    }

    fn write(elements: Vec<Self>, dtype: DType) -> Data {
        match dtype {
            DType::Bf16 => Data::Bf16(Vec::<bf16>::from_f32_slice(&elements)),
            DType::F16 => Data::F16(Vec::<f16>::from_f32_slice(&elements)),
            _ => Data::F32(elements),
        }
    }
}

impl Number for f64 {
    const ZERO: Self = 0.0;
    const LOWEST: Self = Self::NEG_INFINITY;

    fn plus(self, other: Self) -> Self {
        self + other
    }

    fn minus(self, other: Self) -> Self {
        self - other
    }

    fn fma(self, factor: Self, addend: Self) -> Self {
        self.mul_add(factor, addend)
    }

    fn larger(self, other: Self) -> Self {
        maximum(self, other)
    }

    fn is_nan(self) -> bool {
        Self::is_nan(self)
    }

    fn read(value: &Value) -> Cow<'_, [Self]> {
        match value.data() {
            Data::F64(v) => Cow::Borrowed(v),
            other => panic!("{} is not computed in f64", other.dtype()),
        }
    }

    fn write(elements: Vec<Self>, _dtype: DType) -> Data {
        Data::F64(elements)
    }
}

macro_rules! integer {
    ($($ty:ty: $variant:ident),*) => { $(
        impl Number for $ty {
            const ZERO: Self = 0;
            const LOWEST: Self = Self::MIN;

            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }

            fn fma(self, factor: Self, addend: Self) -> Self {
                self.wrapping_mul(factor).wrapping_add(addend)
            }

            fn larger(self, other: Self) -> Self {
                self.max(other)
            }

            fn is_nan(self) -> bool {
                false
            }

            fn read(value: &Value) -> Cow<'_, [Self]> {
                match value.data() {
                    Data::$variant(v) => Cow::Borrowed(v),
                    other => panic!("{} is not computed in {}", other.dtype(), stringify!($ty)),
                }
            }

            fn write(elements: Vec<Self>, _dtype: DType) -> Data {
                Data::$variant(elements)
            }
        }
    )* };
}
integer!(i64: I64, i32: I32, i16: I16, i8: I8, u64: U64, u32: U32, u16: U16, u8: U8);
