//! Graphs as text, one node a line: printed by [`Graph::display`](crate::Graph::display), read back by
//! [`Graph::parse`](crate::Graph::parse).
//!
//! ```text
//! graph "step" {
//!   %0 = input {name="x"} : f32[32,784]
//!   %1 = state {name="w"} : f32[784,10]
//!   %2 = dot %0, %1 {batch=[], contract=[(1,0)]} : f32[32,10] @0
//!   %3 = reduce_sum %2 {axes=[0,1]} : f32[] @0 at "src/main.rs:12:9"
//!   output "loss" = %3
//!   update "w" = %1
//! }
//! ```
//!
//! # Grammar
//!
//! ```text
//! graph   = "graph" string "{" node* port* "}"
//! node    = id "=" opname [id ("," id)*] ["{" [attr ("," attr)*] "}"] ":" type ["@" number] ["at" string ["in" [section] [string]]]
//! section = "forward" | "backward" | "update"
//! port    = ("output" | "update") string "=" id
//! attr    = word "=" value
//! value   = graph | id | integer | string | type | "[" [integer ("," integer)*] "]" | "[" pair ("," pair)* "]" | "(" [word ("," word)*] ")"
//! pair    = "(" integer "," integer ")"
//! type    = dtype "[" [number ("," number)*] "]"
//! id      = "%" number
//! ```
//!
//! A graph as a value is the body of a scan, whose ids are its own; an id stands for the body of the node of that id, above.
//! `@n` is the node's cluster, `at "file:line:column"` its source location, with the section of the step and the path of the layer behind it: `in backward "encoder/dense"`. Strings have Rust's escapes. A comment runs from `//` or `;` to the end of its line. White space and line
//! ends separate words and mean nothing else. A node's operands are defined before it.
//!
//! The printed ids are positions in [`Graph::schedule_order`](crate::Graph::schedule_order), so the text doesn't depend on how the
//! graph came about, and printing what was parsed gives the same text. Source locations are printed on request, and parsed where
//! they stand. So are comments that tell sections and layers; and layers that are like one above can be folded to a comment, which is for people alone: what is folded isn't
//! read back.

mod cursor;
mod error;
mod fold;
mod parse;
mod print;
mod run;
mod same;

pub use error::ParseError;
pub use print::GraphDisplay;
pub(crate) use print::{TextLine, lines, printing_order};
