//! The operators `+ - * /`, unary `-` and `!`, on tensors, references to tensors and numbers on either side.

use super::Tensor;
use super::tensor::Operand;
use ir::ScalarOp;
use std::ops::{Add, Div, Mul, Neg, Not, Sub};

macro_rules! number {
    ($trait:ident, $method:ident, $op:ident: $($number:ty)*) => { $(
        impl $trait<$number> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, rhs: $number) -> Tensor {
                self.binary(ScalarOp::$op, rhs)
            }
        }
        impl $trait<$number> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, rhs: $number) -> Tensor {
                self.binary(ScalarOp::$op, rhs)
            }
        }
        impl $trait<Tensor> for $number {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, rhs: Tensor) -> Tensor {
                self.like(&rhs).binary(ScalarOp::$op, rhs)
            }
        }
        impl $trait<&Tensor> for $number {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, rhs: &Tensor) -> Tensor {
                self.like(rhs).binary(ScalarOp::$op, rhs)
            }
        }
    )* };
}

macro_rules! operator {
    ($trait:ident, $method:ident, $op:ident) => {
        operator!($trait, $method, $op; Tensor, Tensor);
        operator!($trait, $method, $op; Tensor, &Tensor);
        operator!($trait, $method, $op; &Tensor, Tensor);
        operator!($trait, $method, $op; &Tensor, &Tensor);
        number!($trait, $method, $op: f32 f64 i32 i64);
    };
    ($trait:ident, $method:ident, $op:ident; $left:ty, $right:ty) => {
        impl $trait<$right> for $left {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, rhs: $right) -> Tensor {
                self.binary(ScalarOp::$op, rhs)
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
