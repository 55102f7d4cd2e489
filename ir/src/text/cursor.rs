//! Steps through tokens: the small expectations that the parser is made of.

use super::ParseError;
use crate::lexer::{LexError, Lexer, Token};
use crate::op::attr::Attr;
use crate::{DType, Shape, TensorType};

/// What stands between words.
const MARKS: &str = "=,:@(){}[]";

fn located(text: &str, e: LexError) -> ParseError {
    ParseError::at(text, e.at, e.message)
}

/// The place in the text where the parser stands, with one token of look-ahead.
pub(super) struct Cursor<'t> {
    text: &'t str,
    lexer: Lexer<'t>,
    token: Token,
    at: usize,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str) -> Result<Self, ParseError> {
        let mut lexer = Lexer::new(text, MARKS);
        let (token, at) = lexer.token().map_err(|e| located(text, e))?;
        Ok(Self { text, lexer, token, at })
    }

    /// The next token, not yet taken.
    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// The byte at which it starts.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// An error at a byte of the text.
    pub(super) fn error(&self, at: usize, message: impl Into<String>) -> ParseError {
        ParseError::at(self.text, at, message)
    }

    /// An error at the next token: it is not what was expected.
    pub(super) fn expected(&self, what: &str) -> ParseError {
        self.error(self.at, format!("expected {what}, found {}", self.token))
    }

    fn bump(&mut self) -> Result<Token, ParseError> {
        let (token, at) = self.lexer.token().map_err(|e| located(self.text, e))?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    /// Takes the mark if it is next.
    pub(super) fn eat(&mut self, mark: char) -> Result<bool, ParseError> {
        let there = self.token == Token::Mark(mark);
        if there {
            self.bump()?;
        }
        Ok(there)
    }

    /// Takes the mark.
    pub(super) fn mark(&mut self, mark: char) -> Result<(), ParseError> {
        if self.eat(mark)? { Ok(()) } else { Err(self.expected(&format!("`{mark}`"))) }
    }

    /// Takes a word.
    pub(super) fn word(&mut self, what: &str) -> Result<String, ParseError> {
        match &mut self.token {
            Token::Word(w) | Token::Number(w) => {
                let word = std::mem::take(w);
                self.bump()?;
                Ok(word)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Takes this very word.
    pub(super) fn keyword(&mut self, word: &str) -> Result<(), ParseError> {
        if self.token == Token::Word(word.into()) {
            self.bump()?;
            return Ok(());
        }
        Err(self.expected(&format!("`{word}`")))
    }

    /// Takes a string.
    pub(super) fn string(&mut self, what: &str) -> Result<String, ParseError> {
        match &mut self.token {
            Token::Str(s) => {
                let string = std::mem::take(s);
                self.bump()?;
                Ok(string)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Takes `%n`.
    pub(super) fn id(&mut self, what: &str) -> Result<u64, ParseError> {
        match self.token {
            Token::Id(n) => self.bump().map(|_| n),
            _ => Err(self.expected(what)),
        }
    }

    /// Takes a number that `T` can hold.
    pub(super) fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, ParseError> {
        let at = self.at;
        match &self.token {
            Token::Word(w) | Token::Number(w) => match w.parse() {
                Ok(n) => self.bump().map(|_| n),
                Err(_) => Err(self.error(at, format!("expected {what}, found `{w}`"))),
            },
            _ => Err(self.expected(what)),
        }
    }

    /// Takes items separated by commas until the closing mark, which is taken too.
    pub(super) fn list<T>(
        &mut self,
        close: char,
        mut item: impl FnMut(&mut Self) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        let mut items = Vec::new();
        if self.eat(close)? {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.eat(close)? {
                return Ok(items);
            }
            if !self.eat(',')? {
                return Err(self.expected(&format!("`,` or `{close}`")));
            }
        }
    }

    /// Takes a type: `f32[2,3]`.
    pub(super) fn ty(&mut self) -> Result<TensorType, ParseError> {
        let at = self.at;
        let expected = "a type such as `f32[2,3]`";
        let dtype = match &self.token {
            Token::Word(w) => DType::from_name(w),
            _ => None,
        };
        let dtype = dtype.ok_or_else(|| self.expected(expected))?;
        self.bump()?;
        self.mark('[')?;
        let dims: Vec<usize> = self.list(']', |c| c.number("an extent"))?;
        let shape = Shape::new(dims).map_err(|e| self.error(at, e.to_string()))?;
        Ok(TensorType::new(dtype, shape))
    }

    /// Takes the value of an attribute.
    pub(super) fn attr(&mut self) -> Result<Attr, ParseError> {
        match &self.token {
            Token::Str(_) => self.string("a string").map(Attr::Str),
            Token::Word(w) if DType::from_name(w).is_some() => self.ty().map(Attr::Type),
            Token::Word(_) | Token::Number(_) => self.number("an integer that fits 64 bits, or a type").map(Attr::Int),
            Token::Mark('(') => {
                self.bump()?;
                self.list(')', |c| c.word("a literal")).map(Attr::Literals)
            }
            Token::Mark('[') => {
                self.bump()?;
                if self.token == Token::Mark('(') {
                    self.list(']', Self::pair).map(Attr::Pairs)
                } else {
                    self.list(']', |c| c.number("an integer that fits 64 bits")).map(Attr::Ints)
                }
            }
            _ => Err(self.expected("an integer, a string, a type, `[` or `(`")),
        }
    }

    fn pair(&mut self) -> Result<(i64, i64), ParseError> {
        self.mark('(')?;
        let a = self.number("an integer that fits 64 bits")?;
        self.mark(',')?;
        let b = self.number("an integer that fits 64 bits")?;
        self.mark(')')?;
        Ok((a, b))
    }
}
