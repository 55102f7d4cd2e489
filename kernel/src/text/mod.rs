//! Programs and kernels as text. Grammar (`;` or `//` starts a comment that ends with the line; layout is free):
//!
//! ```text
//! program  = "program" string ["arena" int] buffer* check* origin* kernel* launch*
//! buffer   = bN ":" dtype "[" int "]" kind ["@" int]
//! kind     = "temp" | ("input" | "output" | "state" | "next") string | "constant" ( "[" scalar,* "]" | "x" hex-string )
//! check    = "check" "#" int string ["at" string]
//! origin   = "origin" "#" int name ["at" string] ["in" [name] [string]]
//! kernel   = "kernel" name "(" pN ":" ("read" | "write" | "readwrite" | "stream") dtype "[" int "]",* ")" "{" local* stmt* "}"
//! local    = "local" lN ":" dtype "[" int "]"
//! launch   = "launch" name "(" bN,* ")" ["from" ("#" int)+]
//! ```
//!
//! Statements and expressions are spelled in the docs of [`crate::Stmt`], [`crate::Expr`], [`crate::IndexExpr`] and
//! [`crate::Micro`]. A constant is a number with its type, `1.5f32`, `-3i64`; `true`; `nan:f32`, `-inf:f64`, or the bits of another
//! NaN, `0x7fc00001:f32`. The printer's text of a program parses to that program, and text in the printer's form prints as it was.

mod parse;
mod parse_expr;
mod parser;
mod print;
mod print_expr;

pub use parse::ParseError;
pub(crate) use print::{Notes, TextLine, annotate};

/// How deep statements and expressions may nest: what a walk over them can rely on, so that it may call itself once for each level, on a stack of 512 KiB without
/// optimization too. The parser and the verifier refuse more; passes bind each value by a name, and nest loops no deeper than axes and scans do.
pub const MAX_NESTING: usize = 64;
