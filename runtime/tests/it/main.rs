//! Machine code against expected values, against the definitions of the scalar ops, and against the kernel interpreter.

mod casts;
mod checks;
mod loops;
mod micro;
mod ops;
mod parallel;
mod ports;
mod support;
