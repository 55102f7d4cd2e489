//! The operators `+ - * /`, unary `-` and `!`, on tensors, references to tensors and numbers on either side.
//!
//! On the right stands whatever is an [`Operand`]: a tensor or any Rust number. On the left a number is `f64` or `i32`, the types that
//! Rust gives to literals: with more of them, `2.0 * x` would be ambiguous.

use super::Tensor;
use super::tensor::Operand;
use ir::ScalarOp;
use std::ops::{Add, Div, Mul, Neg, Not, Sub};

macro_rules! operator {
    ($trait:ident, $method:ident, $op:ident) => {
        impl<T: Operand> $trait<T> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, rhs: T) -> Tensor {
                self.binary(ScalarOp::$op, rhs)
            }
        }
        impl<T: Operand> $trait<T> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, rhs: T) -> Tensor {
                self.binary(ScalarOp::$op, rhs)
            }
        }
        operator!($trait, $method, $op; f64, Tensor);
        operator!($trait, $method, $op; f64, &Tensor);
        operator!($trait, $method, $op; i32, Tensor);
        operator!($trait, $method, $op; i32, &Tensor);
    };
    ($trait:ident, $method:ident, $op:ident; $number:ty, $tensor:ty) => {
        impl $trait<$tensor> for $number {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, rhs: $tensor) -> Tensor {
                self.like(&rhs).binary(ScalarOp::$op, rhs)
            }
        }
    };
}

operator!(Add, add, ADD);
operator!(Sub, sub, SUB);
operator!(Mul, mul, MUL);
operator!(Div, div, DIV);

macro_rules! unary {
    ($trait:ident, $method:ident, $op:ident; $($ty:ty),*) => { $(
        impl $trait for $ty {
            type Output = Tensor;
            #[track_caller]
            fn $method(self) -> Tensor {
                self.unary(ScalarOp::$op)
            }
        }
    )* };
}

unary!(Neg, neg, NEG; Tensor, &Tensor);
unary!(Not, not, NOT; Tensor, &Tensor);
