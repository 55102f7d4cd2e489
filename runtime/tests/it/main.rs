//! Machine code against expected values, against the definitions of the scalar ops, and against the kernel interpreter. Helpers of tests may unwrap: a panic is a
//! failed test.

#![allow(clippy::unwrap_used)]

mod casts;
mod checks;
mod loops;
mod micro;
mod ops;
mod parallel;
mod ports;
mod pressure;
mod random;
mod states;
mod streams;
mod support;
mod turned;
mod wide;
