//! What is wrong with a text, and where.

use crate::lexer::position;
use std::fmt;

/// A text that is not a graph. Prints as position, message, the offending line and a mark under the place:
///
/// ```text
/// 3:17: expected a type such as `f32[2,3]`, found `f33`
///   |   %2 = add %0, %1 : f33[2]
///   |                     ^
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The offending line, or the part of it around the place if it is long.
    pub source: String,
    /// The column of the place in `source`, from 1.
    pub mark: usize,
    /// What was expected, or which rule is broken.
    pub message: String,
}

impl std::error::Error for ParseError {}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        writeln!(f, "  | {}", self.source)?;
        write!(f, "  | {:>width$}", "^", width = self.mark)
    }
}

/// Most characters of a line shown on either side of the place.
const CONTEXT: usize = 80;

impl ParseError {
    /// An error at byte `at` of `text`.
    pub(super) fn at(text: &str, at: usize, message: impl Into<String>) -> Self {
        let at = (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        let start = text[..at].rfind('\n').map_or(0, |i| i + 1);
        let (line, column) = position(text, at);
        let rest = text[start..].lines().next().unwrap_or("");
        let skip = (column - 1).saturating_sub(CONTEXT);
        let source: String = rest.chars().skip(skip).take(2 * CONTEXT).map(visible).collect();
        Self { line, column, source, mark: column - skip, message: message.into() }
    }
}

/// Control characters would spoil the terminal or the mark's place.
fn visible(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}
