//! Reads tokens from left to right: the parser's tools.

use super::{MAX_NESTING, ParseError};
use crate::{DType, ScalarOp};
use ir::lexer::{Lexer, Token, position};
use std::str::FromStr;

/// What stands between words and numbers.
const MARKS: &str = ".,:()[]{}=+*/%#@";

fn wrong(text: &str, at: usize, message: String) -> ParseError {
    let (line, column) = position(text, at);
    ParseError { line, column, message }
}

pub(super) type Parsed<T> = Result<T, ParseError>;

/// Reads tokens from left to right.
pub(super) struct Parser<'t> {
    text: &'t str,
    /// Each with the byte it starts at; the last one is the end.
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
}

/// The number in a name like `i3`: no sign, no leading zero.
fn numbered(word: &str, letter: char) -> Option<u32> {
    let digits = word.strip_prefix(letter)?;
    let canonical = digits == "0" || digits.starts_with(|c: char| ('1'..='9').contains(&c));
    if canonical { digits.parse().ok() } else { None }
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t str) -> Parsed<Self> {
        let mut lexer = Lexer::new(text, MARKS);
        let mut tokens = vec![];
        loop {
            let token = lexer.token().map_err(|e| wrong(text, e.at, e.message))?;
            let end = token.0 == Token::End;
            tokens.push(token);
            if end {
                return Ok(Self { text, tokens, at: 0, depth: 0 });
            }
        }
    }

    pub(super) fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    pub(super) fn peek_second(&self) -> &Token {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].0
    }

    pub(super) fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    /// An error at the next token.
    pub(super) fn fail<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(wrong(self.text, self.tokens[self.at].1, message.into()))
    }

    pub(super) fn expected<T>(&self, what: &str) -> Parsed<T> {
        self.fail(format!("expected {what}, found {}", self.peek()))
    }

    pub(super) fn end(&self) -> Parsed<()> {
        if *self.peek() == Token::End { Ok(()) } else { self.expected("the end") }
    }

    pub(super) fn accept(&mut self, c: char) -> bool {
        let found = *self.peek() == Token::Mark(c);
        if found {
            self.next();
        }
        found
    }

    pub(super) fn punct(&mut self, c: char) -> Parsed<()> {
        if self.accept(c) { Ok(()) } else { self.expected(&format!("`{c}`")) }
    }

    pub(super) fn accept_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(w) if w == word);
        if found {
            self.next();
        }
        found
    }

    pub(super) fn word(&mut self, word: &str) -> Parsed<()> {
        if self.accept_word(word) { Ok(()) } else { self.expected(&format!("`{word}`")) }
    }

    pub(super) fn name(&mut self, what: &str) -> Parsed<String> {
        match self.peek() {
            Token::Word(w) => {
                let w = w.clone();
                self.next();
                Ok(w)
            }
            _ => self.expected(what),
        }
    }

    pub(super) fn text(&mut self) -> Parsed<String> {
        match self.peek() {
            Token::Str(t) => {
                let t = t.clone();
                self.next();
                Ok(t)
            }
            _ => self.expected("a string"),
        }
    }

    /// A number of any integer type.
    pub(super) fn int<T: FromStr>(&mut self, what: &str) -> Parsed<T> {
        let value = match self.peek() {
            Token::Number(n) => n.parse().ok(),
            _ => None,
        };
        match value {
            Some(value) => {
                self.next();
                Ok(value)
            }
            None => self.expected(what),
        }
    }

    /// A name like `i3`.
    pub(super) fn numbered(&mut self, letter: char) -> Parsed<u32> {
        match self.peek_numbered(letter) {
            Some(n) => {
                self.next();
                Ok(n)
            }
            None => self.expected(&format!("a name like `{letter}0`")),
        }
    }

    pub(super) fn peek_numbered(&self, letter: char) -> Option<u32> {
        match self.peek() {
            Token::Word(w) => numbered(w, letter),
            _ => None,
        }
    }

    pub(super) fn dtype(&mut self) -> Parsed<DType> {
        let found = match self.peek() {
            Token::Word(w) => DType::from_name(w),
            _ => None,
        };
        match found {
            Some(dtype) => {
                self.next();
                Ok(dtype)
            }
            None => self.expected("an element type"),
        }
    }

    /// Goes one level down.
    pub(super) fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_NESTING {
            return self.fail(format!("more than {MAX_NESTING} levels of nesting"));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Things with commas between them, up to `close`.
    pub(super) fn list<T>(&mut self, close: char, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![];
        if self.accept(close) {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.accept(close) {
                return Ok(items);
            }
            self.punct(',')?;
        }
    }

    pub(super) fn op(&mut self) -> Parsed<ScalarOp> {
        let found = match self.peek() {
            Token::Word(w) => ScalarOp::from_name(w),
            _ => None,
        };
        match found {
            Some(op) => {
                self.next();
                Ok(op)
            }
            None => self.expected("a scalar op"),
        }
    }

    pub(super) fn accept_stride(&mut self, default: i64) -> Parsed<i64> {
        if self.accept_word("stride") { self.int("a stride") } else { Ok(default) }
    }

    pub(super) fn looks_like_call(&self) -> bool {
        *self.peek_second() == Token::Mark('(')
    }
}
