//! The op table from outside: types, values, text and derivatives of every op.

#![cfg(test)]

mod batching;
mod cases;
mod derivatives;
mod integers;
mod tensors;
mod text;
mod types;
mod values;
