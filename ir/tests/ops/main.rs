//! The op table from outside: types, values, text and derivatives of every op.

mod cases;
mod derivatives;
